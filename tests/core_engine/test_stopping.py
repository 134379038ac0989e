"""A run's wish to stop: who waits is let go, who is at work may end it, and time runs out."""

from __future__ import annotations

import asyncio

import pytest

from core_engine.errors import Stopped
from core_engine.stopping import Stop


class Told:
    """What a run was told, in order."""

    def __init__(self, stop: Stop) -> None:
        self.words: list[str] = []
        stop.when_asked(lambda: self.words.append("soon"), lambda: self.words.append("now"))


async def test_who_waits_is_let_go_and_nobody_gets_leave_any_more():
    stop = Stop(60)
    reached = asyncio.Event()

    async def wait() -> None:
        async with stop.waiting():
            reached.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await reached.wait()
    stop.ask()
    with pytest.raises(Stopped):
        await waiting
    with pytest.raises(Stopped):
        async with stop.waiting():
            raise AssertionError("nobody may go on here")
    stop.settled()


async def test_a_wait_that_nobody_stops_leaves_no_trace_and_passes_errors_on():
    stop = Stop(60)
    async with stop.waiting():
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with stop.waiting():
            raise TimeoutError("of the one who waits, not ours")
    stop.ask()
    stop.settled()


async def test_asked_twice_means_now():
    stop = Stop(60)
    told = Told(stop)
    stop.ask()
    assert told.words == ["soon"]
    stop.ask()
    assert told.words == ["soon", "now"]


async def test_when_the_grace_is_over_it_means_now():
    stop = Stop(0.01)
    over = asyncio.Event()
    stop.when_asked(lambda: None, over.set)
    stop.ask()
    await asyncio.wait_for(over.wait(), 10)


async def test_what_is_settled_is_not_stopped_any_more():
    stop = Stop(0)
    told = Told(stop)
    stop.ask()
    stop.settled()
    await asyncio.sleep(0.01)
    stop.ask()
    assert told.words == ["soon"]


async def test_a_stage_that_begins_after_it_was_asked_is_told_at_once():
    stop = Stop(60)
    stop.ask()
    assert Told(stop).words == ["soon"]
    stop.ask()
    assert Told(stop).words == ["soon", "now"]
    stop.settled()
