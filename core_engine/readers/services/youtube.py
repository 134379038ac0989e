"""YouTube's captions as `json3`: events with their words, times in milliseconds; automatic ones part their lines by events of their own."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, milliseconds, words_at
from core_engine.types import Turn


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The events that have words, joined as captions are."""
    events = entries(value, "events")
    if not any("tStartMs" in event and entries(event, "segs") for event in events):
        return None
    return joined(cue for i, event in enumerate(events) if (cue := _cue(event, at, f"/events/{i}/segs")))


def _cue(event: dict[str, Any], at: At, pointer: str) -> Cue | None:
    segments = entries(event, "segs")
    words = "".join(piece for segment in segments if isinstance(piece := segment.get("utf8"), str))
    first = next((i for i, segment in enumerate(segments) if words_at(segment, "utf8")), 0)
    start, length = milliseconds(event.get("tStartMs")), milliseconds(event.get("dDurationMs"))
    end = None if start is None or length is None else round(start + length, 6)
    said = " ".join(words.split())
    return Cue(said, None, start, end, at(f"{pointer}/{first}/utf8")) if said else None


SERVICE = Service("YouTube", turns)
