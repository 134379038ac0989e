"""Small values and conversions that the ledger's modules share."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable

# States of a question. Numbers, because there are millions.
OPEN, CLAIMED, ANSWERED, DEAD = 0, 1, 2, 3

BATCH_JOB = "batch:"  # before a Batch job's id, where a question names who has claimed it

# Kinds of units, in the order in which a store is to get them; deletions go the other way round.
DOCUMENT, ENTITY, CHUNK, RELATIONSHIP = 1, 2, 3, 4

CO_OCCURS = "CO_OCCURS"


def to_blob(identity: str) -> bytes:
    return bytes.fromhex(identity.replace("-", ""))


def to_id(blob: bytes) -> str:
    return str(uuid.UUID(bytes=blob))


def relationship_key(source: bytes, target: bytes, kind: str) -> bytes:
    return source + target + kind.encode()


def pair_key(one: bytes, other: bytes) -> bytes:
    """Of a co-occurrence, which has no direction: the smaller id comes first."""
    return relationship_key(min(one, other), max(one, other), CO_OCCURS)


def split_relationship_key(key: bytes) -> tuple[bytes, bytes, str]:
    return key[:16], key[16:32], key[32:].decode()


def tick(db: sqlite3.Connection) -> int:
    """The next number of the change log."""
    row = db.execute(
        "INSERT INTO meta (key, value) VALUES ('clock', '1') "
        "ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1 RETURNING CAST(value AS INTEGER)"
    ).fetchone()
    return int(row[0])


def touch(db: sqlite3.Connection, kind: int, keys: Iterable[bytes], now: int) -> None:
    """Note in the change log that these units may look different now."""
    db.executemany(
        "INSERT INTO unit (kind, key, changed) VALUES (?, ?, ?) "
        "ON CONFLICT (kind, key) DO UPDATE SET changed = excluded.changed",
        [(kind, key, now) for key in keys],
    )
