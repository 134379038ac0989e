"""Cuts transcripts into chunks, and edited ones so that what still stands keeps its chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core_engine import identity
from core_engine.chunking.matching import Kept, Matcher
from core_engine.chunking.packing import Position, Span, joined, other_ways, pack, spans
from core_engine.chunking.writing import Scribe, Turns, context, context_length
from core_engine.types import Chunk, Transcript, Turn

CUT_VERSION = 1

_MOST_NEW = 3  # chunks after an edit of one turn, counting those of which only the context has changed


def cut(document_id: str, turns: Sequence[Turn], *, size: int = 1200, clean: bool = True) -> list[Chunk]:
    """The document in chunks of about `size` characters as read (`Speaker: text`, a line a turn)."""
    scribe = Scribe(turns, clean=clean)
    packed = pack(spans(turns, Position(0, 0), Position(len(turns), 0), size), size)
    return _numbered(document_id, ((scribe.written(joined(chunk)), None) for chunk in packed), size)


def keep_ready(document_id: str, transcript: Transcript, *, clean: bool = True, size: int = 1200) -> list[Chunk]:
    """The chunks that the file itself defines, exactly as they are."""
    scribe = Scribe(transcript.turns, clean=clean)
    ready = transcript.ready or ()
    drafts = [(scribe.written(scribe.whole(one.first, one.last)), None) for one in ready]
    chunks = _numbered(document_id, drafts, size)
    return [replace(chunk, name=one.name) for chunk, one in zip(chunks, ready, strict=True)]


def recut(
    document_id: str, turns: Sequence[Turn], old: Sequence[Chunk], *, size: int = 1200, clean: bool = True
) -> list[Chunk]:
    """The edited document in chunks: those of `old` whose turns still stand, and new ones for what lies between.

    Kept chunks keep their ids (unless they come from another document) and cleaned text. Editing, inserting or deleting one turn (of up to `size` characters)
    makes at most three chunks new, counting those of which only the context has changed.
    """
    old = [chunk for chunk in old if chunk.turns]
    return _Recut(turns, old, size, clean=clean).chunks(document_id)


Draft = tuple[Turns, Chunk | None]
"""The turns of a chunk to be, and the old chunk that it is if it is one."""


class _Recut:
    def __init__(self, turns: Sequence[Turn], old: Sequence[Chunk], size: int, *, clean: bool) -> None:
        self._turns = turns
        self._old = old
        self._size = size
        self._scribe = Scribe(turns, clean=clean)
        self._matcher = Matcher(turns, old)

    def chunks(self, document_id: str) -> list[Chunk]:
        head, tail = self._matcher.outer()
        start = head[-1].end if head else Position(0, 0)
        end = tail[0].start if tail else Position(len(self._turns), 0)
        first, last = len(head), len(self._old) - len(tail)
        before = self._kept(head)
        after = self._kept(tail)
        inner = self._matcher.inner(first, last, start, end)
        following = after[0] if after else None
        between = self._between(inner, start, end, following)
        if inner and self._is_small(start, end):
            # What one edit left standing in its midst may cost more new contexts than it saves.
            plain = self._between([], start, end, following)
            previous = before[-1][0] if before else ()
            if self._cost(previous, plain, following) < self._cost(previous, between, following):
                between = plain
        return _numbered(document_id, [*before, *between, *after], self._size)

    def _kept(self, kept: Sequence[Kept]) -> list[Draft]:
        return [(self._scribe.rewritten(one, self._old[one.old]), self._old[one.old]) for one in kept]

    def _between(self, kept: Sequence[Kept], start: Position, end: Position, following: Draft | None) -> list[Draft]:
        drafts: list[Draft] = []
        standing = self._kept(kept)
        for one, draft in zip(kept, standing, strict=True):
            drafts += self._filled(start, one.start, draft)
            drafts.append(draft)
            start = one.end
        return drafts + self._filled(start, end, following)

    def _filled(self, start: Position, end: Position, following: Draft | None) -> list[Draft]:
        """The gap packed anew: as usual, unless another way changes fewer chunks."""
        parts = list(spans(self._turns, start, end, self._size))
        usual = self._drafts(pack(parts, self._size))
        if self._cost((), usual, following) <= _MOST_NEW:
            return usual
        ways = [usual, *map(self._drafts, other_ways(parts, self._size, context_length(self._size)))]
        return min(ways, key=lambda way: self._cost((), way, following))

    def _drafts(self, packed: Iterable[Sequence[Span]]) -> list[Draft]:
        return [(self._scribe.written(joined(chunk)), None) for chunk in packed]

    def _cost(self, previous: Turns, drafts: Sequence[Draft], following: Draft | None) -> int:
        """How many chunks would have to be asked about again."""
        cost = 0
        for turns, old in [*drafts, *([following] if following else [])]:
            cost += old is None or context(previous, self._size) != old.context
            previous = turns
        return cost

    def _is_small(self, start: Position, end: Position) -> bool:
        return sum(span.line for span in spans(self._turns, start, end, self._size)) <= 4 * self._size


def _numbered(document_id: str, drafts: Iterable[Draft], size: int) -> list[Chunk]:
    """The chunks, each with its id and the context of the one before it."""
    drafts = list(drafts)
    taken = {old.id for _, old in drafts if old and old.document_id == document_id}
    times: dict[str, int] = {}
    chunks: list[Chunk] = []
    previous: Turns = ()
    for seq, (turns, old) in enumerate(drafts):
        ours = old is not None and old.document_id == document_id
        ident = old.id if old and ours else _fresh_id(document_id, turns, taken, times)
        chunks.append(Chunk(ident, document_id, seq, turns, context(previous, size), old.name if old else ""))
        previous = turns
    return chunks


def _fresh_id(document_id: str, turns: Turns, taken: set[str], times: dict[str, int]) -> str:
    """The id of the text with the lowest occurrence number that no chunk has yet."""
    text = "\n".join(f"{turn.speaker}: {turn.raw}" if turn.speaker else turn.raw for turn in turns)
    first = identity.chunk_id(document_id, text, 0)
    while True:
        occurrence = times.get(first, 0)
        times[first] = occurrence + 1
        ident = identity.chunk_id(document_id, text, occurrence) if occurrence else first
        if ident not in taken:
            return ident
