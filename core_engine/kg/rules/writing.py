"""How a document is written, counted over its chunks: whether its capitals can tell names at all."""

from __future__ import annotations

from core_engine.kg.rules.records import load

# Below this many words nothing is said about a document's capitals.
_ENOUGH_WORDS = 200
_FEW_CAPITALS = 0.01
_MOSTLY = 0.5

NO_CAPITALS = "written without capitals, or in capitals throughout"
NO_SUCH_SCRIPT = "in a script without capitals"
NOUNS = "in German, which gives every noun a capital"


class Writing:
    """Sums over a document's scans, whatever order they come in."""

    __slots__ = ("_cased", "_chunks", "_nouns", "_shouted", "_small", "_tall", "_uncased")

    def __init__(self) -> None:
        self._small = 0
        self._tall = 0
        self._shouted = 0
        self._uncased = 0
        self._cased = 0
        self._nouns = 0
        self._chunks = 0

    def add(self, scan: bytes) -> None:
        found = load(scan)
        self._small += found.small
        self._tall += found.tall
        self._shouted += found.shouted
        self._uncased += found.uncased
        self._cased += found.cased
        self._nouns += found.nouns
        self._chunks += bool(found.small)

    @property
    def trouble(self) -> str | None:
        """Why names can't be told by their capitals here, in words; None where they can."""
        if self._uncased > _MOSTLY * (self._uncased + self._cased):
            return NO_SUCH_SCRIPT
        if self._nouns > _MOSTLY * self._chunks:
            return NOUNS
        words = self._small + self._tall + self._shouted
        if words >= _ENOUGH_WORDS and (self._tall < _FEW_CAPITALS * words or self._shouted > _MOSTLY * words):
            return NO_CAPITALS
        return None
