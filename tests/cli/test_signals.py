"""Ctrl-C and SIGTERM in every stage of a run: nothing that was answered is lost, and nobody waits longer than asked for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from core_engine.ledger.lock import RunLock
from tests.kg import ROOT, Kg, wait_until, write_meetings
from tests.proxy import Proxy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary-0123456789")


def ended(run: subprocess.Popen[str], within_s: float = 20) -> dict[str, Any]:
    """The report of a run that was asked to stop, and did so in time."""
    began = time.monotonic()
    out, err = run.communicate(timeout=60)
    assert time.monotonic() - began < within_s
    assert run.returncode == 130, err
    assert "Traceback" not in err
    report = json.loads(out)
    chunks = report["chunks"]
    assert chunks["total"] == sum(chunks[name] for name in ("written", "reused", "dead", "pending"))
    assert report["status"] == "stopped"
    assert "left" in report["ended"]
    return report


@BOTH
def test_who_waits_for_the_rate_limit_is_not_waited_for(kg, server, tmp_path, number):
    write_meetings(tmp_path / "t", 4)
    run = kg.started("process", "t", "--batch-size", 2, "--rpm", 4, "--tpm", 1_000_000, "--embedder", "none", "--json")
    wait_until(lambda: server.books(log=False)["calls"] >= 1)
    run.send_signal(number)
    report = ended(run)  # at 4 requests a minute, the next one would have to wait for 15 s and the last for minutes
    books = server.books(log=False)
    assert books["calls"] <= 3
    assert books["aborted"] == report["cost_usd"]["unknown_calls"] == 0
    assert report["chunks"]["pending"] > 0
    again = kg.process("t", "--embedder", "none")
    assert again["chunks"]["pending"] == 0
    assert server.books(log=False)["questions"] == books["questions"] + again["chunks"]["written"]


@BOTH
def test_what_is_in_flight_when_the_grace_is_over_is_named_with_its_price(kg, server, tmp_path, number):
    write_meetings(tmp_path / "t", 4)
    server.configure(faults=[{"kind": "hang", "stage": "chat"}])
    run = kg.started("process", "t", "--embedder", "none", "--grace", 0.5, "--json")
    wait_until(lambda: server.books(log=False)["in_flight"] >= 1)
    run.send_signal(number)
    report = ended(run)
    assert report["cost_usd"]["unknown_calls"] >= 1
    assert report["cost_usd"]["unknown_at_most"] > 0


@BOTH
def test_a_planner_that_hangs_on_standard_input_is_let_go(kg, number):
    command = [sys.executable, "-c", "import kg_batch; kg_batch.main()", "process", "-", "--embedder", "none", "--json"]
    reading, writing = os.pipe()
    env = {**os.environ, **kg.env, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(
        command, cwd=kg.folder, env=env, stdin=reading, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: any(kg.folder.glob(".kg/default/runs/*/run.log")))
        wait_until(lambda: "process default" in _log(kg))
        run.send_signal(number)
        assert ended(run)["chunks"]["total"] == 0
    finally:
        os.close(reading)
        os.close(writing)


@BOTH
def test_a_rebuild_that_is_stopped_ends_soon_and_the_next_one_writes_it_all(kg, qdrant_face, tmp_path, number):
    write_meetings(tmp_path / "t", 4)
    env = {"QDRANT_URL": qdrant_face.url}
    points = kg.process("t", **env)["vectors"]["points"]
    graph = kg.graph()
    where = urlsplit(qdrant_face.url)
    with Proxy(where.hostname, where.port) as network:
        run = kg.started("rebuild", "--json", QDRANT_URL=f"http://127.0.0.1:{network.port}")
        wait_until(lambda: network.sent > 20_000)  # it is opened, and points are being written
        network.hold()
        wait_until(lambda: network.held > 0)
        run.send_signal(number)
        began = time.monotonic()
        out, err = run.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert run.returncode == 130, err
    assert "Traceback" not in err
    report = json.loads(out)
    assert report["status"] == "stopped"
    assert "kg rebuild" in report["ended"]
    again = json.loads(kg("rebuild", "--json", **env).out)
    assert again["exit_code"] == 0
    assert again["vectors"]["points"] == points
    assert kg.graph() == graph
    assert kg("verify", **env).code == 0


@BOTH
def test_a_retry_that_is_stopped_keeps_what_was_answered(kg, server, tmp_path, number):
    write_meetings(tmp_path / "t", 4)
    server.configure(faults=[{"kind": "refusal", "stage": "chat", "match": "point", "per": "chunk"}])
    words = ("--batch-size", 1, "--max-concurrent", 2)
    write_meetings(tmp_path / "good", 1)
    dead = kg("process", "t", *words, "--embedder", "none", "--json").report["chunks"]["dead"]
    assert dead > 10
    server.reset(latency=0.3)
    run = kg.started("retry", *words, "--json")
    wait_until(lambda: server.books(log=False)["calls"] >= 4)
    run.send_signal(number)
    report = ended(run)
    asked = server.books(log=False)["questions"]
    assert 0 < report["chunks"]["written"] < dead
    server.configure(latency=0)
    again = kg.process("t", "--embedder", "none")
    assert again["chunks"]["pending"] == again["chunks"]["dead"] == 0
    assert server.books(log=False)["questions"] == dead
    assert asked == report["chunks"]["written"]


def test_stores_that_are_being_written_are_left_whole_and_the_next_run_ends_them(kg, server, qdrant_face, tmp_path):
    write_meetings(tmp_path / "t", 4)
    env = {"QDRANT_URL": qdrant_face.url}
    server.configure(latency=0.5)  # nothing is written before the store fails
    run = kg.started("process", "t", "--grace", 3, "--json", **env)
    wait_until(lambda: "process default" in _log(kg))
    qdrant_face.behave(fail_after=0, status=503)  # the projector will be patient with it
    server.configure(latency=0)
    wait_until(lambda: _answered(kg) >= 20)
    run.send_signal(signal.SIGINT)
    report = ended(run)
    assert report["store_errors"]
    assert report["chunks"]["pending"] > 0
    qdrant_face.behave()
    again = kg.process("t", **env)
    assert again["vectors"]["points"] == again["chunks"]["total"]
    # Each chunk's extraction and embedding, once in the two runs together.
    assert server.books(log=False)["questions"] == 2 * again["chunks"]["total"]
    undisturbed = Kg(tmp_path / "undisturbed", **kg.env)
    write_meetings(undisturbed.folder / "t", 4)
    undisturbed.process("t")
    assert kg.graph() == undisturbed.graph()


@BOTH
def test_a_store_that_does_not_answer_when_it_is_opened_is_let_go(kg, server, tmp_path, number):
    write_meetings(tmp_path / "t", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes the connection, and never says a word
        run = kg.started("process", "t", NEO4J_URI=f"bolt://127.0.0.1:{listener.getsockname()[1]}")
        connection, _ = listener.accept()
        run.send_signal(number)
        began = time.monotonic()
        _, err = run.communicate(timeout=60)
        connection.close()
    assert time.monotonic() - began < 15
    assert run.returncode == 130, err
    assert "stopped" in err
    assert "Traceback" not in err
    assert server.books(log=False)["calls"] == 0


_WHILE = """
import os, sys
import kg_batch

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Finder())
kg_batch.main()
"""


def _ran(kg: Kg, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    env = {**os.environ, **kg.env, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=kg.folder, env=env, capture_output=True, text=True, check=False)


@BOTH
@pytest.mark.parametrize("module", ["cli.app", "typer", "cli.process", "metrics.prices"])
def test_a_signal_while_python_loads_the_command_ends_it_in_words_before_anything_is_begun(
    kg, tmp_path, number, module
):
    write_meetings(tmp_path / "t", 1)
    ran = _ran(kg, _WHILE.format(module=module, number=int(number)), "process", "t")
    assert ran.returncode == 130
    assert ran.stderr.startswith("kg: stopped by hand before")
    assert not ran.stdout
    assert not any((kg.folder / ".kg").rglob("ledger.sqlite3"))


@BOTH
def test_a_signal_when_all_is_done_changes_nothing(kg, tmp_path, number):
    write_meetings(tmp_path / "t", 1)
    once_more = f"import atexit, os, signal; atexit.register(lambda: os.kill(os.getpid(), {int(number)}))"
    ran = _ran(kg, f"{once_more}; import kg_batch; kg_batch.main()", "process", "t", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["status"] == "done"


@BOTH
def test_a_command_that_only_looks_is_ended_in_words_too(kg, tmp_path, number):
    write_meetings(tmp_path / "t", 1)
    kg.process("t", "--no-model")
    ran = _ran(kg, _WHILE.format(module="qdrant_edge", number=int(number)), "search", "Falcon")
    assert ran.returncode == 130
    assert "stopped by hand" in ran.stderr
    assert "Traceback" not in ran.stderr


@BOTH
def test_who_waits_for_another_run_stops_waiting(kg, tmp_path, number):
    write_meetings(tmp_path / "t", 1)
    with RunLock(tmp_path / ".kg" / "default" / "lock"):
        run = kg.started("process", "t", "--wait")
        assert run.stderr
        assert f"pid {os.getpid()}" in run.stderr.readline()
        run.send_signal(number)
        _, err = run.communicate(timeout=20)
    assert run.returncode == 130
    assert "nothing was sent" in err


def _answered(kg: Kg) -> int:
    db = kg.ledger()
    try:
        return db.execute("SELECT count(*) FROM question WHERE state = 2").fetchone()[0]
    finally:
        db.close()


def _log(kg: Kg) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in kg.folder.glob(".kg/default/runs/*/run.log"))
