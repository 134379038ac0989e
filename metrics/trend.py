"""The last runs in a row: what drifts, slowly or at once."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.compare import change_of, said_change
from metrics.measures import BY_NAME

Report = Mapping[str, Any]

SHOWN = ("chunks", "cost_per_chunk", "error_rate", "validity", "grounded", "latency_p50", "speed")
_DRIFTS = ("cost_per_chunk", "error_rate", "validity", "grounded", "latency_p50")
_FEWEST = 3  # runs before the last one, to know what is usual
_MUCH = 0.2
_MUCH_POINTS = 0.03
_SPREADS = 3.0  # median absolute deviations


@dataclass(frozen=True, slots=True)
class Trend:
    """`rows`: run id, when it began, and the measures SHOWN, oldest first; `drift`: in words."""

    rows: Sequence[tuple[str, str, Sequence[float | None]]]
    drift: Sequence[str]


def trend(reports: Sequence[Report]) -> Trend:
    """Of reports in the order of their runs. A run that bought nothing tells nothing, and is left out by the caller."""
    rows = [(one["run_id"], one["started_at"], [BY_NAME[name].read(one) for name in SHOWN]) for one in reports]
    return Trend(rows, [said for name in _DRIFTS if (said := _drift(name, reports))])


def _drift(name: str, reports: Sequence[Report]) -> str:
    measure = BY_NAME[name]
    values = [value for report in reports if (value := measure.read(report)) is not None]
    if len(values) <= _FEWEST or measure.read(reports[-1]) is None:
        return ""
    *before, last = values
    usual = statistics.median(before)
    spread = statistics.median(abs(value - usual) for value in before)
    change = change_of(measure, usual, last)
    least = _MUCH_POINTS if measure.unit == "share" else _MUCH
    if change is None or abs(change) < least or abs(last - usual) <= _SPREADS * spread:
        return ""
    word = "better" if (change > 0) == (measure.better > 0) else "worse"
    return (
        f"{measure.said} is {word} than usual: {measure.shown(last)}, {said_change(measure, change)} against the median of "
        f"the {len(before)} runs before ({measure.shown(usual)})"
    )
