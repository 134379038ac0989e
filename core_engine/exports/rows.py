"""Reads the graph's rows from the ledger, a page at a time and in the order of their keys: nothing is held whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from core_engine.ledger import rows
from core_engine.ledger.values import CHUNK, DOCUMENT, ENTITY, RELATIONSHIP
from core_engine.types import ChunkRow, DocumentRow, EntityRow, RelationshipRow

_PAGE = 500
Row = TypeVar("Row")


def documents(db: sqlite3.Connection) -> Iterator[list[DocumentRow]]:
    return _pages(db, DOCUMENT, rows.document_rows)


def entities(db: sqlite3.Connection) -> Iterator[list[EntityRow]]:
    return _pages(db, ENTITY, rows.entity_rows)


def chunks(db: sqlite3.Connection) -> Iterator[list[ChunkRow]]:
    """With their mentions and statements."""
    return _pages(db, CHUNK, rows.chunk_rows)


def relationships(db: sqlite3.Connection) -> Iterator[list[RelationshipRow]]:
    return _pages(db, RELATIONSHIP, rows.relationship_rows)


def _pages(
    db: sqlite3.Connection, kind: int, read: Callable[[sqlite3.Connection, Sequence[bytes]], Mapping[bytes, Row]]
) -> Iterator[list[Row]]:
    for keys in rows.keys_in_pages(db, kind, _PAGE):
        found = read(db, keys)
        yield [found[key] for key in keys if key in found]
