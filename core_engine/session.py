"""One run over a workspace, from taking up what a killed run left to the last write."""

from __future__ import annotations

import asyncio
import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from core_engine.errors import LedgerError, Stopped
from core_engine.kg.extractor import parse_stored_replies
from core_engine.ledger import calls, questions, runs
from core_engine.ledger.ledger import Ledger
from core_engine.pipeline import Ending, Works
from core_engine.progress import Progress
from core_engine.projector import Projection
from core_engine.stopping import Stop


class Follower(Protocol):
    """A projector, in this process or in one of its own."""

    @property
    def result(self) -> Projection:
        """What was projected so far; one object for the whole run."""

    @property
    def store_names(self) -> dict[str, str]: ...
    @property
    def warnings(self) -> list[str]: ...
    def start(self) -> None: ...
    def derive(self) -> Future[None]: ...
    def finish(self, *, hurry: bool = False) -> Projection: ...
    def hurry(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a run that ended without a word had left: calls whose answer is unknown, and replies nobody had read."""

    runs: int = 0
    unknown_calls: int = 0
    unknown_at_most: Decimal = Decimal(0)
    released: int = 0
    answers: int = 0


@dataclass(slots=True)
class Outcome:
    """A run as it ended, for its report."""

    run: str
    command: str
    started_at: float
    recovered: Recovered
    progress: Progress
    projection: Projection
    ending: Ending = field(default_factory=Ending)
    finished_at: float = 0.0

    @property
    def exit_code(self) -> int:
        """DESIGN's exit codes; where several hold, 130 > 5 > 3 > 2."""
        kind = self.ending.kind
        if kind == "interrupted":
            return 130
        if kind in {"refused", "failed"} or self.projection.errors or self.progress.left_open:
            return 5
        if kind == "budget":
            return 3
        return 2 if self.progress.buried or self.progress.unreadable else 0

    @property
    def failed_stores(self) -> list[str]:
        """The roles of the stores that were given up."""
        written = (("graph", self.projection.graph), ("vectors", self.projection.vectors))
        return [role for role, of in written if of.failed] if self.projection.errors else []

    @property
    def status(self) -> str:
        if self.exit_code == 0 and self.ending.kind == "pending":
            return "pending"  # Batch jobs are at work
        return {0: "done", 2: "done", 3: "stopped", 5: "failed", 130: "stopped"}[self.exit_code]


def new_run_id(now: float) -> str:
    """Readable, sorts by time, to 1/4096 s (its first three hex digits), and unique: 20261121-093000-1a2b3c."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{int(now % 1 * 4096):03x}{uuid.uuid4().hex[:3]}"


def begin(ledger: Ledger, run: str, command: str, settings: dict[str, Any], now: float) -> Recovered:
    """Take up what a killed run left, and note that this one begins. Hold the run lock."""
    killed = ledger.write(runs.mark_killed)
    unknown, at_most = ledger.write(calls.abandon_sent)
    recovered = Recovered(
        runs=killed,
        unknown_calls=unknown,
        unknown_at_most=at_most,
        answers=parse_stored_replies(ledger),
        released=ledger.write(questions.release),
    )
    ledger.write(runs.start, run, command, now, settings)
    return recovered


async def open_stores(projector: Follower, stop: Stop) -> None:
    """Open the stores and let the projector follow. Raises StoreError, or Stopped where that was asked for meanwhile."""
    stop.when_asked(projector.hurry, projector.hurry)
    try:
        await asyncio.to_thread(projector.start)
    except BaseException:
        stop.settled()
        raise
    if stop.asked:
        stop.settled()
        await asyncio.to_thread(projector.finish, hurry=True)
        raise Stopped("stopped by hand before the run began: nothing was sent")


async def work(outcome: Outcome, ledger: Ledger, pipeline: Works, projector: Follower, stop: Stop) -> Outcome:
    """Run the pipeline to its end, then the projector, for as long as `stop` lets them; fill in and return the outcome."""
    working = asyncio.create_task(pipeline.run())

    def give_up() -> None:
        working.cancel()

    stop.when_asked(lambda: pipeline.stop("interrupted"), give_up)
    hurry = False
    try:
        outcome.ending = await working
    except asyncio.CancelledError:
        # Stopped at once: what was answered is in the ledger, the stores follow at the next run.
        outcome.ending = Ending("interrupted")
        hurry = True
    finally:
        try:
            ledger.write(questions.release, outcome.run)
        except LedgerError:
            hurry = True
            raise
        finally:
            await _project(outcome, projector, stop, hurry=hurry)
            outcome.finished_at = time.time()
    return outcome


async def _project(outcome: Outcome, projector: Follower, stop: Stop, *, hurry: bool) -> None:
    finishing = asyncio.create_task(asyncio.to_thread(projector.finish, hurry=hurry))

    def asked() -> None:
        if outcome.ending.kind == "done":
            outcome.ending = Ending("interrupted")

    stop.when_asked(asked, projector.hurry)
    while not finishing.done():
        try:
            await asyncio.shield(finishing)
        except asyncio.CancelledError:  # where signals can't be handled (Windows), Ctrl-C cancels whoever waits
            asked()
            projector.hurry()
    stop.settled()
    outcome.projection = finishing.result()
