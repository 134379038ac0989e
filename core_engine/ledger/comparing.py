"""Compares two sets of ids on disk, in temporary tables: there may be millions of them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator

from core_engine.ledger.values import to_blob, to_id

_AT_ONCE = 10_000


def known_and_held(db: sqlite3.Connection, known: Iterable[bytes]) -> None:
    """Begin anew, with the ids that the ledger knows."""
    for table in ("known", "held"):
        db.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id BLOB PRIMARY KEY) WITHOUT ROWID")
        db.execute(f"DELETE FROM temp.{table}")
    db.executemany("INSERT OR IGNORE INTO temp.known VALUES (?)", ((one,) for one in known))


async def hold(db: sqlite3.Connection, pages: AsyncIterator[list[str]]) -> None:
    """Add the ids that a store holds."""
    async for ids in pages:
        db.executemany("INSERT OR IGNORE INTO temp.held VALUES (?)", [(to_blob(one),) for one in ids])


def known_count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM temp.known").fetchone()[0])


def is_known(db: sqlite3.Connection, identity: str) -> bool:
    return db.execute("SELECT 1 FROM temp.known WHERE id = ?", (to_blob(identity),)).fetchone() is not None


def missing(db: sqlite3.Connection) -> Iterator[str]:
    """What the ledger knows and the store does not hold."""
    for row in db.execute("SELECT id FROM temp.known EXCEPT SELECT id FROM temp.held"):
        yield to_id(row[0])


def unknown(db: sqlite3.Connection) -> Iterator[list[str]]:
    """What the store holds and the ledger does not know, in pages."""
    found = db.execute("SELECT id FROM temp.held EXCEPT SELECT id FROM temp.known")
    while page := found.fetchmany(_AT_ONCE):
        yield [to_id(row[0]) for row in page]
