"""Sends a prepared job: its file, then the job, and never either twice, however often the way is cut off.

Between a request and its answer nobody knows whether the provider has carried it out. So each step is committed before
the next, and after a failure or a kill the provider's lists are read before anything is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from core_engine.batch.compose import Stage, job_file
from core_engine.errors import ModelError, PassingFailure, ServiceRefused
from core_engine.ledger import batches
from core_engine.ledger.batches import CREATING, PREPARED, Job
from core_engine.ledger.ledger import Ledger
from core_engine.llm.batch_api import BatchState
from core_engine.stopping import Stop

log = logging.getLogger("kg.batch")

T = TypeVar("T")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_LOOKS = 4  # into the lists, within the time that they may lag behind


@dataclass(slots=True)
class Submitter:
    """`lag_s`: how long after a request the provider's lists may not show yet what it has made."""

    ledger: Ledger
    folder: Path
    retries: int
    lag_s: float
    stop: Stop
    rng: random.Random

    async def submit(self, job: Job, stage: Stage, *, fresh: bool) -> BatchState | None:
        """The job at the provider; None where it has to be composed anew (its file is lost). `fresh`: never tried.

        Raises QueueFull, BadReply and RequestTooLarge (the job will never be taken), ServiceRefused, Stopped.
        """
        tried = job.state == CREATING and job.tried_at is not None
        if job.state == PREPARED:
            prepared = job
            if not await self._with_patience(lambda again: self._upload(prepared, stage, look=again or not fresh)):
                return None
        ready = self._read_again(job)
        return await self._with_patience(lambda again: self._create(ready, stage, look=again or tried))

    async def _upload(self, job: Job, stage: Stage, *, look: bool) -> bool:
        """False where neither we nor the provider have the file any more."""
        path = job_file(self.folder, job.id)
        file = await stage.api.find_file(job.id, job.bytes, job.created_at) if look else None
        if file is None:
            if not path.exists() or path.stat().st_size != job.bytes:
                return False
            file = await stage.api.upload(job.id, path)
        await self.ledger.commit(batches.note_upload, job, file)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return True

    async def _create(self, job: Job, stage: Stage, *, look: bool) -> BatchState:
        file = job.files[0]
        state = await self._search(self._read_again(job), stage, file) if look else None
        if state is None:
            await self.ledger.commit(batches.note_try, job, time.time())
            state = await stage.api.create(job.id, stage.name, file)
        await self.ledger.commit(batches.note_created, job, state.id, time.time())
        return state

    async def _search(self, job: Job, stage: Stage, file: str) -> BatchState | None:
        """The job in the provider's list, which may lag behind what an earlier request has made."""
        began, tried = time.time(), job.tried_at or 0.0
        until = min(max(tried, began - self.lag_s), began) + self.lag_s  # a clock may have been set back
        while True:
            if state := await stage.api.find(job.id, file, job.created_at):
                log.info("Batch job %s had been created: it is taken up, not sent again", job.id[:8])
                return state
            if time.time() >= until or time.time() < began:
                return None
            async with self.stop.waiting():
                await asyncio.sleep(self.lag_s / _LOOKS + 0.01)

    async def _with_patience(self, step: Callable[[bool], Awaitable[T]]) -> T:
        """Try until it works; `step` is told whether it was tried before. ServiceRefused when the server stays away."""
        failures = 0
        while True:
            try:
                return await step(failures > 0)
            except PassingFailure as failure:
                failures += 1
                if failures > self.retries:
                    raise gone(failure, failures) from failure
                log.warning("%s; trying again", failure)
                pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**failures)
                async with self.stop.waiting():
                    await asyncio.sleep(failure.retry_after_s or self.rng.uniform(0, pause))

    def _read_again(self, job: Job) -> Job:
        with self.ledger.reading() as db:
            found = batches.find(db, job.id)
        return found or job


def gone(failure: ModelError, tries: int) -> ServiceRefused:
    """The error that ends the run when a server stays away."""
    return ServiceRefused(f"{failure} (after {tries} tries)", kind="unreachable", status=failure.status)
