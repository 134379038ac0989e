"""A Cypher script that makes the graph which our own Neo4j writer makes: its queries, with their rows as literals.

A statement a line, for cypher-shell, Neo4j's Browser, or a loop over lines. It may be run again: nothing doubles.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from core_engine.exports import rows
from core_engine.kg.stores import cypher
from core_engine.types import GraphChanges

_ROWS_A_STATEMENT = 200
_CHARACTERS_A_STATEMENT = 200_000
_ROWS = "$rows AS row"
_PARAMETER = re.compile(r"\$(rows|workspace)\b")
_ESCAPED = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_TO_ESCAPE = re.compile(r"[\\'\n\r\t\b\f]")


def parts(db: sqlite3.Connection, workspace: str) -> Iterator[tuple[str, str]]:
    for statement in _statements(db, workspace):
        yield "", statement


def _statements(db: sqlite3.Connection, workspace: str) -> Iterator[str]:
    for query in cypher.SCHEMA:
        yield f"{query};\n"
    for changes in _changes(db):
        for step in cypher.steps(changes):
            for some in _slices([literal(_values(row)) for row in step.rows]):
                literals = {"rows": f"[{', '.join(some)}]", "workspace": literal(workspace)}
                yield _filled_in(step.query, _unpacking(step.rows[0]), literals)


def _changes(db: sqlite3.Connection) -> Iterator[GraphChanges]:
    for documents in rows.documents(db):
        yield GraphChanges(documents=tuple(documents))
    for entities in rows.entities(db):
        yield GraphChanges(entities=tuple(entities))
    for chunks in rows.chunks(db):
        yield GraphChanges(chunks=tuple(chunks))
    for relationships in rows.relationships(db):
        yield GraphChanges(relationships=tuple(relationships))


def _slices(literals: Sequence[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for one in literals:
        if some and (len(some) == _ROWS_A_STATEMENT or size + len(one) > _CHARACTERS_A_STATEMENT):
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one)
    if some:
        yield some


def _filled_in(query: str, rows_of: str, literals: dict[str, str]) -> str:
    # Line breaks go first, and all parameters in one pass: what was filled in is not looked at again.
    one_line = " ".join(query.split()).replace(_ROWS, rows_of)
    return _PARAMETER.sub(lambda found: literals[found[1]], one_line) + ";\n"


# Neo4j takes 1 ms to plan a row as a list of its values, and 4 as a map of maps.


def _values(row: Any) -> Any:
    """A row's values as a flat list; what is no map stays."""
    if not isinstance(row, dict):
        return row
    return [one for held in row.values() for one in (held.values() if isinstance(held, dict) else [held])]


def _unpacking(row: Any) -> str:
    """The clause that makes rows of such lists: all rows of a query have the same names."""
    if not isinstance(row, dict):
        return _ROWS
    at = count()
    named = [
        f"{name}: {{{', '.join(f'{inner}: held[{next(at)}]' for inner in held)}}}"
        if isinstance(held, dict)
        else f"{name}: held[{next(at)}]"
        for name, held in row.items()
    ]
    return f"$rows AS held WITH {{{', '.join(named)}}} AS row"


def literal(value: Any) -> str:
    """The value in Cypher, on one line. Texts can't end their quotes: backslashes and quotes are escaped."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"'{_TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], value)}'" if value else "''"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(held)}" for name, held in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)
