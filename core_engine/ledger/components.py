"""Entities as connected components of atoms (law 6): the edges between atoms, and what follows when they change."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from core_engine.identity import entity_id
from core_engine.ledger import facts
from core_engine.ledger.values import (
    CHUNK,
    ENTITY,
    RELATIONSHIP,
    pair_key,
    relationship_key,
    tick,
    to_blob,
    to_id,
    touch,
)
from core_engine.pages import pages

_PAGE = 2_000

BY_HAND = b""
"""The origin of corrections."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Something that says that two atoms are one. `undone`: it doesn't hold, being taken back or weaker than another."""

    a: bytes
    b: bytes
    reason: str
    origin: bytes
    undone: bool = False


def entity_of(component: Iterable[bytes]) -> bytes:
    """The id of the entity that these atoms are."""
    return to_blob(entity_id(to_id(min(component))))


def component(db: sqlite3.Connection, atom: bytes) -> set[bytes]:
    """The atoms that are one with this one, itself included."""
    return _reached(db, atom, "NOT e.undone")


def cluster(db: sqlite3.Connection, atom: bytes) -> set[bytes]:
    """All that any edge ties to the atom, those that gave way included: what decides about one decides about all."""
    return _reached(db, atom, "NOT (e.undone AND e.origin = x'')")


def _reached(db: sqlite3.Connection, atom: bytes, which: str) -> set[bytes]:
    rows = db.execute(
        "WITH RECURSIVE reached (id) AS (VALUES (?) UNION "
        f"SELECT e.b FROM reached r JOIN merge_edge e ON e.a = r.id AND {which} UNION "
        f"SELECT e.a FROM reached r JOIN merge_edge e ON e.b = r.id AND {which}) SELECT id FROM reached",
        (atom,),
    )
    return {row[0] for row in rows}


def edges_among(db: sqlite3.Connection, atoms: Iterable[bytes]) -> list[Edge]:
    """The edges of a cluster, without those that were taken back by hand."""
    rows = (
        row
        for atom in atoms
        for row in db.execute(
            "SELECT a, b, reason, origin, undone FROM merge_edge WHERE a = ? AND NOT (undone AND origin = x'')", (atom,)
        )
    )
    return [Edge(a, b, reason, origin, bool(undone)) for a, b, reason, origin, undone in rows]


def apart_among(db: sqlite3.Connection, atoms: Collection[bytes]) -> dict[tuple[bytes, bytes], bool]:
    """The pairs of these atoms that must not be one, each with whether a user said so."""
    found: dict[tuple[bytes, bytes], bool] = {}
    for atom in atoms:
        for b, origin in db.execute("SELECT b, origin FROM apart WHERE a = ?", (atom,)):
            if b in atoms:
                found[atom, b] = found.get((atom, b), False) or origin == BY_HAND
    return found


def regroup(
    db: sqlite3.Connection, components: Iterable[Collection[bytes]], standing: Iterable[tuple[Edge, bool]]
) -> int:
    """Have these be the components, and note which edges stand; how many atoms changed their entity."""
    db.executemany(
        "UPDATE merge_edge SET undone = ? WHERE a = ? AND b = ? AND reason = ? AND origin = ?",
        [(not stands, e.a, e.b, e.reason, e.origin) for e, stands in standing if stands == e.undone],
    )
    moves: list[tuple[int, bytes, bytes]] = []
    for atoms in components:
        entity = entity_of(atoms)
        for atom in atoms:
            row = db.execute("SELECT no, entity FROM atom WHERE id = ?", (atom,)).fetchone()
            if row and row[1] != entity:
                moves.append((row[0], row[1], entity))
    if not moves:
        return 0
    now = tick(db)
    _touch(db, [no for no, _, _ in moves], now)
    db.executemany("UPDATE atom SET entity = ? WHERE no = ?", [(entity, no) for no, _, entity in moves])
    touch(db, ENTITY, {entity for _, before, after in moves for entity in (before, after)}, now)
    _touch(db, [no for no, _, _ in moves], now)
    return len(moves)


def touch_entities(db: sqlite3.Connection, atoms: Iterable[bytes]) -> None:
    """Note that the entities of these atoms look different now."""
    rows = [db.execute("SELECT entity FROM atom WHERE id = ?", (atom,)).fetchone() for atom in atoms]
    touch(db, ENTITY, {row[0] for row in rows if row}, tick(db))


def _touch(db: sqlite3.Connection, atoms: Sequence[int], now: int) -> None:
    """Note in the change log the chunks that mention these atoms, and their relationships, as they stand."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS moved (atom INTEGER PRIMARY KEY)")
    db.execute("DELETE FROM temp.moved")
    db.executemany("INSERT OR IGNORE INTO temp.moved VALUES (?)", [(atom,) for atom in atoms])
    # Both ends of what a chunk states are mentioned there, so all of it is found by way of the chunks.
    chunks = "SELECT DISTINCT m.chunk AS no FROM temp.moved v CROSS JOIN mention m ON m.atom = v.atom"
    rows = db.execute(f"SELECT c.id FROM ({chunks}) h CROSS JOIN chunk c ON c.no = h.no")
    touch(db, CHUNK, (row[0] for row in rows), now)
    stated = db.execute(
        f"SELECT DISTINCT s.entity, o.entity, t.predicate FROM ({chunks}) h CROSS JOIN statement t ON t.chunk = h.no "
        "CROSS JOIN atom s ON s.no = t.subject CROSS JOIN atom o ON o.no = t.object "
        "WHERE t.subject IN (SELECT atom FROM temp.moved) OR t.object IN (SELECT atom FROM temp.moved)"
    )
    for page in pages(stated, _PAGE):  # of a host, more than should be held at once
        related = {relationship_key(*row) for row in page}
        touch(db, RELATIONSHIP, related | facts.rivals(db, related), now)
    pairs = db.execute(
        f"SELECT DISTINCT a.entity, b.entity FROM ({chunks}) h CROSS JOIN cooccurrence p ON p.chunk = h.no "
        "CROSS JOIN atom a ON a.no = p.a CROSS JOIN atom b ON b.no = p.b "
        "WHERE p.a IN (SELECT atom FROM temp.moved) OR p.b IN (SELECT atom FROM temp.moved)"
    )
    touch(db, RELATIONSHIP, (pair_key(*row) for row in pairs), now)
