"""One run over a workspace, from taking up what a killed run left to the last write."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core_engine.kg.extractor import parse_stored_replies
from core_engine.ledger import calls, questions, runs
from core_engine.ledger.ledger import Ledger
from core_engine.pipeline import Ending, Pipeline
from core_engine.progress import Progress
from core_engine.projector import Projection, Projector


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a run that ended without a word had left: calls whose answer is unknown, and replies nobody had read."""

    runs: int = 0
    unknown_calls: int = 0
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
    def status(self) -> str:
        return {0: "done", 2: "done", 3: "stopped", 5: "failed", 130: "stopped"}[self.exit_code]


def new_run_id(now: float) -> str:
    """Sorts by time, readable, and unique: 20261121-093000-1a2b3c."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(now)) + "-" + uuid.uuid4().hex[:6]


def begin(ledger: Ledger, run: str, command: str, settings: dict[str, Any], now: float) -> Recovered:
    """Take up what a killed run left, and note that this one begins. Hold the run lock."""
    killed = ledger.write(runs.mark_killed)
    recovered = Recovered(
        runs=killed,
        unknown_calls=ledger.write(calls.abandon_sent),
        answers=parse_stored_replies(ledger),
        released=ledger.write(questions.release),
    )
    ledger.write(runs.start, run, command, now, settings)
    return recovered


async def work(
    outcome: Outcome,
    ledger: Ledger,
    pipeline: Pipeline,
    projector: Projector,
    *,
    on_start: Callable[[asyncio.AbstractEventLoop], None] = lambda _: None,
) -> Outcome:
    """Run the pipeline to its end, then the projector; fill in and return the outcome.

    `on_start` gets the loop, to have signals call pipeline.stop().
    """
    on_start(asyncio.get_running_loop())
    hurry = False
    try:
        outcome.ending = await pipeline.run()
    except asyncio.CancelledError:
        # Stopped at once: what was answered is in the ledger, the stores follow at the next run.
        outcome.ending = Ending("interrupted", "stopped at once; the next run goes on from here")
        hurry = True
    finally:
        ledger.write(questions.release, outcome.run)
        outcome.projection = await asyncio.to_thread(projector.finish, hurry=hurry)
        outcome.finished_at = time.time()
    return outcome
