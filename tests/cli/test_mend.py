"""kg dead-letters and kg rebuild."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

import pytest

from core_engine.ledger.lock import RunLock
from tests.kg import Kg, neo4j_graph, write_meetings
from tests.neo4j_server.server import Address
from tests.openai_server.faults import Fault
from tests.openai_server.fixture import Server
from tests.qdrant_face.fixture import RunningFace


@pytest.fixture
def with_a_dead_letter(kg: Kg, openai_server: Callable[..., Server]) -> Kg:
    write_meetings(kg.folder / "meetings", 1, turns=20)
    server = openai_server(faults=[Fault("prose", match="point 7,"), Fault("refusal", match="point 7,")])
    server.configure(faults=[Fault("refusal", match="point 7,")])
    report = kg.process("meetings", code=2, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    assert report["chunks"]["dead"] == 1
    return kg


# --- kg dead-letters -------------------------------------------------------------------------------------------------


def test_a_dead_letter_names_its_chunk_its_place_and_its_reason(with_a_dead_letter: Kg) -> None:
    kg = with_a_dead_letter
    (letter,) = kg("dead-letters", "--json").report
    reported = kg("report", "--json").report["dead_letters"][0]
    assert {name: letter[name] for name in reported} == reported
    assert letter["document"] == "m0.txt"
    assert letter["speaker"]
    assert letter["attempts"] >= 1
    assert letter["reply"] is None
    lines = kg("dead-letters").out.splitlines()
    assert lines[0].split()[:3] == ["chunk", "document", "index"]
    assert lines[1].split()[0] == letter["chunk"]
    assert kg("status", "--json").report["chunks"]["dead"] == 1


def test_the_reply_is_shown_as_it_came_but_printable(with_a_dead_letter: Kg) -> None:
    kg = with_a_dead_letter
    kg.ledger().execute("UPDATE call SET reply = ?", (b"first \x1b[31mline\nsecond \xff",))
    kg.ledger().execute("UPDATE question SET call = (SELECT max(no) FROM call) WHERE state = 3")
    assert kg("dead-letters", "--reply", "--json").report[0]["reply"] == "first \x1b[31mline\nsecond \ufffd"
    said = kg("dead-letters", "--reply").out
    assert "  | first \\x1b[31mline\n  | second" in said


def test_no_dead_letters_is_said(made: Kg) -> None:
    assert made("dead-letters").out == "no dead letters\n"
    assert made("dead-letters", "--json").report == []


def test_retry_clears_what_then_succeeds(with_a_dead_letter: Kg, openai_server: Callable[..., Server]) -> None:
    kg = with_a_dead_letter
    ran = kg("retry", "--json", OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")
    assert ran.code == 0, ran.err
    assert kg("dead-letters", "--json").report == []


@pytest.fixture
def with_two_reasons(kg: Kg, openai_server: Callable[..., Server]) -> tuple[Kg, Server]:
    """Some dead letters of a refusal and some of a wrong schema, on a server that has been mended since."""
    write_meetings(kg.folder / "meetings", 2, turns=40)
    faults = [Fault("refusal", match="point 7,"), Fault("wrong_schema", match="point 23,")]
    server = openai_server(faults=faults)
    kg = Kg(kg.folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    kg.process("meetings", "--batch-size", 3, code=2)
    assert {letter["reason"] for letter in kg("dead-letters", "--json").report} == {"refusal", "wrong_schema"}
    server.reset()
    return kg, server


def test_retry_of_one_reason_leaves_the_others_dead(with_two_reasons: tuple[Kg, Server]) -> None:
    kg, server = with_two_reasons
    letters = kg("dead-letters", "--json").report
    refused = [letter for letter in letters if letter["reason"] == "refusal"]
    ran = kg("retry", "--reason", "refusal", "--json")
    assert ran.report["chunks"]["written"] == len(refused) == server.books(log=False)["questions"]
    left = kg("dead-letters", "--json").report
    assert left == [letter for letter in letters if letter["reason"] != "refusal"]


def test_retry_of_one_chunk_asks_about_no_other(with_two_reasons: tuple[Kg, Server]) -> None:
    kg, server = with_two_reasons
    letters = kg("dead-letters", "--json").report
    chosen = letters[0]["chunk"]
    kg("retry", "--chunk", chosen, "--json")
    assert server.books(log=False)["questions"] == 1
    assert chosen not in {letter["chunk"] for letter in kg("dead-letters", "--json").report}
    assert len(kg("dead-letters", "--json").report) == len(letters) - 1


def test_retry_with_another_model_and_batch_size_asks_that_model_in_such_batches(
    with_two_reasons: tuple[Kg, Server],
) -> None:
    kg, server = with_two_reasons
    dead = len(kg("dead-letters", "--json").report)
    ran = kg("retry", "--model", "gpt-4o-mini", "--batch-size", 1, "--json")
    assert ran.code == 0, ran.err
    books = server.books(log=False)["by_model"]
    assert list(books) == ["gpt-4o-mini"]
    assert books["gpt-4o-mini"]["questions"] == dead > 1
    db = kg.ledger()
    assert {row[0] for row in db.execute("SELECT questions FROM call WHERE model = 'gpt-4o-mini'")} == {
        f"[{row[0]}]".encode()
        for row in db.execute("SELECT no FROM question WHERE spec = (SELECT max(spec) FROM question)")
    }
    db.close()
    assert kg("dead-letters", "--json").report == []


# --- kg rebuild ------------------------------------------------------------------------------------------------------


def _points(kg: Kg) -> int:
    return kg("report", "--json").report["vectors"]["points"]


def test_a_rebuilt_graph_is_the_graph_that_was_there(made: Kg) -> None:
    before, points = made.graph(), _points(made)
    report = made("rebuild", "--json").report
    assert (report["command"], report["exit_code"], report["cost_usd"]["total"]) == ("rebuild", 0, 0)
    assert report["graph"]["entities_new"] == len(before["entities"])
    assert report["vectors"]["new"] == report["vectors"]["points"] == points
    chunks = report["chunks"]
    assert chunks["total"] == chunks["reused"] > 0
    assert made.graph() == before
    assert made("runs", "--json").report[0]["command"] == "rebuild"
    again = made.process("meetings")
    assert (again["graph"]["units_written"], again["vectors"]["new"]) == (0, 0)


def test_what_the_ledger_does_not_have_is_gone_after_a_rebuild(made: Kg) -> None:
    before = made.graph()
    db = sqlite3.connect(made.folder / ".kg/default/graph.sqlite3")
    with db:
        db.execute("INSERT INTO entities VALUES (?, 'Nobody', '[\"Entity\"]', '[]', 9)", (b"x" * 16,))
        db.execute("DELETE FROM chunks WHERE rowid = (SELECT min(rowid) FROM chunks)")
    db.close()
    assert made.graph() != before
    assert made("rebuild").code == 0
    assert made.graph() == before


def test_damaged_and_missing_stores_are_mended(made: Kg) -> None:
    before = made.graph()
    folder = made.folder / ".kg/default"
    (folder / "graph.sqlite3").write_bytes(b"no database at all" * 1000)
    (folder / "vectors/bm25/points/edge_config.json").write_text("{", encoding="utf-8")
    ran = made("rebuild")
    assert ran.code == 0, ran.err
    assert made.graph() == before
    assert made("search", "Falcon", "--json").report["chunks"]


def test_only_the_stores_asked_for_are_touched(made: Kg) -> None:
    mark = made.folder / ".kg/default/vectors/bm25/mark.json"
    before = mark.read_text(encoding="utf-8")
    assert made("rebuild", "--vector-store", "none").code == 0
    assert mark.read_text(encoding="utf-8") == before


def test_a_rebuild_needs_no_key_for_vectors_that_were_paid_for(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    server = openai_server()
    report = kg.process("meetings", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    calls, graph = server.books(log=False)["calls"], kg.graph()
    rebuilt = kg("rebuild", "--json").report
    assert rebuilt["vectors"]["points"] == report["vectors"]["points"] > 0
    assert [folder.name[:12] for folder in (kg.folder / ".kg/default/vectors").iterdir()] == ["text-embeddi"]
    assert kg.graph() == graph
    assert server.books(log=False)["calls"] == calls


def test_a_rebuild_waits_for_no_run_that_holds_the_workspace(made: Kg) -> None:
    before = made.graph()
    with RunLock(made.folder / ".kg/default/lock"):
        assert made("rebuild").code == 4
    assert made.graph() == before


def test_a_store_that_cannot_be_reached_ends_with_5_and_loses_nothing(made: Kg) -> None:
    before = made.graph()
    ran = made("rebuild", "--graph-store", "none", QDRANT_URL="http://127.0.0.1:9")
    assert ran.code == 5
    assert "can't be reached" in ran.err
    assert made("runs", "--json").report[0]["command"] == "process"
    assert made.graph() == before


def test_points_that_the_ledger_once_knew_leave_a_server_at_a_rebuild(kg: Kg, qdrant_face: RunningFace) -> None:
    where = ("-w", "rebuilt", "--graph-store", "none")
    write_meetings(kg.folder / "meetings", 2, turns=20)
    everything = kg.process("meetings", *where, QDRANT_URL=qdrant_face.url)["vectors"]["points"]
    (kg.folder / "meetings/m1.txt").unlink()
    kg.process("meetings", *where, "--prune", "--vector-store", "none")
    report = kg("rebuild", *where, "--json", QDRANT_URL=qdrant_face.url).report
    left = kg("status", "-w", "rebuilt", "--json").report["chunks"]["total"]
    assert report["vectors"]["points"] == left < everything
    assert report["vectors"]["deleted"] == everything - left


@pytest.mark.neo4j
def test_nodes_that_are_not_the_ledgers_any_more_leave_neo4j_at_a_rebuild(made: Kg, neo4j_server: Address) -> None:
    env = neo4j_server.env
    name = "rebuild-test"

    made.process("meetings", "-w", name, "--vector-store", "none", **env)
    (made.folder / "meetings/m1.txt").unlink()
    made.process("meetings", "-w", name, "--prune", "--graph-store", "none", "--vector-store", "none")
    assert made("rebuild", "-w", name, "--vector-store", "none", "--json", **env).code == 0
    made.process("meetings", "-w", name, "--graph-store", "embedded", "--vector-store", "none")
    assert json.dumps(neo4j_graph(neo4j_server, name), sort_keys=True) == json.dumps(made.graph(name), sort_keys=True)


@pytest.mark.neo4j
def test_a_graph_goes_from_the_embedded_store_to_neo4j_and_back_and_stays_the_same(
    made: Kg, neo4j_server: Address
) -> None:
    name = "there-and-back"
    made.process("meetings", "-w", name)
    before = json.dumps(made.graph(name), sort_keys=True)
    there = made("rebuild", "-w", name, "--graph-store", "neo4j", "--json", **neo4j_server.env)
    assert there.code == 0, there.err
    assert json.dumps(neo4j_graph(neo4j_server, name), sort_keys=True) == before
    assert made("verify", "-w", name, "--graph-store", "neo4j", "--all", **neo4j_server.env).code == 0
    for path in (made.folder / ".kg" / name).glob("graph.sqlite3*"):
        path.unlink()
    back = made("rebuild", "-w", name, "--graph-store", "embedded", "--json")
    assert (back.code, back.report["calls"]["chat"], back.report["cost_usd"]["total"]) == (0, 0, 0)
    assert json.dumps(made.graph(name), sort_keys=True) == before
    assert made("verify", "-w", name, "--graph-store", "embedded", "--all").code == 0
