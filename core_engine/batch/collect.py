"""Brings a finished job's results into the ledger: each line a call, its reply committed before anyone reads it."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import orjson

from core_engine.errors import ModelError, PassingFailure, ServiceRefused
from core_engine.kg.extractor import read_reply, store_checked
from core_engine.ledger import batches, questions
from core_engine.ledger.batches import BAD, PASSING, UNTRIED, Job, OpenLine, Settled
from core_engine.ledger.ledger import Ledger
from core_engine.llm.asker import ABSURD
from core_engine.llm.batch_api import BatchApi, BatchState, Line
from core_engine.llm.client import Client, SteppedDown, chat_reply, embedding_reply
from core_engine.ports import Observer, Pricer
from core_engine.progress import Progress
from core_engine.types import LLMCall, Payer, Usage

log = logging.getLogger("kg.batch")

_GROUP = 100  # lines that are committed together
_OURS = ("batch_expired", "batch_cancelled")


@dataclass(frozen=True, slots=True)
class _Result:
    """A line's end, as it goes into the ledger."""

    call: LLMCall
    questions: tuple[int, ...]
    reply: bytes | None = None
    refusal: str = ""
    vectors: Sequence[bytes] = ()
    error: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a job gave: answers, and what became of the questions without one. `refused`: what ends the run."""

    answers: int
    settled: Settled
    refused: ServiceRefused | None


@dataclass(slots=True)
class Collector:
    """Collects the jobs of a run. The calls count as the run's that collects them."""

    ledger: Ledger
    run: str
    pricer: Pricer
    observers: Sequence[Observer]
    progress: Progress
    payer: Payer = field(default_factory=Payer)

    async def collect(self, job: Job, client: Client, state: BatchState) -> Collected:
        """Store all results of a job that is over, and settle its questions. Again after a kill: only what is missing.

        Raises PassingFailure where the results could not be fetched whole: try again.
        """
        with self.ledger.reading() as db:
            left = {line.call.id: line for line in batches.open_lines(db, job)}
        answers = 0
        refused: ServiceRefused | None = None
        parameters: dict[str, Any] = orjson.loads(job.parameters)
        for file in filter(None, (state.output_file, state.error_file)):
            group: list[_Result] = []
            async for line in BatchApi(client).lines(file):
                asked = left.pop(line.custom_id, None)
                if asked is None:
                    continue  # known from before, twice in the file, or nobody's
                try:
                    group.append(self._read(job, line, asked, client, parameters))
                except ServiceRefused as error:
                    refused = error
                    group.append(self._failed(asked, error, UNTRIED))
                if len(group) == _GROUP:
                    answers += await self._store(group)
                    group = []
            answers += await self._store(group)
        answers += await self._store([self._missing(line, state) for line in left.values()])
        settled = await self.ledger.commit(batches.end, job, time.time(), state.said)
        self.progress.buried += settled.buried
        return Collected(answers, settled, refused)

    # --- one line ---------------------------------------------------------------------------------------------------

    def _read(self, job: Job, line: Line, asked: OpenLine, client: Client, parameters: Mapping[str, Any]) -> _Result:
        if line.status is None:
            if line.code in _OURS:
                return self._failed(asked, PassingFailure(line.error, kind=line.code, status=0), UNTRIED)
            return self._failed(asked, PassingFailure(line.error, kind=line.code or "broken"), PASSING)
        try:
            if line.status != 200:
                raise client.refused(line.status, line.body, parameters, {})
            return self._answered(job, line, asked, parameters, client)
        except SteppedDown as step:
            log.warning("%s", step)
            return self._failed(asked, step, UNTRIED, line)
        except PassingFailure as failure:
            return self._failed(asked, failure, PASSING, line)
        except ServiceRefused:
            raise
        except ModelError as error:
            return self._failed(asked, error, BAD, line)

    def _answered(
        self, job: Job, line: Line, asked: OpenLine, parameters: Mapping[str, Any], client: Client
    ) -> _Result:
        content = orjson.dumps(line.body)
        headers = {"x-request-id": line.request_id}
        if job.stage == "embed":
            size = client.endpoint.vector_size if client.endpoint.model == job.model else parameters.get("dimensions")
            vectors = embedding_reply(content, headers, len(asked.questions), size)
            call = self._done(asked, vectors.usage, vectors.model, line)
            return _Result(call, asked.questions, vectors=vectors.vectors)
        reply = chat_reply(content, headers)
        call = replace(self._done(asked, reply.usage, reply.model, line), finish_reason=reply.finish_reason)
        return _Result(call, asked.questions, reply.text.encode("utf-8", "surrogatepass"), reply.refusal)

    def _done(self, asked: OpenLine, usage: Usage, model: str, line: Line) -> LLMCall:
        if usage.prompt > asked.tokens_at_most * ABSURD:
            log.warning("%s says that a prompt had %d tokens: not believed", asked.call.endpoint, usage.prompt)
            usage = Usage()
        return replace(
            asked.call,
            run_id=self.run,
            tags=self.payer.tags,
            workspace=self.payer.workspace,
            status="answered",
            http_status=line.status or 0,
            usage=usage,
            cost=self._price(asked.call, usage),
            model_answered=model,
            request_id=line.request_id,
        )

    def _failed(self, asked: OpenLine, error: ModelError, verdict: str, line: Line | None = None) -> _Result:
        """A refused line is free; one that was answered with something else is billed by its usage."""
        usage = error.usage or Usage()
        cost: Decimal | None = Decimal(0)
        if error.usage is not None:
            cost = self._price(asked.call, usage)
        elif line is not None and line.status == 200:
            cost = None
        call = replace(
            asked.call,
            run_id=self.run,
            tags=self.payer.tags,
            workspace=self.payer.workspace,
            status="failed",
            http_status=(line.status if line else 0) or 0,
            usage=usage,
            cost=cost,
            error_kind=error.kind,
            request_id=line.request_id if line else "",
        )
        return _Result(call, asked.questions, error.reply, error=str(error), verdict=verdict)

    def _missing(self, asked: OpenLine, state: BatchState) -> _Result:
        """A line without a result: free where the job was cut off; else nobody knows."""
        free = state.status in {"expired", "cancelled"}
        kind = f"batch_{state.status}" if free else "batch_missing"
        said = PassingFailure(f"the Batch job is {state.status}, and has no result of this line", kind=kind)
        lost = self._failed(asked, said, UNTRIED if free else PASSING)
        return lost if free else replace(lost, call=replace(lost.call, cost=None))

    def _price(self, call: LLMCall, usage: Usage) -> Decimal | None:
        return self.pricer.price(call.model, usage, call.stage, "batch") if usage.prompt else None

    # --- into the ledger --------------------------------------------------------------------------------------------

    async def _store(self, results: Sequence[_Result]) -> int:
        """Commit the replies, then what they say. How many answers they gave."""
        if not results:
            return 0
        await self.ledger.commit(_commit_replies, results)
        answers = sum(len(result.vectors) for result in results)
        chats = [result for result in results if result.reply is not None and result.call.status == "answered"]
        if chats:
            parsed = [
                (result, read_reply((result.reply or b"").decode("utf-8", "surrogatepass"), result.call.finish_reason,
                                    result.refusal, len(result.questions)))
                for result in chats
            ]  # fmt: skip

            def commit(db: sqlite3.Connection) -> int:
                return sum(store_checked(db, result.call.id, result.questions, said) for result, said in parsed)

            answers += await self.ledger.commit(commit)
        self.progress.last_commit_at = time.time()
        for result in results:
            for observer in self.observers:
                observer.call_finished(result.call)
        return answers


def _commit_replies(db: sqlite3.Connection, results: Sequence[_Result]) -> None:
    for result in results:
        chat = result.reply is not None and result.call.status == "answered"
        batches.finish_line(
            db, result.call, reply=result.reply, error=result.error, verdict=result.verdict, parsed=not chat
        )
        if result.vectors:
            answers = list(zip(result.questions, result.vectors, strict=True))
            questions.answer_embeddings(db, result.call.id, answers)
