"""What is long, in pieces: of so many items each, or of so many and no more than a size together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

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
