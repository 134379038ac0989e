"""kg export: what its files are called, that they are whole, and that equal graphs give equal ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from core_engine.exports.formats import FORMATS
from tests.kg import Kg, write_meetings

_G = "{http://graphml.graphdrawing.org/xmlns}"


def _rows(kg: Kg) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in kg("export").out.splitlines():
        row = json.loads(line)
        found.setdefault(row["kind"], []).append(row)
    return found


def test_json_lines_hold_what_the_graph_store_holds(made: Kg) -> None:
    rows, graph = _rows(made), made.graph()
    assert {row["id"] for row in rows["document"]} == {row["id"] for row in graph["documents"]}
    names = ("id", "name", "labels", "aliases", "weight")
    assert [{name: row[name] for name in names} for row in rows["entity"]] == graph["entities"]
    assert sorted(row["id"] for row in rows["relationship"]) == sorted(row["id"] for row in graph["relationships"])
    assert sum(len(row["mentions"]) for row in rows["chunk"]) == len(graph["mentions"])


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Kg:
    """The same meetings as `made` has, the other way round, and one after the other."""
    kg = Kg(tmp_path_factory.mktemp("other"))
    write_meetings(kg.folder / "meetings", 2, turns=20)
    for name in ("m1.txt", "m0.txt"):
        kg.process("meetings/" + name)
    return kg


@pytest.mark.parametrize("format_", FORMATS)
def test_two_equal_graphs_give_equal_files(made: Kg, other: Kg, format_: str) -> None:
    made("export", "--format", format_, "--out", "exported")
    other("export", "--format", format_, "--out", format_)
    first, second = made.folder / "exported", other.folder / format_
    if FORMATS[format_].folder:
        names = sorted(path.name for path in first.iterdir())
        assert names == sorted(path.name for path in second.iterdir())
        assert len(names) > 1
        for name in names:
            assert (first / name).read_bytes() == (second / name).read_bytes(), name
    else:
        assert first.read_bytes() == second.read_bytes()


def test_graphml_has_every_node_and_every_edge_between_nodes_that_are_there(made: Kg) -> None:
    made("export", "-f", "graphml", "-o", "graph.graphml")
    root = ET.parse(made.folder / "graph.graphml").getroot()
    keys = {key.get("id"): key for key in root.iter(_G + "key")}
    nodes = {node.get("id") for node in root.iter(_G + "node")}
    edges = list(root.iter(_G + "edge"))
    graph = made.graph()
    assert len(nodes) == sum(len(graph[kind]) for kind in ("documents", "entities", "chunks", "statements"))
    assert len({edge.get("id") for edge in edges}) == len(edges)
    assert {end for edge in edges for end in (edge.get("source"), edge.get("target"))} <= nodes
    assert {data.get("key") for data in root.iter(_G + "data")} <= keys.keys()
    kinds = {data.text for edge in edges for data in edge if data.get("key") == "e_label"}
    assert {"FROM_DOCUMENT", "NEXT_CHUNK", "FROM_CHUNK", "CO_OCCURS"} <= kinds


def test_csv_has_a_file_of_nodes_and_one_of_relationships(made: Kg) -> None:
    assert made("export", "--format", "csv").code == 1
    assert made("export", "--format", "csv", "--out", "tables").code == 0
    with (made.folder / "tables/nodes.csv").open(encoding="utf-8", newline="") as file:
        nodes = list(csv.DictReader(file))
    with (made.folder / "tables/relationships.csv").open(encoding="utf-8", newline="") as file:
        edges = list(csv.DictReader(file))
    assert {row["kind"] for row in nodes} == {"Document", "Entity", "Chunk"}
    assert {end for row in edges for end in (row["source"], row["target"])} <= {row["id"] for row in nodes}


def test_names_that_are_formulas_markup_or_escapes_are_text_and_nothing_else(kg: Kg) -> None:
    evil = ['=HYPERLINK("http://x")', "@SUM(A1)", "</node><x>&", "a\x00b\x0b\ufffe\r\nc", 'q"uote,']
    said = [{"speaker": name, "text": "The Falcon project of Northwind Mills is late."} for name in evil]
    (kg.folder / "talk.json").write_text(json.dumps(said), encoding="utf-8")
    kg.process("talk.json")
    lines = [json.loads(line) for line in kg("export").out.splitlines()]
    assert any(row["kind"] == "chunk" for row in lines)
    assert kg("export", "-f", "graphml", "-o", "g.graphml").code == 0
    texts = [data.text or "" for data in ET.parse(kg.folder / "g.graphml").getroot().iter(_G + "data")]
    assert any("</node><x>&" in text for text in texts)
    assert kg("export", "-f", "csv", "-o", "t").code == 0
    with (kg.folder / "t/nodes.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert any('HYPERLINK("http://x")' in cell for cell in cells)


def test_unpaired_surrogates_are_exported_as_replacement_characters(kg: Kg) -> None:
    said = [{"speaker": "Ann \ud800 Lee", "text": "The Falcon \udfff project is late."}]
    (kg.folder / "talk.json").write_text(json.dumps(said), encoding="utf-8")
    kg.process("talk.json")
    for format_ in ("jsonl", "graphml", "turtle", "cypher"):
        assert "Ann \ufffd Lee" in kg("export", "-f", format_).out


def test_a_file_that_cannot_be_written_is_said_and_leaves_nothing(made: Kg) -> None:
    (made.folder / "file").write_text("mine", encoding="utf-8")
    ran = made("export", "--out", "file/graph.jsonl")
    assert ran.code == 1
    assert "name a file that can be written" in ran.err
    made("export", "--out", "out/graph.jsonl")
    assert [path.name for path in (made.folder / "out").iterdir()] == ["graph.jsonl"]
    assert made("export", "--format", "xml").code == 1


def test_stdout_gets_the_same_bytes_as_a_file(made: Kg, tmp_path: Path) -> None:
    made("export", "--out", "graph.jsonl")
    done = made.started("export", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    out, err = done.communicate(timeout=60)
    assert err == ""
    assert out.encode() == (tmp_path / "graph.jsonl").read_bytes()
