"""Embedding: answers the questions of many batches in few requests, ahead of the workers that will need them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core_engine.errors import BadReply, ModelError, OverBudget, PassingFailure, RequestTooLarge
from core_engine.ledger import questions
from core_engine.ledger.ledger import Ledger
from core_engine.llm.asker import Asker
from core_engine.llm.isolation import halves, isolate
from core_engine.llm.question import Question
from core_engine.llm.tokens import estimate_tokens
from core_engine.progress import Progress
from core_engine.types import Batch, Chunk

log = logging.getLogger("kg.embed")

ENOUGH = 512  # texts at which a request is worth sending before anyone waits for it
_MOST_INPUTS = 2_048  # OpenAI's limits: inputs a request, tokens a request (300,000) and tokens an input (8,192)
_MOST_TOKENS = 200_000
_MOST_OF_LIMIT = 0.5  # of a minute's tokens, so that other requests get through in between
_LONGEST_TEXT = 24_000  # characters; longer ready chunks are embedded by their beginning
_LONGEST_TOKENS = 6_000  # by estimate, which may be 1.3 times too low
_WAIT_S = 0.2  # for the next offer, while there is one to come
_GIVE_UP_AFTER = 3  # requests in a row, if none was ever answered


class _Text(NamedTuple):
    """A question's number, what it asks about, the chunk that it is of, and who it is for."""

    question: int
    text: str
    chunk: Chunk
    persona: str | None


@dataclass(slots=True)
class _Ticket:
    """A batch's texts on their way; `done` is set when each question is answered, dead or left open."""

    batch: str
    texts: list[_Text]
    done: asyncio.Future[None]
    taken: bool = False

    @property
    def persona(self) -> str | None:
        return self.texts[0].persona


