"""How sure a score is: confidence intervals by drawing the documents anew, many times (Efron's percentile bootstrap)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from metrics.evaluation.scores import Counts

DRAWS = 1_000
_SEED = 20260301
_TAIL = 0.025

T = TypeVar("T")
Interval = tuple[float, float]


def f1_interval(documents: Sequence[Counts]) -> Interval | None:
    """The 95 % interval of the F1 over all documents; None for fewer than two."""
    return _interval(documents, lambda drawn: sum(drawn, Counts()).f1)


def difference_interval(pairs: Sequence[tuple[Counts, Counts]]) -> Interval | None:
    """The same of F1 of the second less F1 of the first, of one and the same documents."""

    def difference(drawn: Sequence[tuple[Counts, Counts]]) -> float | None:
        one, other = (sum((pair[side] for pair in drawn), Counts()).f1 for side in (0, 1))
        return None if one is None or other is None else other - one

    return _interval(pairs, difference)


def share_interval(hits: Sequence[bool]) -> Interval | None:
    """The same of the share of hits."""
    return _interval(hits, lambda drawn: sum(drawn) / len(drawn))


def _interval(units: Sequence[T], measure: Callable[[Sequence[T]], float | None]) -> Interval | None:
    if len(units) < 2:
        return None
    rng = random.Random(_SEED)  # noqa: S311  the same interval each time
    drawn = [measure(rng.choices(units, k=len(units))) for _ in range(DRAWS)]
    values = sorted(value for value in drawn if value is not None)
    if not values:
        return None
    return values[int(_TAIL * len(values))], values[int((1 - _TAIL) * len(values))]
