"""The ledger's log is copied beside the commits, and begins anew."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from core_engine.ledger import checkpoints
from core_engine.ledger.checkpoints import Checkpoints
from core_engine.ledger.ledger import Ledger
from tests.kg import wait_until

PAGE = 100_000  # bytes a commit


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoints, "_EVERY_S", 0.01)
    monkeypatch.setattr(checkpoints, "_AGAIN_S", 0.01)
    return tmp_path / "ledger.sqlite3"


def commit(ledger: Ledger, number: int) -> None:
    ledger.write(lambda db: db.execute("INSERT INTO meta VALUES (?, ?)", (f"{number:05}", "x" * PAGE)))


def log_size(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


def test_the_log_does_not_grow_with_what_is_written(path):
    with Ledger(path) as ledger:
        for number in range(300):
            commit(ledger, number)
            time.sleep(0.001)  # as a run does, it gives the copying a moment
        assert log_size(path) < 200 * PAGE
        assert path.stat().st_size > 50 * PAGE


def test_a_reader_holds_up_the_log_and_no_commit(path):
    with Ledger(path) as ledger:
        commit(ledger, 0)
        with ledger.reading() as db:
            seen = db.execute("SELECT count(*) FROM meta").fetchone()
            for number in range(1, 200):
                commit(ledger, number)
            assert db.execute("SELECT count(*) FROM meta").fetchone() == seen
        held_up = used(path)
        assert held_up > 100 * PAGE
        last = [200]

        def begins_anew() -> bool:
            commit(ledger, last[0])
            last[0] += 1
            return used(path) < held_up

        wait_until(begins_anew)
        with ledger.reading() as db:
            assert db.execute("SELECT count(*) FROM meta").fetchone()[0] >= last[0]


def used(path: Path) -> int:
    """Bytes of the log that belong to its present round: frames carry the salt of its header."""
    content = path.with_name(path.name + "-wal").read_bytes()
    salt, page = content[16:24], int.from_bytes(content[8:12], "big")
    at = 32
    while content[at + 8 : at + 16] == salt:
        at += 24 + page
    return at


def test_a_log_that_cannot_be_copied_costs_no_commit(path):
    def refuse() -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    with Ledger(path) as ledger:
        ledger._checkpoints = Checkpoints(refuse)
        for number in range(20):
            commit(ledger, number)
            time.sleep(0.002)
        with ledger.reading() as db:
            assert db.execute("SELECT count(*) FROM meta WHERE length(value) = ?", (PAGE,)).fetchone() == (20,)
