"""The moment of sending: a provider that counts by the second must have room for what leaves now."""

from __future__ import annotations

import math

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
        self._level = -math.inf  # empty for ever
        self._at = 0.0
        self._late_s = _FIRST_LATE_S

    def enter(self, amount: float, second: float, now: float) -> float:
        """Leave now if there is room, at so many units a second; else the seconds until there is: then `put_off`."""
        level = self._level - (now - self._at) * second  # below 0: it has been empty for a while
        if level > 0 or amount >= second:
            share = amount / second
            # One that takes all the room, or more, is let in by an empty bucket.
            room = 1 - share - min(_SLACK_S, (1 - share) / 2) if share < 1 else -_APART_S
            if (wait := level / second - room) > 0:
                return wait
            if level < 0:
                level = 0.0
        else:
            level = 0.0
        self._level = level + amount + self._late_s * second
        self._at = now
        self._late_s = 0.0
        return 0.0

    def put_off(self, amount: float, second: float, until: float) -> None:
        """It leaves then, in a moment."""
        self._level = max(self._level - (until - self._at) * second, 0.0) + amount
        self._at = until

    def settle(self, difference: float) -> None:
        """The provider has charged so much more for one that has left."""
        self._level += difference
