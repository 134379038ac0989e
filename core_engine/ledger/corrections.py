"""What users say of names: these are one, these are not, this one is also called so. Kept for good, by atoms.

The net of it is kept, not its history: a later word takes an earlier one back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable

from core_engine.ledger.components import BY_HAND
from core_engine.ledger.resolution import pair, unsettle


def merge(db: sqlite3.Connection, one: bytes, other: bytes, reason: str) -> None:
    """These two are one; settle them afterwards."""
    a, b = pair(one, other)
    db.execute(
        "INSERT INTO merge_edge (a, b, reason, origin) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (a, b, reason, origin) DO UPDATE SET undone = 0",
        (a, b, reason, BY_HAND),
    )
    unsettle(db, (a, b))


def unmerge(db: sqlite3.Connection, some: Collection[bytes], others: Collection[bytes]) -> int:
    """Take back that users merged any of these with any of those; how many edges went."""
    gone = _between(db, "SELECT a, b, reason FROM merge_edge WHERE {} = ? AND origin = x''", some, others)
    db.executemany("DELETE FROM merge_edge WHERE a = ? AND b = ? AND reason = ? AND origin = x''", gone)
    unsettle(db, {atom for edge in gone for atom in edge[:2]})
    return len(gone)


def keep_apart(db: sqlite3.Connection, some: Iterable[bytes], others: Collection[bytes]) -> None:
    """None of these is one with any of those."""
    pairs = [pair(one, other) for one in some for other in others if one != other]
    db.executemany("INSERT OR IGNORE INTO apart (a, b, origin) VALUES (?, ?, ?)", [(*both, BY_HAND) for both in pairs])
    unsettle(db, {atom for both in pairs for atom in both})


def let_together(db: sqlite3.Connection, some: Collection[bytes], others: Collection[bytes]) -> int:
    """Take back that users kept any of these from any of those; how many pairs that were."""
    gone = _between(db, "SELECT a, b FROM apart WHERE {} = ? AND origin = x''", some, others)
    db.executemany("DELETE FROM apart WHERE a = ? AND b = ? AND origin = x''", gone)
    unsettle(db, {atom for both in gone for atom in both})
    return len(gone)


def _between(db: sqlite3.Connection, query: str, some: Collection[bytes], others: Collection[bytes]) -> list[tuple]:  # type: ignore[type-arg]
    some, others = set(some), set(others)
    found = []
    for column, other in (("a", 1), ("b", 0)):
        for atom in some:
            found += [row for row in db.execute(query.format(column), (atom,)) if row[other] in others]
    return found


def add_alias(db: sqlite3.Connection, atom: bytes, norm: str, name: str) -> None:
    db.execute("INSERT OR REPLACE INTO alias (atom, norm, name) VALUES (?, ?, ?)", (atom, norm, name))


def drop_alias(db: sqlite3.Connection, atoms: Iterable[bytes], norm: str) -> int:
    """Take an alias back from whichever of these atoms has it; how many had."""
    return sum(db.execute("DELETE FROM alias WHERE atom = ? AND norm = ?", (atom, norm)).rowcount for atom in atoms)


def aliases(db: sqlite3.Connection) -> list[tuple[bytes, str]]:
    """(atom, normal form of the name) of all aliases."""
    return db.execute("SELECT atom, norm FROM alias ORDER BY atom, norm").fetchall()


def bearers(db: sqlite3.Connection, norm: str, everywhere: bytes) -> list[bytes]:
    """The atoms that an alias of this form reaches: the workspace's own (`everywhere`), and those of documents in which
    nothing else says whose name it is.
    """
    rows = db.execute(
        "SELECT id FROM atom a WHERE norm = ? AND scope != '' AND NOT EXISTS (SELECT 1 FROM merge_edge e "
        "WHERE (e.a = a.id OR e.b = a.id) AND e.reason NOT IN ('alias', 'model'))",
        (norm,),
    )
    return [everywhere, *(row[0] for row in rows)]
