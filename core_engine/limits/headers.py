"""What a provider says about its limits in the headers of a reply."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)?")
_MOST = 1e12
"""More than any limit that exists: a server that says so says nothing."""


@dataclass(frozen=True, slots=True)
class Told:
    """One unit's limit a minute, what is left of it, and the seconds until it is whole again. None: not said."""

    limit: float | None = None
    remaining: float | None = None
    reset_s: float | None = None

    @property
    def gone(self) -> float | None:
        """How much of the limit is gone; None where it isn't said.

        Where a minute's limit is enforced by the second, little remains of the limit though little is gone; where it is
        counted by windows, the reset is far away though little is gone.
        """
        if self.limit is None:
            return None
        by_reset = None if self.reset_s is None else self.reset_s * self.limit / 60
        by_rest = None if self.remaining is None else self.limit - self.remaining
        return min((gone for gone in (by_reset, by_rest) if gone is not None), default=None)


def told(headers: Mapping[str, str], unit: str) -> Told:
    """What the headers say about 'requests' or 'tokens'. Names are in lower case; nonsense counts as not said."""
    limit = _number(headers.get(f"x-ratelimit-limit-{unit}"))
    return Told(
        limit=limit or None,  # a limit of 0 would have refused this very request
        remaining=_number(headers.get(f"x-ratelimit-remaining-{unit}")),
        reset_s=duration(headers.get(f"x-ratelimit-reset-{unit}")),
    )


def duration(text: str | None) -> float | None:
    """Seconds of '6m0s', '12ms', '1.5s' or '30'; None for anything else."""
    if not text:
        return None
    at, total = 0, 0.0
    text = text.strip()
    while at < len(text):
        part = _DURATION.match(text, at)
        if part is None or (part[2] is None and part[0] != text):
            return None
        total += float(part[1]) * _SECONDS[part[2] or "s"]
        at = part.end()
    return total


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if 0 <= value < _MOST else None
