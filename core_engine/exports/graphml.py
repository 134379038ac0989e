"""GraphML, as networkx, Gephi and yEd read it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

from core_engine.exports.fields import Kind
from core_engine.exports.flat import Value, edge_fields, edges, node_fields, nodes

_TYPES = {Kind.WHOLE: "long", Kind.NUMBER: "double", Kind.FLAG: "boolean"}
# What XML 1.0 has no place for, not even escaped.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parts(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for text in _document(db):
        yield "", text


def _document(db: sqlite3.Connection) -> Iterator[str]:
    yield "<?xml version='1.0' encoding='utf-8'?>\n"
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    yield from _keys("node", {"kind": Kind.TEXT, "type": Kind.TEXT, "label": Kind.TEXT} | node_fields())
    yield from _keys("edge", {"label": Kind.TEXT} | edge_fields())
    yield '  <graph edgedefault="directed">\n'
    for node in nodes(db):
        values = {"kind": node.kind, "type": node.type, "label": node.label, **node.values}
        yield f"    <node id={quoteattr(node.id)}>{_data('n', values)}</node>\n"
    for edge in edges(db):
        ends = f"id={quoteattr(edge.id)} source={quoteattr(edge.source)} target={quoteattr(edge.target)}"
        yield f"    <edge {ends}>{_data('e', {'label': edge.type, **edge.values})}</edge>\n"
    yield "  </graph>\n</graphml>\n"


def _keys(of: str, fields: Mapping[str, Kind]) -> Iterator[str]:
    for name, kind in fields.items():
        held = _TYPES.get(kind, "string")
        yield f'  <key id="{of[0]}_{name}" for="{of}" attr.name="{name}" attr.type="{held}"/>\n'


def _data(of: str, values: Mapping[str, Value]) -> str:
    return "".join(
        f'<data key="{of}_{name}">{_xml(value)}</data>' for name, value in values.items() if value not in (None, "")
    )


def _xml(value: Value) -> str:
    # The carriage return is escaped, or a reader would make a line feed of it.
    return escape(_NO_XML.sub("", str(value)), {"\r": "&#13;"})
