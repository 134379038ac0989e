"""The harness itself: what it starts, it stops, whatever happens to the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.neo4j_server import keeper

KEEPER = str(Path(keeper.__file__))


def _kept(folder: Path) -> subprocess.Popen[bytes]:
    sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    command = [sys.executable, KEEPER, str(folder), sys.executable, "-c", sleeper]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
    return False


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_server_ends_with_the_tests_that_hold_its_pipe(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with _kept(folder) as kept:
        assert kept.stdout
        assert kept.stdin
        child = int(kept.stdout.readline())
        kept.send_signal(signal.SIGINT)  # Ctrl-C reaches the whole group: not the keeper's business
        kept.stdin.close()
    assert _is_gone(child)
    assert not folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_server_that_is_to_start_again_keeps_its_data(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with _kept(folder) as kept:
        assert kept.stdout
        assert kept.stdin
        child = int(kept.stdout.readline())
        kept.stdin.write(b"k")
        kept.stdin.close()
    assert _is_gone(child)
    assert folder.exists()
