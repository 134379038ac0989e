"""RDF in Turtle: nodes as urn:uuid, names as rdfs:label and skos:altLabel, and what else there is in words of our own.

A relationship is a triple, and, for its weight and dates, an rdf:Statement about that triple.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from core_engine.exports import rows
from core_engine.exports.fields import Kind, kinds
from core_engine.exports.text import paired
from core_engine.types import ChunkRow, DocumentRow, EntityRow, RelationshipRow

_PREFIXES = """\
@prefix kg: <urn:kg-batch:terms#> .
@prefix dcterms: <http://purl.org/dc/terms/> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .

"""
_TERMS = {  # where the world has a word for a field of ours
    "title": "dcterms:title",
    "path": "dcterms:source",
    "name": "rdfs:label",
    "aliases": "skos:altLabel",
    "document_id": "dcterms:isPartOf",
    "id": "",
    "labels": "",
}
_NODES = {"document_id", "next_id", "entity_id", "subject_id", "object_id"}
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_TO_ESCAPE = re.compile(r'[\\"\x00-\x1f\x7f]')
_LOCAL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def parts(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for text in _document(db):
        yield "", text


def _document(db: sqlite3.Connection) -> Iterator[str]:
    yield _PREFIXES
    for documents in rows.documents(db):
        yield from map(_about_document, documents)
    for entities in rows.entities(db):
        yield from map(_about_entity, entities)
    for chunks in rows.chunks(db):
        for chunk in chunks:
            yield from _about_chunk(chunk)
    for relationships in rows.relationships(db):
        yield from map(_about_relationship, relationships)


def _about_document(row: DocumentRow) -> str:
    return _resource(row.id, ["kg:Document"], _properties(row))


def _about_entity(row: EntityRow) -> str:
    return _resource(row.id, ["kg:Entity", *(_term(label) for label in row.labels)], _properties(row))


def _about_chunk(chunk: ChunkRow) -> Iterator[str]:
    mentions = [f"kg:mention [ {' ; '.join(_properties(mention))} ]" for mention in chunk.mentions]
    yield _resource(chunk.id, ["kg:Chunk"], [*_properties(chunk), *mentions])
    for said in chunk.statements:
        yield _resource(said.id, ["kg:Statement"], [*_properties(said), f"kg:chunk {_node(chunk.id)}"])


def _about_relationship(row: RelationshipRow) -> str:
    source, predicate, target = _node(row.source_id), _term(row.type), _node(row.target_id)
    about = [
        f"rdf:subject {source}",
        f"rdf:predicate {predicate}",
        f"rdf:object {target}",
        f"kg:weight {row.weight}",
        *(f"kg:{name} {_text(value)}" for name, value in (("first", row.first), ("last", row.last)) if value),
    ]
    return f"{source} {predicate} {target} .\n" + _resource(row.id, ["kg:Relationship", "rdf:Statement"], about)


def _resource(identity: str, types: Iterable[str], properties: Iterable[str]) -> str:
    return f"{_node(identity)} a {', '.join(types)} ;\n    " + " ;\n    ".join(properties) + " .\n"


def _properties(row: Any) -> list[str]:
    found = []
    for name, kind in kinds(type(row)).items():
        term = _TERMS.get(name, f"kg:{name.removesuffix('_id')}")
        objects = list(_objects(getattr(row, name), kind, node=name in _NODES)) if term else []
        if objects:
            found.append(f"{term} {', '.join(objects)}")
    return found


def _objects(value: Any, kind: Kind, *, node: bool) -> Iterator[str]:
    if value is None:
        return
    if kind is Kind.MAP:
        for key in sorted(value):
            yield f"[ rdfs:label {_text(key)} ; rdf:value {_text(value[key])} ]"
    elif kind is Kind.PAIRS:
        yield from (f'"{one}:{other}"' for one, other in value)
    elif kind is Kind.TEXTS:
        yield from map(_text, value)
    elif kind is Kind.WHOLES:
        yield from map(str, value)
    elif kind is Kind.NUMBER:
        if math.isfinite(value):
            yield f'"{value!r}"^^xsd:double'
    elif kind is Kind.WHOLE:
        yield str(value)
    elif kind is Kind.FLAG:
        yield "true" if value else "false"
    else:
        yield _node(value) if node else _text(value)


def _node(identity: str) -> str:
    return f"<urn:uuid:{identity}>"


def _term(name: str) -> str:
    """A term of ours; what is no plain name is written so that nothing in it can end the term."""
    return f"kg:{name}" if _LOCAL_NAME.fullmatch(name) else f"<urn:kg-batch:terms#{quote(paired(name), safe='')}>"


def _text(text: str) -> str:
    return '"' + _TO_ESCAPE.sub(lambda found: _ESCAPED.get(found[0]) or f"\\u{ord(found[0]):04X}", paired(text)) + '"'
