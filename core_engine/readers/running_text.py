"""Turns cut out of running text, each an exact slice of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from core_engine.readers.head import Head
from core_engine.readers.lines import Line, trimmed
from core_engine.readers.times import TIME, seconds
from core_engine.types import Mark, Place, Turn

_STAMP = re.compile(rf"\\?\[({TIME})\\?\]")
_SENTENCE_END = re.compile(r"""[.!?…。\uff01\uff1f؟।]["'”\u2019»)\]]*\s*\Z""")

_ENOUGH, _FULL = 300, 1000
"""Characters of a paragraph without a speaker after which it ends with a sentence's line, and with any line."""


class _Open:
    """The turn that is being gathered: lines from `first` to `end`, its words from `start` on."""

    def __init__(self, head: Head | None, start: int, end: int, number: int) -> None:
        self.head = head
        self.start = start
        self.end = end
        self.number = number


def turns_in(
    text: str, lines: list[Line], heads: list[Head], apart: Collection[int] = (), asides: Collection[int] = ()
) -> tuple[Turn, ...]:
    """The turns: each from its head to the next; without a head, by paragraphs.

    `apart` are indexes of lines that nobody says (headings): they end a turn, and the same speaker goes on behind.
    `asides` do the same, and are turns of their own that have no speaker.
    """
    return tuple(_turns(text, lines, heads, apart, asides))


def _turns(
    text: str, lines: list[Line], heads: list[Head], apart: Collection[int], asides: Collection[int]
) -> Iterator[Turn]:
    at_line = {head.line: head for head in heads}
    current: _Open | None = None
    speaker: str | None = None
    for i, line in enumerate(lines):
        head = at_line.get(i)
        if head is not None or i in apart or i in asides:
            if current is not None:
                yield from _closed(text, current)
            if i in asides:
                yield from _closed(text, _Open(None, line.start, line.end, line.number))
            # (The words may begin some lines below the line of the head.)
            number = line.number + _line_ends(text, line.start, head.words) if head else 0
            current = _Open(head, head.words, line.end, number) if head else None
            speaker = head.speaker if head else speaker
        elif line.blank:
            if current is not None and current.head is None and speaker is None:
                yield from _closed(text, current)
                current = None
        elif current is None:
            head = Head(i, speaker, None, None, line.start) if speaker else None
            current = _Open(head, line.start, line.end, line.number)
        else:
            current.end = line.end
            if current.head is None and _long_enough(text, current):
                yield from _closed(text, current)
                current = None
    if current is not None:
        yield from _closed(text, current)


def _long_enough(text: str, current: _Open) -> bool:
    length = current.end - current.start
    ends = length > _ENOUGH and _SENTENCE_END.search(text, max(current.start, current.end - 8), current.end)
    return bool(ends) or length > _FULL


def _closed(text: str, current: _Open) -> Iterator[Turn]:
    start, end = trimmed(text, current.start, current.end)
    if start == end:
        return
    words = text[start:end]
    number = current.number + _line_ends(text, current.start, start)
    marks = _marks(words, start)
    head = current.head
    begins = head.start if head else None
    if begins is None and marks and marks[0].at == 0:
        begins = marks[0].start
    yield Turn(
        words, head.speaker if head else None, begins, head.end if head else None, Place(start, end, number), marks
    )


def _line_ends(text: str, start: int, end: int) -> int:
    between = text[start:end]
    return between.count("\n") + between.count("\r") - between.count("\r\n")


def _marks(words: str, offset: int) -> tuple[Mark, ...]:
    """The times that stand in brackets inside a turn."""
    if "[" not in words:
        return ()
    return tuple(
        Mark(match.start(), seconds(match[1]), None, Place(offset + match.start(), offset + match.end()))
        for match in _STAMP.finditer(words)
    )
