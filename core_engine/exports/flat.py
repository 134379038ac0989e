"""The graph as nodes and edges with single values, as GraphML and spreadsheets have them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from core_engine.exports import rows
from core_engine.exports.fields import Kind, kinds
from core_engine.exports.text import paired
from core_engine.identity import digest
from core_engine.types import ChunkRow, DocumentRow, EntityRow, MentionRow, RelationshipRow, StatementRow

Value = str | int | float | None

_ENDS = frozenset({"id", "entity_id", "subject_id", "object_id", "source_id", "target_id", "next_id", "type"})


@dataclass(frozen=True, slots=True)
class Node:
    """`kind`: Document, Entity, Chunk or Statement; `type`: the ontology's, else the kind; `label`: what a drawing shows."""

    id: str
    kind: str
    type: str
    label: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Edge:
    id: str
    source: str
    target: str
    type: str
    values: Mapping[str, Value]


def node_fields() -> dict[str, Kind]:
    """The names of all values that a node may have, and what they hold. The same name holds the same everywhere."""
    return _fields(DocumentRow, EntityRow, ChunkRow, StatementRow)


def edge_fields() -> dict[str, Kind]:
    return _fields(MentionRow, RelationshipRow)


def nodes(db: sqlite3.Connection) -> Iterator[Node]:
    """Documents, entities, chunks, and what states a relationship."""
    for documents in rows.documents(db):
        for document in documents:
            yield Node(document.id, "Document", "Document", document.title or document.path, _values(document))
    for entities in rows.entities(db):
        for entity in entities:
            yield Node(entity.id, "Entity", "; ".join(entity.labels), entity.name, _values(entity))
    for chunks in rows.chunks(db):
        for chunk in chunks:
            yield Node(chunk.id, "Chunk", "Chunk", f"chunk {chunk.index + 1}", _values(chunk))
            for said in chunk.statements:
                yield Node(said.id, "Statement", "Statement", said.predicate, _values(said))


def edges(db: sqlite3.Connection) -> Iterator[Edge]:
    """What joins them, in the graph's own words: see docs/graph-model.md."""
    for chunks in rows.chunks(db):
        for chunk in chunks:
            yield from _edges_of(chunk)
    for relationships in rows.relationships(db):
        for row in relationships:
            yield Edge(row.id, row.source_id, row.target_id, row.type, _values(row))


def _edges_of(chunk: ChunkRow) -> Iterator[Edge]:
    yield _edge(chunk.id, chunk.document_id, "FROM_DOCUMENT")
    if chunk.next_id:
        yield _edge(chunk.id, chunk.next_id, "NEXT_CHUNK")
    for mention in chunk.mentions:
        yield _edge(mention.entity_id, chunk.id, "FROM_CHUNK", _values(mention))
    for said in chunk.statements:
        yield _edge(said.id, said.subject_id, "SUBJECT")
        yield _edge(said.id, said.object_id, "OBJECT")
        yield _edge(said.id, chunk.id, "FROM_CHUNK")


def _edge(source: str, target: str, kind: str, values: Mapping[str, Value] | None = None) -> Edge:
    return Edge(digest("edge", source, kind, target).hex(), source, target, kind, values or {})


def _fields(*of: type[Any]) -> dict[str, Kind]:
    return {name: kind for row in of for name, kind in kinds(row).items() if name not in _ENDS}


def _values(row: Any) -> dict[str, Value]:
    found = kinds(type(row))
    return {name: _value(getattr(row, name), kind) for name, kind in found.items() if name not in _ENDS}


def _value(value: Any, kind: Kind) -> Value:
    if kind is Kind.MAP:
        return orjson.dumps(paired(dict(value)), option=orjson.OPT_SORT_KEYS).decode()
    if kind is Kind.PAIRS:
        return "; ".join(f"{one}:{other}" for one, other in value)
    if kind in {Kind.TEXTS, Kind.WHOLES}:
        return "; ".join(map(str, value))
    if kind is Kind.FLAG:
        return "true" if value else "false"
    single: Value = value
    return single
