"""whisper.cpp: a list `transcription` with times in milliseconds."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, members, milliseconds, speaker, words_at
from core_engine.types import Turn


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The segments, joined as captions are."""
    segments = entries(value, "transcription")
    if not any("offsets" in segment for segment in segments):
        return None
    return joined(
        Cue(
            words_at(segment, "text").strip(),
            speaker(segment.get("speaker")),
            milliseconds(members(segment, "offsets", "from")),
            milliseconds(members(segment, "offsets", "to")),
            at(f"/transcription/{i}/text"),
        )
        for i, segment in enumerate(segments)
    )


SERVICE = Service("whisper.cpp", turns)
