"""kg search and kg export."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from cli.look import snippet
from core_engine.ledger.lock import RunLock
from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import Server
from tests.qdrant_face.fixture import RunningFace

_G = "{http://graphml.graphdrawing.org/xmlns}"


# --- kg search -------------------------------------------------------------------------------------------------------


def test_a_chunk_is_found_by_its_words_with_speaker_document_and_text(made: Kg) -> None:
    found = made("search", "week", "17", "--limit", 3, "--json").report
    best = found["chunks"][0]
    assert "week 17," in best["text"]
    assert best["document"].endswith(".txt")
    assert best["speakers"]
    assert len(found["chunks"]) == 3
    said = made("search", "week", "17").out
    assert f"1. {best['document']}, chunk {best['chunk_index'] + 1}" in said
    assert "week 17" in said


def test_entities_are_found_by_all_or_some_of_the_words(made: Kg) -> None:
    whole = made("search", "quill systems", "--json").report["entities"]
    assert whole[0]["entity"]["name"] == "Quill Systems"
    assert whole[0]["neighbours"]
    some = made("search", "who told Quill about Rotterdam", "--json").report["entities"]
    assert {"Quill Systems", "Rotterdam"} <= {one["entity"]["name"] for one in some}
    assert "- Quill Systems (" in made("search", "quill").out


def test_nothing_found_is_no_error(made: Kg) -> None:
    for words in (["zyzzyva"], ["''"], ["…"]):
        ran = made("search", *words)
        assert (ran.code, ran.out) == (0, "nothing found\n")


def test_a_search_makes_nothing_and_changes_nothing(made: Kg) -> None:
    before = made("status", "--json").report
    made("search", "Falcon")
    assert made("status", "--json").report == before
    ran = made("search", "Falcon", "--vector-store", "none", "--graph-store", "none")
    assert ran.code == 1


def test_stores_that_are_not_there_are_said_and_not_made(made: Kg) -> None:
    (made.folder / ".kg/default/graph.sqlite3").rename(made.folder / "elsewhere")
    ran = made("search", "Falcon")
    assert ran.code == 1
    assert "kg rebuild" in ran.err
    assert not (made.folder / ".kg/default/graph.sqlite3").exists()
    assert made("search", "Falcon", "--graph-store", "none").code == 0


def test_the_embedded_store_is_not_opened_beside_a_run(made: Kg) -> None:
    with RunLock(made.folder / ".kg" / "default" / "lock"):
        ran = made("search", "Falcon")
        assert ran.code == 5
        assert "a run has the embedded vector store open" in ran.err
        assert made("search", "Falcon", "--vector-store", "none").code == 0


def test_a_workspace_that_was_written_to_a_server_says_which_address_is_missing(
    kg: Kg, qdrant_face: RunningFace
) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    kg.process("meetings", "-w", "served", QDRANT_URL=qdrant_face.url)
    ran = kg("search", "Falcon", "-w", "served")
    assert ran.code == 1
    assert f"were last written to qdrant {qdrant_face.url}: set QDRANT_URL" in ran.err
    assert kg("search", "Falcon", "-w", "served", "--json", QDRANT_URL=qdrant_face.url).report["chunks"]


def test_vectors_of_a_model_are_searched_by_words_without_a_key(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    server = openai_server()
    kg.process("meetings", "--extractor", "rules", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    before = server.books(log=False)["calls"]
    assert kg("search", "Falcon", "--json").report["chunks"]
    assert server.books(log=False)["calls"] == before


def test_a_search_by_meaning_asks_once_and_is_accounted_for(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    server = openai_server()
    model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    kg.process("meetings", "--extractor", "rules", **model)
    before, spent = server.books(log=False)["calls"], kg("status", "--json").report["spent_usd"]
    first = kg("search", "ships", "--dense", "--json", **model).report
    assert first["chunks"]
    assert kg("search", "ships", "--dense", "--json", **model).report == first
    assert server.books(log=False)["calls"] == before + 1
    after = kg("status", "--json").report["spent_usd"]
    assert after["calls"] == spent["calls"] + 1
    assert after["total"] > spent["total"]
    assert len(kg("runs", "--json").report) == 1
    (vector,) = kg.ledger().execute("SELECT answer FROM question ORDER BY no DESC LIMIT 1").fetchone()
    assert len(struct.unpack(f"<{len(vector) // 4}f", vector)) == 1536


def test_a_search_by_meaning_says_what_it_lacks(made: Kg, openai_server: Callable[..., Server]) -> None:
    ran = made("search", "ships", "--dense")
    assert ran.code == 1
    assert "embedded by bm25" in ran.err
    server = openai_server(require_key="right")
    made.process(
        "meetings", "--extractor", "rules", "--embedder", "openai", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="right"
    )
    assert "set OPENAI_API_KEY" in made("search", "ships", "--dense").err
    wrong = made("search", "ships", "--dense", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-canary-0123456789abcdef")
    assert wrong.code == 5
    assert "canary" not in wrong.err


def test_a_snippet_stands_around_the_first_word_found() -> None:
    text = "before " * 40 + "the Falcon ships " + "after " * 60
    assert "Falcon ships" in snippet(text, "falcon")
    assert snippet(text, "falcon").startswith("… ")
    assert snippet("short", "nothing") == "short"


# --- kg export -------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("format_", ["jsonl", "graphml"])
def test_two_equal_graphs_give_equal_files(made: Kg, tmp_path_factory: pytest.TempPathFactory, format_: str) -> None:
    other = Kg(tmp_path_factory.mktemp("other"))
    write_meetings(other.folder / "meetings", 2, turns=20)
    for name in ("m1.txt", "m0.txt"):  # the other way round, one after the other
        other.process("meetings/" + name)
    made("export", "--format", format_, "--out", made.folder / "a")
    other("export", "--format", format_, "--out", made.folder / "b")
    assert (made.folder / "a").read_bytes() == (made.folder / "b").read_bytes()


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
    for format_ in ("jsonl", "graphml"):
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
