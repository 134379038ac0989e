"""One moment of the ledger, for many readings of it while others write."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import Self

from core_engine.ledger import stores
from core_engine.ledger.ledger import LedgerBase

_LONGEST_S = 60.0


class Moment:
    """Use as a context manager. `clock` is the change log's, then.

    Whoever reads holds up the ledger's log, which grows by whatever is written meanwhile. Where nobody else changes
    anything any more, `quiet`, it is let go of between two readings; else after a minute of writing.
    """

    def __init__(self, ledger: LedgerBase, *, quiet: bool) -> None:
        self._ledger = ledger
        self._holding = contextlib.ExitStack()
        with contextlib.ExitStack() as opening:
            self._db = opening.enter_context(ledger.reading())
            self.clock = stores.clock(self._db)
            if not quiet:
                self._holding = opening.pop_all()
        self.quiet = quiet
        self._until: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holding.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the moment. Raises Moved where somebody has changed something after all."""
        if not self.quiet:
            yield self._db
            return
        with self._ledger.reading() as db:
            if stores.clock(db) != self.clock:
                raise Moved
            yield db

    def wrote(self) -> None:
        """Some of it was looked at and written, and that is noted. Raises Moved where it was held long enough: the rest is
        read anew.
        """
        now = time.monotonic()
        self._until = self._until or now + _LONGEST_S
        if now > self._until and not self.quiet:
            raise Moved


class Moved(Exception):
    """The ledger is not as it was: begin anew. What was written is noted, and is passed over."""
