"""JSON Lines: a line a document, entity, chunk (with its mentions and statements) and relationship."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator

import orjson

from core_engine.exports import rows
from core_engine.exports.text import paired


def parts(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Each line names its `kind`; its other fields are those of `core_engine.types`."""
    for kind, pages in (
        ("document", rows.documents(db)),
        ("entity", rows.entities(db)),
        ("chunk", rows.chunks(db)),
        ("relationship", rows.relationships(db)),
    ):
        for page in pages:
            for row in page:
                yield "", orjson.dumps({"kind": kind, **paired(dataclasses.asdict(row))}).decode() + "\n"
