"""Who `Speaker 0` is: maps from the labels of speakers to their names, and turns with the names put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core_engine.types import Turn

_MAPS = ("speakers", "speaker_map", "speaker_names", "speakerNames", "speaker_labels")
_IDS = ("id", "speaker_id", "speakerId", "label", "speaker", "tag")
_NAMES = ("name", "speaker_name", "speakerName", "display_name", "displayName")


def label_key(label: str) -> str:
    """What `Speaker 0`, `SPEAKER_00`, `spk_0` and `0` have in common."""
    words = re.sub(r"[\s_-]+", " ", label).strip().casefold()
    number = re.fullmatch(r"(?:speaker|spk)? ?0*(\d+)", words)
    return number[1] if number else words


def named(turns: tuple[Turn, ...], names: Mapping[str, str]) -> tuple[Turn, ...]:
    """The turns with real names; `names` is by `label_key`."""
    if not names:
        return turns
    known = {who: names.get(label_key(who), who) for who in {turn.speaker for turn in turns} if who}
    return tuple(replace(turn, speaker=known[turn.speaker]) if turn.speaker else turn for turn in turns)


def names_in(value: Any) -> dict[str, str]:
    """The names that a JSON object tells beside its turns: `{"0": "Ann"}`, `[{"id": 0, "name": "Ann"}]`."""
    if not isinstance(value, dict):
        return {}
    found: dict[str, str] = {}
    for key in _MAPS:
        inner = value.get(key)
        if isinstance(inner, dict):
            pairs = [(label, _name(entry)) for label, entry in inner.items()]
        elif isinstance(inner, list):
            pairs = [(_first(entry, _IDS), _name(entry)) for entry in inner if isinstance(entry, dict)]
        else:
            continue
        found |= {label_key(label): name for label, name in pairs if label and name}
    return found


def _name(entry: Any) -> str:
    words = entry if isinstance(entry, str) else _first(entry, _NAMES) if isinstance(entry, dict) else ""
    return " ".join(words.split())[:200]


def _first(entry: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    found = next((entry[key] for key in keys if isinstance(entry.get(key), str | int)), "")
    return str(found)
