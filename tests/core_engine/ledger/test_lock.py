"""The run lock: who holds it is named, who is gone holds nothing, whoever waits gets it."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import threading
import time

import pytest

from core_engine.errors import LedgerError, WorkspaceLocked
from core_engine.ledger import lock
from core_engine.ledger.lock import RunLock, is_held
from tests.kg import ROOT

HOLD = (
    "import sys, time; from pathlib import Path; from core_engine.ledger.lock import RunLock\n"
    "lock = RunLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def holder(path) -> subprocess.Popen[str]:
    """A process that holds the lock until it ends, or its standard input does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_the_holder_is_named_with_pid_host_and_start(tmp_path):
    other = holder(tmp_path / "lock")
    try:
        with pytest.raises(WorkspaceLocked) as refused:
            RunLock(tmp_path / "lock")
        said = str(refused.value)
        assert f"pid {other.pid} on {os.uname().nodename}, since {time.strftime('%Y-')}" in said
        assert is_held(tmp_path / "lock").startswith(f"pid {other.pid} ")
    finally:
        other.communicate("", timeout=20)
    assert is_held(tmp_path / "lock") == ""


def test_a_killed_holder_holds_nothing_and_is_told_of(tmp_path, caplog):
    other = holder(tmp_path / "lock")
    other.kill()
    other.communicate(timeout=20)
    with caplog.at_level(logging.WARNING, "kg.lock"), RunLock(tmp_path / "lock"):
        assert f"pid {other.pid} " in caplog.text
        assert "ended without a word" in caplog.text


@pytest.mark.parametrize("host", [os.uname().nodename, "another-container"])
def test_a_lock_of_a_pid_that_is_alive_as_something_else_is_taken_over(tmp_path, host):
    # What a crash or a reboot leaves, or a container that is gone: the pid is now ours, or init's.
    for pid in (os.getpid(), 1):
        said = {"pid": pid, "host": host, "started": "2026-11-20 03:00:00+0000"}
        (tmp_path / "lock").write_text(json.dumps(said), encoding="utf-8")
        with RunLock(tmp_path / "lock"):
            assert json.loads((tmp_path / "lock").read_text(encoding="utf-8"))["pid"] == os.getpid()


def test_who_waits_gets_it_when_the_other_has_ended(tmp_path):
    other = holder(tmp_path / "lock")
    ending = threading.Timer(0.3, lambda: other.communicate("", timeout=20))
    ending.start()
    with RunLock(tmp_path / "lock", wait_s=60):
        assert other.wait(20) == 0
    ending.join()


def test_who_waits_in_vain_is_told_who_holds_it(tmp_path):
    with RunLock(tmp_path / "lock"), pytest.raises(WorkspaceLocked, match=f"pid {os.getpid()}"):
        RunLock(tmp_path / "lock", wait_s=0.1)


def test_a_disk_that_knows_no_locks_is_said_to_be_one(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")  # what NFS says without its lock daemon

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.raises(LedgerError, match=r"network disk.*--home"):
        RunLock(tmp_path / "lock")
