"""The moment of sending: a provider that counts by the second must have room for what leaves now."""

from __future__ import annotations

_SLACK_S = 0.2  # by how much one request's way to the provider may be shorter than another's
_APART_S = 0.02  # where there is no room for that: less than it, or they would fall ever further behind
_FIRST_LATE_S = 0.5  # at most, for the first request: it has to load and to connect


class Door:
    """What the provider's bucket of one second holds, by what has left.

    Requests leave later than their turn came, since their rows are committed in between; those that were held up
    together would arrive together. All in their stead at the drip are spaced already, and do not wait here.
    """

    __slots__ = ("_at", "_late_s", "_level")

    def __init__(self) -> None:
        self._level = 0.0
        self._at = 0.0
        self._late_s = _FIRST_LATE_S

    def wait(self, amount: float, second: float, now: float) -> float:
        """Seconds until there is room for an amount, at so many units a second; 0 or less: there is now."""
        level = (self._level - (now - self._at) * second) / second  # below 0: it has been empty for a while
        share = amount / second
        if share >= 1:
            return level + _APART_S  # one that takes all the room, or more, is let in by an empty bucket
        return level - (1 - share) + min(_SLACK_S, (1 - share) / 2)

    def enter(self, amount: float, second: float, at: float) -> None:
        """It leaves now, or in a moment."""
        level = self._level - (at - self._at) * second
        self._level = (level if level > 0 else 0.0) + amount + self._late_s * second
        self._at = at
        self._late_s = 0.0

    def settle(self, difference: float) -> None:
        """The provider has charged so much more for one that has left."""
        self._level += difference
