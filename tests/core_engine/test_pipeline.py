"""The pipeline with plain parts of our own: what flows, what is held back, and what an accident takes down (nothing)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from core_engine.errors import LedgerError, OverBudget, ServiceRefused
from core_engine.pipeline import Ending, Pipeline
from core_engine.progress import Progress
from core_engine.types import Batch, BatchItem, Chunk

Step = Callable[[Batch], Awaitable[None]]


def batch(number: int, chunks: int = 1) -> Batch:
    items = tuple(BatchItem(Chunk(f"{number}-{n}", "d", n, ()), n, 1, None) for n in range(chunks))
    return Batch(str(number), items)


@dataclass
class Plan:
    """Gives so many batches, and notes how many it was asked for."""

    count: int
    failure: Exception | None = None
    given: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def batches(self) -> Iterator[Batch]:
        while self.given < self.count and not self.stopped.is_set():
            self.given += 1
            yield batch(self.given)
        if self.failure:
            raise self.failure

    def stop(self) -> None:
        self.stopped.set()


@dataclass
class Extract:
    """Does a step with each batch, and keeps those that it finished."""

    step: Step | None = None
    done: list[str] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0

    async def extract(self, batch: Batch) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(0)
            if self.step:
                await self.step(batch)
        finally:
            self.in_flight -= 1
        self.done.append(batch.id)


@dataclass
class Embed:
    """Notes what it is told."""

    step: Step | None = None
    offered: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    all_offered: bool = False
    cancelled: int = 0
    closed: int = 0

    def offer(self, batch: Batch) -> None:
        self.offered.append(batch.id)

    def offered_all(self) -> None:
        self.all_offered = True

    async def embed(self, batch: Batch) -> None:
        if self.step:
            await self.step(batch)
        self.done.append(batch.id)

    def cancel(self) -> None:
        self.cancelled += 1

    async def close(self) -> None:
        self.closed += 1


def pipeline(plan: Plan, extract: Extract, embed: Embed | None = None, workers: int = 4) -> Pipeline:
    return Pipeline(plan, extract, embed, Progress(), workers=workers, batch_size=100)


def names(count: int) -> list[str]:
    return sorted(str(n + 1) for n in range(count))


async def test_every_batch_is_extracted_and_embedded_once():
    extract, embed = Extract(), Embed()
    job = pipeline(Plan(200), extract, embed)
    assert await job.run() == Ending()
    assert sorted(extract.done) == sorted(embed.done) == sorted(embed.offered) == names(200)
    assert embed.all_offered
    assert embed.closed == 1
    assert job._progress.batches_done == job._progress.chunks_done == 200


async def test_no_more_than_max_concurrent_batches_are_worked_on_and_no_fewer():
    gate = asyncio.Event()

    async def wait(_: Batch) -> None:
        await gate.wait()

    extract = Extract(wait)
    running = asyncio.create_task(pipeline(Plan(100), extract, workers=7).run())
    await _settled(lambda: extract.in_flight)
    assert extract.in_flight == 7
    gate.set()
    await running
    assert extract.peak == 7


async def test_a_full_queue_holds_the_planner_back():
    gate = asyncio.Event()
    plan = Plan(10_000)

    async def wait(_: Batch) -> None:
        await gate.wait()

    job = pipeline(plan, Extract(wait), workers=20)
    running = asyncio.create_task(job.run())
    await _settled(lambda: plan.given)
    # In the queue, with the workers, and the one that the planner holds in its hand.
    assert plan.given == 2 * 20 + 20 + 1
    job.stop("interrupted")
    gate.set()
    await running
    assert plan.given <= 2 * 20 + 20 + 2


async def test_a_failed_batch_is_recorded_and_the_run_goes_on():
    async def fail(batch: Batch) -> None:
        if batch.id == "3":
            raise TypeError("a mistake of ours")

    extract, embed = Extract(fail), Embed()
    job = pipeline(Plan(50), extract, embed)
    assert (await job.run()).kind == "done"
    assert sorted(extract.done) == sorted(set(names(50)) - {"3"})
    assert sorted(embed.done) == names(50)
    assert job._progress.left_open == {"internal": 1}


async def test_one_side_failing_does_not_stop_the_other_side_of_the_same_batch():
    started = asyncio.Event()

    async def fail(_: Batch) -> None:
        started.set()
        raise ValueError("a mistake of ours")

    async def finish(_: Batch) -> None:
        await started.wait()
        await asyncio.sleep(0)

    extract = Extract(finish)
    await pipeline(Plan(1), extract, Embed(fail)).run()
    assert extract.done == ["1"]


async def test_a_side_that_is_cancelled_from_within_costs_no_worker():
    async def cancelled(_: Batch) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    extract = Extract()
    job = pipeline(Plan(300), extract, Embed(cancelled))
    async with asyncio.timeout(10):
        assert (await job.run()).kind == "done"
    assert sorted(extract.done) == names(300)
    assert job._progress.left_open["internal"] == 300


async def test_stop_finishes_what_is_in_flight_and_takes_nothing_new():
    gate = asyncio.Event()

    async def wait(_: Batch) -> None:
        await gate.wait()

    extract = Extract(wait)
    job = pipeline(Plan(1000), extract, workers=3)
    running = asyncio.create_task(job.run())
    await _settled(lambda: extract.in_flight)
    job.stop("interrupted", "by hand")
    job.stop("budget", "the first reason counts")
    gate.set()
    assert await running == Ending("interrupted", "by hand")
    assert len(extract.done) == 3


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (ServiceRefused("401: no such key", kind="401"), "refused"),
        (OverBudget("no room for one more call"), "budget"),
        (LedgerError("the disk is full"), "failed"),
    ],
)
async def test_what_ends_the_run_ends_it_once_and_says_why(failure, kind):
    async def fail(batch: Batch) -> None:
        if int(batch.id) >= 5:
            raise failure

    extract = Extract(fail)
    plan = Plan(100_000)
    ending = await pipeline(plan, extract).run()
    assert ending == Ending(kind, str(failure))
    assert len(extract.done) <= 4 + 4
    assert plan.given < 500


async def test_what_the_planner_raises_is_raised_after_the_work_in_flight():
    extract, embed = Extract(), Embed()
    with pytest.raises(LedgerError, match="disk"):
        await pipeline(Plan(30, LedgerError("the disk is full")), extract, embed).run()
    assert sorted(extract.done) == names(30)
    assert embed.closed == 1


async def test_a_cancelled_run_lets_go_of_a_planner_that_waits_for_room():
    async def for_ever(_: Batch) -> None:
        await asyncio.Event().wait()

    plan, embed = Plan(10_000), Embed()
    running = asyncio.create_task(pipeline(plan, Extract(for_ever), embed).run())
    await _settled(lambda: plan.given)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # Else the loop could not be closed: it waits for its threads.
    async with asyncio.timeout(5):
        await asyncio.get_running_loop().shutdown_default_executor()
    assert plan.given < 1000
    assert embed.cancelled == embed.closed == 1


async def test_a_stopped_run_drops_what_waits_in_the_queue_without_a_look():
    async def refuse(_: Batch) -> None:
        raise ServiceRefused("403", kind="403")

    extract, embed = Extract(refuse), Embed()
    job = pipeline(Plan(1000), extract, embed, workers=1)
    await job.run()
    assert extract.done == []
    assert embed.done == ["1"]
    assert job._progress.batches_done == 1


async def _settled(value: Callable[[], int]) -> None:
    """Wait until the value is above 0 and stays as it is."""
    async with asyncio.timeout(10):
        last, same = 0, 0
        while same < 20:
            await asyncio.sleep(0.005)
            now = value()
            same = same + 1 if now and now == last else 0
            last = now
