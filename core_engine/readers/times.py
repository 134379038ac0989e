"""Times as transcripts write them: clock-like (`1:02`, `00:01:02,5`), as numbers, or with a unit."""

from __future__ import annotations

import math
import re
from typing import Any

TIME = r"(?:\d{1,4}:)?\d{1,2}:\d{2}(?:[.,]\d{1,9})?"
"""A pattern for a clock-like time: hours may be missing, minutes and seconds not."""

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*s?")


def seconds(value: Any) -> float | None:
    """Seconds from the start, or None for what is no time (missing, negative, NaN, words)."""
    if not isinstance(value, str):
        return _number(value)
    if len(value) > 40:
        return None
    value = value.strip()
    if clock := _CLOCK.fullmatch(value):
        hours, minutes, rest = clock.groups()
        # Rounded, so that `00:04:50,840` is 290.84 and not a neighbour of it.
        return round(int(hours or 0) * 3600 + int(minutes) * 60 + float(rest.replace(",", ".")), 6)
    if plain := _NUMBER.fullmatch(value):
        return float(plain[1])
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
