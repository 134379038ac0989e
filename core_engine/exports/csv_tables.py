"""Two tables for spreadsheets and pandas: nodes.csv and relationships.csv."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from core_engine.exports.flat import Value, edge_fields, edges, node_fields, nodes
from core_engine.exports.text import paired


def parts(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    columns = ("id", "kind", "type", "label", *node_fields())
    of_nodes = ({"id": n.id, "kind": n.kind, "type": n.type, "label": n.label, **n.values} for n in nodes(db))
    for line in _table(columns, of_nodes):
        yield "nodes.csv", line
    columns = ("id", "source", "target", "type", *edge_fields())
    of_edges = ({"id": e.id, "source": e.source, "target": e.target, "type": e.type, **e.values} for e in edges(db))
    for line in _table(columns, of_edges):
        yield "relationships.csv", line


# With which a spreadsheet begins a formula, in its own script or in East Asia's (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _table(columns: Sequence[str], lines: Iterable[Mapping[str, Value]]) -> Iterator[str]:
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
    """A text that a spreadsheet would run gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    text: str = paired(value.replace("\0", ""))
    return f"'{text}" if text.startswith(_FORMULA) else text
