"""Reading a ledger without taking part in writing it: for commands that only look, also while a run goes on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from core_engine.errors import LedgerError
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.schema import MIGRATIONS


@contextlib.contextmanager
def looking(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees one moment of an existing ledger, and can't change it.

    Opening a Ledger would do too, but closing it checkpoints, and that waits for the run that is going on.
    """
    with contextlib.ExitStack() as closing:
        try:
            db = _connect(path)
            closing.callback(db.close)
            if _version(db) != len(MIGRATIONS):
                # Another version's tables: bring them to ours, or hear from the ledger why that can't be.
                db = closing.enter_context(closing.enter_context(Ledger(path)).reading())
            else:
                db.execute("BEGIN")
            yield db
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {path} can't be read: {error}: see what `kg doctor` says") from error


def quick_check(path: Path) -> str:
    """'' where SQLite finds the file whole, else what it finds."""
    with looking(path) as db:
        said = [str(row[0]) for row in db.execute("PRAGMA quick_check(3)")]
    return "" if said == ["ok"] else "; ".join(said)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=30)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
