"""Writes parts of a transcript as the turns of a chunk: cleaned, and with their times and places."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from core_engine.chunking.clean import Cleaned, from_raw, uncleaned
from core_engine.chunking.clean import clean as cleaned
from core_engine.chunking.matching import Kept
from core_engine.chunking.packing import label_length
from core_engine.types import Chunk, ChunkTurn, Mark, Place, Turn

_CONTEXT_TURNS = 2
_CONTEXT_LENGTH = 400
_NOWHERE = Place()

Turns = tuple[ChunkTurn, ...]
Context = tuple[tuple[str | None, str], ...]


class Scribe:
    """Knows the transcript, and whether to clean."""

    def __init__(self, turns: Sequence[Turn], *, clean: bool) -> None:
        self._turns = turns
        self._clean = cleaned if clean else uncleaned

    def whole(self, first: int, last: int) -> list[tuple[int, int, int]]:
        return [(i, 0, len(self._turns[i].text)) for i in range(first, last)]

    def written(self, parts: Iterable[tuple[int, int, int]]) -> Turns:
        return tuple(self._turn(*part, None) for part in parts)

    def rewritten(self, kept: Kept, chunk: Chunk) -> Turns:
        """The kept chunk's turns as they were cleaned then, at the places and times where they stand now."""
        turns = []
        number, at = kept.start
        for part in chunk.turns:
            turns.append(self._turn(number, at, at + len(part.raw), Cleaned(part.text, part.cuts)))
            number, at = number + 1, 0
        return tuple(turns)

    def _turn(self, number: int, first: int, last: int, text: Cleaned | None) -> ChunkTurn:
        turn = self._turns[number]
        if first == 0 and last == len(turn.text):
            text = text or self._clean(turn.text)
            return ChunkTurn(
                turn.speaker,
                turn.text,
                text.text,
                number,
                turn.start,
                turn.end,
                text.cuts,
                turn.place.line,
                turn.place.start,
                turn.place.pointer,
            )
        raw = turn.text[first:last]
        text = text or self._clean(raw)
        start, end = _times(turn, first, last)
        line, offset, pointer = _place(turn, first)
        return ChunkTurn(turn.speaker, raw, text.text, number, start, end, text.cuts, line, offset, pointer)


def context_length(size: int) -> int:
    """How many characters of a chunk the next one may show, never more than half of it."""
    return min(_CONTEXT_LENGTH, size // 2)


def context(turns: Turns, size: int) -> Context:
    """The last turns of a chunk, as the next one shows them.

    It is taken from the last 400 characters as read, not as cleaned: so it is the same for all chunks that end alike.
    """
    context: list[tuple[str | None, str]] = []
    left = context_length(size)
    for turn in reversed(turns):
        text = turn.text if len(turn.raw) <= left else _tail(turn, left)
        if text:
            context.append((turn.speaker, text))
        left -= len(turn.raw) + label_length(turn.speaker, size)
        if left <= 0 or len(context) == _CONTEXT_TURNS:
            break
    return tuple(reversed(context))


def _tail(turn: ChunkTurn, length: int) -> str:
    """What cleaning left of the turn's last `length` raw characters, from a word's beginning on."""
    text = turn.text
    at = from_raw(turn.cuts, len(turn.raw) - length)
    if 0 < at < len(text) and not text[at - 1].isspace():
        words = text[at:].split(maxsplit=1)
        return words[1].strip() if len(words) > 1 else text[at:].strip()
    return text[at:].strip()


def _times(turn: Turn, first: int, last: int) -> tuple[float | None, float | None]:
    """When a part of a turn was said, as near as its marks tell."""
    marks = turn.marks
    begun = bisect_right(marks, first, key=_at)
    start = marks[begun - 1].start if begun else turn.start
    after = bisect_left(marks, last, key=_at)
    end = marks[after - 1].end if after and last < len(turn.text) else turn.end
    if end is None and after < len(marks):
        end = marks[after].start
    return turn.start if start is None else start, turn.end if end is None else end


def _place(turn: Turn, first: int) -> tuple[int | None, int | None, str]:
    """Line, offset and pointer of a part of a turn, counted from the mark before it, else from the turn."""
    begun = bisect_right(turn.marks, first, key=_at)
    place, since = turn.place, first
    if begun and turn.marks[begun - 1].place != _NOWHERE:
        place, since = turn.marks[begun - 1].place, first - turn.marks[begun - 1].at
    offset = None if place.start is None else place.start + since
    return place.line or turn.place.line, offset, place.pointer or turn.place.pointer


def _at(mark: Mark) -> int:
    return mark.at
