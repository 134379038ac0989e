"""What is long, in pieces: of so many items each, or of so many and no more than a size together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Self, TypeVar

T = TypeVar("T")


def pages(items: Iterable[T], most: int) -> Iterator[list[T]]:
    """Lists of `most` items, in order; the last may be shorter. As `itertools.batched` of Python 3.12."""
    rest = iter(items)
    while page := list(islice(rest, most)):
        yield page


def sized_pages(items: Iterable[T], weight: Callable[[T], int], most: int, size: int) -> Iterator[list[T]]:
    """Lists of at most `most` items whose weights come to `size` at most; an item that is larger is alone."""
    page: list[T] = []
    held = 0
    for item in items:
        weighs = weight(item)
        if page and (len(page) == most or held + weighs > size):
            yield page
            page, held = [], 0
        page.append(item)
        held += weighs
    if page:
        yield page


class Spill:
    """Rows that may be too many to hold: beyond some megabytes they are in a file without a name. Use as a context manager.

    Values are bytes, texts, numbers or None.
    """

    def __init__(self, columns: int = 1) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # https://sqlite.org/inmemorydb.html#temp_db
        names = [f"c{number}" for number in range(columns)]
        self._db.execute(f"CREATE TABLE row ({', '.join(names)})")
        self._insert = f"INSERT INTO row VALUES ({', '.join('?' * columns)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(self._insert, rows)
        self._db.execute("COMMIT")

    def pages(self, most: int) -> Iterator[list[tuple[Any, ...]]]:
        """Lists of `most` rows in the order in which they came; the last may be shorter."""
        rows = self._db.execute("SELECT * FROM row ORDER BY rowid")
        while page := rows.fetchmany(most):
            yield page
