"""AssemblyAI: utterances by speaker, or words alone; times in milliseconds."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, milliseconds, speaker, words_at
from core_engine.readers.words import Word, cues_in
from core_engine.types import Turn

_LISTS = ("utterances", "sentences", "paragraphs")
_SIGNS = frozenset(("acoustic_model", "audio_duration", "audio_url", "language_model", "speech_model", "speech_models"))


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The utterances, cut at their sentences; without speakers the whole text so."""
    if not isinstance(value, dict):
        return None
    for key in _LISTS:
        found = entries(value, key)
        if any(entries(item, "words") and isinstance(item.get("start"), int) for item in found) and _fits(value, found):
            return joined(cue for i, item in enumerate(found) for cue in _cues(item, at, f"/{key}/{i}/text"))
    words = entries(value, "words")
    if words and _SIGNS & value.keys() and all(isinstance(word.get("start"), int) for word in words[:20]):
        return joined(_cues(value, at, "/text"))
    return None


def _fits(value: dict[str, Any], found: list[dict[str, Any]]) -> bool:
    """Whole numbers alone could be seconds; with the service's own keys, or where a word takes 20 and more, they aren't."""
    if _SIGNS & value.keys():
        return True
    words = [word for item in found[:20] for word in entries(item, "words")]
    times = [
        word["end"] - word["start"] for word in words if _is_whole(word.get("start")) and _is_whole(word.get("end"))
    ]
    return len(times) == len(words) > 0 and sum(times) / len(times) > 20


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _cues(item: dict[str, Any], at: At, pointer: str) -> list[Cue]:
    text, whose = words_at(item, "text"), speaker(item.get("speaker"))
    words = [
        Word(
            words_at(word, "text"),
            whose or speaker(word.get("speaker")),
            milliseconds(word.get("start")),
            milliseconds(word.get("end")),
        )
        for word in entries(item, "words")
    ]
    if cues := cues_in(text, words, at(pointer)):
        return cues
    return [Cue(text.strip(), whose, milliseconds(item.get("start")), milliseconds(item.get("end")), at(pointer))]


SERVICE = Service("AssemblyAI", turns)
