"""Each format, read back by a tool that it is for."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from collections import Counter
from typing import Any

import networkx as nx
import pandas as pd
import pyarrow.parquet as pq
import pytest
import rdflib
from hypothesis import given
from hypothesis import strategies as st
from rdflib.namespace import RDF, RDFS, SKOS

from core_engine.errors import SettingsError
from core_engine.exports import turtle
from core_engine.exports.formats import FORMATS
from tests.core_engine.exports.conftest import exported
from tests.kg import Kg

KG = rdflib.Namespace("urn:kg-batch:terms#")


@pytest.fixture(scope="session")
def graph(whole: Kg) -> dict[str, list[Any]]:
    """What the embedded store holds, which our own writer made."""
    return whole.graph()


def test_the_workspace_holds_all_that_a_graph_can_hold(graph: dict[str, list[Any]]) -> None:
    assert all(graph.values())
    assert any("DETACH DELETE" in row["name"] for row in graph["entities"])
    assert len({row["type"] for row in graph["relationships"]}) > 5


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_graph_gives_the_same_bytes(ledger: sqlite3.Connection, format_: str) -> None:
    assert exported(ledger, format_) == exported(ledger, format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_is_held_whole(ledger: sqlite3.Connection, format_: str) -> None:
    """What comes out comes in small pieces: none is made of the whole graph."""
    pieces, total, largest = 0, 0, 0
    for _, part in FORMATS[format_].parts(ledger, "default"):
        pieces, total, largest = pieces + 1, total + len(part), max(largest, len(part))
    assert pieces > 5
    assert largest < max(total / 2, 300_000)


def test_json_lines_give_each_row_as_it_is(ledger: sqlite3.Connection, graph: dict[str, list[Any]]) -> None:
    rows = [json.loads(line) for line in exported(ledger, "jsonl")[""].splitlines()]
    kinds = Counter(row["kind"] for row in rows)
    assert kinds == {
        "document": len(graph["documents"]),
        "entity": len(graph["entities"]),
        "chunk": len(graph["chunks"]),
        "relationship": len(graph["relationships"]),
    }
    chunks = [row for row in rows if row["kind"] == "chunk"]
    assert sum(len(row["statements"]) for row in chunks) == len(graph["statements"])
    assert sum(len(row["mentions"]) for row in chunks) == len(graph["mentions"])


def test_networkx_reads_graphml(ledger: sqlite3.Connection, graph: dict[str, list[Any]]) -> None:
    read = nx.read_graphml(io.BytesIO(exported(ledger, "graphml")[""]))
    kinds = Counter(kind for _, kind in read.nodes(data="kind"))
    assert kinds == {
        "Document": len(graph["documents"]),
        "Entity": len(graph["entities"]),
        "Chunk": len(graph["chunks"]),
        "Statement": len(graph["statements"]),
    }
    types = Counter(kind for _, _, kind in read.edges(data="label"))
    assert types["SUBJECT"] == types["OBJECT"] == len(graph["statements"])
    assert types["FROM_CHUNK"] == len(graph["mentions"]) + len(graph["statements"])
    between = {(row["source_id"], row["target_id"], row["type"]): row["weight"] for row in graph["relationships"]}
    for source, target, held in read.edges(data=True):
        if "weight" in held:
            assert between.pop((source, target, held["label"])) == held["weight"]
    assert between == {}
    wei = next(row for row in graph["entities"] if row["name"] == "Wei Chen")
    assert read.nodes[wei["id"]]["label"] == "Wei Chen"


def test_pandas_reads_csv(ledger: sqlite3.Connection, graph: dict[str, list[Any]]) -> None:
    files = exported(ledger, "csv")
    nodes = pd.read_csv(io.BytesIO(files["nodes.csv"]), low_memory=False)
    edges = pd.read_csv(io.BytesIO(files["relationships.csv"]), low_memory=False)
    assert set(edges["source"]) | set(edges["target"]) <= set(nodes["id"])
    assert (nodes["kind"] == "Entity").sum() == len(graph["entities"])
    weights = {row["id"]: row["weight"] for row in graph["relationships"]}
    stated = edges[edges["weight"].notna()]
    assert dict(zip(stated["id"], stated["weight"].astype(int), strict=True)) == weights


def test_no_cell_of_a_table_is_a_formula(ledger: sqlite3.Connection) -> None:
    for data in exported(ledger, "csv").values():
        cells = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False).to_numpy().ravel()
        assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))] == []


def test_pandas_and_pyarrow_read_parquet_with_its_types(
    ledger: sqlite3.Connection, graph: dict[str, list[Any]]
) -> None:
    files = {name: io.BytesIO(data) for name, data in exported(ledger, "parquet").items()}
    assert {name.removesuffix(".parquet") for name in files} == set(graph)
    tables = {name.removesuffix(".parquet"): pq.read_table(file) for name, file in files.items()}
    for kind, table in tables.items():
        assert table.num_rows == len(graph[kind]), kind
    assert str(tables["mentions"].schema.field("turns").type) == "list<element: int64>"
    assert str(tables["statements"].schema.field("start").type) == "double"
    entities = pd.read_parquet(files["entities.parquet"])
    assert {row["id"]: row["weight"] for row in graph["entities"]} == dict(
        zip(entities["id"], entities["weight"], strict=True)
    )
    documents = {row["id"]: row["metadata"] for row in graph["documents"]}
    assert {row["id"]: dict(row["metadata"]) for row in tables["documents"].to_pylist()} == documents


def test_without_pyarrow_parquet_says_what_to_install(
    ledger: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"kg-batch\[parquet\]"):
        exported(ledger, "parquet")


def test_rdflib_reads_turtle(ledger: sqlite3.Connection, graph: dict[str, list[Any]]) -> None:
    read = rdflib.Graph().parse(data=exported(ledger, "turtle")[""], format="turtle")

    def of_type(name: str) -> set[Any]:
        return set(read.subjects(RDF.type, KG[name]))

    assert {str(node) for node in of_type("Entity")} == {f"urn:uuid:{row['id']}" for row in graph["entities"]}
    for kind, name in (("documents", "Document"), ("chunks", "Chunk"), ("statements", "Statement")):
        assert len(of_type(name)) == len(graph[kind])
    assert len(set(read.objects(None, KG.mention))) == len(graph["mentions"])
    for row in graph["relationships"]:
        source, target = (rdflib.URIRef(f"urn:uuid:{row[end]}") for end in ("source_id", "target_id"))
        assert (source, KG[row["type"]], target) in read
    for row in graph["entities"]:
        node = rdflib.URIRef(f"urn:uuid:{row['id']}")
        # A NUL is the graph stores' to replace; RDF can carry it.
        assert str(read.value(node, RDFS.label)).replace("\0", "\ufffd") == row["name"]
        assert {str(alias).replace("\0", "\ufffd") for alias in read.objects(node, SKOS.altLabel)} == set(
            row["aliases"]
        )
    (first,) = (row for row in graph["statements"][:1])
    said = rdflib.URIRef(f"urn:uuid:{first['id']}")
    assert str(read.value(said, KG.quote)) == first["quote"]


@given(st.text(max_size=60))
def test_no_text_ends_its_quotes_in_turtle(text: str) -> None:
    data = f"<urn:a> <urn:b> {turtle._text(text)} ."
    (value,) = rdflib.Graph().parse(data=data.encode(), format="turtle").objects()
    assert str(value) == text


@given(st.text(min_size=1, max_size=30))
def test_no_type_ends_its_term_in_turtle(name: str) -> None:
    data = f"@prefix kg: <urn:kg-batch:terms#> . <urn:a> {turtle._term(name)} <urn:c> ."
    assert len(rdflib.Graph().parse(data=data.encode(), format="turtle")) == 1
