"""Lines of a text with their places: whatever line ends it mixes, offsets stay those of the text as decoded."""

from __future__ import annotations

import re
from typing import NamedTuple

_FIRST = re.compile(r"\S")


class Line(NamedTuple):
    """A line without its end: `text[start:end]`. `number` counts from 1."""

    number: int
    start: int
    end: int
    blank: bool


def lines_of(text: str) -> list[Line]:
    """All lines; the empty one after a last line end is left out."""
    lines: list[Line] = []
    start = number = 0
    for piece in text.split("\n"):
        stop = start + len(piece)
        if "\r" not in piece:
            number += 1
            lines.append(Line(number, start, stop, not piece or piece.isspace()))
        else:
            # Nearly always one line; an old Macintosh ended them with a return alone.
            inner = piece.removesuffix("\r") if stop < len(text) else piece
            at = start
            for line in inner.split("\r"):
                number += 1
                end = at + len(line)
                lines.append(Line(number, at, end, not line or line.isspace()))
                at = end + 1
        start = stop + 1
    if lines and lines[-1].start >= len(text):
        lines.pop()
    return lines


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the blanks at both its ends; empty (`start == end`) where there is nothing else."""
    if start < end and not text[start].isspace() and not text[end - 1].isspace():
        return start, end
    first = _FIRST.search(text, start, end)
    if first is None:
        return start, start
    return first.start(), first.start() + len(text[first.start() : end].rstrip())
