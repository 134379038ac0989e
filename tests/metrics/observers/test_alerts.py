"""Alerts: a command or a webhook of the user's hears of quotas, and a bad one of either can't hold up a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from metrics.observers.alert_command import AlertCommand
from tests.kg import Kg, write_meetings

SAID: dict[str, Any] = {
    "period": "day", "unit": "dollars", "scope": "home", "name": "", "cap": 5.0, "spent": 4.0, "left": 1.0,
    "resets_at": "2026-12-01T00:00:00+01:00", "hard": True, "set_by": "kg.toml: day_dollars", "percent": 80,
}  # fmt: skip
ABOUT = {"run_id": "r", "workspace": "w", "persona": ""}


@pytest.fixture
def kg(tmp_path, openai_server):
    write_meetings(tmp_path / "t", 3)
    toml = '[quota.tier.small]\nday_chunks = 4\n[quota.persona]\n"*" = "small"\n'
    (tmp_path / "kg.toml").write_text(toml, encoding="utf-8")
    return Kg(tmp_path, OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="sk-canary", KG_PERSONA="ann")


def script(folder: Path, text: str) -> str:
    """A command that runs this Python with the interpreter of the tests."""
    file = folder / "notify me.py"
    file.write_text(text, encoding="utf-8")
    return f"{sys.executable} '{file}' --to ops"


def test_a_command_gets_each_alert_as_json_and_no_key(kg, tmp_path):
    told = tmp_path / "told.jsonl"
    command = script(tmp_path, f"""
import json, os, sys
alert = json.load(sys.stdin)
alert["environment"] = " ".join(f"{{k}}={{v}}" for k, v in os.environ.items())
alert["words"] = sys.argv[1:]
open({str(told)!r}, "a").write(json.dumps(alert) + "\\n")
""")  # fmt: skip
    assert kg("process", "t", "--batch-size", 2, KG_ALERT_COMMAND=command).code == 3
    alerts = [json.loads(line) for line in told.read_text("utf-8").splitlines()]
    assert {one["alert"] for one in alerts} == {"quota_warned", "quota_exceeded"}
    assert [one["percent"] for one in alerts if "percent" in one][-1] == 100
    assert all(one["schema"] == "kg.alert/1" and one["persona"] == "ann" and one["unit"] == "chunks" for one in alerts)
    assert "4 chunks" in alerts[0]["text"]
    assert alerts[0]["words"] == ["--to", "ops"]
    assert not any("canary" in one["environment"] for one in alerts)


def test_a_webhook_gets_each_alert_and_its_address_is_in_no_log(kg, collectors):
    ran = kg("process", "t", "--batch-size", 2, KG_ALERT_WEBHOOK=f"{collectors.url}/webhook/alert?key=canary")
    assert ran.code == 3
    got = collectors.got()["webhook"]
    assert {one["alert"] for one in got} == {"quota_warned", "quota_exceeded"}
    assert "key=canary" not in ran.err + ran.out
    assert "key=canary" not in "".join(path.read_text("utf-8") for path in (kg.folder / ".kg").rglob("run*.*"))


@pytest.mark.parametrize("manner", ["hang", "401", "500", "html", "reset", "drip"])
def test_a_bad_webhook_is_told_in_one_line_and_the_run_ends_as_it_would(kg, collectors, manner):
    collectors.be(webhook=manner)
    ran = kg("process", "t", "--batch-size", 2, "--json", KG_ALERT_WEBHOOK=f"{collectors.url}/webhook/alert")
    assert ran.code == 3
    assert ran.report["chunks"]["written"] == 4
    told = [line for line in ran.err.splitlines() if '"kg.sinks"' in line]
    assert len(told) == (0 if manner == "html" else 1)  # a webhook that answers 200 has heard
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("kg-sinks")]


# --- the command -----------------------------------------------------------------------------------------------------


def alarm(command: str, **limits: float) -> AlertCommand:
    return AlertCommand(command, ABOUT, dict(os.environ), **limits)


def test_a_command_that_hangs_is_killed_with_all_that_it_has_started(tmp_path, caplog):
    pids = tmp_path / "pids"
    command = script(tmp_path, f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open({str(pids)!r}, "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}")
child.wait()
""")  # fmt: skip
    one = alarm(command, command_s=600, at_exit_s=0.1)
    one.event("quota_warned", SAID)
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    one.close()
    for pid in map(int, pids.read_text().split()):
        until(lambda pid=pid: gone(pid))
    assert not [thread.name for thread in threading.enumerate() if thread.name == "kg-alerts"]


def test_a_command_that_takes_too_long_is_killed_and_told_and_the_next_alert_comes(tmp_path, caplog):
    told = tmp_path / "told"
    command = script(tmp_path, f"""
import json, sys, time
if json.load(sys.stdin)["percent"] == 80:
    time.sleep(600)
open({str(told)!r}, "a").write("heard")
""")  # fmt: skip
    one = alarm(command, command_s=0.5, at_exit_s=60)
    one.event("quota_warned", SAID)
    one.event("quota_warned", {**SAID, "percent": 100})
    one.close()
    assert "was killed" in caplog.text


@pytest.mark.parametrize(
    ("command", "said"),
    [("/no/such/program", "can't be run"), (f"{sys.executable} -c 'raise SystemExit(3)'", "ended with 3")],
)
def test_a_command_that_fails_is_told_once(command, said, caplog):
    one = alarm(command)
    for _ in range(3):
        one.event("quota_warned", SAID)
    one.close()
    assert caplog.text.count(said) == 1


def test_more_alerts_than_a_slow_command_takes_are_dropped_and_told_and_nobody_waits(tmp_path, caplog):
    one = alarm(script(tmp_path, "import time; time.sleep(600)"), command_s=600, at_exit_s=0.1)
    for _ in range(500):
        one.event("quota_warned", SAID)
    one.close()
    assert "some are lost" in caplog.text


def test_what_is_no_alert_starts_nothing():
    one = alarm("/no/such/program")
    one.event("run_started", {})
    one.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name == "kg-alerts"]


@pytest.mark.parametrize(("command", "said"), [("notify 'me", "can't be read"), ("  ", "nothing to run")])
def test_a_command_that_can_not_be_is_said_before_anything_is_made(tmp_path, command, said):
    write_meetings(tmp_path / "t", 1)
    ran = Kg(tmp_path)("process", "t", KG_ALERT_COMMAND=command)
    assert ran.code == 1
    assert said in ran.err
    assert not (tmp_path / ".kg").exists()


def gone(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state or state.startswith("Z")


def until(so: Any) -> None:
    """Wait until something is so; the test's own time limit says when that was in vain."""
    give_up_at = time.monotonic() + 60
    while not so():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
