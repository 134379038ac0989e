"""The pipeline: a planner thread fills a bounded queue, workers share it, and whoever is free takes the next batch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from core_engine.errors import KGError, OverBudget, ServiceRefused, Stopped
from core_engine.progress import Progress
from core_engine.types import Batch

log = logging.getLogger("kg.pipeline")

_PLANNER_S = 3.0  # so long a planner is waited for that is in the midst of something when the run stops
_CHUNKS_AHEAD = 1024  # so that embeddings can be gathered from batches that wait, at any concurrency


class Batches(Protocol):
    """Where batches come from; called in a thread of its own."""

    def batches(self) -> Iterator[Batch]: ...
    def stop(self) -> None: ...


class Extracts(Protocol):
    async def extract(self, batch: Batch) -> None: ...


class Embeds(Protocol):
    def offer(self, batch: Batch) -> None: ...
    def offered_all(self) -> None: ...
    async def embed(self, batch: Batch) -> None: ...
    def cancel(self) -> None: ...
    async def close(self) -> None: ...


@dataclass(slots=True)
class Ending:
    """How the work ended: done | pending (Batch jobs are at work) | interrupted | refused (a service) | budget (our cap)
    | failed (a mistake of ours).
    """

    kind: str = "done"
    message: str = ""


class Works(Protocol):
    """A run's work: a Pipeline, or Batch jobs in its place."""

    async def run(self) -> Ending: ...
    def stop(self, kind: str, message: str = "") -> None: ...


class Pipeline:
    """Works through all batches with up to `workers` of them at a time."""

    def __init__(
        self,
        source: Batches,
        extractor: Extracts,
        embedder: Embeds | None,
        progress: Progress,
        *,
        workers: int,
        batch_size: int,
    ) -> None:
        self._source = source
        self._extractor = extractor
        self._embedder = embedder
        self._progress = progress
        self._workers = workers
        self._depth = max(2 * workers, -(-_CHUNKS_AHEAD // batch_size))
        self._stopping = threading.Event()
        self._queue: asyncio.Queue[Batch | None] | None = None
        self.ending = Ending()

    def stop(self, kind: str, message: str = "") -> None:
        """Take no new work; what is in flight is finished. The first reason given counts."""
        if not self._stopping.is_set():
            self.ending = Ending(kind, message)
            self._stopping.set()
            self._source.stop()
            if self._queue:
                _wake(self._queue)  # the planner may be held up by a large file, or by standard input

    async def run(self) -> Ending:
        """Work until all is done or stop() was called. Raises what the planner raised, after the work in flight."""
        queue: asyncio.Queue[Batch | None] = asyncio.Queue(self._depth)
        self._queue = queue
        if self._stopping.is_set():
            _wake(queue)
        feeding = _in_a_thread(self._feed, queue, asyncio.get_running_loop())
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._workers):
                    workers.create_task(self._work(queue))
            if feeding.done() or not self._stopping.is_set():
                await asyncio.shield(feeding)  # a thread can't be cancelled, only let go
        except asyncio.CancelledError:
            if self._embedder:
                self._embedder.cancel()
            raise
        finally:
            self._stopping.set()
            self._source.stop()
            await _let_go(feeding, queue)
            if self._embedder:
                await self._embedder.close()
        return self.ending

    def _feed(self, queue: asyncio.Queue[Batch | None], loop: asyncio.AbstractEventLoop) -> None:
        """In the planner's thread: a full queue holds the planner back."""
        try:
            for batch in self._source.batches():
                if self._stopping.is_set():
                    return
                asyncio.run_coroutine_threadsafe(self._put(queue, batch), loop).result()
        finally:
            asyncio.run_coroutine_threadsafe(self._put_end(queue), loop).result()

    async def _put(self, queue: asyncio.Queue[Batch | None], batch: Batch) -> None:
        if self._embedder:
            self._embedder.offer(batch)
        await queue.put(batch)

    async def _put_end(self, queue: asyncio.Queue[Batch | None]) -> None:
        if self._embedder:
            self._embedder.offered_all()
        await queue.put(None)

    async def _work(self, queue: asyncio.Queue[Batch | None]) -> None:
        while True:
            batch = await queue.get()
            if batch is None or self._stopping.is_set():
                _wake(queue)
                return
            await self._answer(batch)

    async def _answer(self, batch: Batch) -> None:
        """Extract and embed side by side; one side failing never takes the other down."""
        sides = [self._extractor.extract(batch)]
        if self._embedder:
            sides.append(self._embedder.embed(batch))
        failures = [failure for failure in await asyncio.gather(*sides, return_exceptions=True) if failure is not None]
        for failure in failures:
            self._failed(batch, failure)
        self._progress.batches_done += 1
        if not any(isinstance(failure, Stopped) for failure in failures):
            self._progress.chunks_done += len(batch.items)

    def _failed(self, batch: Batch, failure: BaseException) -> None:
        if isinstance(failure, ServiceRefused):
            self.stop("refused", str(failure))
        elif isinstance(failure, OverBudget):
            self.stop("budget", str(failure))
        elif isinstance(failure, Stopped):
            pass  # not sent: its questions stay open
        elif isinstance(failure, KGError):
            self.stop("failed", str(failure))
        elif isinstance(failure, Exception | asyncio.CancelledError):
            # A mistake of ours: its chunks stay open, and the run goes on with the rest. (Where the worker itself is
            # cancelled, gather raises; a cancellation among its results is a step's own.)
            self._progress.left_open["internal"] += len(batch.items)
            log.error("batch %s failed: %r", batch.id, failure, exc_info=failure, extra={"batch_id": batch.id})
        else:
            raise failure


def _wake(queue: asyncio.Queue[Batch | None]) -> None:
    """Tell the next worker that waits for a batch that none will come."""
    with contextlib.suppress(asyncio.QueueFull):  # then nobody waits
        queue.put_nowait(None)


def _in_a_thread(work: Callable[..., None], *arguments: Any) -> asyncio.Future[None]:
    """A future of work in a thread that the process need not outlive: it may hang in a read that nobody can end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error = None
        try:
            work(*arguments)
        except BaseException as raised:  # noqa: BLE001  told to who waits, if somebody still does
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody does
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, name="kg-planner", daemon=True).start()
    return done


async def _let_go(feeding: asyncio.Future[None], queue: asyncio.Queue[Batch | None]) -> None:
    """Wait for the planner's thread, which may be held back by a queue that nobody empties any more; but not for long."""
    give_up_at = time.monotonic() + _PLANNER_S
    while not feeding.done() and time.monotonic() < give_up_at:
        while not queue.empty():
            queue.get_nowait()
        await asyncio.wait({feeding}, timeout=0.05)
    if feeding.done() and not feeding.cancelled():
        feeding.exception()  # it was raised to who ran the pipeline, or came after the run was asked to stop
