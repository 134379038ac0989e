"""Random figures that depend on a seed alone: the same request draws the same delay in every run."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """A number, or `lognormal:MEDIAN:SIGMA`, or `uniform:LOW:HIGH`, as the options write it."""

    kind: str
    low: float
    high: float

    @classmethod
    def parse(cls, text: str | float) -> Distribution:
        kind, _, rest = str(text).partition(":")
        try:
            if kind in {"lognormal", "uniform"}:
                low, high = (float(part) for part in rest.split(":"))
            else:
                kind, low, high = "constant", float(text), 0.0
        except ValueError:
            raise ValueError(f"{text!r} is no number, lognormal:MEDIAN:SIGMA or uniform:LOW:HIGH") from None
        if not (0 <= low < math.inf and 0 <= high < math.inf) or (kind == "lognormal" and low == 0):
            raise ValueError(f"{text!r} is out of range")
        return cls(kind, low, high)

    def draw(self, seed: int) -> float:
        if self.kind == "constant":
            return self.low
        dice = random.Random(seed)
        if self.kind == "uniform":
            return dice.uniform(self.low, self.high)
        return dice.lognormvariate(math.log(self.low), self.high)
