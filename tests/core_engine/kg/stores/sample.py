"""Graphs of any size, made from a seed, in the changes in which a projector would write them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core_engine.identity import chunk_id, document_id, entity_id, relationship_id, statement_id
from core_engine.types import (
    ChunkRow,
    DocumentRow,
    EntityRow,
    GraphChanges,
    MentionRow,
    RelationshipRow,
    StatementRow,
)

Row = TypeVar("Row")

LABELS = ("Person", "Organization", "Product", "Technology", "Place", "Event", "Project", "Decision", "Topic", "Date")
TYPES = ("WORKS_AT", "WORKS_ON", "PART_OF", "USES", "DECIDED", "KNOWS", "LOCATED_IN", "RELATED_TO", "LEADS")
WORDS = (
    "the",
    "of",
    "we",
    "should",
    "remote",
    "control",
    "budget",
    "meeting",
    "button",
    "next",
    "week",
    "think",
    "cost",
)


@dataclass(frozen=True)
class Size:
    documents: int = 5
    chunks: int = 40
    entities: int = 60
    mentions: int = 200
    relationships: int = 150
    statements: int = 60


def graph(workspace: str, size: Size, seed: int = 1) -> GraphChanges:
    """The whole graph as one change. A few entities are in most relationships, as speakers are."""
    rng = random.Random(seed)
    documents = [
        DocumentRow(
            document_id(workspace, f"{n}.vtt"), f"{n}.vtt", f"Meeting {n}", {"date": f"2026-01-{n % 28 + 1:02}"}
        )
        for n in range(size.documents)
    ]
    entities = [
        EntityRow(
            entity_id(f"{workspace}/{n}"),
            f"Entity {n}",
            (LABELS[n % len(LABELS)],),
            (f"E{n}",) if n % 3 == 0 else (),
            weight=n % 7 + 1,
        )
        for n in range(size.entities)
    ]

    def some_entity() -> str:
        return entities[int(len(entities) * rng.random() ** 3)].id

    texts = [f"Ann: {' '.join(rng.choices(WORDS, k=120))} {n}." for n in range(size.chunks)]
    owners = [documents[n * size.documents // size.chunks].id for n in range(size.chunks)]
    ids = [chunk_id(owner, text, 0) for owner, text in zip(owners, texts, strict=True)]
    per_mention, per_statement = size.mentions / size.chunks, size.statements / size.chunks
    chunks = []
    for n in range(size.chunks):
        mentions = []
        for m in range(int((n + 1) * per_mention) - int(n * per_mention)):
            turns = (m + 1, m + 3)
            mentions.append(MentionRow(some_entity(), f"name {m}", turns, ((m + 1, 17), (m + 3, 4)), n + 0.5, n + 4.0))
        statements = []
        for m in range(int((n + 1) * per_statement) - int(n * per_statement)):
            subject, other, predicate = some_entity(), some_entity(), rng.choice(TYPES)
            statements.append(
                StatementRow(
                    statement_id(ids[n], subject, predicate, other, m),
                    subject,
                    other,
                    predicate,
                    f"we should {m} next week",
                    "Ann",
                    m,
                    n + 0.5,
                    n + 4.0,
                )
            )
        following = ids[n + 1] if n + 1 < size.chunks and owners[n + 1] == owners[n] else None
        chunks.append(
            ChunkRow(
                ids[n], owners[n], n, texts[n], following, ("Ann",), n, n + 9.0, tuple(mentions), tuple(statements)
            )
        )
    relationships: dict[str, RelationshipRow] = {}
    while len(relationships) < size.relationships:
        source, target, kind = some_entity(), entities[rng.randrange(len(entities))].id, rng.choice(TYPES)
        identity = relationship_id(source, kind, target)
        relationships[identity] = RelationshipRow(identity, source, target, kind, rng.randint(1, 9), "0", "9")
    return GraphChanges(tuple(documents), tuple(entities), tuple(chunks), tuple(relationships.values()))


def in_steps(changes: GraphChanges, rows: int) -> Iterator[GraphChanges]:
    """The upserts in changes of at most that many rows (mentions and statements not counted)."""
    for part in _slices(changes.documents, rows):
        yield GraphChanges(documents=part)
    for part in _slices(changes.entities, rows):
        yield GraphChanges(entities=part)
    for part in _slices(changes.chunks, max(1, rows // 10)):
        yield GraphChanges(chunks=part)
    for part in _slices(changes.relationships, rows):
        yield GraphChanges(relationships=part)


def _slices(rows: Sequence[Row], size: int) -> Iterator[tuple[Row, ...]]:
    for start in range(0, len(rows), size):
        yield tuple(rows[start : start + size])
