"""kg report, kg runs, kg status."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from core_engine.ledger.lock import RunLock
from tests.kg import ROOT, Kg, write_meetings
from tests.openai_server.fixture import Server


def _kill_the_run(kg: Kg) -> str:
    """Make the last run look as one that was killed; its id."""
    db = kg.ledger()
    run = db.execute("SELECT id FROM run ORDER BY started_at DESC LIMIT 1").fetchone()[0]
    db.execute(
        "UPDATE run SET status = 'running', ended_at = NULL, exit_code = NULL, report = NULL WHERE id = ?", (run,)
    )
    db.close()
    return run


def test_the_report_shown_later_is_the_report_of_the_run(kg: Kg) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    report = kg.process("meetings")
    assert kg("report", "--json").report == report
    assert kg("report", report["run_id"][:18], "--json").report == report
    assert f"{report['run_id']}  process" in kg("report").out
    assert kg("report", "--markdown").out.startswith(f"# kg run {report['run_id']}")


def test_the_previous_report_can_be_asked_for(made: Kg) -> None:
    assert made("report", "previous").code == 1
    made.process("meetings")
    first, second = made("report", "previous", "--json").report, made("report", "last", "--json").report
    assert first["chunks"]["written"] == second["chunks"]["reused"] > 0


def test_a_run_that_nobody_knows_is_said_with_what_to_do(made: Kg) -> None:
    ran = made("report", "19990101")
    assert ran.code == 1
    assert "`kg runs` lists them" in ran.err


def test_a_killed_run_has_what_is_known_of_it_for_a_report(made: Kg) -> None:
    run = _kill_the_run(made)
    said = made("report", "--json").report
    assert (said["run_id"], said["status"], said["exit_code"]) == (run, "killed", None)
    assert "ended without a word" in made("report").out
    assert made("runs", "--json").report[0]["status"] == "killed"
    assert "killed" in made("status").out


def test_a_run_that_is_going_on_is_told_from_a_killed_one(made: Kg) -> None:
    run = _kill_the_run(made)
    with RunLock(made.folder / ".kg" / "default" / "lock"):
        assert made("report", "--json").report["status"] == "running"
        assert "still going on" in made("report").out
        status = made("status", "--json").report
        assert status["run"]["run_id"] == run
        assert status["lock"].startswith("pid ")
        assert "going on" in made("status").out
    assert made("status", "--json").report["run"] is None


def test_runs_are_listed_newest_first_and_no_more_than_asked_for(made: Kg) -> None:
    made.process("meetings")
    listed = made("runs", "--json").report
    assert [row["exit_code"] for row in listed] == [0, 0]
    assert [row["bought"] for row in listed] == [0, listed[1]["chunks"]]
    assert made("runs", "--limit", 1, "--json").report == listed[:1]
    lines = made("runs").out.splitlines()
    assert lines[0].split()[:3] == ["run", "command", "started"]
    assert [line.split()[0] for line in lines[1:]] == [row["run_id"] for row in listed]


def test_status_counts_what_the_workspace_holds(made: Kg) -> None:
    report = made("report", "--json").report
    said = made("status", "--json").report
    total = report["chunks"]["total"]
    assert said["documents"] == 2
    assert said["chunks"] == {"total": total, "answered": total, "open": 0, "dead": 0}
    assert [(one["kind"], one["chunks"]) for one in said["answers"]] == [("rules", total)]
    assert [(one["role"], one["pending"]) for one in said["stores"]] == [("graph", 0), ("vectors", 0)]
    assert (said["mixed"], said["run"], said["lock"]) == (False, None, None)


def test_a_store_that_missed_changes_is_told_how_many(made: Kg) -> None:
    write_meetings(made.folder / "meetings", 3, turns=20)
    made.process("meetings", "--vector-store", "none")
    behind = {one["role"]: one["pending"] for one in made("status", "--json").report["stores"]}
    assert behind["graph"] == 0
    assert behind["vectors"] > 0
    assert "changes behind" in made("status").out


def test_a_half_done_switch_is_reported_as_mixed(made: Kg, openai_server: Callable[..., Server]) -> None:
    server = openai_server()
    made.process("meetings", "--limit", 2, "--embedder", "bm25", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    said = made("status", "--json").report
    assert said["mixed"]
    assert sorted(one["kind"] for one in said["answers"]) == ["extract", "rules"]
    assert said["spent_usd"]["calls"] > 0
    assert "half done" in made("status").out


def test_what_was_spent_is_added_up_over_all_runs(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    model = {"OPENAI_BASE_URL": openai_server().url, "OPENAI_API_KEY": "x"}
    first = kg.process("meetings", **model)
    write_meetings(kg.folder / "meetings", 2, turns=8)
    second = kg.process("meetings", **model)
    spent = kg("status", "--json").report["spent_usd"]
    assert abs(spent["total"] - first["cost_usd"]["total"] - second["cost_usd"]["total"]) < 1e-7
    assert spent["total"] > 0
    assert [row["cost_usd"] for row in kg("runs", "--json").report] == [
        second["cost_usd"]["total"],
        first["cost_usd"]["total"],
    ]


def test_looking_works_while_a_run_goes_on_and_holds_nobody_up(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 2, turns=20)
    server = openai_server(latency=1.0)
    run = kg.started("process", "meetings", "--json", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    seen: list[dict[str, Any]] = []
    while run.poll() is None:
        ran = kg("status", "--json")
        if ran.code == 0 and ran.report["run"]:
            began = time.monotonic()
            seen.append(ran.report)
            assert kg("report").code == kg("runs").code == kg("dead-letters").code == 0
            assert time.monotonic() - began < 5
    out, err = run.communicate()
    assert run.returncode == 0, err
    assert seen[-1]["run"]["run_id"] == json.loads(out)["run_id"]
    assert seen[-1]["run"]["chunks_to_buy"] > 0


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pseudo-terminals")
def test_on_a_terminal_of_80_columns_each_run_stands_in_one_line(made: Kg) -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, "-c", "import kg_batch; kg_batch.main()", "runs"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm", "LANG": "C.UTF-8"}
    subprocess.run(command, cwd=made.folder, env=env, stdout=theirs, check=True)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # which is how Linux says that the other end is closed
        while piece := os.read(ours, 4096):
            said += piece
    os.close(ours)
    head, line = said.decode().strip().splitlines()
    assert "\x1b[1m" in head
    assert line.split()[0] == made("runs", "--json").report[0]["run_id"]
