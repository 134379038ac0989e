"""Whether models whose headers tell the same limits are counted together, by what is gone of the limit."""

from __future__ import annotations

_CERTAIN = 5  # replies in a row that can't be explained otherwise
_TELLING = 0.25  # the others' part has to be so much of a model's own, or a reply tells nothing
_SPREAD, _LATEST = 0.1, 0.1  # by how much estimates are wrong, at first; and how much the last one says of it
_LESS = 0.6  # of the others' part: estimates are not exact


class Level:
    """What is gone of a limit: it drips away at the limit's rate."""

    __slots__ = ("_a_second", "_at", "_level")

    def __init__(self, limit: float) -> None:
        self._a_second = limit / 60
        self._level = 0.0
        self._at = 0.0

    def add(self, amount: float, now: float) -> float:
        """The level right after this amount."""
        self._level = max(self._level - (now - self._at) * self._a_second, 0.0) + amount
        self._at = now
        return self._level

    def empty(self) -> None:
        self._level = 0.0


class Witness:
    """One of the models that share a bucket: do its replies speak for that?

    Counted together, at least as much is gone of the limit after its request as all have sent lately; where the provider
    says that less is, again and again, they are counted apart. That more is gone may be another client's doing, or of
    what was sent before they shared, and proves nothing.
    """

    __slots__ = ("_all", "_apart", "_own", "_spread")

    def __init__(self, limit: float, together: Level) -> None:
        self._own = Level(limit)
        self._all = together
        self._apart = 0
        self._spread = _SPREAD

    def sent(self, amount: float, now: float) -> tuple[float, float]:
        """What should be gone after this request: counted apart, and counted together."""
        amount *= max(1 - self._spread, 0.5)  # surely so much: what estimates are too high by would add up
        return self._own.add(amount, now), self._all.add(amount, now)

    def settled(self, reserved: float, charged: float | None) -> None:
        """How good the estimate was; None: it was exact."""
        off = abs(charged - reserved) / reserved if charged is not None and reserved else 0.0
        self._spread += _LATEST * (off - self._spread)

    def refused(self) -> None:
        """A request was not counted after all: begin anew."""
        self._own.empty()
        self._all.empty()
        self._apart = 0

    def contradicts(self, expected: tuple[float, float], gone: float | None) -> bool:
        """A reply to that request says that so much is gone: it is certain now that this model is counted apart."""
        apart, together = expected
        if gone is None or together - apart < _TELLING * apart:
            return False
        less = gone < apart + _LESS * (together - apart)
        self._apart = self._apart + 1 if less else 0
        return self._apart >= _CERTAIN
