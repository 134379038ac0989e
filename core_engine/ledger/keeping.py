"""Copies a ledger while others write to it, and gives back the space that it no longer needs."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core_engine.errors import LedgerError
from core_engine.ledger.looking import looking

_BUSY_S = 10  # so long another program that reads is waited for


@dataclass(frozen=True, slots=True)
class Sizes:
    """A file's size in bytes, its write-ahead log included, before and after."""

    before: int
    after: int


def backup(source: Path, target: Path) -> int:
    """Copy a ledger as it stands at this moment into one file of 0600; its size in bytes.

    The copy is checked before it takes the target's name: there is a whole one or none. A run that is going on
    waits for nothing: it writes on, into a write-ahead log that grows until the copy is done.
    """
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with looking(source) as db:
            _check_room(target.parent, _size(source))
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            _copy(db, draft)
        _sync(draft)
        draft.replace(target)
        return target.stat().st_size
    except OSError as error:
        raise LedgerError(f"{target} can't be written: {error.strerror or error}: name another file") from error
    except sqlite3.Error as error:
        raise LedgerError(f"copying {source} to {target} failed: {error}: nothing was left there") from error
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                draft.with_name(draft.name + end).unlink()


def _copy(db: sqlite3.Connection, draft: Path) -> None:
    copy = sqlite3.connect(draft, isolation_level=None)
    try:
        db.backup(copy)
        # One file, that can also be read where nothing can be written; a ledger that is opened turns WAL on again.
        copy.execute("PRAGMA journal_mode = DELETE")
        said = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        copy.close()
    if said != "ok":
        raise LedgerError(f"the ledger can't be copied whole: {said}: see what `kg doctor` says")


def vacuum(path: Path) -> Sizes:
    """Write an SQLite file anew without the space, and the bytes, of what was deleted. Hold the run lock.

    Raises LedgerError where another program reads it: then old bytes may still lie in its write-ahead log.
    """
    before = _size(path)
    try:
        _check_room(path.parent, 2 * before)
        with _opened(path) as db:
            db.execute("VACUUM")
            db.execute("PRAGMA optimize")
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        raise LedgerError(f"{path} can't be written anew: {error}: run `kg vacuum` when nothing else has it") from error
    if busy:
        raise LedgerError(f"another program reads {path}: run `kg vacuum` when it has ended")
    return Sizes(before, _size(path))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_S)
    try:
        yield db
    finally:
        db.close()


def _size(path: Path) -> int:
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LedgerError(
            f"the disk of {folder} has {free / 1e6:,.0f} MB left, and {needed / 1e6:,.0f} MB are needed: make room"
        )


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def note_backup(path: Path, target: Path, when: str) -> None:
    """Remember where a copy went, so that `kg forget` can name it."""
    name = str(target).encode("utf-8", "backslashreplace").decode()
    try:
        # Not through a Ledger: closing one waits for whoever reads, and holds the writers up meanwhile.
        with _opened(path) as db:
            db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (f"backup {name}", when))
    except sqlite3.Error as error:
        raise LedgerError(f"the copy is made, but {path} can't note it: {error}") from error


def backups(db: sqlite3.Connection) -> dict[str, str]:
    """Where copies went, and when."""
    return dict(
        db.execute("SELECT substr(key, 8), value FROM meta WHERE key GLOB 'backup *' ORDER BY value").fetchall()
    )
