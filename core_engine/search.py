"""Finds chunks by their words (and meaning), and entities by their names, in whatever stores a workspace has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core_engine.ports import GraphStore, VectorStore
from core_engine.types import EntityRow, Hit, RelationshipRow, SparseVector

_WORD = re.compile(r"\w+")
_SHORTEST = 3  # letters of a word that is looked for in names by itself: "of" is in half of them
_MOST_WORDS = 12
_NEIGHBOURS = 5


class QueryEncoder(Protocol):
    def query(self, text: str) -> SparseVector: ...


@dataclass(frozen=True, slots=True)
class EntityFound:
    """An entity, and its heaviest relationships, each with the entity at its other end."""

    entity: EntityRow
    neighbours: Sequence[tuple[RelationshipRow, EntityRow]]


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
) -> Found:
    """Up to `limit` of each, best first. The stores are open; one that isn't there adds nothing."""
    chunks = await vectors.search(encoder.query(words), dense, limit) if vectors else []
    entities = await _entities(words, graph, limit) if graph else []
    return Found(chunks, entities)


async def _entities(words: str, graph: GraphStore, limit: int) -> list[EntityFound]:
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
    return [EntityFound(entity, await graph.neighbours(entity.id, _NEIGHBOURS)) for entity in best]
