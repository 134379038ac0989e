"""What passed in each minute of a run, and which share of the limit that was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Minute:
    """One minute of one gate. `least_left`: the smallest share of its limit that the provider said was left."""

    passed: float = 0.0
    limit: float | None = None
    least_left: float | None = None

    @property
    def share(self) -> float:
        return self.passed / self.limit if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class Used:
    """One minute of a run: the share of the limit that was used most, which that was, and the least left of any."""

    share: float
    limit: str
    least_left: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """By minute; minute n began at `zero` + 60 n, in seconds of the wall clock."""

    zero: float = 0.0
    minutes: Mapping[int, Used] = field(default_factory=dict)
