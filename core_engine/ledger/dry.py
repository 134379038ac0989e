"""A ledger for plans that are not carried out: it takes every change, shows it to who reads, and forgets it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from core_engine.ledger.ledger import Ledger


class DryLedger(Ledger):
    """One transaction over the ledger at `path`, rolled back at close(); without such a file, over an empty one.

    Hold the run lock meanwhile: the transaction keeps others from writing. To be used from one thread.
    """

    def __init__(self, path: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kg-dry-"))
        self._there = path if path.exists() else self._folder / "ledger.sqlite3"
        super().__init__(self._there)
        super().close()  # brought to this version's tables; its writer thread isn't needed
        self._db = sqlite3.connect(self._there, isolation_level=None)
        self._db.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")
        self._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def submit(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(self._db, *args, **kwargs))
        return future

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        yield self._db
