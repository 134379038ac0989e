"""Finds the part of a request that the server fails on, by halves, so that the rest is answered."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from core_engine.errors import ModelError, PassingFailure, RequestTooLarge

T = TypeVar("T")


class Asks(Protocol):
    """Who asks: how many requests of its were answered so far."""

    @property
    def answered(self) -> int: ...


_PARTS_OF_A_SICK_SERVER = 4
_PARTS_OF_A_WRONG_REQUEST = 16  # such refusals are free


async def isolate(
    asker: Asks,
    items: Sequence[T],
    failure: ModelError,
    ask: Callable[[Sequence[T]], Awaitable[ModelError | None]],
) -> list[tuple[Sequence[T], ModelError]]:
    """What is left unanswered of `items`, whose request failed, each part with its own failure.

    `ask` sends one request about a part and returns its failure, or None where it was answered. A part that fails is
    halved down to single items, but only while the server answers something: if it is the server that is sick, every
    part would fail, and the parts are given back as they are. A provider that asked to wait is not asked in smaller parts.
    """
    if isinstance(failure, PassingFailure) and failure.turned_away:
        return [(items, failure)]
    rest: list[tuple[Sequence[T], ModelError]] = []
    failed = [(items, failure)]
    while failed:
        rest += [part for part in failed if len(part[0]) == 1]
        answered = asker.answered
        unanswered: list[tuple[Sequence[T], ModelError]] = []
        for part, _ in failed:
            for half in halves(part) if len(part) > 1 else ():
                error = await ask(half)
                if error is not None:
                    unanswered.append((half, error))
        if asker.answered == answered:
            count = len(unanswered)
            rest += [half for half in unanswered if count >= _patience(asker, half[1])]
            unanswered = [half for half in unanswered if count < _patience(asker, half[1])]
        failed = unanswered
    return rest


def halves(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """The first half, which is the larger one, and the second."""
    middle = (len(items) + 1) // 2
    return items[:middle], items[middle:]


def _patience(asker: Asks, error: ModelError) -> float:
    """In how many parts a request may be refused, with nothing answered meanwhile, before it is not divided further."""
    if isinstance(error, PassingFailure):
        return _PARTS_OF_A_SICK_SERVER
    if isinstance(error, RequestTooLarge) or asker.answered:
        return math.inf
    return _PARTS_OF_A_WRONG_REQUEST
