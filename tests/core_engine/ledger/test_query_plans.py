"""What is read again and again during a run is found by an index: nothing is read from end to end for a page of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from core_engine.ledger import documents, graph, questions, rows, stores
from core_engine.ledger.values import CHUNK, DOCUMENT, ENTITY, RELATIONSHIP
from core_engine.types import VectorKind
from tests.kg import Kg, write_meetings


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    kg = Kg(tmp_path_factory.mktemp("plans"))
    write_meetings(kg.folder / "t", 2)
    kg.process("t", "--no-model")
    db = kg.ledger()
    yield db
    db.close()


def steps(db: sqlite3.Connection, work: Callable[[], Any]) -> list[str]:
    """How SQLite would go about each query that `work` makes."""
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    work()
    db.set_trace_callback(None)
    queries = [sql for sql in asked if sql.startswith(("SELECT", "WITH", "UPDATE"))]
    assert queries
    return [row[3] for sql in dict.fromkeys(queries) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]


def keys(db: sqlite3.Connection, kind: int) -> list[bytes]:
    found = next(rows.keys_in_pages(db, kind, 20))
    assert found
    return found


READING = {
    "documents": lambda db: rows.document_rows(db, keys(db, DOCUMENT)),
    "entities": lambda db: rows.entity_rows(db, keys(db, ENTITY)),
    "chunks": lambda db: rows.chunk_rows(db, keys(db, CHUNK)),
    "relationships": lambda db: rows.relationship_rows(db, keys(db, RELATIONSHIP)),
    "points": lambda db: rows.vector_sources(db, keys(db, CHUNK), VectorKind("e", 1)),
    "stale": lambda db: graph.stale_chunks(db, 0, 100),
    "ruled": lambda db: graph.ruled_chunks(db, (0, 0), 100),
    "a document's plan": lambda db: documents.planned_chunks(db, 1),
    "a settled document": lambda db: documents.settled_chunks(db, 1, 1, None),
    "what a run left": questions.release,
    "dead letters": questions.dead_letters,
    "who waits": lambda db: documents.chunks_that_want(db, [1, 2]),
}


@pytest.mark.parametrize("what", READING)
def test_a_page_is_read_by_an_index(ledger, what):
    scanned = [step for step in steps(ledger, lambda: READING[what](ledger)) if step.startswith("SCAN")]
    # Only what was put there for this page, and what such a query has found, is read from end to end.
    assert [step for step in scanned if step.split()[1] not in {"k", "j", "(subquery-2)"}] == []


@pytest.mark.parametrize("kind", [DOCUMENT, ENTITY, CHUNK, RELATIONSHIP])
def test_what_has_changed_is_read_by_the_index_of_changes(ledger, kind):
    how = steps(ledger, lambda: list(stores.changed_units(ledger, 1, kind, 1, 2)))
    assert any("unit_changed (kind=? AND changed>? AND changed<?)" in step for step in how)


def test_the_chunks_that_name_two_are_found_by_both(ledger):
    how = steps(ledger, lambda: READING["relationships"](ledger))
    looked_up = [step for step in how if step.startswith("SEARCH p ")]
    assert looked_up
    assert all("(a=? AND b=?)" in step for step in looked_up)
