"""What this process has used of the machine."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds, and the most memory held, in MB; 0 where the system doesn't say (Windows)."""

    cpu_s: float
    peak_rss_mb: float


def used() -> Used:
    return Used(time.process_time(), _peak_rss_mb())


def _peak_rss_mb() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource  # noqa: PLC0415  Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
