"""Numbers, times and money as a page says them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> str:
    """Any value of a report."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items()) or "-"
    return str(value)


def compact(value: float) -> str:
    """1,234 as 1.23k."""
    for power, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= power:
            return f"{value / power:.3g}{sign}"
    return f"{value:.3g}"


def dollars(value: float) -> str:
    """With as many places as it takes: an axis has small steps."""
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.6f}".rstrip("0")


def short_seconds(value: float) -> str:
    """To three digits: 0.694 s."""
    return f"{value:.3g} s"


def clock(value: float) -> str:
    """A time since the beginning: 90 is 1:30 min."""
    if value < 60:
        return f"{value:.3g} s"
    if value < 3600:
        return f"{value / 60:.0f} min" if value % 60 == 0 else f"{int(value // 60)}:{int(value % 60):02} min"
    return f"{value / 3600:.3g} h"


def seconds(value: float) -> str:
    """A duration: 39.5 s, 2:05 min."""
    return f"{value:.1f} s" if value < 60 else clock(round(value))


def moment(iso: str) -> str:
    """A report's moment, for people."""
    return iso.replace("T", " ").replace("Z", " UTC")


def moment_of(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
