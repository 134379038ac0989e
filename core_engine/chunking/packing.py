"""Packs turns, and the pieces of long ones, into chunks of about one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from core_engine.chunking.pieces import pieces
from core_engine.types import Turn


class Position(NamedTuple):
    """A place between two characters of a transcript: before character `at` of turn `turn`.

    The end of a turn is the beginning of the next: `at` is never the length of the turn's text, unless that is 0.
    """

    turn: int
    at: int


class Span(NamedTuple):
    """Characters `start` up to `end` of one turn. `line` is its length as a line of its own, with the speaker."""

    turn: int
    start: int
    end: int
    line: int


Packed = list[list[Span]]

# How much larger than `size` a chunk may become, so that no tiny one is left over and an edit stays local.
_LIMIT = 1.5
_TINY = 0.25


def label_length(speaker: str | None, size: int) -> int:
    """What the speaker and the end of the line count; a label of thousands of characters must not fill all chunks."""
    return 1 + min(len(speaker) + 2 if speaker else 0, size // 2)


def spans(turns: Sequence[Turn], start: Position, end: Position, size: int) -> Iterator[Span]:
    """The turns from `start` to `end`, whole where they fit into one chunk, else in pieces."""
    if start == end:
        return
    for index in range(start.turn, end.turn + (end.at > 0)):
        turn = turns[index]
        first = start.at if index == start.turn else 0
        last = end.at if index == end.turn else len(turn.text)
        label = label_length(turn.speaker, size)
        if label + last - first <= size:
            yield Span(index, first, last, label + last - first)
        else:
            for a, b in pieces(turn.text, first, last, max(1, size - label)):
                yield Span(index, a, b, label + b - a)


def pack(parts: Iterable[Span], size: int) -> Packed:
    """As much in each chunk as it holds, none smaller than a quarter of `size` if that can be helped."""
    packed: Packed = []
    chunk: list[Span] = []
    length = before = 0
    for part in parts:
        added = _added(chunk, part)
        if length + added > size and length >= size * _TINY:
            packed.append(chunk)
            chunk, before, length, added = [], length, 0, part.line
        chunk.append(part)
        length += added
    if packed and length < size * _TINY and before + length <= size * _LIMIT:
        packed[-1].extend(chunk)
    elif chunk:
        packed.append(chunk)
    return packed


def other_ways(parts: Sequence[Span], size: int, tail: int) -> Iterator[Packed]:
    """The most even packing into two chunks, and into three of which the last is at least `tail` long.

    Only what keeps to the limit. Meant for what lies between kept chunks after an edit, which is never much.
    """
    lengths = _Lengths(parts)
    count = len(parts)
    if sum(part.line for part in parts) > 4 * size or count < 2:
        return
    middle = lengths.even(0, count)
    if max(lengths.of(0, middle), lengths.of(middle, count)) <= size * _LIMIT:
        yield [list(parts[:middle]), list(parts[middle:])]
    best: tuple[int, int, int] | None = None
    for last in range(2, count):
        if lengths.of(last, count) < tail:
            break
        first = lengths.even(0, last)
        worst = max(lengths.of(0, first), lengths.of(first, last), lengths.of(last, count))
        best = min(best or (worst, first, last), (worst, first, last))
    if best and best[0] <= size * _LIMIT:
        yield [list(parts[: best[1]]), list(parts[best[1] : best[2]]), list(parts[best[2] :])]


def joined(chunk: Sequence[Span]) -> Iterator[tuple[int, int, int]]:
    """The chunk's (turn, start, end), pieces of one turn that follow each other made one."""
    turn, start, end, _ = chunk[0]
    for part in chunk[1:]:
        if part.turn == turn:
            end = part.end
        else:
            yield turn, start, end
            turn, start, end, _ = part
    yield turn, start, end


def _added(chunk: list[Span], part: Span) -> int:
    return part.end - part.start if chunk and chunk[-1].turn == part.turn else part.line


class _Lengths:
    """The length of any run of parts as one chunk, in constant time."""

    def __init__(self, parts: Sequence[Span]) -> None:
        self._parts = parts
        self._sums = [0]
        for i, part in enumerate(parts):
            self._sums.append(self._sums[-1] + _added(list(parts[i - 1 : i]), part))

    def of(self, first: int, last: int) -> int:
        return self._parts[first].line + self._sums[last] - self._sums[first + 1]

    def even(self, first: int, last: int) -> int:
        """Where to divide `first` to `last` so that the larger half is as small as can be."""
        return min(range(first + 1, last), key=lambda at: max(self.of(first, at), self.of(at, last)))
