"""The ledger: one SQLite file per workspace that holds what cost money or can't be had again.

One thread owns the writing connection and commits in groups (law 9): a caller hands it a function of the connection
and waits for the commit. A function that fails takes only its own changes back, not those of its group. Reading goes
through connections of one's own, beside the writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from core_engine.errors import LedgerError
from core_engine.ledger.checkpoints import LAST_RESORT, Checkpoints
from core_engine.ledger.disk import look_for_room
from core_engine.ledger.schema import migrate

log = logging.getLogger("kg.ledger")

P = ParamSpec("P")
T = TypeVar("T")
Gives_co = TypeVar("Gives_co", covariant=True)

_GROUP = 256  # functions committed together at most, so that no one waits long for the disk
_BUSY_MS = 30_000
_PATIENCE_S = 120.0  # with another program that has locked the file
_SMALL = 128 * 1024 * 1024  # bytes that are checked from end to end when the ledger is opened: about half a second


class Handed(Protocol[Gives_co]):
    """A change that was handed in."""

    def result(self) -> Gives_co:
        """What it gave, once it is committed. Raises what it raised."""


class LedgerBase(ABC):
    """A ledger that is read beside its writer, by any number of threads; who writes is for others to say."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed = False
        self._readers: list[sqlite3.Connection] = []  # idle; appending and popping are atomic

    def close(self) -> None:
        """Give the idle connections back."""
        self._closed = True
        while self._readers:
            self._readers.pop().close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the ledger until it is given back, while others write."""
        # Given back, a connection waits for the next reader: opening one takes longer than most of what is read.
        try:
            db = self._readers.pop()
        except IndexError:
            db = _connect(self.path, readonly=True)
        try:
            db.execute("BEGIN")
            yield db
            db.execute("ROLLBACK")
        except sqlite3.Error as error:
            db.close()
            raise _explained(self.path, error) from error
        except BaseException:
            db.close()
            raise
        if self._closed:
            db.close()
        else:
            self._readers.append(db)

    @abstractmethod
    def submit(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Handed[T]:
        """Hand in a change, after those that were handed in before."""

    def write(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a change and wait for its commit. Not on the event loop."""
        return self.submit(work, *args, **kwargs).result()


