"""`kg process` on input that is broken, hostile or odd, stopped and killed, and on secrets: nothing leaks or is lost."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kg import Kg, meeting, write_meetings

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals, links and modes are POSIX")


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def with_model(tmp_path, server):
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary-0123456789")


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "t").mkdir()
    return tmp_path / "t"


def adds_up(report: dict[str, Any]) -> bool:
    chunks = report["chunks"]
    return chunks["total"] == sum(chunks[name] for name in ("written", "reused", "dead", "pending"))


def unreadable(report: dict[str, Any]) -> dict[str, str]:
    return {Path(row["where"]).name: row["reason"] for row in report["unreadable"]}


# --- files that can't be read -----------------------------------------------------------------------------------------


@POSIX
def test_each_bad_file_is_named_with_its_reason_and_the_rest_is_processed(kg, folder):
    write_meetings(folder, 2, turns=10)
    (folder / "empty.txt").write_bytes(b"")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "broken.json").write_text('[{"speaker": "Ann", "text": "x"},\n {"speaker": ]', encoding="utf-8")
    packed = gzip.compress("\n".join(meeting(3)).encode())
    (folder / "cut.txt.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "wrong.txt").write_bytes("Ann: Hello there, Bob.\n".encode("utf-16-le"))
    (folder / "folder.txt").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to("..")
    (folder / "nowhere.txt").symlink_to("gone.txt")
    os.mkfifo(folder / "pipe.txt")
    ran = kg("process", "t", "--json")
    assert ran.code == 2
    report = ran.report
    told = unreadable(report)
    assert told.keys() >= {
        "empty.txt", "binary.txt", "broken.json:2:14", "cut.txt.gz", "loop", "t", "nowhere.txt", "pipe.txt"
    }  # fmt: skip
    assert report["documents"]["unreadable"] == len(told)
    assert "JSON" in told["broken.json:2:14"]
    assert "truncated gzip" in told["cut.txt.gz"]
    assert "symlink loop" in told["loop"]
    for name, reason in told.items():
        assert [line for line in ran.err.splitlines() if name in line and reason in line]
    assert report["documents"]["new"] in {2, 3}  # UTF-16 without a mark may be told, or named
    assert report["chunks"]["written"] == report["chunks"]["total"] > 0
    assert adds_up(report)
    again = kg.process("t", code=2)
    assert unreadable(again) == told
    assert again["chunks"]["reused"] == again["chunks"]["total"]


@POSIX
def test_a_file_without_permission_is_named(kg, folder):
    write_meetings(folder, 1, turns=10)
    (folder / "m1.txt").write_text("\n".join(meeting(1)), encoding="utf-8")
    (folder / "m1.txt").chmod(0)
    if os.access(folder / "m1.txt", os.R_OK):
        pytest.skip("this user may read everything")
    assert unreadable(kg.process("t", code=2)) == {"m1.txt": "permission denied"}


def test_a_line_of_50_mb_of_broken_json_is_named_with_its_place(kg, folder):
    write_meetings(folder, 1, turns=10)
    (folder / "long.json").write_text('[{"speaker": "Ann", "text": "' + "we go to Oslo " * 3_600_000, encoding="utf-8")
    told = unreadable(kg.process("t", code=2))
    assert len(told) == 1
    assert "JSON" in next(iter(told.values()))


def test_a_long_line_is_cut_into_chunks_like_any_other(kg, folder):
    (folder / "long.txt").write_text(
        " ".join(f"Ann Lee ships item {n} to Oslo." for n in range(60_000)), encoding="utf-8"
    )
    report = kg.process("t", "--vector-store", "none", "--graph-store", "none")
    assert report["chunks"]["written"] == report["chunks"]["total"] > 1_000


def test_a_file_that_vanishes_during_the_run_is_named_and_the_run_goes_on(with_model, server, folder):
    write_meetings(folder, 40, turns=20)
    server.configure(latency=0.2)
    run = with_model.started("process", "t", "--batch-size", 1, "--max-concurrent", 1, "--embedder", "none", "--json")
    _wait_until(lambda: server.books(log=False)["calls"] >= 2)
    server.configure(latency=0)
    gone = max(folder.iterdir())  # the queue holds the planner back long before this one
    taken_away = gone.read_text(encoding="utf-8")
    gone.unlink()
    out, err = run.communicate(timeout=120)
    report = json.loads(out)
    assert adds_up(report)
    if run.returncode == 0:  # it was read before it went
        assert report["documents"]["seen"] == 40
    else:
        assert run.returncode == 2, err
        assert "vanished" in unreadable(report)[gone.name]
    gone.write_text(taken_away, encoding="utf-8")
    again = with_model.process("t", "--embedder", "none")
    assert again["documents"]["seen"] == 40
    assert again["chunks"]["written"] + again["chunks"]["reused"] == again["chunks"]["total"]


# --- commands that can't be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["t", "--home", "file"], "--home"),
        (["t", "--output-dir", "file/x"], "--output-dir"),
        (["t", "--log-file", "file/x/y"], "--log-file"),
        (["t", "--log-file", "t"], "--log-file"),
        (["t", "--ontology", "file"], "file"),
        (["t", "--prices", "file"], "file"),
        (["t", "--embedding-model", "nobody-knows-it"], "--dimensions"),
        (["t/*.nothing"], "no file fits"),
        (["-w", "x"], "PATHS"),
    ],
)
def test_what_cannot_be_written_or_read_is_said_before_anything_is_spent(with_model, server, folder, words, told):
    write_meetings(folder, 1, turns=10)
    (with_model.folder / "file").write_text("[[", encoding="utf-8")
    ran = with_model("process", *words)
    assert ran.code == 1
    assert told in ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert server.books(log=False)["calls"] == 0
    ledger = with_model.folder / ".kg" / "default" / "ledger.sqlite3"
    if ledger.exists():
        db = with_model.ledger()
        counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("run", "call", "document")]
        db.close()
        assert counts == [(0,)] * 3


# --- text is text ----------------------------------------------------------------------------------------------------

HOSTILE = (
    "Bobby'; MATCH (n) DETACH DELETE n; //",
    "<script>alert('Oslo')</script>",
    "\x1b[31mRed Person\x1b[0m",
    "\x1b]0;Owned Title\x07",
    "Nul\x00Person",
    "<|endoftext|>",
    "\u202egnihtemoS",
)


def test_hostile_names_and_words_are_text_and_nothing_else(with_model, server, folder):
    turns = [
        {"speaker": name, "text": f"I am {name} and I work at Northwind Mills with {other} in Oslo, item {n}."}
        for n, (name, other) in enumerate(zip(HOSTILE, HOSTILE[1:] + HOSTILE[:1], strict=True))
    ]
    turns.append({"speaker": "Ann \ud800 Lee", "text": "An unpaired \udfff surrogate from Harbor Logistics."})
    (folder / "hostile.json").write_text(json.dumps(turns), encoding="utf-8")
    ran = with_model("process", "t")
    assert ran.code == 0, ran.err
    assert not _control(ran.out + ran.err)
    names = {row["name"] for row in with_model.graph()["entities"]}
    assert {"<script>alert('Oslo')</script>", "Bobby'; MATCH (n) DETACH DELETE n; //"} <= names
    assert "<|endoftext|>" in names
    ran = with_model("process", "t")
    assert "nothing was new" in ran.out
    [report] = sorted((with_model.folder / ".kg/default/runs").glob("*/report.md"))[-1:]
    assert not _control(report.read_text(encoding="utf-8"))


@POSIX
def test_hostile_file_names_are_text_and_nothing_else(kg, folder):
    for number, name in enumerate(("\x1b[31mred.txt", "two\nlines.txt", "<b>bold.txt", "n" * 250 + ".txt")):
        (folder / name).write_text("\n".join(meeting(number, 4)), encoding="utf-8")
        (folder / f"x{name[:200]}").write_bytes(b"")
    ran = kg("process", "t")
    assert ran.code == 2
    assert not _control(ran.out + ran.err)
    assert "lines.txt: empty file" not in ran.out.splitlines()
    report = kg.process("t", code=2)
    assert report["documents"]["seen"] == 4
    assert report["documents"]["unreadable"] == 4
    assert report["chunks"]["reused"] == report["chunks"]["total"]


# --- odd transcripts --------------------------------------------------------------------------------------------------


def test_ready_chunks_of_any_size_and_of_fillers_alone_come_out_whole(with_model, server, folder):
    rows = [
        {
            "meeting_id": "m",
            "seq": 0,
            "chunk_id": "large",
            "text": "Ann Lee: " + "We ship to Oslo and Bergen. " * 2_200,
        },
        {"meeting_id": "m", "seq": 1, "chunk_id": "fillers", "text": "Bob Marsh: um, uh, um."},
        {"meeting_id": "m", "seq": 2, "chunk_id": "\ud800odd", "text": "Carla Diaz: Northwind Mills is in Rotterdam."},
        {"meeting_id": "m", "seq": 3, "chunk_id": "han", "text": "王伟: " + "我们把货物运到鹿特丹和奥斯陆。" * 1_500},
    ]
    (folder / "ready.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = with_model.process("t")
    assert report["chunks"] == {"total": 4, "written": 4, "reused": 0, "dead": 0, "pending": 0, "bought": 4}
    assert with_model.process("t")["chunks"]["reused"] == 4


def test_a_transcript_of_one_turn_is_a_transcript(with_model, folder):
    (folder / "one.txt").write_text("Ann Lee: Northwind Mills ships to Rotterdam.\n", encoding="utf-8")
    (folder / "one.json").write_text('[{"speaker": "Bob Marsh", "text": "Meadow Bank agreed."}]', encoding="utf-8")
    report = with_model.process("t")
    assert report["documents"]["new"] == report["chunks"]["written"] == 2


# --- stdout, stderr --------------------------------------------------------------------------------------------------


def test_json_is_one_object_and_quiet_says_only_errors(kg, folder):
    write_meetings(folder, 1, turns=10)
    ran = kg("process", "t", "--json", "-q")
    assert ran.err == ""
    assert isinstance(json.loads(ran.out), dict)
    (folder / "empty.txt").write_bytes(b"")
    ran = kg("process", "t", "-q")
    assert [json.loads(line)["level"] for line in ran.err.splitlines()] == ["error"]
    assert not _control(ran.out + ran.err)


# --- stopped and killed -----------------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_says_how_far_it_came(with_model, server, folder, number):
    write_meetings(folder, 6)
    server.configure(latency=0.2)
    run = with_model.started("process", "t", "--batch-size", 2, "--max-concurrent", 2, "--embedder", "none")
    _wait_until(lambda: server.books(log=False)["calls"] >= 4)
    run.send_signal(number)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "chunks done" in err
    assert "left" in err
    assert "stopped by hand" in out
    books = server.books(log=False)
    assert books["aborted"] == books["in_flight"] == 0
    server.configure(latency=0)
    before = books["questions"]
    report = with_model.process("t", "--embedder", "none")
    assert report["chunks"]["pending"] == 0
    assert before + report["chunks"]["written"] == server.books(log=False)["questions"]


@POSIX
def test_ten_kills_cost_no_more_than_what_was_in_flight(with_model, server, folder, tmp_path_factory):
    chance = random.Random(7)
    write_meetings(folder, 30, turns=60)
    server.configure(latency=0.05)
    words = ("process", "t", "--batch-size", 5, "--max-concurrent", 4)
    lost = kills = 0
    for _ in range(10):
        at = server.books(log=False)["calls"] + chance.randint(1, 6)
        run = with_model.started(*words, "-q")
        _wait_until(lambda at=at, run=run: server.books(log=False)["calls"] >= at or run.poll() is not None)
        if run.poll() is None:
            kills += 1
            time.sleep(chance.random() * 0.05)  # the moment is what is being drawn, nothing is waited for
        run.kill()
        run.communicate()
        db = with_model.ledger()
        rows = db.execute("SELECT json_array_length(questions), stage FROM call WHERE status = 'sent'").fetchall()
        db.close()
        lost += sum(count for count, stage in rows if stage == "extract")
    assert kills >= 5
    server.configure(latency=0)
    report = with_model.process(*words[1:])
    assert report["chunks"]["pending"] == report["chunks"]["dead"] == 0
    total = report["chunks"]["total"]
    assert total >= 290
    bought = server.books(log=False)["by_model"]["gpt-5-mini"]["questions"]
    assert total <= bought <= total + lost
    elsewhere = tmp_path_factory.mktemp("undisturbed")
    write_meetings(elsewhere / "t", 30, turns=60)
    other = Kg(elsewhere, **with_model.env)
    other.process("t")
    assert with_model.graph() == other.graph()


# --- secrets ----------------------------------------------------------------------------------------------------------

CANARIES = {
    "OPENAI_API_KEY": "sk-canary-chat-8f2e",
    "KG_EMBEDDING_API_KEY": "sk-canary-embed-77aa",
    "NEO4J_PASSWORD": "canary-neo4j-19c3",
    "QDRANT_API_KEY": "canary-qdrant-5b5b",
}


@pytest.mark.parametrize("fault", ["", "http401", "reset_before"])
def test_no_secret_is_written_anywhere(kg, server, folder, fault):
    write_meetings(folder, 1, turns=10)
    with_password = server.url.replace("http://", "http://someone:canary-url-p%40ss@")
    env = {**CANARIES, "OPENAI_BASE_URL": with_password}
    if fault:
        server.configure(faults=[{"kind": fault}])
    else:
        server.configure(require_key=None)
    said = ""
    for words in (
        ("process", "t", "-v", "--retries", 0, "--json"),
        ("process", "t", "-v", "--retries", 0),
        ("config",),
    ):
        ran = kg(*words, **env)
        said += ran.out + ran.err
    # A wrong address is refused by name, with the password left out.
    said += kg("process", "t", **env | {"QDRANT_URL": "ftp://someone:canary-url-q/x@host"}).err
    files = {path: path.read_bytes() for path in (kg.folder / ".kg").rglob("*") if path.is_file()}
    for secret in (*CANARIES.values(), "canary"):
        assert secret not in said
        assert not [path for path, content in files.items() if secret.encode() in content]


@POSIX
def test_reports_logs_and_ledger_are_for_their_owner_alone(with_model, folder):
    write_meetings(folder, 1, turns=10)
    with_model.process("t")
    workspace = with_model.folder / ".kg" / "default"
    files = [*workspace.glob("ledger.sqlite3*"), *workspace.glob("graph.sqlite3*"), *workspace.glob("runs/*/*")]
    assert len(files) >= 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


# --- helpers ----------------------------------------------------------------------------------------------------------


def _control(text: str) -> str:
    """What a terminal would act on."""
    return "".join(c for c in text if not c.isprintable() and c != "\n")


def _wait_until(true, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
