"""WhisperX: Whisper's segments with their words aligned, and speakers given to words."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, speaker, words_at
from core_engine.readers.times import seconds
from core_engine.readers.words import Word, cues_in
from core_engine.types import Turn


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The segments, cut where the speaker of the words changes."""
    listed = isinstance(value, list)
    segments = entries({"segments": value} if listed else value, "segments")
    if not any(word.get("speaker") for segment in segments for word in entries(segment, "words")):
        return None
    prefix = "" if listed else "/segments"
    return joined(cue for i, segment in enumerate(segments) for cue in _cues(segment, at, f"{prefix}/{i}/text"))


def _cues(segment: dict[str, Any], at: At, pointer: str) -> list[Cue]:
    text = words_at(segment, "text")
    whose = speaker(segment.get("speaker"))
    words = []
    for item in entries(segment, "words"):
        # A word that could not be aligned (a number) has neither time nor speaker: the one before goes on.
        whose = speaker(item.get("speaker")) or whose
        words.append(Word(words_at(item, "word", "text"), whose, seconds(item.get("start")), seconds(item.get("end"))))
    if len({word.speaker for word in words}) > 1 and (cues := cues_in(text, words, at(pointer))):
        return cues
    whose = words[0].speaker if words else whose
    return [Cue(text.strip(), whose, seconds(segment.get("start")), seconds(segment.get("end")), at(pointer))]


SERVICE = Service("WhisperX", turns)
