"""Disks that are full, read-only or shared, and ledgers that are locked, damaged or newer: clear words, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core_engine.kg.stores.embedded import EmbeddedGraphStore
from core_engine.ledger import ledger as ledger_module
from core_engine.ledger.disk import network_disk
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.schema import MIGRATIONS
from tests.kg import ROOT, Kg, dumped, wait_until, write_meetings

WORDS = ("t", "--embedder", "none", "--vector-store", "none")
APART_OR_NOT = pytest.mark.parametrize("projector", ["thread", "process"])


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 6)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary-0123456789")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB, where the tests may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with _mounted(disk, "size=48m"):
        yield disk


@contextlib.contextmanager
def _mounted(point: Path, options: str) -> Iterator[None]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


def ledger_of(kg: Kg) -> Path:
    return kg.folder / ".kg" / "default" / "ledger.sqlite3"


def fill(disk: Path) -> None:
    """Leave not a byte on a disk."""
    with contextlib.suppress(OSError), (disk / "others").open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass


def graph_of(home: Path) -> dict[str, list[Any]]:
    return dumped(EmbeddedGraphStore(home / "default" / "graph.sqlite3", "default"))


def undisturbed(kg: Kg) -> dict[str, list[Any]]:
    """The graph of the same files where nothing happens."""
    kg.process(*WORDS, "--home", "elsewhere")
    return graph_of(kg.folder / "elsewhere")


def log_of(kg: Kg) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in kg.folder.glob(".kg/default/runs/*/run.log"))


def spoken(err: str) -> str:
    """What was said, after checking that it was said in words."""
    assert "Traceback" not in err
    return err


# --- full -------------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_too_full_is_said_before_anything_is_sent(kg, server, small_disk):
    (small_disk / "others").write_bytes(b"x" * 40_000_000)
    ran = kg("process", *WORDS, "--home", small_disk)
    assert ran.code == 5
    assert "too little to keep replies" in spoken(ran.err)
    assert server.books(log=False)["calls"] == 0


@APART_OR_NOT
def test_a_disk_that_fills_up_in_mid_run_loses_no_answer(kg, server, small_disk, projector):
    server.configure(latency=0.1)
    words = (*WORDS, "--batch-size", 1, "--max-concurrent", 2, "--home", small_disk, "--json")
    run = kg.started("process", *words, KG_PROJECTOR=projector)
    wait_until(lambda: server.books(log=False)["calls"] >= 10)
    (small_disk / "others").write_bytes(b"x" * 30_000_000)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 5, err
    assert "make room" in spoken(err).lower() or "make room" in out.lower()
    books = server.books(log=False)
    assert books["aborted"] == books["in_flight"] == 0
    (small_disk / "others").unlink()
    server.configure(latency=0)
    report = kg.process(*WORDS, "--home", small_disk)
    assert report["chunks"]["pending"] == 0
    assert server.books(log=False)["questions"] == report["chunks"]["total"]


@APART_OR_NOT
def test_a_disk_without_a_byte_left_loses_at_most_what_is_in_flight_and_names_it(kg, server, small_disk, projector):
    server.configure(latency=0.1)
    words = (*WORDS, "--batch-size", 1, "--max-concurrent", 2, "--home", small_disk)
    run = kg.started("process", *words, KG_PROJECTOR=projector)
    wait_until(lambda: server.books(log=False)["calls"] >= 10)
    fill(small_disk)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 5, err
    assert "disk" in spoken(err)
    (small_disk / "others").unlink()
    server.configure(latency=0)
    report = kg.process(*WORDS, "--home", small_disk)
    assert report["chunks"]["pending"] == 0
    extra = server.books(log=False)["questions"] - report["chunks"]["total"]
    unknown = report["recovered"]["unknown_calls"]
    # Two in flight, and two whose rows were written ahead and which took the places of replies on their way (decision 14).
    assert extra <= unknown <= 4
    assert graph_of(small_disk) == undisturbed(kg)


def test_room_that_is_made_while_the_run_goes_on_is_enough_for_the_vectors(kg, server, tmp_path):
    vectors = tmp_path / ".kg" / "default" / "vectors"
    vectors.mkdir(parents=True)
    with _mounted(vectors, "size=160m"):
        server.configure(latency=0.2)
        words = ("t", "--batch-size", 1, "--max-concurrent", 2, "--json")
        run = kg.started("process", *words, KG_PROJECTOR="process")
        wait_until(lambda: server.books(log=False)["calls"] >= 2)
        fill(vectors)
        wait_until(lambda: "the vector store in" in log_of(kg))
        before = server.books(log=False)["calls"]
        wait_until(lambda: server.books(log=False)["calls"] >= before + 4)  # nobody waits for the store
        (vectors / "others").unlink()
        out, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
        report = json.loads(out)
        assert report["vectors"]["points"] == report["chunks"]["written"] == report["chunks"]["total"]
        assert kg("verify").code == 0


def test_a_ledger_that_may_not_grow_ends_the_run_in_words_and_keeps_what_it_has(kg, server):
    kg.process("t/m0.txt", *WORDS[1:])
    size = ledger_of(kg).stat().st_size
    server.configure(latency=0.05)
    # A limit on the size of files stands for a quota: there is room, and yet nothing more can be written.
    limit = f'ulimit -f {size // 1024 + 64}; exec "$0" -c \'import kg_batch; kg_batch.main()\' "$@"'
    words = ["process", *WORDS, "--batch-size", "1", "--max-concurrent", "2", "--graph-store", "none"]
    env = {**os.environ, **kg.env, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        ["bash", "-c", limit, sys.executable, *words],
        cwd=kg.folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 5, ran.stderr
    assert "ledger" in spoken(ran.stderr)
    server.configure(latency=0)
    report = kg.process(*WORDS)
    assert report["chunks"]["pending"] == 0
    extra = server.books(log=False)["questions"] - report["chunks"]["total"]
    # Two in flight when the disk refused, and two whose rows were written ahead (decision 14).
    assert extra <= report["recovered"]["unknown_calls"] <= 4


# --- read-only and shared -----------------------------------------------------------------------------------------------


def test_a_read_only_disk_is_said_before_anything_is_sent(kg, server, tmp_path):
    kg.process("t/m0.txt", *WORDS[1:])
    before = server.books(log=False)["calls"]
    disk = tmp_path / "readonly"
    disk.mkdir()
    with _mounted(disk, "size=20m"):
        subprocess.run(["cp", "-r", str(tmp_path / ".kg" / "default"), str(disk)], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        ran = kg("process", *WORDS, "--home", disk)
    assert ran.code in {1, 5}
    assert "another --home" in spoken(ran.err)
    assert server.books(log=False)["calls"] == before


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("server:/home /mnt/x nfs4 rw 0 0", "nfs4"),
        ("//server/x /mnt/x cifs rw 0 0", "cifs"),
        ("me@host: /mnt/x fuse.sshfs rw 0 0", "fuse.sshfs"),
        ("/dev/sdb /mnt/x ext4 rw 0 0", ""),
        ("server:/home /mnt/xy nfs4 rw 0 0", ""),
    ],
)
def test_a_network_disk_is_known_by_its_mount(tmp_path, line, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\n{line}\nbroken\n", encoding="utf-8")
    assert network_disk(Path("/mnt/x/.kg/default"), mounts) == kind
    assert network_disk(Path("/mnt/x/.kg/default"), tmp_path / "none") == ""


# --- locked, damaged, newer ---------------------------------------------------------------------------------------------


def test_a_ledger_that_another_program_has_locked_is_waited_for(kg, server, monkeypatch):
    monkeypatch.setattr(ledger_module, "_BUSY_MS", 50)
    kg.process("t/m0.txt", *WORDS[1:])
    other = sqlite3.connect(ledger_of(kg), isolation_level=None, check_same_thread=False)
    with Ledger(ledger_of(kg)) as ledger:
        other.execute("BEGIN IMMEDIATE")
        change = ledger.submit(lambda db: db.execute("INSERT INTO meta VALUES ('kept', '')"))
        letting_go = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))
        letting_go.start()
        change.result(timeout=20)
        letting_go.join()
    assert other.execute("SELECT count(*) FROM meta WHERE key = 'kept'").fetchone() == (1,)
    other.close()


def test_a_ledger_that_stays_locked_is_said_to_be(kg, server, monkeypatch):
    monkeypatch.setattr(ledger_module, "_BUSY_MS", 50)
    monkeypatch.setattr(ledger_module, "_PATIENCE_S", 0.0)
    kg.process("t/m0.txt", *WORDS[1:])
    before = server.books(log=False)["calls"]
    other = sqlite3.connect(ledger_of(kg), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ran = kg("process", *WORDS)
    assert ran.code == 5
    assert "another program holds it" in spoken(ran.err)
    assert server.books(log=False)["calls"] == before
    other.execute("ROLLBACK")
    other.close()
    assert kg.process(*WORDS)["chunks"]["pending"] == 0


@pytest.mark.parametrize("harm", ["no database", "cut off", "a page overwritten", "the beginning overwritten"])
def test_a_damaged_ledger_is_found_at_the_start_and_left_as_it_is(kg, server, harm):
    kg.process(*WORDS)
    before = server.books(log=False)["calls"]
    path = ledger_of(kg)
    content = bytearray(path.read_bytes())
    if harm == "no database":
        content = bytearray(b"This is a letter to my grandmother. " * 100)
    elif harm == "cut off":
        del content[len(content) // 2 :]
    elif harm == "the beginning overwritten":
        content[100:3000] = b"\xff" * 2900
    else:
        # One that holds a table's inner page or rows; with a wrong type of page whatever page it is.
        content[4096 * 20 : 4096 * 21] = b"\x07" * 4096
    path.write_bytes(content)
    for words in (("process", *WORDS), ("rebuild",), ("retry",)):
        ran = kg(*words)
        assert ran.code == 5, ran.err
        assert "kg doctor" in spoken(ran.err)
        assert path.read_bytes() == content
    ran = kg("doctor")
    assert ran.code == 1
    assert "PROBLEM" in ran.out
    assert "kg backup" in ran.out
    assert path.read_bytes() == content
    assert server.books(log=False)["calls"] == before


def test_a_ledger_of_a_newer_version_is_left_alone(kg, server):
    kg.process("t/m0.txt", *WORDS[1:])
    before = server.books(log=False)["calls"]
    db = kg.ledger()
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    content = ledger_of(kg).read_bytes()
    for words in (("process", *WORDS), ("rebuild",), ("doctor",), ("status",)):
        ran = kg(*words)
        assert ran.code in {1, 5}
        assert "newer kg" in spoken(ran.err + ran.out)
        assert "update" in ran.err + ran.out
    assert ledger_of(kg).read_bytes() == content
    assert server.books(log=False)["calls"] == before
