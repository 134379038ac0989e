"""How each word of a workspace is written, counted over its chunks: what decides which capitals are names."""

from __future__ import annotations

from collections.abc import Iterable

from core_engine.kg.rules.records import load
from core_engine.kg.rules.speakers import known_as


class Casing:
    """In how many chunks each word stands in lower case, and in how many with a capital inside a sentence.

    Sums only, so whatever order chunks are added in, and whatever was added and taken out again in between, the
    counts and every decision by them are the same. Memory grows with the vocabulary alone, 10 MB per 100,000 distinct
    words (measured; the 8,834 chunks of QMSum's meetings hold 18,000).
    """

    __slots__ = ("_capital", "_lower", "_people")

    def __init__(self) -> None:
        self._lower: dict[str, int] = {}
        self._capital: dict[str, int] = {}
        self._people: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Casing of {len(self._lower)} words in lower case, {len(self._capital)} with a capital>"

    def add(self, scan: bytes, sign: int = 1, *, words: bool = True) -> None:
        """Count a chunk's scan; with a sign of -1 take out one that was added before.

        Without `words` only its speakers count: of a document whose capitals say nothing (see `writing`).
        """
        found = load(scan)
        if words:
            _count(self._lower, found.lower, sign)
            _count(self._capital, found.capital, sign)
        for speaker, _ in found.speakers:
            _count(self._people, known_as(speaker), sign)

    def lower(self, word: str) -> int:
        """In how many chunks the word stands in lower case."""
        return self._lower.get(word, 0)

    def share(self, word: str) -> float | None:
        """How much of the word's use inside sentences is capitalised, 0 to 1; None where it was never seen there."""
        capital = self._capital.get(word, 0)
        total = capital + self._lower.get(word, 0)
        return capital / total if total else None

    def is_speaker(self, name: str) -> bool:
        """Whether somebody who is so called, in full or by one part of the name, speaks in the workspace."""
        return name.casefold() in self._people


def _count(counts: dict[str, int], words: Iterable[str], sign: int) -> None:
    for word in words:
        count = counts.get(word, 0) + sign
        if count:
            counts[word] = count
        else:
            del counts[word]
