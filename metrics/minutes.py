"""A run by the minute: what was sent and waited for, and how full the limit was."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core_engine.limits.history import History


@dataclass(slots=True)
class _Sums:
    calls: int = 0
    tokens: int = 0
    rate_limited: int = 0
    waited_s: float = 0.0
    longest_wait_s: float = 0.0


def minutes(db: sqlite3.Connection, run: str, history: History) -> list[dict[str, Any]]:
    """A row for each minute in which a call was sent. Shares are of the limit that was used most in that minute."""
    sums: dict[int, _Sums] = {}
    rows = db.execute(
        "SELECT started_at, prompt + completion, error_kind = 'rate_limited', wait_s FROM call "
        "WHERE run = ? AND status != 'batched' AND job IS NULL ORDER BY no",
        (run,),
    )
    for started_at, tokens, limited, waited in rows:
        of = sums.setdefault(int((started_at - history.zero) // 60), _Sums())
        of.calls += 1
        of.tokens += tokens
        of.rate_limited += limited
        of.waited_s += waited
        of.longest_wait_s = max(of.longest_wait_s, waited)
    return [_row(number, of, history) for number, of in sorted(sums.items())]


def _row(number: int, of: _Sums, history: History) -> dict[str, Any]:
    used = history.minutes.get(number)
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(history.zero + 60 * number)),
        "calls": of.calls,
        "tokens": of.tokens,
        "tokens_per_s": round(of.tokens / 60, 1),
        "rate_limited": of.rate_limited,
        "waited_s": round(of.waited_s, 2),
        "longest_wait_s": round(of.longest_wait_s, 2),
        "limit_share": round(used.share, 4) if used else None,
        "limit": used.limit if used else None,
        "least_left": round(used.least_left, 4) if used and used.least_left is not None else None,
    }


def in_words(rows: Sequence[dict[str, Any]]) -> str:
    """The minutes in a line, such as `98 % of the limit in 7 full minutes`; '' where no limit was known."""
    known = [row for row in rows if row["limit_share"] is not None]
    if not known:
        return ""
    full = known[1:-1] or known  # the first and the last are hardly ever whole
    shares = [row["limit_share"] for row in full]
    busiest = max(full, key=lambda row: row["limit_share"])
    refused = sum(row["rate_limited"] for row in rows)
    longest = max(row["longest_wait_s"] for row in rows)
    text = f"{sum(shares) / len(shares):.0%} of {busiest['limit']} used in {len(full)} "
    text += f"{'full minute' if full is not known else 'minute'}{'s' if len(full) > 1 else ''}, "
    return text + f"at most {busiest['limit_share']:.0%}; longest wait {longest:.1f} s; {refused:,} x 429"
