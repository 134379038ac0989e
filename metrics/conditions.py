"""Conditions on a report, such as `cost>+10%` or `error_rate>2%`, by which a script is told that something is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core_engine.errors import SettingsError
from metrics.compare import at, change_of
from metrics.measures import BY_NAME, Measure

Report = Mapping[str, Any]

_CONDITION = re.compile(r"\s*([a-z][a-z0-9_.]*)\s*(>=|<=|>|<)\s*([+-]?)(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """`relative`: on the change against an earlier run; else on the value itself. `bound`: 10 % is 0.1."""

    text: str
    name: str
    sign: str
    bound: float
    relative: bool
    percent: bool

    def against(self, report: Report, earlier: Report | None) -> Judged:
        """Whether it holds. Where what it speaks of is not known, it doesn't, and the words say so."""
        measure, value = _value(self.name, report)
        if self.relative:
            before = _value(self.name, earlier)[1] if earlier else None
            change = _change(measure, before, value, percent=self.percent)
            if change is None:
                return Judged(self, holds=False, said="not known: there is nothing to compare with")
            shown = f"{change:+.1%}" if self.percent and math.isfinite(change) else f"{change:+g}"
            return Judged(self, holds=self._holds(change), said=f"the change is {shown}")
        if value is None:
            return Judged(self, holds=False, said="not known in this run")
        return Judged(self, holds=self._holds(value), said=f"it is {measure.shown(value) if measure else f'{value:g}'}")

    def _holds(self, value: float) -> bool:
        return {">": value > self.bound, "<": value < self.bound}.get(self.sign[0], False) or (
            len(self.sign) == 2 and value == self.bound
        )


@dataclass(frozen=True, slots=True)
class Judged:
    condition: Condition
    holds: bool
    said: str


def condition(text: str) -> Condition:
    """Read a condition. Raises SettingsError, with examples, where it is none."""
    found = _CONDITION.fullmatch(text)
    if not found:
        raise SettingsError(
            f"--fail-if {text!r} is no condition: write it like 'error_rate>2%', 'cost>5' (dollars) or, for the change "
            "against the run before, 'cost>+10%'"
        )
    name, sign, plus, number, percent = found.groups()
    if name not in BY_NAME and "." not in name:
        raise SettingsError(
            f"--fail-if {text!r}: {name!r} is not measured: choose one of {', '.join(BY_NAME)}, or a field of the report, "
            "such as calls.failed"
        )
    bound = float(number) * (-1 if plus == "-" else 1) / (100 if percent else 1)
    return Condition(text, name, sign, bound, bool(plus), bool(percent))


def _value(name: str, report: Report) -> tuple[Measure | None, float | None]:
    if measure := BY_NAME.get(name):
        return measure, measure.read(report)
    value = at(report, name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise SettingsError(f"--fail-if: {name} is no number in this report")
    return None, value


def _change(measure: Measure | None, before: float | None, after: float | None, *, percent: bool) -> float | None:
    if before is None or after is None:
        return None
    if not percent:
        return after - before
    if measure:
        return change_of(measure, before, after)
    return after / before - 1 if before else 0.0 if after == before else math.inf
