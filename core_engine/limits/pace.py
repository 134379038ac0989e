"""A limit that nobody tells, felt out from refusals."""

from __future__ import annotations

_CUT = 0.1
_PLATEAU_S = 60.0
_GAP_S = 60.0


class Pace:
    """What got through when the provider last refused, approached again from below.

    The curve is TCP CUBIC's (RFC 9438): a cut by a tenth, back to the old peak within a minute, flat around it, where
    most of the time is spent, then steeper upwards, in case the limit has risen.
    """

    __slots__ = ("_last", "_peak", "_since")

    def __init__(self, peak: float, now: float) -> None:
        self._peak = peak
        self._since = self._last = now

    def rate(self, now: float) -> float:
        """Units a minute to run at now. Time in which nobody asked (a machine that slept) proves nothing, and is left out."""
        self._since += max(now - self._last - _GAP_S, 0.0)
        self._last = max(self._last, now)
        x = max(now - self._since, 0.0) / _PLATEAU_S
        return self._peak * (1 + _CUT * (x - 1) ** 3)
