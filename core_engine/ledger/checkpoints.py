"""Keeps the ledger's write-ahead log short, without a commit that waits for it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

log = logging.getLogger("kg.ledger")

_EVERY_S = 1.0  # some 10 MB in a fast run; the file itself doesn't tell how much of it is in use
_AGAIN_S = 0.25
_FEW = 500  # pages that are copied within a commit
LAST_RESORT = 65_536  # pages (256 MB) at which SQLite does it by itself, within a commit


class Checkpoints:
    """Copies what the log holds into the ledger in a thread and a connection of its own; the writer does the small rest.

    By itself SQLite copies within the commit that makes the log too long, and syncs both files: a twentieth of a second
    in which every call in flight would wait (https://sqlite.org/wal.html#avoiding_excessively_large_wal_files).
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._copying: threading.Thread | None = None
        self._left: int | None = None  # pages that the last copying didn't reach
        self._next_at = time.monotonic() + _EVERY_S

    def committed(self, db: sqlite3.Connection) -> None:
        """After each commit, in the writer's thread and with its connection."""
        if time.monotonic() < self._next_at or (self._copying and self._copying.is_alive()):
            return
        if self._left is None or self._left > _FEW:
            self._copying = threading.Thread(target=self._copy, name="kg-checkpoint", daemon=True)
            self._copying.start()
            return
        # All of it copied, the next commit begins the log anew. Whoever reads in it holds that up: look again then.
        self._left = _copy(db) or None
        if self._left is None:
            self._next_at = time.monotonic() + _EVERY_S

    def close(self) -> None:
        """Wait for the copying that is under way."""
        if self._copying:
            self._copying.join()

    def _copy(self) -> None:
        try:
            db = self._connect()
            try:
                self._left = _copy(db)
            finally:
                db.close()
        except sqlite3.Error as error:  # a full disk, say: whoever commits next hears of it
            log.debug("the ledger's log could not be copied: %s", error)
        if self._left is None or self._left > _FEW:
            self._next_at = time.monotonic() + _AGAIN_S


def _copy(db: sqlite3.Connection) -> int:
    """Copy as much as readers and the writer leave free; how many pages are left."""
    _, pages, copied = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages - copied)
