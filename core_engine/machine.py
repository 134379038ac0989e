"""What this process has used of the machine, and how it uses it sparingly."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

_M_ARENA_MAX = -8  # glibc's malloc.h


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


def keep_memory_together() -> None:
    """Have all threads allocate from one place, so that what one gave back serves the others. Before they start.

    glibc gives each thread an arena of its own, each of which keeps its freed pages; Python lets one thread at a time
    run anyhow. Measured on 8,834 chunks with a model: 20 MB of the run's process, the same CPU. Elsewhere nothing.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # macOS, Windows, musl
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@contextlib.contextmanager
def collecting_seldom() -> Iterator[None]:
    """Python looks for garbage in cycles less often: a run makes little, and each look stops every thread.

    Measured on 8,834 chunks: a tenth less CPU, no pauses of 0.1 s among the calls, the same memory. Reading captions:
    a quarter less.
    """
    before = gc.get_threshold()
    gc.freeze()  # what is imported stays, and need not be looked at again
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
