"""Finds the part of a request that the server fails on, by halves, so that the rest is answered."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from core_engine.errors import BadReply, ModelError, PassingFailure, RequestTooLarge

T = TypeVar("T")


_Part = tuple[Sequence[T], ModelError]  # of a request, and how it failed


class Asks(Protocol):
    """Who asks: how many requests of its were answered so far."""

    @property
    def answered(self) -> int: ...


_PARTS_OF_A_SICK_SERVER = 4
_PARTS_OF_A_WRONG_REQUEST = 16  # such refusals are free
_ASKED_ALONE = 3  # items, of that many parts: where one in ten is bad, all three are in one case of a thousand


async def isolate(
    asker: Asks,
    items: Sequence[T],
    failure: ModelError,
    ask: Callable[[Sequence[T]], Awaitable[ModelError | None]],
) -> list[_Part[T]]:
    """What is left unanswered of `items`, whose request failed, each part with its own failure.

    `ask` sends one request about a part and returns its failure, or None where it was answered. A part that fails is
    halved down to single items, but only while the server answers something, be it about an item alone: if it is the
    server that is sick, every part would fail, and the parts are given back as they are. A provider that asked to wait
    is not asked in smaller parts.
    """
    if isinstance(failure, PassingFailure) and failure.turned_away:
        return [(items, failure)]
    rest: list[_Part[T]] = []
    failed = [(items, failure)]
    while failed:
        rest += [part for part in failed if len(part[0]) == 1]
        answered = asker.answered
        smaller = [half for part, _ in failed if len(part) > 1 for half in halves(part)]
        errors = await _together([ask(half) for half in smaller])
        unanswered = [(half, error) for half, error in zip(smaller, errors, strict=True) if error is not None]
        count = len(unanswered)
        tiring = [half for half in unanswered if count >= _patience(asker, half[1])]
        if tiring and asker.answered == answered:
            patient = [half for half in unanswered if count < _patience(asker, half[1])]
            alone, tiring = await _some_alone(asker, tiring, ask)
            rest += alone
            if asker.answered == answered:
                rest += tiring
                tiring = []
            unanswered = patient + tiring
        failed = unanswered
    return rest


async def _together(asked: Sequence[Awaitable[ModelError | None]]) -> list[ModelError | None]:
    """What came of each; one after the other, parts that each end with a timeout would take hours.

    What one of them raises ends the run, and is raised when the others are done: what they sent is stored.
    """
    ended = await asyncio.gather(*asked, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException) and not isinstance(one, PassingFailure | RequestTooLarge | BadReply):
            raise one
    return [one for one in ended if one is None or isinstance(one, ModelError)]


async def _some_alone(
    asker: Asks, parts: Sequence[_Part[T]], ask: Callable[[Sequence[T]], Awaitable[ModelError | None]]
) -> tuple[list[_Part[T]], list[_Part[T]]]:
    """Ask about the first items of some parts, each alone, until one is answered: those that failed, and the parts
    without what was asked about.

    Parts of many items may each hold a bad one; that a few single items are all bad is less likely than a sick server.
    """
    before, alone, left = asker.answered, list[_Part[T]](), list(parts)
    for number, (part, error) in enumerate(parts[:_ASKED_ALONE]):
        if len(part) == 1 or asker.answered != before:
            continue
        failure = await ask(part[:1])
        if failure is not None:
            alone.append((part[:1], failure))
        left[number] = (part[1:], error)
    return alone, left


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
