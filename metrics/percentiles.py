"""Exact percentiles: a run's latencies fit in memory, so nothing is sketched."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the ordered values don't exceed, by nearest rank; 0.0 of nothing.

    Nearest rank (Hyndman and Fan, definition 1): always a value that was measured.
    """
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max, in the unit of the values."""
    ordered = sorted(values)
    return {
        "p50": round(percentile(ordered, 0.50), 4),
        "p95": round(percentile(ordered, 0.95), 4),
        "p99": round(percentile(ordered, 0.99), 4),
        "max": round(ordered[-1], 4) if ordered else 0.0,
    }
