"""What is said to Neo4j: changes of the graph as a list of steps, each one query and its rows.

Every node of ours has the private label KgNode, on whose unique `id` all finding and merging stands. The public labels
(Document, Chunk, Entity, Statement, the ontology's) are only added, so that nothing binds other people's nodes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, LiteralString, TypeVar

import orjson

from core_engine.kg.stores.text import checked_labels, checked_type, clean, clean_or_none, finite
from core_engine.types import (
    ChunkRow,
    DocumentRow,
    EntityRow,
    GraphChanges,
    MentionRow,
    RelationshipEnds,
    RelationshipRow,
    StatementRow,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """A query over `$rows`. With `all_match` it has to return as many rows: fewer means that a node is missing."""

    query: LiteralString
    rows: Sequence[Any]
    all_match: bool = False


# All on the private label: only what is ours is ever in them. Names and texts are of one kind of node each (names of
# entities, text of chunks), so that a search of one index finds no other. They are filled a moment after each commit,
# which is then no slower. None of another kind on names: those hold 8 kB at most, and fail the write of a longer one.
CONSTRAINT: LiteralString = "CREATE CONSTRAINT kg_node_id IF NOT EXISTS FOR (n:KgNode) REQUIRE n.id IS UNIQUE"
INDEXES: tuple[LiteralString, ...] = (
    (
        "CREATE FULLTEXT INDEX kg_entity_names IF NOT EXISTS FOR (n:KgNode) ON EACH [n.name, n.aliases] "
        "OPTIONS {indexConfig: {`fulltext.eventually_consistent`: true}}"
    ),
    (
        "CREATE FULLTEXT INDEX kg_chunk_text IF NOT EXISTS FOR (n:KgNode) ON EACH [n.text] "
        "OPTIONS {indexConfig: {`fulltext.eventually_consistent`: true}}"
    ),
)
INDEX_NAMES = frozenset({"kg_entity_names", "kg_chunk_text"})
SCHEMA: tuple[LiteralString, ...] = (CONSTRAINT, *INDEXES)
SHOW_INDEXES: LiteralString = "SHOW INDEXES YIELD name RETURN collect(name) AS names"

LAYOUT = 1  # of what is written; a mark without one has this one
HAS_CONSTRAINT: LiteralString = """
SHOW CONSTRAINTS YIELD labelsOrTypes, properties WHERE labelsOrTypes = ['KgNode'] AND properties = ['id']
RETURN count(*) AS found"""

READ_MARK: LiteralString = """
MATCH (m:KgNode {id: 'store:' + $workspace}) RETURN m.epoch AS epoch, m.generation AS generation, m.types AS types,
    coalesce(m.layout, 1) AS layout"""
MAKE_MARK: LiteralString = """
MERGE (m:KgNode {id: 'store:' + $workspace})
ON CREATE SET m:KgStore, m.workspace = $workspace, m.epoch = $epoch, m.generation = 0, m.types = [], m.layout = 1"""
SET_GENERATION: LiteralString = """
MATCH (m:KgNode {id: 'store:' + $workspace, epoch: $epoch}) SET m.generation = $generation RETURN m.epoch AS epoch"""
TOUCH_MARK: LiteralString = "MATCH (m:KgNode {id: 'store:' + $workspace}) SET m.generation = m.generation"
SET_TYPES: LiteralString = "MATCH (m:KgNode {id: 'store:' + $workspace}) SET m.types = $types"

_DOCUMENTS: LiteralString = """
UNWIND $rows AS row
MERGE (n:KgNode {id: row.id}) ON CREATE SET n.workspace = $workspace
SET n:Document, n += row.values
RETURN count(*) AS done"""

# `types` remembers which labels are ours (and their order), so that what others have added stays.
_ENTITIES: LiteralString = """
UNWIND $rows AS row
MERGE (n:KgNode {id: row.id}) ON CREATE SET n.workspace = $workspace
WITH n, row.values AS values, [label IN coalesce(n.types, []) WHERE NOT label IN row.values.types] AS stale
REMOVE n:$(stale)
SET n:Entity:__Entity__, n:$(values.types), n += values
RETURN count(*) AS done"""

_CLEAR_STATEMENTS: LiteralString = """
UNWIND $rows AS id MATCH (:KgNode {id: id})<-[:FROM_CHUNK]-(s:KgNode:Statement) DETACH DELETE s"""
_CLEAR_MENTIONS: LiteralString = """
UNWIND $rows AS id MATCH (:KgNode {id: id})<-[m:FROM_CHUNK]-(:KgNode) DELETE m"""
_CLEAR_LINKS: LiteralString = """
UNWIND $rows AS id MATCH (:KgNode {id: id})-[link:FROM_DOCUMENT|NEXT_CHUNK]->(:KgNode) DELETE link"""

_CHUNKS: LiteralString = """
UNWIND $rows AS row
MATCH (d:KgNode {id: row.document})
MERGE (n:KgNode {id: row.id}) ON CREATE SET n.workspace = $workspace
SET n:Chunk, n += row.values
CREATE (n)-[:FROM_DOCUMENT {workspace: $workspace}]->(d)
RETURN count(*) AS done"""

# MERGE, because a chunk may be written before the one that follows it: that one is then a bare KgNode for a while.
_NEXT_CHUNKS: LiteralString = """
UNWIND $rows AS row
MATCH (n:KgNode {id: row.id})
MERGE (next:KgNode {id: row.next}) ON CREATE SET next.workspace = $workspace
CREATE (n)-[:NEXT_CHUNK {workspace: $workspace}]->(next)
RETURN count(*) AS done"""

_MENTIONS: LiteralString = """
UNWIND $rows AS row
MATCH (e:KgNode {id: row.entity}), (c:KgNode {id: row.chunk})
CREATE (e)-[m:FROM_CHUNK {workspace: $workspace}]->(c)
SET m += row.values
RETURN count(*) AS done"""

_STATEMENTS: LiteralString = """
UNWIND $rows AS row
MATCH (c:KgNode {id: row.chunk}), (s:KgNode {id: row.subject}), (o:KgNode {id: row.object})
CREATE (n:KgNode:Statement {id: row.id, workspace: $workspace})
SET n += row.values
CREATE (n)-[:FROM_CHUNK {workspace: $workspace}]->(c)
CREATE (n)-[:SUBJECT {workspace: $workspace}]->(s)
CREATE (n)-[:OBJECT {workspace: $workspace}]->(o)
RETURN count(*) AS done"""

# As float32, half of what a list of numbers takes. Neo4j has one vector index for a label and a property, of one size:
# hence a private label for each size.
_EMBEDDINGS: LiteralString = """
UNWIND $rows AS row
MATCH (n:KgNode {id: row.id})
WITH n, row, [label IN labels(n) WHERE label STARTS WITH 'KgVector' AND label <> row.label] AS stale
REMOVE n:$(stale)
SET n:$(row.label)
WITH n, row
CALL db.create.setNodeVectorProperty(n, 'embedding', row.embedding)
RETURN count(*) AS done"""

# What the model before said stands in an index beside what this one says.
_NO_EMBEDDINGS: LiteralString = """
UNWIND $rows AS id
MATCH (n:KgNode {id: id}) WHERE n.embedding IS NOT NULL
WITH n, [label IN labels(n) WHERE label STARTS WITH 'KgVector'] AS stale
REMOVE n:$(stale), n.embedding"""

_DELETE_NODES: LiteralString = "UNWIND $rows AS id MATCH (n:KgNode {id: id}) DETACH DELETE n"
_DELETE_STATEMENTS_ABOUT: LiteralString = """
UNWIND $rows AS id MATCH (:KgNode {id: id})<-[:SUBJECT|OBJECT]-(s:KgNode:Statement) DETACH DELETE s"""

COUNTS: LiteralString = """
RETURN COUNT { (:KgNode:Document {workspace: $workspace}) } AS documents,
    COUNT { (:KgNode:Chunk {workspace: $workspace}) } AS chunks,
    COUNT { (:KgNode:Entity {workspace: $workspace}) } AS entities,
    COUNT { (:KgNode:Entity)-[r {workspace: $workspace}]->(:KgNode:Entity) WHERE r.id IS NOT NULL } AS relationships,
    COUNT { (:KgNode:Entity)-[:FROM_CHUNK {workspace: $workspace}]->(:KgNode:Chunk) } AS mentions,
    COUNT { (:KgNode:Statement {workspace: $workspace}) } AS statements"""

FIND_ENTITIES: LiteralString = """
MATCH (n:KgNode:Entity {workspace: $workspace})
WHERE any(name IN [n.name] + n.aliases WHERE all(word IN $words WHERE toLower(name) CONTAINS word))
RETURN n.id, n.name, n.types, n.aliases, n.weight ORDER BY n.weight DESC, n.id LIMIT $limit"""

NEIGHBOURS: LiteralString = """
MATCH (:KgNode {id: $id})-[r {workspace: $workspace}]-(n:KgNode:Entity) WHERE r.id IS NOT NULL
WITH DISTINCT r, n ORDER BY r.weight DESC, r.id LIMIT $limit
RETURN r.id, startNode(r).id, endNode(r).id, type(r), r.weight, r.first, r.last, r.current, r.until, r.superseded_by,
    r.contradicted, r.stated, r.planned, r.denied, r.asked, r.grade, n.id, n.name, n.types, n.aliases, n.weight"""

_RETURNED: dict[str, LiteralString] = {
    "documents": "RETURN n.id, n.path, n.title, n.metadata",
    "chunks": """
        OPTIONAL MATCH (n)-[:FROM_DOCUMENT]->(d:KgNode:Document)
        OPTIONAL MATCH (n)-[:NEXT_CHUNK]->(next:KgNode:Chunk)
        RETURN n.id, d.id, n.index, n.text, next.id, n.speakers, n.start, n.end""",
    "entities": "RETURN n.id, n.name, n.types, n.aliases, n.weight",
    "relationships": """
        RETURN r.id, s.id, t.id, type(r), r.weight, r.first, r.last, r.current, r.until, r.superseded_by,
            r.contradicted, r.stated, r.planned, r.denied, r.asked, r.grade""",
    "mentions": "RETURN c.id, e.id, m.name, m.turns, m.offsets, m.start, m.end, m.speakers, m.grade",
    "statements": """
        MATCH (n)-[:SUBJECT]->(s:KgNode:Entity), (n)-[:OBJECT]->(o:KgNode:Entity)
        RETURN n.id, c.id, s.id, o.id, n.predicate, n.quote, n.speaker, n.turn, n.start, n.end, n.modality,
            n.offset, n.date, n.grade""",
}

_ALL: dict[str, LiteralString] = {
    "documents": "MATCH (n:KgNode:Document {workspace: $workspace})",
    "chunks": "MATCH (n:KgNode:Chunk {workspace: $workspace})",
    "entities": "MATCH (n:KgNode:Entity {workspace: $workspace})",
    "relationships": "MATCH (s:KgNode:Entity)-[r {workspace: $workspace}]->(t:KgNode:Entity) WHERE r.id IS NOT NULL",
    "mentions": "MATCH (e:KgNode:Entity)-[m:FROM_CHUNK {workspace: $workspace}]->(c:KgNode:Chunk)",
    "statements": "MATCH (n:KgNode:Statement {workspace: $workspace})-[:FROM_CHUNK]->(c:KgNode:Chunk)",
}

_SOME: dict[str, LiteralString] = {
    "documents": "UNWIND $ids AS id MATCH (n:KgNode:Document {id: id, workspace: $workspace})",
    "chunks": "UNWIND $ids AS id MATCH (n:KgNode:Chunk {id: id, workspace: $workspace})",
    "entities": "UNWIND $ids AS id MATCH (n:KgNode:Entity {id: id, workspace: $workspace})",
    "mentions": "UNWIND $ids AS id MATCH (e:KgNode:Entity)-[m:FROM_CHUNK {workspace: $workspace}]->(c:KgNode:Chunk {id: id})",
    "statements": """
        UNWIND $ids AS id
        MATCH (n:KgNode:Statement {workspace: $workspace})-[:FROM_CHUNK]->(c:KgNode:Chunk {id: id})""",
}

DUMP: dict[str, LiteralString] = {kind: _ALL[kind] + " " + _RETURNED[kind] for kind in _ALL}

IDS: dict[str, LiteralString] = {
    kind: _ALL[kind] + " RETURN " + ("r.id" if kind == "relationships" else "n.id") + " AS id"
    for kind in ("documents", "chunks", "entities", "relationships")
}


def read(kind: str, types: Iterable[str]) -> Iterator[LiteralString]:
    """What reads the rows with `$ids` of a kind. Relationships are looked through type by type: `kg verify` alone asks."""
    if kind != "relationships":
        yield _SOME[kind] + " " + _RETURNED[kind]
        return
    for one in types:
        found: LiteralString = (
            "MATCH (s:KgNode)-[r:`{type}`]->(t:KgNode) WHERE r.id IN $ids AND r.workspace = $workspace "
        )
        yield _with_type(found + _RETURNED[kind], one)


def vector_indexes(dimensions: int) -> tuple[LiteralString, ...]:
    """Make the index of chunks' embeddings of that size, and one of the same chunks' text.

    Another size has others, and nothing is ever mixed. Hybrid searches want both indexes on one label (LangChain's).
    """
    vectors: LiteralString = """
CREATE VECTOR INDEX kg_chunk_embedding_{dimensions} IF NOT EXISTS FOR (n:KgVector{dimensions}) ON (n.embedding)
OPTIONS {indexConfig: {`vector.dimensions`: {dimensions}, `vector.similarity_function`: 'cosine'}}"""
    text: LiteralString = """
CREATE FULLTEXT INDEX kg_chunk_text_{dimensions} IF NOT EXISTS FOR (n:KgVector{dimensions}) ON EACH [n.text]
OPTIONS {indexConfig: {`fulltext.eventually_consistent`: true}}"""
    return tuple(query.replace("{dimensions}", f"{dimensions:d}") for query in (vectors, text))


def steps(changes: GraphChanges) -> Iterator[Step]:
    """What to run, in order, in one transaction."""
    yield Step(_DOCUMENTS, _rows(changes.documents, document_row))
    yield Step(_ENTITIES, _rows(changes.entities, entity_row))
    yield from _chunk_steps(list(_once(changes.chunks)))
    embeddings = sorted(changes.embeddings.items())
    yield Step(_NO_EMBEDDINGS, [chunk for chunk, vector in embeddings if vector is None])
    yield Step(_EMBEDDINGS, [_embedding(chunk, vector) for chunk, vector in embeddings if vector], all_match=True)
    for kind, rows in _by_type(_once(changes.relationships)):
        yield Step(_merge_relationships(kind), sorted(map(relationship_row, rows), key=_ends), all_match=True)
    for kind, gone in _by_type(changes.deleted_relationships):
        yield Step(_delete_relationships(kind), [_gone(one) for one in gone])
    yield Step(_CLEAR_STATEMENTS, changes.deleted_chunks)
    yield Step(_DELETE_NODES, changes.deleted_chunks)
    yield Step(_DELETE_STATEMENTS_ABOUT, changes.deleted_entities)
    yield Step(_DELETE_NODES, changes.deleted_entities)
    yield Step(_DELETE_NODES, changes.deleted_documents)


def _chunk_steps(chunks: list[ChunkRow]) -> Iterator[Step]:
    ids = [chunk.id for chunk in chunks]
    yield Step(_CLEAR_STATEMENTS, ids)
    yield Step(_CLEAR_MENTIONS, ids)
    yield Step(_CLEAR_LINKS, ids)
    yield Step(_CHUNKS, [chunk_row(c) for c in chunks], all_match=True)
    following = [{"id": c.id, "next": c.next_id} for c in chunks if c.next_id]
    yield Step(_NEXT_CHUNKS, following, all_match=True)
    yield Step(_MENTIONS, [mention_row(c.id, m) for c in chunks for m in c.mentions], all_match=True)
    yield Step(_STATEMENTS, [statement_row(c.id, s) for c in chunks for s in _once(c.statements)], all_match=True)


def _merge_relationships(kind: str) -> LiteralString:
    return _with_type(
        """
UNWIND $rows AS row
MATCH (s:KgNode {id: row.source}), (t:KgNode {id: row.target})
MERGE (s)-[r:`{type}` {id: row.id}]->(t) ON CREATE SET r.workspace = $workspace
SET r += row.values
RETURN count(*) AS done""",
        kind,
    )


def _delete_relationships(kind: str) -> LiteralString:
    return _with_type(
        """
UNWIND $rows AS row
MATCH (:KgNode {id: row.source})-[r:`{type}` {id: row.id, workspace: $workspace}]->(:KgNode {id: row.target})
DELETE r""",
        kind,
    )


def _gone(one: RelationshipEnds) -> dict[str, str]:
    return {"id": one.id, "source": one.source_id, "target": one.target_id}


def _by_type(rows: Iterable[T]) -> Iterator[tuple[str, Iterator[T]]]:
    of: Callable[[T], str] = attrgetter("type")
    return groupby(sorted(rows, key=of), key=of)


def _with_type(query: LiteralString, kind: str) -> LiteralString:
    # The one place where something that is no constant gets into a query: letters, digits and underscores only.
    return query.replace("{type}", checked_type(kind))


# --- rows, as the queries above take them -----------------------------------------------------------------------------


def _once(rows: Iterable[Any]) -> Iterable[Any]:
    """Of rows with one id, the last."""
    return {row.id: row for row in rows}.values()


def _rows(rows: Iterable[Any], as_row: Any) -> list[dict[str, Any]]:
    return [as_row(row) for row in _once(rows)]


def document_row(row: DocumentRow) -> dict[str, Any]:
    # A property can't be a map.
    metadata = orjson.dumps({clean(k): clean(v) for k, v in row.metadata.items()}).decode()
    return {"id": row.id, "values": {"path": clean(row.path), "title": clean(row.title), "metadata": metadata}}


def entity_row(row: EntityRow) -> dict[str, Any]:
    values = {
        "name": clean(row.name),
        "types": checked_labels(row.labels),
        "aliases": [clean(alias) for alias in row.aliases],
        "weight": row.weight,
    }
    return {"id": row.id, "values": values}


def chunk_row(row: ChunkRow) -> dict[str, Any]:
    values = {
        "index": row.index,
        "text": clean(row.text),
        "speakers": [clean(speaker) for speaker in row.speakers],
        "start": finite(row.start),
        "end": finite(row.end),
    }
    return {"id": row.id, "document": row.document_id, "values": values}


def mention_row(chunk_id: str, row: MentionRow) -> dict[str, Any]:
    values = {
        "name": clean(row.name),
        "turns": list(row.turns),
        # A property can't be a list of lists: turn, offset, turn, offset ...
        "offsets": [number for pair in row.offsets for number in pair],
        "start": finite(row.start),
        "end": finite(row.end),
        "speakers": [clean(speaker) for speaker in row.speakers],
        "grade": row.grade,
    }
    return {"chunk": chunk_id, "entity": row.entity_id, "values": values}


def statement_row(chunk_id: str, row: StatementRow) -> dict[str, Any]:
    values = {
        "predicate": clean(row.predicate),
        "quote": clean(row.quote),
        "speaker": clean_or_none(row.speaker),
        "turn": row.turn,
        "start": finite(row.start),
        "end": finite(row.end),
        "modality": clean(row.modality),
        "offset": row.offset,
        "date": clean_or_none(row.date),
        "grade": row.grade,
    }
    return {"id": row.id, "chunk": chunk_id, "subject": row.subject_id, "object": row.object_id, "values": values}


def _embedding(chunk_id: str, vector: bytes) -> dict[str, Any]:
    size = len(vector) // 4
    return {"id": chunk_id, "label": f"KgVector{size}", "embedding": list(struct.unpack(f"<{size}f", vector))}


def relationship_row(row: RelationshipRow) -> dict[str, Any]:
    values = {
        "weight": row.weight,
        "first": clean_or_none(row.first),
        "last": clean_or_none(row.last),
        "current": row.current,
        "until": clean_or_none(row.until),
        "superseded_by": row.superseded_by,
        "contradicted": row.contradicted,
        "stated": row.stated,
        "planned": row.planned,
        "denied": row.denied,
        "asked": row.asked,
        "grade": row.grade,
    }
    return {"id": row.id, "source": row.source_id, "target": row.target_id, "values": values}


def _ends(row: dict[str, Any]) -> tuple[str, str]:
    return row["source"], row["target"]
