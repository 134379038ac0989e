"""A run by the Batch API: compose, submit, wait, collect, and again for what is missing.

It stands where the pipeline stands in other runs. What it has submitted outlives it: the jobs and their questions are in
the ledger, and whichever run comes next takes them up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from core_engine.batch.collect import Collector
from core_engine.batch.compose import Composer, Draft, Stage, job_file
from core_engine.batch.submit import Submitter, gone
from core_engine.errors import (
    BadReply,
    ModelError,
    OverBudget,
    PassingFailure,
    RequestTooLarge,
    ServiceRefused,
    Stopped,
)
from core_engine.kg.prompt import RESPONSE_FORMATS, ExtractionPrompt
from core_engine.ledger import batches, questions
from core_engine.ledger.batches import SUBMITTED, Job
from core_engine.ledger.ledger import Ledger
from core_engine.llm.asker import Asker
from core_engine.llm.batch_api import BatchState, QueueFull
from core_engine.llm.question import Question
from core_engine.pipeline import Batches, Ending
from core_engine.ports import Budget, Observer, Pricer
from core_engine.progress import Progress
from core_engine.stopping import Stop
from core_engine.types import Payer

log = logging.getLogger("kg.batch")

Kinds = Mapping[int, frozenset[str]]

_FIRST_LOOK_S = 2.0
_SLOWER = 1.5
_QUEUE_SHARE = 0.95  # of the provider's limit: prompts are counted by estimate
_REFUSALS_ALONE = 3  # where no limit is told, a job that the queue refuses so often with none of ours there is halved
_FLAWED = frozenset({"server_error", ""})  # codes of a failed job that may do better the next time
_TRIVIAL = "CHUNK 1\n1: ok"


@dataclass(slots=True)
class Means:
    """What a run by the Batch API needs. `replan` gives the batches of certain chunks anew; `asker` proves the model."""

    ledger: Ledger
    run: str
    source: Batches
    replan: Callable[[Kinds], Batches]
    stages: Mapping[str, Stage]
    asker: Asker | None
    prompt: ExtractionPrompt
    budget: Budget
    pricer: Pricer
    observers: tuple[Observer, ...]
    progress: Progress
    folder: Path
    stop: Stop
    wait: bool = True
    poll_s: float = 60.0
    retries: int = 6
    rng: random.Random = field(default_factory=random.Random)  # jitter is no secret
    payer: Payer = field(default_factory=Payer)


class BatchRun:
    """Runs until all is answered, or, with `wait` off, until all is submitted. stop() leaves the jobs as they are."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._ledger = means.ledger
        self._progress = means.progress
        self._submitter = Submitter(means.ledger, means.folder, means.retries, 2 * means.poll_s, means.stop, means.rng)
        self._collector = Collector(means.ledger, means.run, means.pricer, means.observers, means.progress, means.payer)
        self._stopping = asyncio.Event()
        self._source = means.source
        self._ours: set[str] = set()  # jobs that this run has made: its budget holds their ceilings
        self._said: dict[str, tuple[str, int]] = {}
        self._not_before: dict[str, float] = {}
        self._refusals: dict[str, int] = {}
        self._shrunk = False
        self._answers = 0
        self._looks = 0
        self._seen = False
        self._proven = False
        self._strangers: set[str] = set()
        self._cancelled = False
        self._cancelled_before: set[str] = set()
        self.ending = Ending()

    def stop(self, kind: str, message: str = "") -> None:
        """Submit nothing more and wait no longer. The first reason given counts."""
        if not self._stopping.is_set():
            self.ending = Ending(kind, message)
            self._stopping.set()
            self._source.stop()

    async def run(self) -> Ending:
        """Work until all is done, or stop() was called. Raises what the planner raised."""
        try:
            await self._clean_up()
            await self._rounds()
        except ServiceRefused as refusal:
            self.stop("refused", str(refusal))
        except OverBudget as over:
            self.stop("budget", str(over))
        except Stopped:
            pass  # stop() was told why
        except ModelError as error:
            self.stop("failed", str(error))
        finally:
            self._source.stop()
            self._say_what_is_left()
        return self.ending

    async def _rounds(self) -> None:
        """Round after round, as long as one has answered something: what is open after it is asked in the next."""
        rounds = 0
        while True:
            self._answers, self._shrunk = 0, False
            await self._round()
            rounds += 1
            kinds, reasons = self._left_open()
            if self._stopping.is_set() or not kinds:
                return
            if self._cancelled or (rounds > 1 and not self._answers and not self._shrunk):
                self._progress.left_open.update(reasons)
                return
            log.info("%d chunks are asked about again", len(kinds))
            self._source = self._means.replan(kinds)

    async def _round(self) -> None:
        means = self._means
        composer = Composer(
            means.ledger,
            means.run,
            self._source,
            means.stages,
            means.prompt,
            means.budget,
            means.pricer,
            means.folder,
            means.payer,
        )
        exhausted = False
        try:
            while not self._stopping.is_set():
                jobs = await self._submit_due()
                if not exhausted and all(job.state == SUBMITTED for job in jobs):
                    draft = await self._compose(composer)
                    if draft:
                        await self._prepare(draft)
                        continue
                    exhausted = not composer.held
                    if composer.held and not jobs and not means.budget.others_hold:
                        raise OverBudget(means.budget.refusal())
                if not jobs and exhausted:
                    return
                await self._look(jobs, pause=means.wait)
                if not means.wait:
                    return
        finally:
            composer.discard()
            self._progress.reasked += composer.reasked

    async def _compose(self, composer: Composer) -> Draft | None:
        if not await asyncio.to_thread(composer.has_work):
            return None
        await self._prove()
        return await asyncio.to_thread(composer.next)

    async def _prove(self) -> None:
        """A small request at the usual price, if this model was never asked: a wrong key, model or parameter is met now.

        Else a job would meet it in each of its lines, a day later.
        """
        asker = self._means.asker
        if self._proven or asker is None:
            return
        self._proven = True
        end = self._means.stages["extract"].client.endpoint
        with self._ledger.reading() as db:
            known = db.execute(
                "SELECT 1 FROM call WHERE status = 'answered' AND endpoint = ? AND model = ? LIMIT 1",
                (end.label, end.model),
            ).fetchone()
        if known:
            return
        try:
            answered = await asker.chat(
                Question((), "first look"), self._means.prompt.system, _TRIVIAL, RESPONSE_FORMATS
            )
        except BadReply as error:
            if error.status is not None:
                raise asker.give_up(error) from error
        except PassingFailure as failure:
            raise asker.give_up(failure) from failure
        else:
            await self._ledger.commit(questions.answer_extractions, answered.call, ())

    # --- submitting -------------------------------------------------------------------------------------------------

    async def _prepare(self, draft: Draft) -> None:
        """Commit what is meant to be sent (law 2)."""
        self._ours.add(draft.id)
        await self._ledger.commit(batches.prepare, draft.intent(self._means.run), time.time())

    async def _submit_due(self) -> list[Job]:
        """Send what is prepared and finds room; all jobs that we can reach and whose results are not in yet."""
        for job in self._jobs():
            stage = self._stage_of(job)
            if job.state == SUBMITTED or stage is None or not self._has_room(job, stage):
                continue
            try:
                state = await self._submitter.submit(
                    job, stage, fresh=job.id in self._ours and job.id not in self._said
                )
            except QueueFull as full:
                await self._queue_full(job, stage, full.limit, str(full))
                continue
            except (BadReply, RequestTooLarge) as error:
                await self._abandon(job, str(error))
                refused = f"the Batch job was refused: {error}"
                raise ServiceRefused(refused, kind=error.kind, status=error.status) from error
            if state is None:
                await self._abandon(job, "its file was lost before it was sent")
                continue
            self._said[job.id] = ("", 0)
            if self._progress.first_request_at is None:
                self._progress.first_request_at = time.time()
            log.info(
                "→ Batch job %s: %s requests about %s %s, %s", job.id[:8], f"{job.requests:,}",
                f"{job.questions:,}", "chunks" if job.stage == "extract" else "texts", job.model,
            )  # fmt: skip
            self._looks = 0
        return self._jobs()

    def _jobs(self) -> list[Job]:
        """Pending jobs of our endpoints. What went to another endpoint is left to a run that names it."""
        with self._ledger.reading() as db:
            return [job for job in batches.pending(db) if self._stage_of(job) and job.id not in self._strangers]

    def _stage_of(self, job: Job) -> Stage | None:
        """The stage through which the job's provider is reached."""
        stages = self._means.stages
        mine = stages.get(job.stage)
        for stage in (mine, *stages.values()):
            if stage and stage.client.endpoint.label == job.endpoint:
                return stage if stage.name == job.stage else replace(stage, name=job.stage)
        return None

    def _has_room(self, job: Job, stage: Stage) -> bool:
        if time.time() < self._not_before.get(job.id, 0.0):
            return False
        waiting = sum(other.tokens for other in self._jobs() if other.state == SUBMITTED and other.model == job.model)
        limit = stage.queue_limit
        return not waiting or limit is None or waiting + job.tokens <= limit * _QUEUE_SHARE

    async def _queue_full(self, job: Job, stage: Stage, limit: int | None, said: str) -> None:
        """Wait for room; a job that would never find any is given up, and its questions are asked in smaller ones."""
        stage.queue_limit = limit or stage.queue_limit
        others = any(other.state == SUBMITTED and other.id != job.id for other in self._jobs())
        refusals = self._refusals[job.id] = self._refusals.get(job.id, 0) + (not others)
        told = None if stage.queue_limit is None else int(stage.queue_limit * _QUEUE_SHARE)
        too_large = refusals >= _REFUSALS_ALONE if told is None else job.tokens > told
        if too_large and job.requests > 1:
            most = told or job.tokens // 2
            real = self._means.stages.get(job.stage, stage)
            real.most_tokens = max(most, 1)
            real.queue_limit = stage.queue_limit
            log.warning("Batch job %s is larger than the provider's queue takes: it is split (%s)", job.id[:8], said)
            await self._abandon(job, "larger than the provider's queue: split")
            self._shrunk = True
            return
        self._not_before[job.id] = time.time() + self._means.poll_s
        log.warning("Batch job %s waits for room in the provider's queue (%s)", job.id[:8], said)
        await self._ledger.commit(batches.note_refused, job)

    async def _abandon(self, job: Job, reason: str) -> None:
        with self._ledger.reading() as db:
            most = batches.spent(db, job).tokens_at_most
            persona = batches.persona_of(db, job)
        await self._ledger.commit(batches.abandon, job, reason, time.time())
        if job.id in self._ours:
            self._ours.discard(job.id)
            self._means.budget.settle(job.ceiling, Decimal(0), most, 0, job.chunks, 0, persona=persona)
        else:
            self._means.budget.correct(
                job.created_at, -(job.ceiling or Decimal(0)), -most, -job.chunks, persona=persona
            )
        with self._ledger.reading() as db:
            left = batches.find(db, job.id)
        await self._delete_files(left or job)

    def _settle(self, job: Job) -> None:
        """What the job took of what was reserved for it; an earlier run's reservation counts as spent in that run."""
        with self._ledger.reading() as db:
            spent = batches.spent(db, job)
            persona = batches.persona_of(db, job)
        most = spent.tokens_at_most
        if job.id in self._ours:
            self._ours.discard(job.id)
            self._means.budget.settle(
                job.ceiling, spent.dollars, most, spent.tokens, job.chunks, spent.chunks, persona=persona
            )
        else:
            self._means.budget.correct(
                job.created_at,
                (spent.dollars or Decimal(0)) - (job.ceiling or Decimal(0)),
                spent.tokens - most,
                spent.chunks - job.chunks,
                persona=persona,
            )

    # --- waiting and collecting -------------------------------------------------------------------------------------

    async def _look(self, jobs: list[Job], *, pause: bool) -> None:
        """See how the jobs are, after a pause that grows, and collect what is over."""
        if pause:
            delay = min(_FIRST_LOOK_S * _SLOWER**self._looks, self._means.poll_s)
            self._looks = min(self._looks + 1, 100)
            self._progress.waiting = self._waiting_for(jobs)
            try:
                await asyncio.wait_for(self._stopping.wait(), delay)
                return  # noqa: TRY300  the timeout is the usual way on
            except TimeoutError:
                pass
        for job in jobs:
            stage = self._stage_of(job)
            if job.state == SUBMITTED and stage and job.batch and not self._stopping.is_set():
                try:
                    await self._look_at(job, job.batch, stage)
                except PassingFailure as failure:
                    if not self._seen and self._looks > self._means.retries:
                        raise gone(failure, self._looks) from failure
                    log.warning("%s; looking again later", failure)

    async def _look_at(self, job: Job, batch: str, stage: Stage) -> None:
        try:
            state = await stage.api.look(batch)
        except ServiceRefused as error:
            if error.status != 404:
                raise
            self._unknown(job)
            return
        self._seen = True
        await self._note(job, state)
        if not state.over:
            return
        if state.status == "failed":
            await self._failed(job, stage, state)
            return
        collected = await self._collector.collect(job, stage.client, state)
        self._answers += collected.answers
        self._progress.chunks_done += collected.answers if job.stage == "extract" else 0
        settled = collected.settled
        log.info(
            "← Batch job %s: %s: %s answers, %s to be asked again, %s dead", job.id[:8], state.status,
            f"{collected.answers:,}", f"{settled.reopened:,}", f"{settled.buried:,}",
        )  # fmt: skip
        if state.status == "cancelled" and job.id not in self._cancelled_before:
            self._cancelled = True
        self._settle(job)
        await self._delete_files(replace(job, files=state.files))
        if collected.refused:
            raise collected.refused

    def _unknown(self, job: Job) -> None:
        """The provider does not know the job under this key. It may still be at work, so nothing of it is asked again."""
        self._strangers.add(job.id)
        self._progress.left_open["batch_unknown"] += job.questions
        log.error(
            "Batch job %s is not known at %s: was it submitted with another key, or a month ago? Give that key; or "
            "`kg batches forget %s`, and it is asked, and paid for, again", job.id[:8], job.endpoint, job.id[:8],
        )  # fmt: skip

    async def _note(self, job: Job, state: BatchState) -> None:
        done = state.done + state.failed
        before = self._said.get(job.id, ("", 0))
        tenth = max(job.requests // 10, 1)
        if state.status != before[0] or done - before[1] >= tenth:
            self._said[job.id] = (state.status, done)
            log.info(
                "Batch job %s: %s, %s of %s requests done", job.id[:8], state.status, f"{done:,}", f"{job.requests:,}"
            )
        await self._ledger.commit(
            batches.note_status,
            job,
            state.status,
            (state.done, state.failed),
            state.files,
            state.expires_at,
            time.time(),
        )

    async def _failed(self, job: Job, stage: Stage, state: BatchState) -> None:
        """The provider did not take the job: nothing of it ran."""
        if state.queue_full:
            await self._queue_full(job, stage, state.queue_limit, state.said)
            return
        await self._abandon(job, state.said)
        if not all(code in _FLAWED for code, _ in state.errors):
            raise ServiceRefused(f"{job.endpoint}: the Batch job was refused: {state.said}", kind="batch_failed")
        log.warning("Batch job %s failed: %s; its chunks are asked about again", job.id[:8], state.said)

    async def _delete_files(self, job: Job) -> None:
        """What was collected need not lie at the provider any longer. Best effort: the next run tries again."""
        stage = self._stage_of(job)
        if stage is None:
            return
        for file in job.files:
            try:
                await stage.api.delete(file)
            except ServiceRefused as error:
                if error.status != 404:
                    return
            except ModelError as error:
                log.info("%s; the files of Batch job %s are deleted another time", error, job.id[:8])
                return
        await self._ledger.commit(batches.clean, job)

    async def _clean_up(self) -> None:
        with self._ledger.reading() as db:
            littered, pending = batches.littered(db), batches.pending(db)
        for job in littered:
            await self._delete_files(job)
        for job in pending:
            if job.status in {"cancelling", "cancelled"}:
                self._cancelled_before.add(job.id)
            if job.stage == "extract":
                self._progress.to_buy += job.questions
            if self._stage_of(job) is None:
                log.warning("Batch job %s went to %s: a run with that --base-url takes it up", job.id[:8], job.endpoint)
        known = {job_file(self._means.folder, job.id) for job in pending}
        for path in self._means.folder.glob("*.jsonl"):
            if path not in known:
                path.unlink(missing_ok=True)  # a file that a killed run was writing

    # --- saying -----------------------------------------------------------------------------------------------------

    def _left_open(self) -> tuple[dict[int, frozenset[str]], dict[str, int]]:
        with self._ledger.reading() as db:
            return batches.left_open(db, self._means.run)

    def _waiting_for(self, jobs: list[Job]) -> str:
        if not jobs:
            return ""
        done, of = sum(job.done + job.failed for job in jobs), sum(job.requests for job in jobs)
        return f"{len(jobs)} Batch {'job' if len(jobs) == 1 else 'jobs'}, {done:,} of {of:,} requests done"

    def _say_what_is_left(self) -> None:
        jobs = self._jobs()
        for job in jobs:
            if job.id in self._ours:  # its whole ceiling, until a later run knows better
                with self._ledger.reading() as db:
                    most = batches.spent(db, job).tokens_at_most
                    persona = batches.persona_of(db, job)
                self._means.budget.settle(job.ceiling, None, most, None, job.chunks, None, persona=persona)
        self._progress.waiting = self._waiting_for(jobs)
        self._progress.jobs_pending = len(jobs)
        if jobs and self.ending.kind == "done":
            self.ending = Ending("pending")
