"""Google Speech-to-Text: results with alternatives; with speakers, a last result repeats all words with their tags."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, first_alternative, members, speaker, words_at
from core_engine.readers.times import seconds
from core_engine.readers.words import Word, cues_in, turns_of_words
from core_engine.types import Place, Turn

_REPEATS = 0.8
"""Share of all words before it that a last result with speakers must have to be their repetition."""


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The turns; where the last result repeats the others with speakers, that one alone."""
    results, pointer = _results(value)
    if not any(_is_result(result) for result in results):
        return None
    last = first_alternative(results[-1])
    before = sum(len(_said(first_alternative(result))) for result in results[:-1])
    tagged = [word for word in entries(last, "words") if _whose(word)]
    if len(results) > 1 and tagged and len(tagged) >= _REPEATS * before:
        where = f"{pointer}/{len(results) - 1}/alternatives/0/words"
        return turns_of_words(_word(word, at(f"{where}/{i}/word")) for i, word in enumerate(entries(last, "words")))
    return joined(cue for i, result in enumerate(results) for cue in _cues(result, at, f"{pointer}/{i}"))


def _results(value: Any) -> tuple[list[dict[str, Any]], str]:
    """The list of results, in the answer itself, in that of an operation, or of a batch with one file."""
    for keys in (("results",), ("response", "results")):
        found = members(value, *keys)
        if isinstance(found, list):
            return entries(value, *keys), "/" + "/".join(keys)
        if isinstance(found, dict) and len(found) == 1:
            name, inner = next(iter(found.items()))
            for path in (("transcript", "results"), ("inlineResult", "transcript", "results")):
                if results := entries(inner, *path):
                    escaped = str(name).replace("~", "~0").replace("/", "~1")
                    return results, "/" + "/".join((*keys, escaped, *path))
    return [], ""


def _is_result(result: dict[str, Any]) -> bool:
    best = first_alternative(result)
    # (Other services have results with alternatives as well; their words have other names.)
    return isinstance(best.get("transcript"), str) or any("word" in word for word in entries(best, "words"))


def _said(best: dict[str, Any]) -> list[Any]:
    return entries(best, "words") or words_at(best, "transcript").split()


def _cues(result: dict[str, Any], at: At, pointer: str) -> list[Cue]:
    best = first_alternative(result)
    text = words_at(best, "transcript")
    channel = result.get("channelTag") or result.get("channel_tag")
    here = f"{pointer}/alternatives/0/transcript"
    words = [_word(word, at(here)) for word in entries(best, "words")]
    if channel:
        words = [word._replace(speaker=word.speaker or speaker(channel)) for word in words]
    if cues := cues_in(text, words, at(here)):
        return cues
    end = _time(result.get("resultEndTime") or result.get("result_end_time") or result.get("resultEndOffset"))
    return [Cue(text.strip(), speaker(channel), None, end, at(here))]


def _word(word: dict[str, Any], place: Place) -> Word:
    # (Japanese words come with their reading behind a bar.)
    said = words_at(word, "word").split("|")[0]
    start = next((word[key] for key in ("startTime", "startOffset", "start_time", "start_offset") if key in word), None)
    end = next((word[key] for key in ("endTime", "endOffset", "end_time", "end_offset") if key in word), None)
    return Word(said, _whose(word), _time(start), _time(end), place)


def _whose(word: dict[str, Any]) -> str | None:
    label = next(
        (word[key] for key in ("speakerLabel", "speaker_label", "speakerTag", "speaker_tag") if word.get(key)), 0
    )
    return speaker(label) if label not in (0, "0") else None


def _time(value: Any) -> float | None:
    """`1.400s`, a number, or `{seconds, nanos}`."""
    if isinstance(value, dict):
        whole, nanos = seconds(value.get("seconds", 0)), value.get("nanos", 0)
        return None if whole is None or not isinstance(nanos, int) else round(whole + nanos / 1e9, 6)
    return seconds(value)


SERVICE = Service("Google Speech-to-Text", turns)