class Ledger(LedgerBase):
    """The open ledger of one workspace. Use as a context manager; close() waits for what was handed in."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._urgent: deque[_Job] = deque()
        self._patient: deque[_Job] = deque()
        self._waiting = threading.Semaphore(0)  # counts the jobs, and the word that there are no more
        _make_private(path)
        try:
            db = _connect(path)
            try:
                _check(db, path)
                migrate(db)
            except BaseException:
                db.close()
                raise
        except sqlite3.Error as error:
            raise _explained(path, error) from error
        self._checkpoints = Checkpoints(lambda: _connect(path))
        self._thread = threading.Thread(target=self._write_all, args=(db,), name="kg-ledger", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def look_for_room(self) -> None:
        """Raises LedgerError where the disk has too little left to begin anything that costs money."""
        look_for_room(self.path.parent)

    def close(self) -> None:
        """Wait until everything handed in is committed, then close."""
        if not self._closed:
            super().close()
            self._waiting.release()
            self._thread.join()

    def submit(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Hand in a change; the future is done when it is committed. Whatever `work` raises, the future raises."""
        return self._hand_in(self._patient, lambda db: work(db, *args, **kwargs))

    async def commit(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Make a change and wait for its commit, on the event loop, before what threads have handed in.

        A call in flight waits for it; the planner's and the projector's changes are larger, and nobody's money waits.
        """
        future = self._hand_in(self._urgent, lambda db: work(db, *args, **kwargs))
        # Shielded: a cancelled caller must not cancel what another group member's commit already holds.
        return await asyncio.shield(asyncio.wrap_future(future))

    def _hand_in(self, jobs: deque[_Job], work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        if self._closed:
            raise LedgerError(f"the ledger {self.path} is closed")
        job = _Job(work)
        jobs.append(job)
        self._waiting.release()
        return job.future

    # --- the writer thread ------------------------------------------------------------------------------------------

    def _write_all(self, db: sqlite3.Connection) -> None:
        while group := self._next_group():
            self._commit_group(db, group)
        self._checkpoints.close()
        # Refusing to close with a reader around would only leave the WAL file for the next opening.
        with contextlib.suppress(sqlite3.Error):
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()

    def _next_group(self) -> list[_Job]:
        """Everything urgent together, or, where nothing is, all of the others. Empty when there will be no more."""
        self._waiting.acquire()
        jobs = self._urgent or self._patient
        group = [jobs.popleft()] if jobs else []
        while jobs and len(group) < _GROUP and self._waiting.acquire(blocking=False):
            group.append(jobs.popleft())
        return group

    def _commit_group(self, db: sqlite3.Connection, group: list[_Job]) -> None:
        try:
            self._begin(db)
            for job in group:
                job.run(db)
            db.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001  whoever waits must hear of it, whatever it is
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            told = _explained(self.path, error) if isinstance(error, sqlite3.Error) else error
            for job in group:
                job.fail(told)
            return
        for job in group:
            job.finish()
        with contextlib.suppress(sqlite3.Error):  # whoever commits next hears of it
            self._checkpoints.committed(db)

    def _begin(self, db: sqlite3.Connection) -> None:
        """Begin a change, and be patient with whoever has locked the file: answers that were paid for wait for it."""
        give_up_at = time.monotonic() + _PATIENCE_S
        while True:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() >= give_up_at:
                    raise
                log.warning("another program has locked the ledger %s (a backup?): waiting for it", self.path)
            else:
                return


class _Job:
    """A change on its way to a commit."""

    __slots__ = ("_error", "_result", "_work", "future")

    def __init__(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self.future: Future[Any] = Future()

    def run(self, db: sqlite3.Connection) -> None:
        db.execute("SAVEPOINT job")
        try:
            self._result = self._work(db)
        except sqlite3.OperationalError:
            raise  # disk full, read-only, I/O error: the group can't be committed
        except Exception as error:  # noqa: BLE001  goes to the one who asked
            db.execute("ROLLBACK TO job")
            self._error = error
        db.execute("RELEASE job")

    def finish(self) -> None:
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._result)

    def fail(self, error: BaseException) -> None:
        self.future.set_exception(self._error or error)


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rw'}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000)
    if readonly:
        return db
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        db.close()
        raise LedgerError(
            f"ledger {path}: its disk can't hold one safely (SQLite finds no shared memory there, as on some network "
            "disks): name a --home on a local disk"
        )
    db.execute("PRAGMA synchronous = FULL")  # NORMAL forgets commits when the power goes (law 8)
    db.execute("PRAGMA cache_size = -16000")
    db.execute(f"PRAGMA wal_autocheckpoint = {LAST_RESORT}")
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Raises where the file is damaged, as far as a look of a second can tell; `kg doctor` takes the time for all of it."""
    db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    size = path.stat().st_size
    if size <= _SMALL:
        said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        if said != "ok":
            raise sqlite3.DatabaseError(f"malformed: {said}")
        return
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        # The ends of each: a file that was cut off, or overwritten at its beginning, shows there.
        order = "ASC", "DESC"
        for way in order:
            db.execute(f'SELECT * FROM "{table}" ORDER BY 1 {way} LIMIT 1').fetchone()


def _is_locked(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _explained(path: Path, error: sqlite3.Error) -> LedgerError:
    text = str(error)
    hint = "see what `kg doctor` says"
    if "disk is full" in text or "disk full" in text:
        hint = "free some space and run the same command again: nothing that was answered is lost"
    elif "readonly" in text or "unable to open" in text:
        hint = "make the folder writable, or name another --home"
    elif _is_locked(error):
        hint = "another program holds it; try again when that is done"
    elif "not a database" in text or "malformed" in text:
        hint = "the file is damaged, and was left as it is: `kg doctor` says what can be done"
    elif "I/O error" in text:
        hint = "the disk refuses: look for a quota, a limit on the size of files, or a failing disk. What was committed stands"
    return LedgerError(f"ledger {path}: {text}: {hint}")
