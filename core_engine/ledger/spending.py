"""What a ledger says was spent and when, for accounts that several ledgers share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from core_engine.errors import LedgerError
from core_engine.ledger import tally
from core_engine.ledger.looking import looking


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls cost that began at about the same time: what they were billed, or their ceilings where nobody knows.

    `at` is the quarter of an hour in which they began (Unix time), `persona` is '' for none, `chunks` were extracted.
    """

    persona: str
    at: float
    dollars: Decimal
    tokens: int
    chunks: int = 0


def of_run(path: Path, run: str, since: float) -> list[Spent] | None:
    """The calls of one run that began at about `since` or later. None where there is no such ledger, or it can't be read."""
    return _read(path, since, run)


def of_all(path: Path, since: float) -> list[Spent] | None:
    """The same for all runs."""
    return _read(path, since)


def _read(path: Path, since: float, run: str | None = None) -> list[Spent] | None:
    if not path.is_file():
        return None
    try:
        with looking(path) as db:
            return [*_ended(db, since, run), *under_way(db, since, run)]
    except (LedgerError, sqlite3.Error):
        return None


def _ended(db: sqlite3.Connection, since: float, run: str | None) -> Iterator[Spent]:
    for key, sums in tally.read(db, run=run, since=since, waits=False):
        at = float(key.slot * tally.SLOT_S)
        yield Spent(key.persona, at, tally.dollars(sums.counted_cost), sums.counted_tokens, sums.chunks)


def under_way(db: sqlite3.Connection, since: float = 0.0, run: str | None = None) -> Iterator[Spent]:
    """Calls that were sent, or wait in a Batch job: at their ceilings."""
    for persona, at, ceiling, most, calls_run in db.execute(
        "SELECT persona, started_at, ceiling, tokens_at_most, run FROM call "
        "WHERE tallied = 0 AND status IN ('sent', 'batched') AND started_at >= ?",
        (since,),
    ):
        if run in {None, calls_run}:
            yield Spent(persona, at, Decimal(ceiling or 0), most)
