"""What each store holds (law 7): its epoch, how far it has followed the change log, and a hash per unit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from core_engine.ledger.values import CHUNK
from core_engine.types import StoreMark


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store as the ledger knows it. `synced`: it has all changes up to this one. `fresh`: nothing is known of it."""

    no: int
    synced: int
    generation: int
    fresh: bool


class Acquaintance(Enum):
    """What a store's mark tells."""

    KNOWN = "as this ledger left it"
    RESTORED = "this ledger's, from another time: it, or the ledger, was restored from a copy"
    NEVER_SEEN = "new, or another's"


def recognise(db: sqlite3.Connection, mark: StoreMark) -> Acquaintance:
    row = db.execute("SELECT generation, next_generation FROM store WHERE epoch = ?", (mark.epoch,)).fetchone()
    if row is None:
        return Acquaintance.NEVER_SEEN
    return Acquaintance.KNOWN if mark.generation in row else Acquaintance.RESTORED


def meet(db: sqlite3.Connection, mark: StoreMark, name: str, role: str, *, distrusted: bool = False) -> StoreState:
    """Note the store with this mark. One that is not as this ledger left it counts as empty, or, distrusted, as full
    of old versions of all that this ledger ever knew.
    """
    known = recognise(db, mark)
    if known is Acquaintance.NEVER_SEEN:
        db.execute(
            "INSERT INTO store (epoch, name, role, generation, next_generation, synced) VALUES (?,?,?,?,?,0)",
            (mark.epoch, name, role, mark.generation, mark.generation),
        )
    no, synced = db.execute("SELECT no, synced FROM store WHERE epoch = ?", (mark.epoch,)).fetchone()
    if known is Acquaintance.KNOWN:
        return StoreState(no, synced, mark.generation, fresh=False)
    forget(db, no)
    db.execute("UPDATE store SET generation = ?1, next_generation = ?1 WHERE no = ?2", (mark.generation, no))
    if distrusted:
        distrust(db, no, role)
    return StoreState(no, 0, mark.generation, fresh=True)


def distrust(db: sqlite3.Connection, store: int, role: str) -> None:
    """Have the next projection write again, or delete, all that the ledger ever knew."""
    # A hash that nothing has: what exists is written as changed, what is gone is deleted, whether or not the store
    # was known to hold it.
    db.execute(
        "INSERT OR REPLACE INTO projected (store, kind, key, hash) SELECT ?1, kind, key, x'' FROM unit "
        "WHERE ?2 = 'graph' OR kind = ?3",
        (store, role, CHUNK),
    )
    db.execute("UPDATE store SET synced = 0 WHERE no = ?", (store,))


def announce(db: sqlite3.Connection, store: int, generation: int) -> None:
    """A writing session is about to begin: from now on the store may say either this generation or the one before."""
    db.execute("UPDATE store SET next_generation = ? WHERE no = ?", (generation, store))


def begun(db: sqlite3.Connection, store: int, generation: int) -> None:
    db.execute("UPDATE store SET generation = ? WHERE no = ?", (generation, store))


def synced(db: sqlite3.Connection, store: int, upto: int) -> None:
    db.execute("UPDATE store SET synced = ? WHERE no = ?", (upto, store))


def forget(db: sqlite3.Connection, store: int) -> None:
    """Count everything as unwritten, so that the next projection compares and writes all of it."""
    db.execute("DELETE FROM projected WHERE store = ?", (store,))
    db.execute("UPDATE store SET synced = 0 WHERE no = ?", (store,))


def drop_embedded(db: sqlite3.Connection, role: str) -> None:
    """Forget the embedded stores of that role: their files are gone."""
    gone = [row[0] for row in db.execute("SELECT no FROM store WHERE role = ? AND name = 'embedded'", (role,))]
    for store in gone:
        db.execute("DELETE FROM projected WHERE store = ?", (store,))
        db.execute("DELETE FROM store WHERE no = ?", (store,))


def clock(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'clock'").fetchone()
    return int(row[0]) if row else 0


def unit_keys(db: sqlite3.Connection, kind: int) -> Iterator[bytes]:
    """The keys of a kind's units, whether they still exist or not."""
    for row in db.execute("SELECT key FROM unit WHERE kind = ?", (kind,)):
        yield row[0]


def changed_units(
    db: sqlite3.Connection, store: int, kind: int, after: int, upto: int
) -> Iterator[tuple[bytes, bytes | None]]:
    """(key, hash as last written or None) of a kind's units that changed in (after, upto] and were not written since.

    A document's chunks come last to first: each names the one that follows it, which is then already written.
    """
    chunks = "LEFT JOIN chunk c ON c.id = u.key " if kind == CHUNK else ""
    # "+": by the index of changes, and sorted then. In the order of the keys SQLite would read all that ever was.
    order = "c.document DESC, c.seq DESC" if kind == CHUNK else "+u.key"
    yield from db.execute(
        "SELECT u.key, p.hash FROM unit u LEFT JOIN projected p ON p.store = ? AND p.kind = u.kind AND p.key = u.key "
        f"{chunks}WHERE u.kind = ? AND u.changed > ? AND u.changed <= ? AND (p.at IS NULL OR p.at < u.changed) "
        f"ORDER BY {order}",
        (store, kind, after, upto),
    )


def mark_written(db: sqlite3.Connection, store: int, kind: int, written: Sequence[tuple[bytes, bytes]], at: int) -> int:
    """Note what was written, with each unit's hash; how much. `at`: the clock of the moment that it was read from."""
    db.executemany(
        "INSERT OR REPLACE INTO projected (store, kind, key, hash, at) VALUES (?, ?, ?, ?, ?)",
        [(store, kind, key, digest, at) for key, digest in written],
    )
    return len(written)


def mark_deleted(db: sqlite3.Connection, store: int, kind: int, deleted: Sequence[bytes]) -> int:
    """Note what was deleted; how much."""
    db.executemany(
        "DELETE FROM projected WHERE store = ? AND kind = ? AND key = ?", [(store, kind, key) for key in deleted]
    )
    return len(deleted)
