"""The formats by name: what each is written by, and whether it is a file or a folder of several."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from core_engine.exports import csv_tables, cypher_script, graphml, jsonl, neo4j_admin, parquet, turtle

Parts = Iterator[tuple[str, str]] | Iterator[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Format:
    """`parts(ledger, workspace)` gives pieces of files in order, each with its file's name ('' where there is one).

    Two equal graphs give equal pieces. Memory does not grow with the graph.
    """

    parts: Callable[[sqlite3.Connection, str], Parts]
    folder: bool = False


FORMATS: Mapping[str, Format] = {
    "jsonl": Format(lambda db, _: jsonl.parts(db)),
    "graphml": Format(lambda db, _: graphml.parts(db)),
    "csv": Format(lambda db, _: csv_tables.parts(db), folder=True),
    "parquet": Format(lambda db, _: parquet.parts(db), folder=True),
    "turtle": Format(lambda db, _: turtle.parts(db)),
    "cypher": Format(cypher_script.parts),
    "neo4j-admin": Format(neo4j_admin.parts, folder=True),
}
