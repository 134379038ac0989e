"""How much passed lately."""

from __future__ import annotations

_SECONDS = 60


class Recent:
    """Amounts by second, for a minute. Times only go forward."""

    __slots__ = ("_amounts", "_ends", "_last", "_place", "_start")

    def __init__(self) -> None:
        self._amounts = [0.0] * _SECONDS
        self._last = 0
        self._place = 0
        self._ends = 0.0
        self._start: float | None = None

    def add(self, amount: float, now: float) -> None:
        if now >= self._ends:
            if self._start is None:
                self._start = now
            self._forward(now)
        self._amounts[self._place] += amount

    def restart(self, at: float) -> None:
        """Let `lately` look at nothing before that time."""
        self._start = at

    def minute(self, now: float) -> float:
        """What passed in the last minute."""
        self._forward(now)
        return sum(self._amounts)

    def lately(self, now: float, seconds: int) -> tuple[float, float]:
        """What passed in the last so many seconds, or since the restart, and how many seconds that were (1 or more)."""
        if self._start is None or now < self._start:
            return 0.0, 1.0
        last = self._forward(now)
        first = max(last - seconds + 1, int(self._start))
        passed = sum(self._amounts[second % _SECONDS] for second in range(first, last + 1))
        return passed, max(now - max(first, self._start), 1.0)

    def _forward(self, now: float) -> int:
        second = int(now)
        if second == self._last:
            return second
        for passed in range(max(self._last + 1, second - _SECONDS + 1), second + 1):
            self._amounts[passed % _SECONDS] = 0.0
        self._last = max(self._last, second)
        self._place = self._last % _SECONDS
        self._ends = self._last + 1.0
        return self._last
