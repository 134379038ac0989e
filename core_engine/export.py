"""The whole graph as files: streamed from the ledger, sorted, so that two equal graphs give equal files."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson

from core_engine.identity import digest
from core_engine.ledger import rows
from core_engine.ledger.values import CHUNK, DOCUMENT, ENTITY, RELATIONSHIP
from core_engine.types import ChunkRow, DocumentRow, EntityRow, RelationshipRow

_PAGE = 500

Row = DocumentRow | EntityRow | ChunkRow | RelationshipRow
Value = str | int | float | None


def _read(
    db: sqlite3.Connection, kind: int, page_of: Callable[[sqlite3.Connection, Sequence[bytes]], Mapping[bytes, Row]]
) -> Iterator[Row]:
    keys = rows.all_keys(db, kind)
    for at in range(0, len(keys), _PAGE):
        page = keys[at : at + _PAGE]
        found = page_of(db, page)
        yield from (found[key] for key in page if key in found)


def _documents(db: sqlite3.Connection) -> Iterator[Any]:
    return _read(db, DOCUMENT, rows.document_rows)


def _entities(db: sqlite3.Connection) -> Iterator[Any]:
    return _read(db, ENTITY, rows.entity_rows)


def _chunks(db: sqlite3.Connection) -> Iterator[Any]:
    return _read(db, CHUNK, rows.chunk_rows)


def _relationships(db: sqlite3.Connection) -> Iterator[Any]:
    return _read(db, RELATIONSHIP, rows.relationship_rows)


# --- JSON Lines -----------------------------------------------------------------------------------------------------


def jsonl(db: sqlite3.Connection) -> Iterator[str]:
    """A line a document, entity, chunk (with its mentions and statements) and relationship, each naming its `kind`."""
    for kind, read in (
        ("document", _documents),
        ("entity", _entities),
        ("chunk", _chunks),
        ("relationship", _relationships),
    ):
        for row in read(db):
            yield orjson.dumps({"kind": kind, **_paired(dataclasses.asdict(row))}).decode() + "\n"


def _paired(value: Any) -> Any:
    """The value with U+FFFD for unpaired surrogates, which neither UTF-8 nor JSON has a place for."""
    if isinstance(value, str):
        return value if value.isascii() else _UNPAIRED.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_paired(key): _paired(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_paired(item) for item in value]
    return value


_UNPAIRED = re.compile("[\ud800-\udfff]")

# --- nodes and edges, as GraphML and CSV have them -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """`kind`: Document, Entity, Chunk or Statement; `label`: the entity's type, else the kind."""

    id: str
    kind: str
    label: str
    values: Mapping[str, Value]


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    id: str
    source: str
    target: str
    type: str
    values: Mapping[str, Value]


NODE_FIELDS = (
    "name",
    "aliases",
    "weight",
    "path",
    "metadata",
    "document_id",
    "index",
    "text",
    "speakers",
    "start",
    "end",
    "turn",
    "predicate",
    "modality",
)
EDGE_FIELDS = ("weight", "first", "last", "name", "turns", "start", "end")
_TYPES = {"weight": "long", "index": "long", "turn": "long", "start": "double", "end": "double"}


def nodes(db: sqlite3.Connection) -> Iterator[Node]:
    """Documents, entities, chunks, and what states a relationship."""
    for row in _documents(db):
        metadata = orjson.dumps(_paired(dict(row.metadata)), option=orjson.OPT_SORT_KEYS).decode()
        yield Node(row.id, "Document", "Document", {"name": row.title, "path": row.path, "metadata": metadata})
    for row in _entities(db):
        yield Node(
            row.id,
            "Entity",
            ";".join(row.labels),
            {"name": row.name, "aliases": "; ".join(row.aliases), "weight": row.weight},
        )
    for row in _chunks(db):
        yield Node(
            row.id,
            "Chunk",
            "Chunk",
            {
                "document_id": row.document_id,
                "index": row.index,
                "text": row.text,
                "speakers": "; ".join(row.speakers),
                "start": row.start,
                "end": row.end,
            },
        )
        for said in row.statements:
            yield Node(
                said.id,
                "Statement",
                "Statement",
                {
                    "predicate": said.predicate,
                    "text": said.quote,
                    "speakers": said.speaker,
                    "turn": said.turn,
                    "start": said.start,
                    "end": said.end,
                    "modality": said.modality,
                },
            )


