"""Finds chunks by their words (and meaning), and entities by their names, in whatever stores a workspace has."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from core_engine.ledger import around
from core_engine.ledger.around import Place, Said
from core_engine.ledger.values import CO_OCCURS, to_blob
from core_engine.ports import GraphStore, VectorStore
from core_engine.types import EntityRow, Hit, RelationshipRow, SparseVector

_WORD = re.compile(r"\w+")
_SHORTEST = 3  # letters of a word that is looked for in names by itself: "of" is in half of them
_MOST_WORDS = 12
_DEPTH = 10  # relationships read for each that is shown


class QueryEncoder(Protocol):
    def query(self, text: str) -> SparseVector: ...


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A relationship, the entity at its other end, and the first words that say so (None: the ledger has none now)."""

    relationship: RelationshipRow
    entity: EntityRow
    said: Said | None = None


@dataclass(frozen=True, slots=True)
class EntityFound:
    """An entity, and its relationships: those that are stated before those of what is only named together."""

    entity: EntityRow
    neighbours: Sequence[Neighbour]


@dataclass(frozen=True, slots=True)
class Found:
    chunks: Sequence[Hit]
    entities: Sequence[EntityFound]


async def search(
    words: str,
    vectors: VectorStore | None,
    graph: GraphStore | None,
    encoder: QueryEncoder,
    limit: int,
    *,
    dense: Sequence[float] | None = None,
    neighbours: int = 5,
) -> Found:
    """Up to `limit` of each, best first. The stores are open; one that isn't there adds nothing."""
    chunks = await vectors.search(encoder.query(words), dense, limit) if vectors else []
    entities = await _entities(words, graph, limit, neighbours) if graph else []
    return Found(chunks, entities)


async def _entities(words: str, graph: GraphStore, limit: int, neighbours: int) -> list[EntityFound]:
    """Those that hold all the words first, then those that hold more of them, the heavier of equals first."""
    parts = [word for word in dict.fromkeys(_WORD.findall(words)) if len(word) >= _SHORTEST][:_MOST_WORDS]
    ranks: dict[str, int] = {}
    known: dict[str, EntityRow] = {}
    for weight, asked in [(len(parts) + 1, words), *((1, word) for word in parts)]:
        if not asked.strip():
            continue
        for entity in await graph.find_entities(asked, limit):
            known[entity.id] = entity
            ranks[entity.id] = ranks.get(entity.id, 0) + weight
    best = sorted(known.values(), key=lambda e: (-ranks[e.id], -e.weight, e.name, e.id))[:limit]
    return [EntityFound(entity, await _neighbours(graph, entity.id, neighbours)) for entity in best]


async def _neighbours(graph: GraphStore, entity: str, limit: int) -> list[Neighbour]:
    if not limit:
        return []
    # What is only named together is often heavier than all that is stated.
    found = await graph.neighbours(entity, _DEPTH * limit)
    ranked = sorted(found, key=lambda one: (one[0].type == CO_OCCURS, -one[0].weight, one[0].id))
    return [Neighbour(relationship, other) for relationship, other in ranked[:limit]]


def with_words(db: sqlite3.Connection, found: Found) -> Found:
    """The same, with the words behind each relationship, as the ledger has them."""
    entities = [replace(one, neighbours=_said(db, one)) for one in found.entities]
    return replace(found, entities=entities)


def _said(db: sqlite3.Connection, found: EntityFound) -> list[Neighbour]:
    keys = {_key(one.relationship): one for one in found.neighbours}
    places: dict[tuple[bytes, bytes, str], set[Place]] = {key: set() for key in keys}
    for joined in around.joined(db, [to_blob(found.entity.id)], backwards=True):
        key = (joined.source, joined.target, joined.type)
        if key in places:
            places[key].add(joined.place)
    chunks = around.where(db, {place.chunk for some in places.values() for place in some})
    first = {key: one[0] for key, some in places.items() if (one := around.first(some, chunks, 1))}
    words = around.said(db, first.values(), chunks)
    return [replace(one, said=words.get(first[key]) if key in first else None) for key, one in keys.items()]


def _key(row: RelationshipRow) -> tuple[bytes, bytes, str]:
    return to_blob(row.source_id), to_blob(row.target_id), row.type
