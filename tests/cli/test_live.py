"""What is seen while a run goes on: a panel on a terminal, lines elsewhere."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kg import ROOT, Kg, write_meetings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A pseudo-terminal that kg's stderr is connected to; its stdout is a pipe."""

    def __init__(self, kg: Kg, *words: object) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        command = [sys.executable, "-c", "import kg_batch; kg_batch.main()", *map(str, words)]
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            **kg.env,
        }
        self.process = subprocess.Popen(
            command, cwd=kg.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs
        )
        os.close(theirs)
        self.seen = ""

    def read(self, until: str = "", seconds: float = 30) -> str:
        """All that was shown, up to a text or the end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if until and until in _CONTROL.sub("", self.seen):
                return self.seen
            if not select.select([self._ours], [], [], 0.5)[0]:
                continue
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # Linux says so where the other end is closed
                data = b""
            if not data:
                return self.seen
            self.seen += data.decode()
        raise AssertionError(f"waited in vain for {until!r} in {self.seen[-2000:]!r}")

    def end(self) -> tuple[int, str]:
        """The exit code, and what was on stdout."""
        assert self.process.stdout
        with self.process.stdout as out:
            printed = out.read().decode()
        return self.process.wait(30), printed

    def close(self) -> None:
        os.close(self._ours)


@pytest.fixture
def kg(openai_server, tmp_path: Path) -> Kg:
    server = openai_server(latency=0.25)
    write_meetings(tmp_path / "t", 3)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")


def lines_left(shown: str) -> list[str]:
    """The lines that a terminal shows after all this, of the codes that Rich's live view uses."""
    screen, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", shown):
        if part == "\n":
            row += 1
            screen += [""] * (row + 1 - len(screen))
        elif part == "\r":
            pass  # the whole line is erased next, or it ends
        elif part.endswith("A"):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\x1b[2K":
            screen[row] = ""
        elif not part.startswith("\x1b"):
            screen[row] += part
    return [line.rstrip() for line in screen if line.strip()]


def test_a_terminal_shows_chunks_tokens_and_cost_and_is_left_clean(kg):
    terminal = Terminal(kg, "process", "t", "--max-concurrent", 2, "--batch-size", 3)
    shown = _CONTROL.sub("", terminal.read(until="tokens, $"))
    assert re.search(r"\d+ of \d+\+? chunks answered", shown)
    assert "requests in flight" in shown
    whole = terminal.read()
    code, printed = terminal.end()
    terminal.close()
    assert code == 0
    assert "done in" in printed
    assert "\x1b" not in printed
    assert whole.rstrip().endswith("\x1b[?25h") or whole.rfind("\x1b[?25h") > whole.rfind("\x1b[?25l")
    left = lines_left(whole)
    assert not any("chunks answered" in line or "in flight" in line for line in left)
    assert any("process default: extractor openai gpt-5-mini" in line for line in left)


def test_log_lines_stand_above_the_panel_and_stay(kg, openai_server):
    server = openai_server(latency=0.2, faults=[{"kind": "http500", "times": 2, "stage": "chat", "match": "point 20,"}])
    kg.env["OPENAI_BASE_URL"] = server.url
    terminal = Terminal(kg, "process", "t", "--max-concurrent", 2, "--batch-size", 3)
    left = lines_left(terminal.read())
    assert terminal.end()[0] == 0
    terminal.close()
    assert sum("trying again" in line and line.startswith(tuple("012")) for line in left) == 2


def test_a_terminal_that_goes_away_takes_nothing_down(kg):
    terminal = Terminal(kg, "process", "t", "--max-concurrent", 2, "--batch-size", 3, "--json")
    terminal.read(until="chunks answered")
    terminal.close()
    code, printed = terminal.end()
    assert code in {0, 120}  # 120: Python's own, stderr could not be flushed
    report = json.loads(printed)
    assert report["chunks"]["written"] == report["chunks"]["total"]


def test_without_a_terminal_there_is_no_control_code_and_every_line_is_json(kg):
    run = kg.started("process", "t")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0
    assert "\x1b" not in out + err
    assert all(json.loads(line)["run_id"] for line in err.splitlines())


def test_quiet_shows_nothing_where_all_is_well(kg):
    terminal = Terminal(kg, "process", "t", "--quiet")
    assert terminal.read() == ""
    assert terminal.end()[0] == 0
    terminal.close()
