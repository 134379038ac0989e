"""Finds which chunks of an earlier version of a document still stand, word for word, in the new one."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from core_engine.chunking.packing import Position
from core_engine.types import Chunk, Turn

# A chunk of nothing but pieces of one turn, or of turns that occur often, is looked for only near the one before it.
_NEAR = 1 << 16
_TRIES = 4


class Kept(NamedTuple):
    """The old chunk number `old` stands in the new transcript from `start` to `end`."""

    old: int
    start: Position
    end: Position


class Matcher:
    """Compares old chunks with new turns. A turn matches as a whole, a piece of a split turn at any place in it."""

    def __init__(self, turns: Sequence[Turn], old: Sequence[Chunk]) -> None:
        self._turns = turns
        self._old = old
        # Whether a chunk's first turn begins, and its last one ends, where the turn in the transcript did.
        fresh = [a.turns[-1].turn != b.turns[0].turn for a, b in pairwise(old)]
        self._begins = [True, *fresh]
        self._ends = [*fresh, True]

    def outer(self) -> tuple[list[Kept], list[Kept]]:
        """The chunks kept at the beginning and at the end of the document."""
        head: list[Kept] = []
        here = Position(0, 0)
        while len(head) < len(self._old) and (end := self._match(len(head), here)):
            head.append(Kept(len(head), here, end))
            here = end
        tail: list[Kept] = []
        there = Position(len(self._turns), 0)
        for index in range(len(self._old) - 1, len(head) - 1, -1):
            start = self._match_back(index, there)
            if start is None or start < here:
                break
            tail.append(Kept(index, start, there))
            there = start
        return head, tail[::-1]

    def inner(self, first: int, last: int, start: Position, end: Position) -> list[Kept]:
        """Those of the old chunks `first` to `last` that are kept between `start` and `end`, in their order."""
        kept: list[Kept] = []
        anchors = [*self._anchors(first, last, start, end), Kept(last, end, end)]
        old, here = first, start
        for anchor in anchors:
            while old < anchor.old:
                found = self._next(old, here, anchor.start)
                if found:
                    kept.append(found)
                    here = found.end
                old += 1
            if anchor.old < last:
                kept.append(anchor)
                old, here = anchor.old + 1, anchor.end
        return kept

    def _match(self, index: int, start: Position) -> Position | None:
        """Where the old chunk ends if it stands at `start`."""
        number, at = start
        chunk = self._old[index].turns
        if at and self._begins[index]:
            return None
        for i, part in enumerate(chunk):
            if number >= len(self._turns) or self._turns[number].speaker != part.speaker:
                return None
            text = self._turns[number].text
            if not text.startswith(part.raw, at):
                return None
            at += len(part.raw)
            if at == len(text):
                number, at = number + 1, 0
            elif i < len(chunk) - 1 or self._ends[index]:
                return None
        return Position(number, at)

    def _match_back(self, index: int, end: Position) -> Position | None:
        """Where the old chunk begins if it ends at `end`."""
        chunk = self._old[index].turns
        last = end.turn if end.at else end.turn - 1
        first = last - len(chunk) + 1
        if first < 0:
            return None
        stop = end.at if end.at and first == last else len(self._turns[first].text)
        start = Position(first, stop - len(chunk[0].raw))
        return start if start.at >= 0 and self._match(index, start) == end else None

    def _anchors(self, first: int, last: int, start: Position, end: Position) -> list[Kept]:
        """Chunks that hold a turn which occurs just once in the new transcript, in the longest order-keeping choice."""
        places: dict[tuple[str | None, str], list[int]] = defaultdict(list)
        for number in range(start.turn, min(end.turn + 1, len(self._turns))):
            places[self._turns[number].speaker, self._turns[number].text].append(number)
        found: list[Kept] = []
        for index in range(first, last):
            chunk = self._old[index].turns
            for i, part in enumerate(chunk):
                numbers = places.get((part.speaker, part.raw), ())
                if len(numbers) == 1:
                    kept = self._standing(index, numbers[0] - i, start, end)
                    if kept:
                        found.append(kept)
                    break
        return _rising(found)

    def _standing(self, index: int, number: int, start: Position, end: Position) -> Kept | None:
        """The old chunk, if it stands there with its first turn in turn `number`."""
        if number < 0:
            return None
        chunk = self._old[index].turns
        at = 0 if len(chunk) == 1 else len(self._turns[number].text) - len(chunk[0].raw)
        here = Position(number, at)
        stop = self._match(index, here) if start <= here else None
        return Kept(index, here, stop) if stop and stop <= end else None

    def _next(self, index: int, start: Position, end: Position) -> Kept | None:
        """The old chunk, if it stands right at `start` or near after it."""
        stop = self._match(index, start)
        if stop:
            return Kept(index, start, stop) if stop <= end else None
        part = self._old[index].turns[0]
        tries = looked = 0
        for number in range(start.turn, min(end.turn + 1, start.turn + 64, len(self._turns))):
            text = self._turns[number].text
            since = start.at if number == start.turn else 0
            until = min(len(text), since + _NEAR + len(part.raw))
            at = text.find(part.raw, since, until) if self._turns[number].speaker == part.speaker else -1
            if at >= 0:
                here = Position(number, at)
                stop = self._match(index, here)
                if stop and stop <= end:
                    return Kept(index, here, stop)
            tries += at >= 0
            looked += until - since
            if tries == _TRIES or looked > _NEAR:
                break
        return None


def _rising(found: list[Kept]) -> list[Kept]:
    """The longest choice (patience sorting) whose places rise with the old order and don't overlap."""
    tops: list[Position] = []
    piles: list[int] = []
    before: list[int] = []
    for i, kept in enumerate(found):
        pile = bisect_left(tops, kept.start)
        before.append(piles[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [kept.start]
        piles[pile : pile + 1] = [i]
    chosen: list[Kept] = []
    i = piles[-1] if piles else -1
    while i >= 0:
        if not chosen or found[i].end <= chosen[-1].start:
            chosen.append(found[i])
        i = before[i]
    return chosen[::-1]
