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


# --- runs beside each other ------------------------------------------------------------------------------------------


@pytest.fixture
def two(kg: Kg, openai_server: Callable[..., Server]) -> Kg:
    """Two runs of a model, over as many meetings each, the second with single chunks."""
    kg.env |= {"OPENAI_BASE_URL": openai_server().url, "OPENAI_API_KEY": "x"}
    write_meetings(kg.folder / "one", 3)
    kg.process("one", "--batch-size", 4)
    for path in write_meetings(kg.folder / "two", 6)[:3]:
        path.unlink()
    kg.process("two", "--batch-size", 1)
    return kg


def test_the_later_of_two_runs_is_compared_with_the_earlier_in_whatever_order(two: Kg) -> None:
    said = two("report", "--compare", "last", "previous", "--json").report
    assert said == two("report", "--compare", "previous", "last", "--json").report
    assert said == two("report", "--compare", "--json").report
    assert said == two("report", "--compare", "previous", "--format", "json").report
    assert said == two("report", "--compare", "last", "--json").report
    assert said["before"] < said["after"]
    tokens = said["measures"]["tokens_per_chunk"]
    assert tokens["verdict"] == "worse"
    assert tokens["after"] > tokens["before"]
    assert any(line.startswith("cost per chunk +") and "--batch-size (4 → 1)" in line for line in said["worse"])
    shown = two("report", "--compare").out
    assert f"worse: {said['worse'][0]}" in shown


def test_a_run_is_not_compared_with_itself_nor_with_one_that_has_no_report(two: Kg) -> None:
    ran = two("report", "--compare", "last", "last")
    assert ran.code == 1
    assert "is one run" in ran.err
    _kill_the_run(two)
    ran = two("report", "--compare")
    assert ran.code == 1
    assert "has no report to compare" in ran.err


def test_the_last_runs_stand_in_a_row(two: Kg) -> None:
    two.process("two", "--batch-size", 1)  # buys nothing: it tells nothing
    said = two("report", "--trend", "--json").report
    assert [row["chunks"] for row in said["runs"]] == [
        row["bought"] for row in reversed(two("runs", "--json").report) if row["bought"]
    ]
    assert said["drift"] == []
    assert two("report", "--trend").out.splitlines()[-1] == "nothing drifts"
    assert len(two("report", "--trend", "-n", 2, "--json").report["runs"]) == 2


def test_a_script_is_told_by_exit_code_2_what_is_wrong(two: Kg) -> None:
    fine = two("report", "--fail-if", "error_rate>2%", "--fail-if", "cost>5")
    assert fine.code == 0
    assert "passed: error_rate>2%: it is 0.0%" in fine.err
    dearer = two("report", "--fail-if", "cost_per_chunk>+10%")
    assert dearer.code == 2
    assert "FAILED: cost_per_chunk>+10%: the change is +" in dearer.err
    assert two("report", "previous", "--fail-if", "cost_per_chunk>+10%").code == 0  # nothing was before it
    assert two("report", "--compare", "--fail-if", "tokens_per_chunk>+10%").code == 2
    assert two("report", "--trend", "--fail-if", "tokens_per_chunk>+10%").code == 2
    wrong = two("report", "--fail-if", "kost>5")
    assert wrong.code == 1
    assert "choose one of cost, cost_per_chunk" in wrong.err


def test_a_run_without_a_report_is_not_judged(made: Kg) -> None:
    _kill_the_run(made)
    ran = made("report", "--fail-if", "cost>5")
    assert ran.code == 1
    assert "has no report to judge" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("--compare", "--trend"),
        ("--json", "--markdown"),
        ("--format", "html", "--json"),
        ("--trend", "--format", "html"),
        ("--out", "x.html"),
        ("last", "previous"),
        ("last", "--trend"),
        ("--graph",),
        ("--by", "model", "--fail-if", "cost>5"),
    ],
)
def test_questions_that_exclude_each_other_are_refused(made: Kg, words: tuple[str, ...]) -> None:
    assert made("report", *words).code == 1


def test_format_says_what_the_short_options_say(made: Kg) -> None:
    assert made("report", "--format", "json").out == made("report", "--json").out
    assert made("report", "--format", "markdown").out == made("report", "--markdown").out
    assert made("report", "--format", "text").out == made("report").out
