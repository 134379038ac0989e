"""What is done with a workspace's calls when a run has ended: they are added up, and the old ones let go."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from core_engine.ledger import retention, tally
from core_engine.ledger.ledger import Ledger
from core_engine.ports import Pricer
from core_engine.settings import Settings
from metrics.caps import Caps, caps_of

_DAY_S = 86_400
_STEPS_AT_END = 5  # of 10,000 calls: a run's end need not wait for more


def close_books(settings: Settings, ledger: Ledger, pricer: Pricer, now: float) -> None:
    """At a run's end. What is not done now, the next one does."""
    fold_all(ledger, pricer)
    roll_up(settings, ledger, now=now, steps=_STEPS_AT_END)


def fold_all(ledger: Ledger, pricer: Pricer) -> None:
    """Add up all calls that have ended."""
    while ledger.write(tally.fold, pricer):
        pass


def roll_up(
    settings: Settings, ledger: Ledger, *, now: float | None = None, steps: int | None = None
) -> tuple[int, int]:
    """Let go of calls, and of runs' folders, that are older than `retention_days`. How many went, how many stay.

    `steps`: so many at most; None: all. Calls that are not added up yet stay.
    """
    now = time.time() if now is None else now
    before = now - settings.retention_days * _DAY_S
    archive = None
    if settings.archive:
        day = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%d")
        archive = Path(settings.archive) / f"calls-{settings.workspace}-{day}.jsonl.gz"
    gone = kept = taken = 0
    while steps is None or taken < steps:
        step = ledger.write(retention.roll_up, before, archive)
        gone, kept, taken = gone + step.gone, kept + step.kept, taken + 1
        if not step.gone and not step.kept:
            break
    caps = caps_of(settings.budget, settings.workspace)
    ledger.write(retention.by_days, before, _midnight(caps))
    _clear_folders(settings, ledger, before)
    return gone, kept


def _midnight(caps: Caps) -> Callable[[float], float]:
    return lambda moment: caps.span("day", moment)[0]


def _clear_folders(settings: Settings, ledger: Ledger, before: float) -> None:
    """The folders of runs that ended before: their reports are in the ledger."""
    with ledger.reading() as db:
        runs = _ended(db, before)
    for run in runs:
        folder = settings.folder / "runs" / run  # what is in an --output-dir is its owner's
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _ended(db: sqlite3.Connection, before: float) -> list[str]:
    """But the last two: `kg report` and its comparison are about these."""
    rows = db.execute(
        "SELECT id FROM run WHERE ended_at < ? AND report IS NOT NULL "
        "AND id NOT IN (SELECT id FROM run ORDER BY started_at DESC, id DESC LIMIT 2)",
        (before,),
    )
    return [row[0] for row in rows]
