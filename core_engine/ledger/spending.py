"""What a ledger says was spent and when, for accounts that several ledgers share."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call cost: what it was billed, or its ceiling where nobody knows. `persona` is '' for none."""

    persona: str
    at: float
    dollars: Decimal
    tokens: int


def of_run(path: Path, run: str, since: float) -> list[Spent] | None:
    """The calls of one run that began at `since` or later. None where there is no such ledger, or it can't be read."""
    return _read(path, "c.run = ? AND c.started_at >= ?", run, since)


def of_all(path: Path, since: float) -> list[Spent] | None:
    """The same for all runs."""
    return _read(path, "c.started_at >= ?", since)


def _read(path: Path, where: str, *values: object) -> list[Spent] | None:
    if not path.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as db:
            return list(_spent(db, where, *values))
    except sqlite3.Error:
        return None


def _spent(db: sqlite3.Connection, where: str, *values: object) -> Iterator[Spent]:
    columns = {row[1] for row in db.execute("PRAGMA table_info(call)")}
    at_most = "c.tokens_at_most" if "tokens_at_most" in columns else "0"  # a ledger that was not opened since
    rows = db.execute(
        f"SELECT coalesce(json_extract(r.settings, '$.persona'), ''), c.started_at, c.status, c.cost, c.ceiling, "
        f"c.prompt + c.completion, {at_most} FROM call c LEFT JOIN run r ON r.id = c.run WHERE {where}",
        values,
    )
    for persona, at, status, cost, ceiling, tokens, most in rows:
        # Refused calls cost 0; where the cost is not known, and there is a price, the ceiling counts.
        known = cost is not None or (status == "answered" and tokens)
        yield Spent(persona, at, Decimal((ceiling or 0) if cost is None else cost), tokens if known else most)
