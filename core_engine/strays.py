"""Takes out of a server's stores what the ledger does not know: left by a later copy of it, or written by others."""

from __future__ import annotations

import sqlite3
from typing import Any

from core_engine.ledger import comparing, rows, stores
from core_engine.ledger.values import CHUNK, DOCUMENT, ENTITY, RELATIONSHIP, to_blob
from core_engine.ports import GraphStore, VectorStore
from core_engine.types import GraphChanges

_PAGE = 500
# What hangs on others goes first.
_KINDS = ((RELATIONSHIP, "relationships"), (CHUNK, "chunks"), (ENTITY, "entities"), (DOCUMENT, "documents"))


async def sweep_graph(db: sqlite3.Connection, store: GraphStore) -> int:
    """Delete what is not among the ledger's units; how many. Opens the store, and leaves it open."""
    await store.open()
    swept = 0
    for kind, name in _KINDS:
        keys = stores.unit_keys(db, kind)
        comparing.known_and_held(db, (_stored_id(kind, key) for key in keys))
        await comparing.hold(db, store.ids(name))
        for ids in comparing.unknown(db):
            for at in range(0, len(ids), _PAGE):
                some: Any = tuple(ids[at : at + _PAGE])
                await store.apply(GraphChanges(**{f"deleted_{name}": some}))
            swept += len(ids)
    return swept


async def sweep_vectors(db: sqlite3.Connection, store: VectorStore) -> int:
    """Delete the points of chunks that the ledger does not know; how many. Opens the store, and leaves it open."""
    await store.open()
    comparing.known_and_held(db, stores.unit_keys(db, CHUNK))
    await comparing.hold(db, store.ids())
    swept = 0
    for ids in comparing.unknown(db):
        await store.delete(ids)
        swept += len(ids)
    await store.flush()
    return swept


def _stored_id(kind: int, key: bytes) -> bytes:
    return to_blob(rows.relationship_public_id(key)) if kind == RELATIONSHIP else key
