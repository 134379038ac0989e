"""kg from files to stores, four ways: offline or with a model's server, into the embedded stores or the real ones."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from core_engine.embeddings.bm25 import Bm25Encoder
from core_engine.embeddings.stores.edge import EdgeVectorStore
from core_engine.embeddings.stores.qdrant import QdrantVectorStore
from core_engine.types import SparseVector
from tests.kg import ROOT, Kg, meeting, neo4j_graph, write_meetings
from tests.neo4j_server.server import Address

SAMPLES = ROOT / "data" / "transcripts"
SIZE = 1536
KINDS = ("documents", "chunks", "entities", "relationships")


@pytest.fixture
def workspace() -> str:
    """A name that nobody else uses in the same Neo4j and Qdrant."""
    return f"e2e-{uuid.uuid4().hex[:10]}"


@dataclass
class Stores:
    """A Neo4j and a Qdrant as a user names them, and what they hold."""

    neo4j: Address
    face: Any

    @property
    def env(self) -> dict[str, str]:
        return {**self.neo4j_env, "QDRANT_URL": self.face.url}

    @property
    def neo4j_env(self) -> dict[str, str]:
        return self.neo4j.env

    def graph(self, workspace: str) -> dict[str, list[Any]]:
        return neo4j_graph(self.neo4j, workspace)

    def ask(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        with self.neo4j.driver() as driver:
            found = driver.execute_query(query, database_=self.neo4j.database, **parameters)  # type: ignore[arg-type]
            return [record.data() for record in found.records]

    def last_transaction(self) -> frozenset[str]:
        """A bookmark names the transaction that was committed last; what only reads makes none."""
        with self.neo4j.driver() as driver, driver.session(database=self.neo4j.database) as session:
            session.run("RETURN 1").consume()
            return frozenset(session.last_bookmarks().raw_values)

    def payloads(self, workspace: str, ids: list[str]) -> list[dict[str, Any]]:
        body = {"ids": ids, "with_payload": True}
        records = self.face.request("POST", f"/collections/kg_{workspace}/points", json=body)
        return sorted((record["payload"] for record in records), key=lambda payload: payload["id"])

    def forget(self, workspaces: set[str]) -> None:
        self.ask("MATCH (n:KgNode) WHERE n.workspace IN $names DETACH DELETE n", names=sorted(workspaces))


@pytest.fixture
def stores(neo4j_server: Address, qdrant_face: Any, workspace: str) -> Iterator[Stores]:
    stores = Stores(neo4j_server, qdrant_face)
    yield stores
    stores.forget({workspace, f"{workspace}-b"})


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def model(server) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test-canary"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three meetings as text, one with cues, one as JSON Lines."""
    folder = tmp_path / "t"
    write_meetings(folder, 3, turns=14)
    cues = [f"{n + 1}\n00:{n:02}:00.000 --> 00:{n:02}:40.500\n{line}\n" for n, line in enumerate(meeting(7, turns=12))]
    (folder / "cues.vtt").write_text("WEBVTT\n\n" + "\n".join(cues), encoding="utf-8")
    lines = [
        json.dumps({"chunk_id": f"c{n}", "meeting_id": f"m{n // 3}", "seq": n % 3, "text": line})
        for n, line in enumerate(meeting(8, turns=6))
    ]
    (folder / "ready.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def calls(server: Any) -> int:
    return server.books(log=False)["calls"]


def adds_up(report: dict[str, Any]) -> bool:
    chunks = report["chunks"]
    return chunks["total"] == sum(chunks[name] for name in ("written", "reused", "dead", "pending")) > 0


# --- the four ways ---------------------------------------------------------------------------------------------------


def test_offline_everything_lands_in_the_embedded_stores(tmp_path, corpus):
    kg = Kg(tmp_path)
    report = kg.process(corpus)
    assert adds_up(report)
    assert report["chunks"]["written"] == report["chunks"]["total"] == report["vectors"]["points"]
    assert report["calls"]["chat"] == report["calls"]["embedding"] == report["cost_usd"]["total"] == 0
    graph = kg.graph()
    assert {row["name"] for row in graph["entities"]} >= {"Ann Lee", "Northwind Mills", "Rotterdam"}
    assert len(graph["chunks"]) == report["chunks"]["total"]
    assert {row["path"] for row in graph["documents"]} >= {"m0.txt", "cues.vtt", "ready.jsonl#m0", "ready.jsonl#m1"}


def test_with_a_model_everything_lands_in_the_embedded_stores(tmp_path, corpus, model):
    kg = Kg(tmp_path, **model)
    report = kg.process(corpus)
    assert adds_up(report)
    assert report["chunks"]["written"] == report["chunks"]["total"] == report["vectors"]["points"]
    assert report["replies"]["valid"] == report["calls"]["chat"] - report["calls"]["failed"] > 0
    graph = kg.graph()
    assert graph["statements"]
    assert {row["speaker"] for row in graph["statements"]} >= {"Ann Lee", "Wei Chen"}
    assert any(row["start"] for row in graph["statements"])


@pytest.mark.neo4j
def test_neo4j_and_qdrant_hold_what_the_embedded_stores_hold(tmp_path, corpus, model, stores, workspace):
    near, far = Kg(_folder(tmp_path, "near"), **model), Kg(_folder(tmp_path, "far"), **model)
    at_home = near.process(corpus, "-w", workspace)
    report = far.process(corpus, "-w", workspace, **stores.env)
    assert adds_up(report)
    assert report["graph"] == at_home["graph"]
    assert report["vectors"] == at_home["vectors"]
    assert report["parts"]["graph_store"].startswith("neo4j bolt://")
    assert report["parts"]["vector_store"].startswith("qdrant http://")

    dump = near.graph(workspace)
    assert stores.graph(workspace) == dump
    ids = [row["id"] for row in dump["chunks"]]
    there = stores.payloads(workspace, ids)
    assert [(p["id"], p["text"], p["chunk_index"]) for p in there] == sorted(
        (row["id"], row["text"], row["index"]) for row in dump["chunks"]
    )
    assert _found_in_edge(near, workspace) == _found_in_qdrant(stores, workspace)


def test_qdrant_by_grpc_holds_what_it_holds_by_rest(tmp_path, corpus, model, server, qdrant_face, workspace):
    by_rest = Kg(_folder(tmp_path, "rest"), **model, QDRANT_URL=qdrant_face.url)
    # Nobody serves REST at this address.
    env = {**qdrant_face.grpc_env, "QDRANT_URL": f"http://127.0.0.1:{_closed_port()}"}
    by_grpc = Kg(_folder(tmp_path, "grpc"), **model, **env)
    other = f"{workspace}-b"
    assert by_rest.process(corpus, "-w", other)["vectors"] == by_grpc.process(corpus, "-w", workspace)["vectors"]
    assert _points(qdrant_face, workspace) == _points(qdrant_face, other)
    assert by_grpc("verify", "--all", "-w", workspace).code == 0

    bought = calls(server)
    again = by_grpc.process(corpus, "-w", workspace)
    assert "gRPC on port" in again["parts"]["vector_store"]
    assert calls(server) == bought
    assert again["vectors"]["points"] == again["chunks"]["reused"] == again["chunks"]["total"]
    # The other transport finds the same store, and nothing to write.
    rest = {"QDRANT_URL": qdrant_face.url, "KG_QDRANT_GRPC": "0"}
    qdrant_face.behave()
    by_grpc.process(corpus, "-w", workspace, **rest)
    for_nothing = qdrant_face.requests
    qdrant_face.behave()
    by_grpc.process(corpus, "-w", workspace)
    assert qdrant_face.requests == for_nothing

    search = ("search", "Falcon project Rotterdam", "-w", workspace, "--json")
    found = by_grpc(*search).report["chunks"]
    assert found
    assert found == by_grpc(*search, **rest).report["chunks"]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no sample transcripts beside the code")
@pytest.mark.neo4j
def test_the_samples_offline_are_the_same_graph_in_neo4j(tmp_path, stores, workspace):
    near, far = Kg(_folder(tmp_path, "near")), Kg(_folder(tmp_path, "far"))
    near.process(SAMPLES, "-w", workspace)
    report = far.process(SAMPLES, "-w", workspace, **stores.neo4j_env)
    assert adds_up(report)
    assert report["graph"]["entities"] > 20
    assert stores.graph(workspace) == near.graph(workspace)


def test_unpaired_surrogates_in_every_place_of_a_file_end_no_run(tmp_path):
    folder = _folder(tmp_path, "t")
    turns = [{"speaker": "A\ud800", "text": "Hello \ud83d Ann Lee", "start": 0, "end": 1}] * 2
    (folder / "a.json").write_text(json.dumps({"title": "\ud800", "segments": turns, "\udfff": "x"}), encoding="utf-8")
    (folder / "b.json").write_text(json.dumps({"\ud800": [1, 2]}), encoding="utf-8")
    lines = [json.dumps({"text": "Hello Ann Lee", "chunk_id": "\ud800", "meeting_id": "m\ud800"}), '{"\\ud800":']
    (folder / "c.jsonl").write_text("\n".join(lines), encoding="utf-8")
    report = Kg(tmp_path).process("t", code=2)
    assert adds_up(report)
    assert report["chunks"]["written"] == 2
    assert (report["documents"]["skipped"], report["documents"]["unreadable"]) == (1, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_names_of_files_that_are_no_unicode_end_no_run_wherever_the_report_is_printed(tmp_path):
    folder = _folder(tmp_path, "t")
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff\x1b[31m\xc3\xbc.txt")).write_text("", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(folder) + b"/good\xfe.txt")).write_text("Ann: Hello Bob.\n", encoding="utf-8")
    for encoding in ("utf-8", "ascii"):
        run = Kg(tmp_path).started("process", "t", PYTHONIOENCODING=encoding)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 2, err
        assert "unreadable: t/bad" in out
        assert "\x1b" not in out


# --- what a second run does ------------------------------------------------------------------------------------------


@pytest.fixture
def far(tmp_path, model, stores) -> Kg:
    """A kg with a model and the real stores."""
    return Kg(_folder(tmp_path, "far"), **model, **stores.env)


@pytest.mark.neo4j
def test_a_rerun_makes_no_call_and_no_transaction(far, corpus, server, stores, workspace):
    far.process(corpus, "-w", workspace)
    before, transaction = calls(server), stores.last_transaction()
    stores.face.behave()
    report = far.process(corpus, "-w", workspace)
    assert calls(server) == before
    assert stores.last_transaction() == transaction
    assert report["graph"]["units_written"] == report["graph"]["units_deleted"] == 0
    assert report["vectors"]["new"] == report["vectors"]["changed"] == 0
    assert report["chunks"]["reused"] == report["chunks"]["total"]
    assert far("process", corpus, "-w", workspace).out.count("nothing was new") == 1


@pytest.mark.neo4j
def test_an_edited_file_changes_just_what_differs(tmp_path, far, corpus, model, stores, workspace):
    first = far.process(corpus, "-w", workspace)
    before = stores.graph(workspace)
    lines = meeting(1, turns=14)
    lines[6] += " Zelda Quint of Ostrava Glass objected, and nobody answered her."
    (corpus / "m1.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = far.process(corpus, "-w", workspace)
    after = stores.graph(workspace)
    assert 1 <= report["chunks"]["total"] - report["chunks"]["reused"] <= 3
    assert 0 < report["graph"]["units_written"] < first["graph"]["units_written"] / 2
    assert {row["path"] for kind in KINDS[:1] for row in after[kind]} == {row["path"] for row in before["documents"]}
    others = {row["id"] for row in before["documents"] if row["path"] != "m1.txt"}
    assert [c for c in after["chunks"] if c["document_id"] in others] == [
        c for c in before["chunks"] if c["document_id"] in others
    ]
    fresh = Kg(_folder(tmp_path, "fresh"), **model)
    fresh.process(corpus, "-w", workspace)
    assert _without_ids_of_chunks(after) == _without_ids_of_chunks(fresh.graph(workspace))


@pytest.mark.neo4j
def test_a_pruned_document_takes_its_facts_along(tmp_path, far, corpus, stores, workspace):
    (corpus / "odd.txt").write_text("Zoe Quist: Vilnius Optics hired Ivo Brandt.\nIvo Brandt: Yes.\n", encoding="utf-8")
    far.process(corpus, "-w", workspace)
    with_it = stores.graph(workspace)
    (corpus / "odd.txt").unlink()
    report = far.process(corpus, "-w", workspace, "--prune")
    assert report["documents"]["removed"] == 1
    assert report["vectors"]["deleted"] == 1
    left = stores.graph(workspace)
    assert "Zoe Quist" in {row["name"] for row in with_it["entities"]} - {row["name"] for row in left["entities"]}
    assert len(left["documents"]) == len(with_it["documents"]) - 1
    gone = {row["id"] for row in with_it["chunks"]} - {row["id"] for row in left["chunks"]}
    assert len(gone) == 1
    assert stores.payloads(workspace, sorted(gone)) == []
    [rest] = stores.ask(
        "MATCH (n:KgNode {workspace: $w}) WHERE n.id IN $ids RETURN count(*) AS n", w=workspace, ids=[*gone]
    )
    assert rest == {"n": 0}


@pytest.mark.neo4j
def test_wiped_stores_are_noticed_and_made_whole_for_free(far, corpus, server, stores, workspace):
    far.process(corpus, "-w", workspace)
    whole, before = stores.graph(workspace), calls(server)
    stores.forget({workspace})
    collections = {a["collection_name"] for a in stores.face.request("GET", "/aliases")["aliases"]}
    for name in collections:
        if name.startswith(f"kg_{workspace}__"):
            stores.face.request("DELETE", f"/collections/{name}")
    report = far.process(corpus, "-w", workspace)
    assert calls(server) == before
    assert len([note for note in report["notes"] if "all of it is written" in note]) == 2
    assert stores.graph(workspace) == whole
    assert report["vectors"]["points"] == len(whole["chunks"])


@pytest.mark.skipif(importlib.util.find_spec("cli.mend") is None, reason="kg rebuild is not there yet")
@pytest.mark.neo4j
def test_rebuild_gives_the_same_graph_for_free(far, corpus, server, stores, workspace):
    far.process(corpus, "-w", workspace)
    whole, before = stores.graph(workspace), calls(server)
    stores.ask("MATCH (n:KgNode {workspace: $w}) WHERE n:Statement OR n:Entity DETACH DELETE n", w=workspace)
    rebuilt = far("rebuild", "-w", workspace)
    assert rebuilt.code == 0, rebuilt.err
    assert calls(server) == before
    assert stores.graph(workspace) == whole


# --- one Neo4j for several ------------------------------------------------------------------------------------------


@pytest.mark.neo4j
def test_two_workspaces_and_other_peoples_nodes_stay_apart(far, corpus, stores, workspace):
    other = f"{workspace}-b"
    mark = uuid.uuid4().hex
    stores.ask(
        "CREATE (:Entity:Person {id: $m, name: 'Ann Lee'})<-[:FROM_CHUNK]-(:Chunk {id: $m, text: 'theirs'})", m=mark
    )
    try:
        far.process(corpus, "-w", workspace)
        first = stores.graph(workspace)
        far.process(corpus / "m0.txt", "-w", other)
        assert stores.graph(workspace) == first
        assert len(stores.graph(other)["documents"]) == 1
        (corpus / "m0.txt").unlink()
        far.process(corpus, "-w", workspace, "--prune")
        assert len(stores.graph(other)["documents"]) == 1
        theirs = stores.ask("MATCH (n {id: $m}) RETURN labels(n) AS labels, properties(n) AS values", m=mark)
        assert sorted(sorted(row["labels"]) for row in theirs) == [["Chunk"], ["Entity", "Person"]]
        assert all(set(row["values"]) <= {"id", "name", "text"} for row in theirs)
    finally:
        stores.ask("MATCH (n {id: $m}) DETACH DELETE n", m=mark)


@pytest.mark.neo4j
def test_the_graph_has_the_shape_that_neo4j_graphrags_retrievers_read(far, corpus, stores, workspace):
    far.process(corpus, "-w", workspace)
    dump = stores.graph(workspace)
    paths = stores.ask(
        "MATCH (e:__Entity__:Entity {workspace: $w})-[:FROM_CHUNK]->(c:Chunk)-[:FROM_DOCUMENT]->(d:Document) "
        "WHERE e.name = 'Rotterdam' RETURN DISTINCT c.id AS chunk, c.text AS text, d.path AS path",
        w=workspace,
    )
    assert {row["path"] for row in paths} == {row["path"] for row in dump["documents"]}
    assert all("Rotterdam" in row["text"] for row in paths)
    [order] = stores.ask(
        "MATCH (d:Document {workspace: $w, path: 'm0.txt'})<-[:FROM_DOCUMENT]-(first:Chunk) "
        "WHERE NOT (first)<-[:NEXT_CHUNK]-() MATCH path = (first)-[:NEXT_CHUNK*0..]->(last:Chunk) "
        "WHERE NOT (last)-[:NEXT_CHUNK]->() RETURN [n IN nodes(path) | n.index] AS indexes",
        w=workspace,
    )
    assert order["indexes"] == list(range(len(order["indexes"])))
    assert len(order["indexes"]) > 1
    assert stores.ask(
        "MATCH (:Entity {workspace: $w})-[r]->(:Entity) WHERE r.weight > 0 RETURN count(r) > 0 AS ok", w=workspace
    ) == [{"ok": True}]
    # What QdrantNeo4jRetriever does: a point's payload holds the id by which the node is matched.
    [hit] = _found_in_qdrant(stores, workspace, limit=1)
    [payload] = stores.payloads(workspace, [hit])
    [node] = stores.ask("MATCH (node:Chunk) WHERE node.id = $id RETURN node.text AS text", id=payload["id"])
    assert node["text"] == payload["text"]


# --- stopped by hand --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_one_interrupt_finishes_what_is_in_flight_and_the_next_run_goes_on(tmp_path, corpus, model, server):
    server.configure(latency=0.3)
    kg = Kg(tmp_path, **model)
    run = kg.started("process", corpus, "--batch-size", 1, "--max-concurrent", 2, "--json")
    _wait_until(lambda: calls(server) >= 4)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    report = json.loads(out)
    assert adds_up(report)
    assert 0 < report["chunks"]["written"] < report["chunks"]["total"]
    assert report["cost_usd"]["unknown_calls"] == 0
    assert server.books(log=False)["aborted"] == 0
    server.configure(latency=0)
    before = server.books(log=False)["by_model"]["gpt-5-mini"]["questions"]
    again = kg.process(corpus)
    assert again["chunks"]["written"] + again["chunks"]["reused"] == again["chunks"]["total"]
    assert server.books(log=False)["by_model"]["gpt-5-mini"]["questions"] - before == again["chunks"]["written"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("stage", ["chat", "embeddings"])
def test_a_second_interrupt_stops_at_once_whatever_hangs(tmp_path, model, server, qdrant_face, stage):
    write_meetings(tmp_path / "t", 60)
    server.configure(faults=[{"kind": "hang", "stage": stage}])
    kg = Kg(tmp_path, **model, QDRANT_URL=qdrant_face.url)
    run = kg.started("process", "t", "--batch-size", 1, "--max-concurrent", 2, "--json")
    _wait_until(lambda: any(e["fault"] == "hang" for e in server.books()["log"]))
    run.send_signal(signal.SIGINT)
    _wait_until(lambda: "stopping" in _log_of(kg))
    qdrant_face.behave(fail_after=0, status=503)
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert run.returncode == 130, err
    report = json.loads(out)
    assert adds_up(report)
    assert report["cost_usd"]["unknown_calls"] >= 1
    assert "Traceback" not in err


# --- stores that are down, or die ------------------------------------------------------------------------------------


def test_a_neo4j_that_is_down_ends_the_run_at_once_and_nothing_is_spent(tmp_path, corpus, model, server):
    began = time.monotonic()
    ran = Kg(tmp_path, **model)("process", corpus, NEO4J_URI=f"bolt://127.0.0.1:{_closed_port()}")
    assert ran.code == 5
    assert time.monotonic() - began < 10
    assert "neo4j bolt://127.0.0.1" in ran.err
    assert "see that it runs" in ran.err
    assert calls(server) == 0


@pytest.mark.parametrize("words", [(), ("--qdrant-grpc",)])
def test_a_qdrant_that_is_down_ends_the_run_at_once_and_nothing_is_spent(tmp_path, corpus, model, server, words):
    began = time.monotonic()
    closed = str(_closed_port())
    env = {"QDRANT_URL": f"http://127.0.0.1:{closed}", "KG_QDRANT_GRPC_PORT": closed}
    ran = Kg(tmp_path, **model)("process", corpus, *words, **env)
    assert ran.code == 5
    assert time.monotonic() - began < 10
    assert "qdrant http://127.0.0.1" in ran.err
    assert "QDRANT_URL" in ran.err
    assert calls(server) == 0


def test_with_deferred_writes_stores_that_are_down_cost_no_night(
    tmp_path, corpus, model, server, qdrant_face, workspace
):
    kg = Kg(tmp_path, **model)
    down = {"NEO4J_URI": f"bolt://127.0.0.1:{_closed_port()}", "QDRANT_URL": f"http://127.0.0.1:{_closed_port()}"}
    report = kg.process(corpus, "-w", workspace, "--defer-writes", **down)
    assert adds_up(report)
    assert report["chunks"]["pending"] == report["chunks"]["total"]
    assert any("kg rebuild" in note for note in report["notes"])
    bought = calls(server)
    assert bought > 0
    again = kg.process(corpus, "-w", workspace, QDRANT_URL=qdrant_face.url)
    assert calls(server) == bought
    assert again["vectors"]["points"] == again["chunks"]["reused"] == again["chunks"]["total"]
    fresh = Kg(_folder(tmp_path, "fresh"), **model)
    fresh.process(corpus, "-w", workspace)
    assert kg.graph(workspace) == fresh.graph(workspace)


@pytest.mark.parametrize("transport", ["REST", "gRPC"])
def test_a_qdrant_that_fails_in_the_middle_costs_no_answer(
    tmp_path, corpus, model, server, qdrant_face, workspace, monkeypatch, transport
):
    monkeypatch.setattr("core_engine.projector._GIVE_UP_AFTER_S", 0.0)
    env = qdrant_face.grpc_env if transport == "gRPC" else {"QDRANT_URL": qdrant_face.url}
    qdrant_face.behave()
    Kg(_folder(tmp_path, "before"), **model).process(corpus, "-w", f"{workspace}-a", **env)
    needed = qdrant_face.requests
    qdrant_face.behave(fail_after=needed - 4, status=403)
    kg = Kg(_folder(tmp_path, "now"), **model)
    server.reset()
    report = kg.process(corpus, "-w", workspace, code=5, **env)
    assert adds_up(report)
    assert any("qdrant" in error and "rebuild" in error for error in report["store_errors"])
    assert report["chunks"]["pending"] == report["chunks"]["total"]
    assert len(kg.graph(workspace)["chunks"]) == report["chunks"]["total"]
    assert server.books(log=False)["by_model"]["gpt-5-mini"]["questions"] == report["chunks"]["total"]
    before = calls(server)
    qdrant_face.behave()
    again = kg.process(corpus, "-w", workspace, **env)
    assert calls(server) == before
    assert again["vectors"]["points"] == report["chunks"]["total"]


@pytest.mark.neo4j
def test_a_neo4j_that_dies_in_the_middle_costs_no_answer(
    tmp_path, corpus, model, server, stores, workspace, monkeypatch
):
    monkeypatch.setattr("core_engine.projector._GIVE_UP_AFTER_S", 0.0)
    monkeypatch.setattr("neo4j._conf.WorkspaceConfig.max_transaction_retry_time", 1.0)
    kg = Kg(tmp_path, **model)
    host, port = stores.neo4j.uri.removeprefix("bolt://").split(":")
    with Wire((host, int(port))) as wire:
        env = {**stores.neo4j_env, "NEO4J_URI": f"bolt://127.0.0.1:{wire.port}"}
        kg.process(corpus / "m0.txt", "-w", workspace, **env)
        small = stores.graph(workspace)
        wire.cut_after(server, calls(server) + 1)
        report = kg.process(corpus, "-w", workspace, code=5, **env)
    assert adds_up(report)
    assert any("can't be reached" in error for error in report["store_errors"])
    assert len(stores.graph(workspace)["documents"]) == len(small["documents"])
    before = calls(server)
    again = kg.process(corpus, "-w", workspace, **stores.neo4j_env)
    assert calls(server) == before
    assert again["chunks"]["reused"] == again["chunks"]["total"]
    fresh = Kg(_folder(tmp_path, "fresh"), **model)
    fresh.process(corpus, "-w", workspace)
    assert stores.graph(workspace) == fresh.graph(workspace)


# --- helpers ---------------------------------------------------------------------------------------------------------


class Wire:
    """A TCP line to a server, which can be cut: from then on nobody answers at its port."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut_after(self, server: Any, requests: int) -> None:
        """Cut as soon as the model's server has had so many requests."""

        def watch() -> None:
            while calls(server) < requests:
                time.sleep(0.01)
            self.cut()

        self._start(watch)

    def _start(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                self._start(self._copy, near, far)
                self._start(self._copy, far, near)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def _log_of(kg: Kg) -> str:
    logs = (kg.folder / ".kg" / "default" / "runs").glob("*/run.log")
    return "".join(log.read_text(encoding="utf-8") for log in logs)


def _wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _folder(base: Path, name: str) -> Path:
    (base / name).mkdir()
    return base / name


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _words() -> SparseVector:
    return Bm25Encoder().query("Falcon project Rotterdam week 7 Harbor Logistics")


def _points(face: Any, workspace: str) -> list[Any]:
    """All points of a workspace, with what differs between workspaces taken out."""
    body = {"limit": 10_000, "with_payload": True, "with_vector": True}
    points = face.request("POST", f"/collections/kg_{workspace}/points/scroll", json=body)["points"]
    own = {"id", "document_id", "workspace"}
    shown = [
        ({k: v for k, v in p["payload"].items() if k not in own}, p["vector"]) for p in points if "id" in p["payload"]
    ]
    return sorted(shown, key=lambda point: (point[0]["document"], point[0]["chunk_index"]))


def _found_in_edge(kg: Kg, workspace: str) -> list[str]:
    return _search(EdgeVectorStore(kg.folder / ".kg" / workspace / "vectors", SIZE, "text-embedding-3-small"), 5)


def _found_in_qdrant(stores: Stores, workspace: str, limit: int = 5) -> list[str]:
    name = f"kg_{workspace}"
    return _search(QdrantVectorStore(stores.face.url, None, name, SIZE, "text-embedding-3-small"), limit)


def _search(store: Any, limit: int) -> list[str]:
    async def search() -> list[str]:
        await store.open()
        try:
            return [hit.id for hit in await store.search(_words(), [0.5] * SIZE, limit)]
        finally:
            await store.close()

    return asyncio.run(search())


def _without_ids_of_chunks(dump: dict[str, list[Any]]) -> dict[str, Any]:
    """What the graph says, wherever an edit has moved the cuts between chunks."""
    names = {row["id"]: row["name"] for row in dump["entities"]}
    return {
        "entities": sorted((row["name"], row["labels"]) for row in dump["entities"]),
        "relationships": sorted(
            (names[row["source_id"]], row["type"], names[row["target_id"]]) for row in dump["relationships"]
        ),
    }
