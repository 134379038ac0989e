"""A projector in a process of its own does what one in a thread does, and its end is not the run's."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from core_engine.errors import StoreError, Unreadable
from tests.kg import Kg, write_meetings
from tests.proxy import Proxy
from tests.scenes import TUNING, scenes

APART = {"KG_PROJECTOR": "process"}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="finds the process by /proc")


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 6)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-canary", **APART)


def test_the_graph_and_the_report_are_those_of_a_thread(kg):
    apart = kg.process("t")
    thread = kg.process("t", "-w", "thread", KG_PROJECTOR="thread")
    for name in ("chunks", "graph", "vectors", "warnings", "notes"):
        assert apart[name] == thread[name]
    assert apart["settings"]["graph_store"] == thread["settings"]["graph_store"]
    assert _ids(kg.graph()) == len(kg.graph("thread")["entities"])
    assert apart["machine"]["peak_rss_mb"] > thread["machine"]["peak_rss_mb"]  # two processes
    again = kg.process("t")
    assert again["chunks"]["reused"] == again["chunks"]["total"]
    assert not any(again["graph"][f"{kind}_new"] for kind in ("entities", "relationships"))


def _ids(graph: dict[str, list[Any]]) -> int:
    return len(graph["entities"])


def test_what_the_rules_say_of_a_corpus_reaches_the_report(tmp_path):
    (tmp_path / "low.txt").write_text("ann: we met bob at the bank of rotterdam yesterday\nbob: yes we did\n" * 60)
    kg = Kg(tmp_path, **APART)
    assert any("capitals" in warning for warning in kg.process("low.txt")["warnings"])


def test_its_log_is_the_runs_log(kg, tmp_path):
    kg.process("t")
    (tmp_path / ".kg" / "default" / "graph.sqlite3").unlink()
    report = kg.process("t")
    [log] = (tmp_path / ".kg" / "default" / "runs" / report["run_id"]).glob("run.log")
    assert any("does not hold" in note for note in report["notes"])
    for line in log.read_text().splitlines():
        json.loads(line)


def test_a_store_that_cannot_be_opened_is_refused_as_from_a_thread(kg):
    said = {}
    for mode in ("thread", "process"):
        ran = kg("process", "t", NEO4J_URI="bolt://127.0.0.1:9", NEO4J_PASSWORD="sk-canary", KG_PROJECTOR=mode)
        said[mode] = (ran.code, "NEO4J_URI" in ran.err or "127.0.0.1:9" in ran.err)
        assert "sk-canary" not in ran.out + ran.err
    assert said["thread"] == said["process"] == (5, True)


@LINUX
def test_when_its_process_dies_the_answers_are_kept_and_the_next_run_writes_them(kg, server):
    server.configure(latency=0.2)
    report = _run_whose_projector_is_killed(kg, server, at_call=4)
    [error] = report["store_errors"]
    assert "SIGKILL" in error
    assert "kg rebuild" in error
    assert report["chunks"]["pending"] == report["chunks"]["total"]
    calls = server.books(log=False)["chat_calls"]
    again = kg.process("t")
    assert again["chunks"]["reused"] == again["chunks"]["total"]
    assert server.books(log=False)["chat_calls"] == calls
    assert again["graph"]["entities"] > 0


@LINUX
def test_where_its_process_has_died_names_wait_for_the_next_run(tmp_path, openai_server):
    server = openai_server(gold=TUNING, latency=0.3)
    for scene in itertools.islice(scenes(TUNING), 6):
        scene.write(tmp_path / "t")
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x", KG_EMBEDDER="none", **APART)
    report = _run_whose_projector_is_killed(kg, server, at_call=2)
    assert "SIGKILL" in report["store_errors"][0]
    assert report["resolve"]["pairs_asked"] == 0
    assert report["status"] == "failed"
    server.configure(latency=0)
    again = kg.process("t")
    assert again["stages"].get("extract", {}).get("calls", 0) == 0
    assert again["resolve"]["pairs_asked"] > 0


@LINUX
def test_it_ends_with_the_run_that_was_killed(kg, server):
    server.configure(latency=0.2)
    run = kg.started("process", "t", "--batch-size", 1, "--max-concurrent", 2, "--json")
    _wait_until(lambda: server.books(log=False)["chat_calls"] >= 4)
    child = _projector_of(run.pid)
    run.kill()
    run.communicate()
    _wait_until(lambda: not _alive(child))
    server.configure(latency=0)
    report = kg.process("t")
    assert report["chunks"]["total"] == report["chunks"]["written"] + report["chunks"]["reused"]


@LINUX
def test_an_interrupt_from_the_terminal_reaches_both_and_harms_neither(kg, server):
    server.configure(latency=0.3)
    run = kg.started("process", "t", "--batch-size", 1, "--max-concurrent", 2, "--json")
    _wait_until(lambda: server.books(log=False)["chat_calls"] >= 4)
    for pid in (_projector_of(run.pid), run.pid):
        os.kill(pid, signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    report = json.loads(out)
    assert 0 < report["chunks"]["written"] < report["chunks"]["total"]
    assert report["store_errors"] == []


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_that_comes_while_its_process_is_starting_ends_the_run_in_words(kg, server, number):
    run = kg.started("process", "t", "--json")
    for pid in (_projector_of(run.pid), run.pid):  # it has begun to load Python, and not said anything yet
        os.kill(pid, number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "Traceback" not in err
    assert server.books(log=False)["calls"] == 0


@LINUX
@pytest.mark.parametrize("transport", ["REST", "gRPC"])
def test_a_store_that_hangs_is_let_go_at_the_second_ctrl_c_and_no_process_is_left(kg, server, qdrant_face, transport):
    where = urlsplit(qdrant_face.url)
    with Proxy(where.hostname, qdrant_face.grpc_port if transport == "gRPC" else where.port) as network:
        env = {"QDRANT_URL": f"http://127.0.0.1:{network.port}"}
        if transport == "gRPC":
            env = {**qdrant_face.grpc_env, "KG_QDRANT_GRPC_PORT": str(network.port)}
        run = kg.started("process", "t", "--json", **env)
        child = _projector_of(run.pid)
        _wait_until(lambda: server.books(log=False)["chat_calls"] >= 1)
        network.hold()
        _wait_until(lambda: network.held > 0)
        for said in ("stopping:", "stopping now"):  # two signals at once would be one
            for pid in (child, run.pid):
                os.kill(pid, signal.SIGINT)
            _wait_until(lambda said=said: said in _log(kg))
        began = time.monotonic()
        out, err = run.communicate(timeout=60)
        assert time.monotonic() - began < 15
    assert run.returncode == 130, err
    assert "Traceback" not in err
    assert json.loads(out)["store_errors"]
    assert not _alive(child)
    again = kg.process("t", QDRANT_URL=qdrant_face.url)
    assert again["vectors"]["points"] == again["chunks"]["total"]


@LINUX
def test_a_run_that_cannot_begin_leaves_no_process(kg):
    kg.process("t")
    with kg.ledger() as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON run BEGIN SELECT RAISE(ABORT, 'no room'); END")
    run = kg.started("process", "t", "--json")
    child = _projector_of(run.pid)
    _, err = run.communicate(timeout=60)
    assert run.returncode != 0, err
    assert not _alive(child)


def test_an_earlier_one_that_does_not_end_is_told(kg, tmp_path):
    from functools import partial

    from cli.sources import load
    from cli.wiring import projector_of
    from core_engine.apart import ProjectorApart
    from core_engine.errors import WorkspaceLocked
    from core_engine.ledger.ledger import Ledger
    from core_engine.ledger.lock import held

    settings = load({"home": str(tmp_path / ".kg"), "embedder": "none"}).settings
    lock = tmp_path / "lock"
    with Ledger(tmp_path / "ledger.sqlite3") as ledger, held(lock, 0):
        projector = ProjectorApart(ledger, partial(projector_of, settings, None), lock, before_s=0.1)
        with pytest.raises(WorkspaceLocked, match="try again"):
            projector.start()


def test_errors_travel_as_what_they_are_or_as_their_words():
    from core_engine.apart import _portable

    error = StoreError("away")
    assert _portable(error) is error
    assert str(_portable(Unreadable("a.txt", "gone"))).startswith("a.txt")


def _run_whose_projector_is_killed(kg: Kg, server: Any, *, at_call: int) -> Any:
    """Its report."""
    run = kg.started("process", "t", "--batch-size", 1, "--max-concurrent", 2, "--json")
    _wait_until(lambda: server.books(log=False)["chat_calls"] >= at_call)
    os.kill(_projector_of(run.pid), signal.SIGKILL)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 5, err
    return json.loads(out)


def _log(kg: Kg) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in kg.folder.glob(".kg/default/runs/*/run.log"))


def _projector_of(pid: int) -> int:
    _wait_until(lambda: bool(_children(pid)))
    return _children(pid)[0]


def _children(pid: int) -> list[int]:
    listed = " ".join(of.read_text() for of in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(one) for one in listed.split() if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_only_much_that_is_new_is_worth_a_process(kg, tmp_path):
    (tmp_path / "t" / "long.txt").write_text("".join(f"Ann: We met {n} people of Quill.\n" for n in range(40_000)))
    once = kg.process("t", "--limit", 20, KG_PROJECTOR="auto")
    again = kg.process("t", "--limit", 20, KG_PROJECTOR="auto")
    small = kg.process("t/m1.txt", "-w", "small", KG_PROJECTOR="auto")
    assert [report["machine"]["processes"] for report in (once, again, small)] == [2, 1, 1]
