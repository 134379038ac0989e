"""Power lost: a recorded order of the ledger's writes and syncs, replayed as a disk that keeps only what was synced."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kg import ROOT

COMMITS = 25
# Says on a pipe of its own, after each commit has returned, how many there are: what was acknowledged must survive.
SCRIPT = """
import os, sys
from pathlib import Path
from core_engine.ledger.ledger import Ledger
said = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
with Ledger(Path(sys.argv[1])) as ledger:
    for n in range(int(sys.argv[3])):
        ledger.write(lambda db, n=n: db.execute("INSERT INTO meta VALUES (?, ?)", (f"answer {n:04}", "x" * 3000)))
        os.write(said, b"%04d\\n" % n)
"""
CALL = re.compile(
    r"^(?:\d+\s+)?(?P<name>openat|write|pwrite64|fsync|fdatasync|ftruncate|unlink|close|rename)"
    r"\((?P<args>.*)\)\s+= (?P<result>-?\d+)"
)
BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass
class Disk:
    """Files as the process sees them, and as they are if the power goes now: as of their last sync."""

    seen: dict[str, bytearray] = field(default_factory=dict)
    safe: dict[str, bytes] = field(default_factory=dict)
    open: dict[int, str] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    said: int = -1

    def after_power_loss(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in self.safe.items():
            (folder / name).write_bytes(content)


def replayed(trace: Path, ledger: Path, said: Path) -> Iterator[Disk]:
    """The disk after each system call on the ledger's files, and after each acknowledgement."""
    disk = Disk()
    ours = re.compile(re.escape(ledger.name) + r"(-wal|-journal)?$")  # the -shm is rebuilt, whatever it holds
    for line in trace.read_text(encoding="ascii", errors="replace").splitlines():
        found = CALL.match(line)
        if not found or int(found["result"]) < 0:
            continue
        name, args, result = found["name"], found["args"], int(found["result"])
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in BYTES.findall(args)]
        if name == "openat":
            path = texts[0].decode() if texts else ""
            if ours.search(path) or path == str(said):
                disk.open[result] = Path(path).name
                disk.seen.setdefault(Path(path).name, bytearray())
                # SQLite syncs the folder of a file that it makes; a name without content harms nobody here.
                disk.safe.setdefault(Path(path).name, b"")
            continue
        if name == "unlink":
            if texts and ours.search(texts[0].decode()):
                disk.seen.pop(Path(texts[0].decode()).name, None)
                disk.safe.pop(Path(texts[0].decode()).name, None)
            continue
        number = int(args.split(",", 1)[0])
        if (file := disk.open.get(number)) is None:
            continue
        if name == "close":
            del disk.open[number]
            continue
        content = disk.seen.setdefault(file, bytearray())
        if name == "pwrite64":
            at = int(args.rsplit(",", 1)[1])
            content.extend(b"\0" * (at + len(texts[0]) - len(content)))
            content[at : at + len(texts[0])] = texts[0]
        elif name == "write" and file == said.name:
            disk.said = int(texts[0])
        elif name == "ftruncate":
            size = int(args.rsplit(",", 1)[1])
            del content[size:]
            content.extend(b"\0" * (size - len(content)))
        elif name in {"fsync", "fdatasync"}:
            disk.safe[file] = bytes(content)
        yield disk


def kept(folder: Path, name: str) -> int:
    """How many answers a ledger holds after the power has come back; it has to be whole."""
    db = sqlite3.connect(folder / name)
    try:
        assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            return 0
        return db.execute("SELECT count(*) FROM meta WHERE key LIKE 'answer %'").fetchone()[0]
    finally:
        db.close()


@pytest.fixture
def trace(tmp_path) -> Path:
    """The system calls of a ledger that takes answers one by one."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    file = tmp_path / "trace"
    calls = "trace=openat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,close"
    command = ["strace", "-f", "-xx", "-s", "70000", "-e", calls, "-e", "signal=none", "-o", str(file), sys.executable]
    command += ["-c", SCRIPT, str(tmp_path / "l.sqlite3"), str(tmp_path / "said"), str(COMMITS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    return file


def test_what_was_acknowledged_survives_a_power_loss_at_any_moment(trace, tmp_path):
    folder, ledger = tmp_path / "after", tmp_path / "l.sqlite3"
    looked: set[tuple[int, int]] = set()
    syncs = 0
    for disk in replayed(trace, ledger, tmp_path / "said"):
        safe = tuple(sorted((name, hash(content)) for name, content in disk.safe.items()))
        moment = hash(safe), disk.said
        if moment in looked:
            continue
        looked.add(moment)
        syncs += 1
        disk.after_power_loss(folder)
        if ledger.name not in disk.safe:
            assert disk.said < 0
            continue
        answers = kept(folder, ledger.name)
        assert answers > disk.said, f"answer {disk.said} was acknowledged, and {answers} are kept"
    assert disk.said == COMMITS - 1
    assert syncs > COMMITS


def test_a_ledger_that_does_not_sync_would_be_caught(trace, tmp_path):
    # The same record without its syncs, as with synchronous=NORMAL: the replay has to lose answers then.
    lines = trace.read_text(encoding="ascii", errors="replace").splitlines()
    unsynced = tmp_path / "unsynced"
    unsynced.write_text("\n".join(line for line in lines if "sync(" not in line), encoding="ascii")
    last = list(replayed(unsynced, tmp_path / "l.sqlite3", tmp_path / "said"))[-1]
    last.after_power_loss(tmp_path / "after")
    assert last.said == COMMITS - 1
    assert kept(tmp_path / "after", "l.sqlite3") == 0
