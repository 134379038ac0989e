"""What a model is asked about pairs of names, and what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core_engine.kg.prompt import PROMPTS, one_line
from core_engine.ledger.pairs import VERDICTS, Quoted

VERSION: Final = "resolve.v1"

_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"pairs": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}},
    "required": ["pairs"],
    "additionalProperties": False,
}
RESPONSE_FORMATS: Final[Mapping[str, dict[str, Any] | None]] = {
    "json_schema": {"type": "json_schema", "json_schema": {"name": "pairs", "strict": True, "schema": _SCHEMA}},
    "json_object": {"type": "json_object"},
    "text": None,
}
_LONGEST_NAME: Final = 100
_LONGEST_QUOTE: Final = 160
_ROW: Final = re.compile(r'\[\s*"?(\d{1,4})"?\s*,\s*"(\w+)"\s*\]')


@dataclass(frozen=True, slots=True)
class Side:
    """One name of a pair, as it is shown: its other forms, and words in which it is said."""

    name: str
    type: str
    also: Sequence[str]
    quotes: Sequence[Quoted]


def system_prompt(folder: Path = PROMPTS) -> str:
    return (folder / f"{VERSION}.md").read_text(encoding="utf-8").strip()


def render(pairs: Sequence[tuple[Side, Side]]) -> str:
    """The user message about these pairs; the reply numbers them from 1 in this order."""
    blocks = []
    for number, (one, other) in enumerate(pairs, 1):
        lines = [f"PAIR {number}", *_side("A", one), *_side("B", other)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _side(letter: str, side: Side) -> list[str]:
    parts = [_short(side.name), side.type]
    if side.also:
        parts.append("also " + ", ".join(map(_short, side.also)))
    return [f"{letter}: {' | '.join(parts)}", *map(_quote, side.quotes)]


def _short(name: str) -> str:
    return one_line(name).replace(" | ", " ")[:_LONGEST_NAME].rstrip()


def _quote(quoted: Quoted) -> str:
    who = f"{_short(quoted.speaker)}: " if quoted.speaker else ""
    return f'  {who}"{_around(quoted.raw, quoted.at or 0)}"'


def _around(raw: str, at: int) -> str:
    """The words around a place, cut at spaces."""
    if len(raw) <= _LONGEST_QUOTE:
        return one_line(raw)
    start = min(max(at - _LONGEST_QUOTE // 2, 0), len(raw) - _LONGEST_QUOTE)
    part = raw[start : start + _LONGEST_QUOTE]
    if start:
        part = "…" + part[part.find(" ") + 1 :]
    if start + _LONGEST_QUOTE < len(raw):
        part = part[: part.rfind(" ")] + "…"
    return one_line(part)


def read_verdicts(text: str, pairs: int) -> tuple[dict[int, str], str]:
    """The verdicts by number, and what had to be done to read them ('' where the JSON was clean). Never raises.

    A pair that is answered twice, and not alike, isn't answered.
    """
    try:
        value = json.loads(text)
        rows = [tuple(map(str, row)) for row in value["pairs"]]
        repaired = ""
    except (ValueError, KeyError, TypeError, RecursionError):
        rows = _ROW.findall(text)
        repaired = "salvaged"
    found: dict[int, str] = {}
    twice: set[int] = set()
    for row in rows:
        if len(row) != 2 or not row[0].isdecimal() or row[1] not in VERDICTS or not 1 <= int(row[0][:9]) <= pairs:
            continue
        number = int(row[0])
        if found.setdefault(number, row[1]) != row[1]:
            twice.add(number)
    return {number: said for number, said in found.items() if number not in twice}, repaired
