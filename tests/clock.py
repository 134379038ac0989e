"""A clock that stands still until a test moves it."""

from __future__ import annotations


class Clock:
    """Seconds since 1970, in `now`."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
