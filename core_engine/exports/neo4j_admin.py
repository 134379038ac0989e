"""Tables for `neo4j-admin database import full`, with the headers that it wants and the arguments in import.args.

Quotes and line breaks are as RFC 4180 has them, and an empty field without quotes is no value. Lists are separated by
U+001F, which no name is likely to hold: in a text of a list it becomes a space.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from core_engine.exports import rows
from core_engine.exports.fields import Kind, kinds
from core_engine.kg.stores import cypher
from core_engine.kg.stores.text import checked_type
from core_engine.types import ChunkRow, DocumentRow, EntityRow, MentionRow, RelationshipRow, StatementRow

_SEPARATOR = "\x1f"
_TYPES = {
    Kind.TEXT: "string",
    Kind.WHOLE: "long",
    Kind.NUMBER: "double",
    Kind.FLAG: "boolean",
    Kind.TEXTS: "string[]",
    Kind.WHOLES: "long[]",
    Kind.PAIRS: "long[]",
    Kind.MAP: "string",
}
_NAMED_OTHERWISE = {"types": "labels"}  # by our properties in Neo4j, where they are not the row's fields

_ARGUMENTS = """\
--nodes=documents.csv
--nodes=chunks.csv
--nodes=entities.csv
--nodes=statements.csv
--relationships=links.csv
--relationships=mentions.csv
--relationships=relationships.csv
--array-delimiter=U+001F
--multiline-fields=true
"""


def parts(db: sqlite3.Connection, workspace: str) -> Iterator[tuple[str, str]]:
    yield "import.args", _ARGUMENTS
    yield "after.cypher", "".join(f"{query};\n" for query in (*cypher.SCHEMA, *_EMPTY_LISTS))
    tables = _Tables(workspace)
    yield from tables.headers()
    for documents in rows.documents(db):
        for document in documents:
            yield tables.node("documents.csv", cypher.document_row(document), ("Document",))
    for entities in rows.entities(db):
        for entity in entities:
            row = cypher.entity_row(entity)
            yield tables.node("entities.csv", row, ("Entity", "__Entity__", *row["values"]["types"]))
    for chunks in rows.chunks(db):
        for chunk in chunks:
            yield from _chunk(tables, chunk)
    for relationships in rows.relationships(db):
        for relationship in relationships:
            row = cypher.relationship_row(relationship)
            values = {"id": row["id"], **row["values"]}
            kind = checked_type(relationship.type)
            yield tables.edge("relationships.csv", row["source"], row["target"], kind, values)


def _chunk(tables: _Tables, chunk: ChunkRow) -> Iterator[tuple[str, str]]:
    yield tables.node("chunks.csv", cypher.chunk_row(chunk), ("Chunk",))
    yield tables.edge("links.csv", chunk.id, chunk.document_id, "FROM_DOCUMENT")
    if chunk.next_id:
        yield tables.edge("links.csv", chunk.id, chunk.next_id, "NEXT_CHUNK")
    for mention in chunk.mentions:
        row = cypher.mention_row(chunk.id, mention)
        yield tables.edge("mentions.csv", row["entity"], chunk.id, "FROM_CHUNK", row["values"])
    for said in chunk.statements:
        yield tables.node("statements.csv", cypher.statement_row(chunk.id, said), ("Statement",))
        yield tables.edge("links.csv", said.id, chunk.id, "FROM_CHUNK")
        yield tables.edge("links.csv", said.id, said.subject_id, "SUBJECT")
        yield tables.edge("links.csv", said.id, said.object_id, "OBJECT")


class _Tables:
    """Makes the lines; every node and every edge carries the workspace."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace
        samples: dict[str, tuple[type[Any], Mapping[str, Any]]] = {
            "documents.csv": (DocumentRow, cypher.document_row(DocumentRow("", "", ""))["values"]),
            "entities.csv": (EntityRow, cypher.entity_row(EntityRow("", "", ()))["values"]),
            "chunks.csv": (ChunkRow, cypher.chunk_row(ChunkRow("", "", 0, ""))["values"]),
            "statements.csv": (StatementRow, cypher.statement_row("", StatementRow("", "", "", "", ""))["values"]),
            "mentions.csv": (MentionRow, cypher.mention_row("", MentionRow("", "", ()))["values"]),
            "relationships.csv": (
                RelationshipRow,
                {"id": "", **cypher.relationship_row(RelationshipRow("", "", "", ""))["values"]},
            ),
        }
        self._columns = {
            file: {name: kinds(row)[_NAMED_OTHERWISE.get(name, name)] for name in values}
            for file, (row, values) in samples.items()
        }
        self._columns["links.csv"] = {}

    def headers(self) -> Iterator[tuple[str, str]]:
        for file, columns in self._columns.items():
            edge = file in {"links.csv", "mentions.csv", "relationships.csv"}
            fixed = (":START_ID", ":END_ID", ":TYPE") if edge else ("id:ID", ":LABEL")
            typed = [f"{name}:{_TYPES[kind]}" for name, kind in columns.items()]
            yield file, ",".join((*fixed, "workspace:string", *typed)) + "\n"

    def node(self, file: str, row: Mapping[str, Any], labels: tuple[str, ...]) -> tuple[str, str]:
        fixed = (row["id"], ["KgNode", *labels])
        return self._line(file, fixed, row["values"])

    def edge(
        self, file: str, source: str, target: str, kind: str, values: Mapping[str, Any] | None = None
    ) -> tuple[str, str]:
        return self._line(file, (source, target, kind), values or {})

    def _line(self, file: str, fixed: tuple[Any, ...], values: Mapping[str, Any]) -> tuple[str, str]:
        cells = (*fixed, self._workspace, *(values[name] for name in self._columns[file]))
        return file, ",".join(map(_cell, cells)) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        if not value:
            return ""
        value = _SEPARATOR.join(str(item).replace(_SEPARATOR, " ") for item in value)
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)


# The importer knows no empty lists.
_EMPTY_LISTS = (
    "MATCH (n:KgNode:Entity) WHERE n.aliases IS NULL SET n.aliases = []",
    "MATCH (n:KgNode:Chunk) WHERE n.speakers IS NULL SET n.speakers = []",
    "MATCH (:KgNode:Entity)-[m:FROM_CHUNK]->(:KgNode:Chunk) WHERE m.offsets IS NULL SET m.offsets = []",
    "MATCH (:KgNode:Entity)-[m:FROM_CHUNK]->(:KgNode:Chunk) WHERE m.turns IS NULL SET m.turns = []",
    "MATCH (:KgNode:Entity)-[m:FROM_CHUNK]->(:KgNode:Chunk) WHERE m.speakers IS NULL SET m.speakers = []",
)
