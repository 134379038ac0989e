"""Lines of a text with their places: whatever line ends it mixes, offsets stay those of the text as decoded."""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\n|\r|\Z)")
_FIRST = re.compile(r"\S")


class Line(NamedTuple):
    """A line without its end: `text[start:end]`. `number` counts from 1."""

    number: int
    start: int
    end: int
    blank: bool


def lines_of(text: str) -> list[Line]:
    """All lines; the empty one after a last line end is left out."""
    lines = []
    for number, match in enumerate(_LINE.finditer(text), 1):
        start, end = match.span(1)
        if start < len(text):
            lines.append(Line(number, start, end, _FIRST.search(text, start, end) is None))
    return lines


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the blanks at both its ends; empty (`start == end`) where there is nothing else."""
    first = _FIRST.search(text, start, end)
    if first is None:
        return start, start
    return first.start(), first.start() + len(text[first.start() : end].rstrip())
