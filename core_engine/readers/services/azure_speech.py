"""Azure Speech: phrases, of batch transcription (with alternatives, times in ticks) or of fast transcription."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, in_order, milliseconds, speaker, words_at
from core_engine.readers.times import seconds
from core_engine.types import Turn

_TICKS = 10_000_000
"""A second's ticks, of 100 ns each."""


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The phrases by time; where nobody is told apart, the channels are the speakers if there are several."""
    for key in ("recognizedPhrases", "phrases"):
        phrases = entries(value, key)
        if any("offsetInTicks" in phrase or "offsetMilliseconds" in phrase for phrase in phrases):
            several = len({phrase.get("channel") for phrase in phrases}) > 1
            cues = (_cue(phrase, at, f"/{key}/{i}", several=several) for i, phrase in enumerate(phrases))
            return joined(in_order([[cue] for cue in cues if cue.text]))
    return None


def _cue(phrase: dict[str, Any], at: At, pointer: str, *, several: bool) -> Cue:
    best = next(iter(entries(phrase, "nBest")), {})
    where = "/nBest/0/display" if best else "/text"
    whose = phrase.get("speaker")
    if whose is None and several:
        whose = phrase.get("channel")
    start, length = _time(phrase, "offset"), _time(phrase, "duration")
    end = None if start is None or length is None else round(start + length, 6)
    words = words_at(best, "display", "lexical") if best else words_at(phrase, "text")
    return Cue(words.strip(), speaker(whose), start, end, at(pointer + where))


def _time(phrase: dict[str, Any], what: str) -> float | None:
    if (ticks := seconds(phrase.get(f"{what}InTicks"))) is not None:
        return round(ticks / _TICKS, 6)
    return milliseconds(phrase.get(f"{what}Milliseconds"))


SERVICE = Service("Azure Speech", turns)