@dataclass(slots=True)
class Embedder:
    """Gathers the texts of queued batches (`offer`) into requests; `embed` waits for one batch's own.

    `limit`: tokens a minute, where the user gave it; a request takes half of it at most, but for one batch's own.
    """

    ledger: Ledger
    asker: Asker
    progress: Progress
    limit: float | None = None
    _pending: deque[_Ticket] = field(default_factory=deque)
    _tickets: dict[str, _Ticket] = field(default_factory=dict)
    _waiting_texts: int = 0
    _offered: int = 0
    _more_to_come: bool = True
    _sending: set[asyncio.Task[None]] = field(default_factory=set)
    _unheard: int = 0

    def offer(self, batch: Batch) -> None:
        """Say that this batch is queued. When enough texts are waiting, they are sent at once."""
        texts = [
            _Text(item.embed, sendable(item.chunk.text), item.chunk, item.persona)
            for item in batch.items
            if item.embed is not None and item.chunk.text
        ]
        if not texts:
            return
        ticket = _Ticket(batch.id, texts, asyncio.get_running_loop().create_future())
        self._tickets[batch.id] = ticket
        self._offered += 1
        self._pending.append(ticket)
        self._waiting_texts += len(texts)
        if self._waiting_texts >= ENOUGH:
            self._send_pending()

    def offered_all(self) -> None:
        """No batch will be offered any more: nobody waits for others."""
        self._more_to_come = False

    async def embed(self, batch: Batch) -> None:
        """Wait until the batch's embeddings are in the ledger. Raises only what ends the run."""
        ticket = self._tickets.get(batch.id)
        if ticket is None:
            return
        while not ticket.taken:
            # Others may join, as long as the planner brings some: the queue ahead holds more than enough for a request.
            offered = self._offered
            if self._more_to_come:
                await asyncio.sleep(_WAIT_S)
            if not ticket.taken and self._offered == offered:
                self._send_pending()
        try:
            await ticket.done
        finally:
            self._tickets.pop(batch.id, None)

    def cancel(self) -> None:
        """Stop the requests that are out: their answers are unknown then."""
        for task in self._sending:
            task.cancel()

    async def close(self) -> None:
        """Wait for the requests that are out; what was only offered is dropped (its questions stay open)."""
        self._pending.clear()
        await asyncio.gather(*self._sending, return_exceptions=True)
        for ticket in self._tickets.values():
            if ticket.done.done() and not ticket.done.cancelled():
                ticket.done.exception()  # the run has ended: it was told by another worker

    def _send_pending(self) -> None:
        most = min(_MOST_TOKENS, self.limit * _MOST_OF_LIMIT) if self.limit else _MOST_TOKENS
        while self._pending:
            together: list[_Ticket] = []
            inputs, tokens = 0, 0.0
            while self._pending:
                ticket = self._pending[0]
                size = sum(estimate_tokens(one.text) for one in ticket.texts)
                if together and (inputs + len(ticket.texts) > _MOST_INPUTS or tokens + size > most):
                    break
                if together and ticket.persona != together[0].persona:
                    break
                together.append(self._pending.popleft())
                ticket.taken = True
                inputs += len(ticket.texts)
                tokens += size
                self._waiting_texts -= len(ticket.texts)
            task = asyncio.create_task(self._answer(together))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _answer(self, tickets: Sequence[_Ticket]) -> None:
        texts = [text for ticket in tickets for text in ticket.texts]
        try:
            await self._resolve(tickets[0].batch, texts)
        except Exception as error:  # noqa: BLE001  told to each batch that waits, whose worker says what it means
            for ticket in tickets:
                if not ticket.done.done():
                    ticket.done.set_exception(error)
            return
        except BaseException:
            for ticket in tickets:
                ticket.done.cancel()
            raise
        for ticket in tickets:
            if not ticket.done.done():
                ticket.done.set_result(None)

    async def _resolve(self, batch: str, texts: Sequence[_Text]) -> None:
        """Ask until each text is answered, dead, or left open; a bad text is found by halves."""
        try:
            failure = await self._try(batch, texts, "first")
        except OverBudget:
            if len(texts) == 1:
                raise
            for half in halves(texts):
                await self._resolve(batch, half)
            return
        if isinstance(failure, BadReply) and self.asker.proven:
            failure = await self._try(batch, texts, "reask")
        if failure is None:
            return
        patient = isinstance(failure, BadReply)

        async def ask(part: Sequence[_Text]) -> ModelError | None:
            return await self._try(batch, part, "reask", patient=patient)

        parts = await isolate(self.asker, texts, failure, ask)
        self._count_unheard([error for _, error in parts])
        for part, error in parts:
            await self._give_up(part, error)

    async def _try(
        self, batch: str, texts: Sequence[_Text], purpose: str, *, patient: bool = True
    ) -> ModelError | None:
        if purpose == "reask":
            self.progress.reasked += 1
        speakers = {name for one in texts for name in one.chunk.speakers} if self.asker.traces_content else ()
        chunks = [one.chunk.id for one in texts]
        numbers, persona = [one.question for one in texts], texts[0].persona
        question = Question(numbers, batch, purpose, patient, chunks, sorted(speakers), persona)
        try:
            await self.asker.embed(question, [one.text for one in texts])
        except (PassingFailure, RequestTooLarge, BadReply) as failure:
            return failure
        return None

    def _count_unheard(self, errors: Sequence[ModelError]) -> None:
        """Ends the run where the server has never answered anything: then no text is to blame, and none is buried."""
        if self.asker.proven:
            return
        for error in errors:
            if not isinstance(error, RequestTooLarge):
                self._unheard += 1
                if _is_refusal(error) or self._unheard >= _GIVE_UP_AFTER:
                    raise self.asker.give_up(error) from error

    async def _give_up(self, texts: Sequence[_Text], error: ModelError) -> None:
        """Leave the texts open where trying again may help, else bury them."""
        if isinstance(error, PassingFailure):
            self.progress.left_open[error.kind] += len(texts)
            log.warning("%s; %d embeddings stay open for the next run", error, len(texts))
        else:
            for one in texts:
                await self._bury(one, error)

    async def _bury(self, one: _Text, error: ModelError) -> None:
        self.progress.buried += 1
        await self.ledger.commit(questions.bury, one.question, error.kind, None)
        log.error(
            "chunk %s: no usable embedding: %s (`kg dead-letters` shows it)",
            one.chunk.id,
            error,
            extra={"chunk_ids": [one.chunk.id]},
        )
        self.asker.tell("dead_letter", stage="embed", reason=error.kind, chunk=one.chunk.id)


def _is_refusal(error: ModelError) -> bool:
    """It says something about the request or the model, and not about one text."""
    if not isinstance(error, BadReply) or error.kind == "content_filter":
        return False
    return error.status is not None or error.kind == "wrong_dimension"


def sendable(text: str) -> str:
    """The text as it can be sent: UTF-8 knows no unpaired surrogates."""
    text = text[:_LONGEST_TEXT]
    if (tokens := estimate_tokens(text)) > _LONGEST_TOKENS:
        text = text[: int(len(text) * _LONGEST_TOKENS / tokens)]  # scripts whose letters are a token each
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
