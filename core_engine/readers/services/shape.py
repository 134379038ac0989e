"""What the readers of services' JSON share: safe ways into a value of unknown shape, and names for numbered speakers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core_engine.readers.cues import Cue
from core_engine.readers.json_turns import name_of
from core_engine.readers.times import seconds
from core_engine.types import Place, Turn

At = Callable[[str], Place]
"""From a JSON Pointer to the place in the file."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service or program that transcribes. `turns` gives None for a value that isn't of this service's shape."""

    name: str
    turns: Callable[[Any, At], tuple[Turn, ...] | None]


def members(value: Any, *keys: str) -> Any:
    """The value at the end of the keys, or None."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def entries(value: Any, *keys: str) -> list[dict[str, Any]]:
    """The objects of the list at the end of the keys; an empty object for each entry that is none, so that indexes hold."""
    found = members(value, *keys)
    return [item if isinstance(item, dict) else {} for item in found] if isinstance(found, list) else []


def words_at(item: dict[str, Any], *keys: str) -> str:
    """The first of the members that is a text with words; '' where none is."""
    return next((item[key] for key in keys if isinstance(item.get(key), str) and item[key].strip()), "")


def speaker(value: Any) -> str | None:
    """`Speaker 0`, `Speaker A` for what is only numbered or lettered; other labels as they are."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"Speaker {value}"
    if not isinstance(value, str):
        return None
    name = name_of(value)
    return f"Speaker {name}" if name and len(name) == 1 and name.isalpha() else name


def milliseconds(value: Any) -> float | None:
    time = seconds(value)
    return None if time is None else round(time / 1000, 6)


def first_alternative(item: dict[str, Any]) -> dict[str, Any]:
    return next(iter(entries(item, "alternatives")), {})


def in_order(channels: list[list[Cue]]) -> Iterator[Cue]:
    """The cues of several channels by their times; those without any stay behind the one before them."""
    timed = []
    for cues in channels:
        last = 0.0
        for cue in cues:
            last = cue.start if cue.start is not None else last
            timed.append((last, cue))
    timed.sort(key=lambda pair: pair[0])
    return (cue for _, cue in timed)
