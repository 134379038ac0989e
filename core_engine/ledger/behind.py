"""Changes of which the last may still be under way while the next one is made."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Self

from core_engine.ledger.ledger import Handed, LedgerBase

P = ParamSpec("P")


class OneBehind:
    """Use as a context manager: at its end all of them are committed.

    Making a change and committing it take two threads, or two processes, and about as long. Never more than one is
    under way: whoever makes them faster than they are committed waits.
    """

    def __init__(self, ledger: LedgerBase) -> None:
        self._ledger = ledger
        self._under_way: Handed[int] | None = None
        self.changed = 0
        """What the committed ones have returned, together."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def write(self, work: Callable[Concatenate[sqlite3.Connection, P], int], *args: P.args, **kwargs: P.kwargs) -> None:
        """Hand in a change. Raises what the one before has raised."""
        self.wait()
        self._under_way = self._ledger.submit(work, *args, **kwargs)

    def wait(self) -> None:
        """Until none is under way."""
        last, self._under_way = self._under_way, None
        if last:
            self.changed += last.result()