def edges(db: sqlite3.Connection) -> Iterator[Edge]:
    """What joins them, in the graph's own words: see docs/architecture.md."""
    for row in _chunks(db):
        yield _edge(row.id, row.document_id, "FROM_DOCUMENT")
        if row.next_id:
            yield _edge(row.id, row.next_id, "NEXT_CHUNK")
        for mention in row.mentions:
            turns = " ".join(map(str, mention.turns))
            values = {"name": mention.name, "turns": turns, "start": mention.start, "end": mention.end}
            yield _edge(mention.entity_id, row.id, "FROM_CHUNK", values)
        for said in row.statements:
            yield _edge(said.id, said.subject_id, "SUBJECT")
            yield _edge(said.id, said.object_id, "OBJECT")
            yield _edge(said.id, row.id, "FROM_CHUNK")
    for row in _relationships(db):
        values = {"weight": row.weight, "first": row.first, "last": row.last}
        yield Edge(row.id, row.source_id, row.target_id, row.type, values)


def _edge(source: str, target: str, kind: str, values: Mapping[str, Value] | None = None) -> Edge:
    return Edge(digest("edge", source, kind, target).hex(), source, target, kind, values or {})


# --- GraphML --------------------------------------------------------------------------------------------------------

# What XML 1.0 has no place for, not even escaped; and the carriage return, which a reader would make a line feed.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def graphml(db: sqlite3.Connection) -> Iterator[str]:
    """GraphML as networkx, Gephi and yEd read it."""
    yield "<?xml version='1.0' encoding='utf-8'?>\n"
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for of, names in (("node", ("kind", "label", *NODE_FIELDS)), ("edge", ("label", *EDGE_FIELDS))):
        for name in names:
            kind = _TYPES.get(name, "string")
            yield f'  <key id="{of[0]}_{name}" for="{of}" attr.name="{name}" attr.type="{kind}"/>\n'
    yield '  <graph edgedefault="directed">\n'
    for node in nodes(db):
        values = {"kind": node.kind, "label": node.label, **node.values}
        yield f"    <node id={quoteattr(node.id)}>{_data('n', values)}</node>\n"
    for edge in edges(db):
        ends = f"id={quoteattr(edge.id)} source={quoteattr(edge.source)} target={quoteattr(edge.target)}"
        yield f"    <edge {ends}>{_data('e', {'label': edge.type, **edge.values})}</edge>\n"
    yield "  </graph>\n</graphml>\n"


def _data(of: str, values: Mapping[str, Value]) -> str:
    return "".join(
        f'<data key="{of}_{name}">{_xml(value)}</data>' for name, value in values.items() if value not in (None, "")
    )


def _xml(value: Value) -> str:
    return escape(_NO_XML.sub("", str(value)), {"\r": "&#13;"})


# --- CSV ------------------------------------------------------------------------------------------------------------

CSV_NODES = ("id", "kind", "label", *NODE_FIELDS)
CSV_EDGES = ("id", "source", "target", "type", *EDGE_FIELDS)


def csv_nodes(db: sqlite3.Connection) -> Iterator[str]:
    return _csv(CSV_NODES, ({"id": n.id, "kind": n.kind, "label": n.label, **n.values} for n in nodes(db)))


def csv_edges(db: sqlite3.Connection) -> Iterator[str]:
    return _csv(
        CSV_EDGES,
        ({"id": e.id, "source": e.source, "target": e.target, "type": e.type, **e.values} for e in edges(db)),
    )


def _csv(columns: Sequence[str], lines: Iterable[Mapping[str, Value]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow([_defused(line.get(name)) for name in columns])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _defused(value: Value) -> Value:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection)."""
    if not isinstance(value, str):
        return value
    text = _paired(value.replace("\0", ""))
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else str(text)
