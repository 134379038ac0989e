"""Otter's JSON: pieces of speech with offsets in samples, and a list of who the speakers are."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, members, speaker, words_at
from core_engine.readers.times import seconds
from core_engine.types import Turn

_SAMPLES = 16_000
"""Otter counts offsets in samples of sound, so many a second."""


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The pieces by speaker; who has no name is `Speaker N`."""
    inner = members(value, "speech")
    speech, pointer = (inner, "/speech") if isinstance(inner, dict) else (value, "")
    pieces = entries(speech, "transcripts")
    if not any("start_offset" in piece and isinstance(piece.get("transcript"), str) for piece in pieces):
        return None
    names = {str(item.get("id")): words_at(item, "speaker_name", "name") for item in entries(speech, "speakers")}
    return joined(
        Cue(
            words_at(piece, "transcript").strip(),
            _whose(piece, names),
            _time(piece.get("start_offset")),
            _time(piece.get("end_offset")),
            at(f"{pointer}/transcripts/{i}/transcript"),
        )
        for i, piece in enumerate(pieces)
    )


def _whose(piece: dict[str, Any], names: dict[str, str]) -> str | None:
    number = piece.get("speaker_id")
    named = words_at(piece, "speaker_name") or names.get(str(number), "")
    label = piece.get("speaker_model_label")
    return speaker(named or (label if label is not None else number))


def _time(value: Any) -> float | None:
    time = seconds(value)
    return None if time is None else round(time / _SAMPLES, 3)


SERVICE = Service("Otter", turns)
