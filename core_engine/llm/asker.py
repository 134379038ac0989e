"""Asks a model: through the limiter, within the budget, and in the ledger before and after (laws 1 and 2).

Every request passes here. Order for each attempt: reserve the budget at its ceiling, reserve at the limiter, commit
the call's row (where there is no limit to wait for, the row first), send, commit the reply with its usage. Only then
does anyone look into the reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import orjson

from core_engine.errors import LedgerError, ModelError, PassingFailure, ServiceRefused
from core_engine.ledger import calls, questions
from core_engine.ledger.ledger import Ledger
from core_engine.limits.charge import Charge, Size
from core_engine.limits.headers import told
from core_engine.limits.knee import Knee
from core_engine.limits.rate_limiter import Lane, RateLimiter, Reservation
from core_engine.llm.client import ChatReply, Client, EmbeddingReply, SteppedDown
from core_engine.llm.outage import LONGEST_PAUSE_S, Outage
from core_engine.llm.purse import Purse
from core_engine.llm.question import Question
from core_engine.llm.tokens import CompletionModel, TokenCounter
from core_engine.ports import Observer, Pricer, tell
from core_engine.progress import Progress
from core_engine.providers import provider_of
from core_engine.stopping import Stop
from core_engine.types import LLMCall, Payer, Usage, processing_of

log = logging.getLogger("kg.model")

T = TypeVar("T", ChatReply, EmbeddingReply)

_FIRST_PAUSE_S = 0.5
_LONGEST_LIMITED_S = 600.0  # how long a service may turn everybody away for the rate limit
_LONGEST_FAILING_S = 900.0  # how long one request may be tried, whatever the number of tries
_LEAST_PATIENCE_S = 5.0  # with an outage, when nothing is tried again: that so many fail may still be chance
_LEAST_AHEAD = 2  # requests whose rows are committed while they wait for a place, besides a fifth of the places
_STEPS_DOWN = 8  # more refused parameters than we have: the server only finds new words for no
_UNTAUGHT = 1.1  # by how much an estimate of many texts together may be too low
_SAYS_NO = frozenset({400, 404, 413, 422})  # to what the request says: nothing was worked on
_AROUND = 500  # tokens that a provider may put around our text: marks between messages, a date
ABSURD = 10  # a prompt that is billed at so many times the most it can have is a slip in the server's books


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply that is committed, and the id of its call."""

    call: str
    reply: ChatReply


@dataclass(frozen=True, slots=True)
class Need:
    """What a request may take: at most (for the budget), probably (for the limiter), and its prompt by our measure."""

    at_most: Usage
    size: Size
    measured: float
    asked: str = ""  # only where the user wants prompts in traces


@dataclass(frozen=True, slots=True)
class Office:
    """What all askers of a run share."""

    ledger: Ledger
    run: str
    limiter: RateLimiter
    pricer: Pricer
    purse: Purse
    observers: Sequence[Observer]
    progress: Progress
    slots: asyncio.Semaphore  # requests in flight, for extraction and embeddings together
    max_concurrent: int = 20
    retries: int = 6
    stop: Stop = field(default_factory=lambda: Stop(0.0))  # one that nobody asks
    payer: Payer = field(default_factory=Payer)
    trace_content: str = "none"  # none | prompts | replies | both
    rng: random.Random = random.Random()  # noqa: RUF009, S311  jitter is no secret, and one source serves all


class Asker:
    """Asks one model at one endpoint for one stage of a run."""

    def __init__(
        self,
        office: Office,
        stage: str,
        client: Client,
        spec: int,
        counter: TokenCounter,
        completions: CompletionModel | None = None,
    ) -> None:
        self._office = office
        self._stage = stage
        self._client = client
        self._spec = spec
        self._counter = counter
        self._completions = completions
        end = client.endpoint
        chats = stage != "embed"
        with office.ledger.reading() as db:
            self._prompt = questions.prompt_of(db, spec)
        self._provider = provider_of(end.label)
        self._lane = Lane("chat" if chats else "embedding", end.label, end.model)
        self._charge = Charge(end.label, replies=chats)
        self._outage = Outage(
            end.label, max(office.retries * LONGEST_PAUSE_S, _LEAST_PATIENCE_S), office.rng, office.stop.waiting
        )
        self._knee = Knee(end.label, office.max_concurrent, office.stop.waiting)
        self._limited_since: float | None = None  # with no answer since
        self._ahead = asyncio.Semaphore(_LEAST_AHEAD + office.max_concurrent // 5)
        self._first = asyncio.Lock()
        self.answered = 0  # requests of this run
        self._refused: ServiceRefused | None = None

    @property
    def traces_prompts(self) -> bool:
        """What is asked goes to observers too."""
        return self._office.trace_content in {"prompts", "both"}

    @property
    def traces_content(self) -> bool:
        return self._office.trace_content != "none"

    def tell(self, name: str, **fields: Any) -> None:
        """Tell the observers of something that happened; the fields hold no text of a transcript."""
        tell(self._office.observers, name, **fields)

    @property
    def proven(self) -> bool:
        """A request of ours was answered before."""
        return self.answered > 0

    @property
    def _bound(self) -> bool:
        """The provider has rate limits, and is not slower for what is within them."""
        return self._charge.openai or self._office.limiter.bounds(self._lane)

    def give_up(self, error: ModelError) -> ServiceRefused:
        """Send nothing any more; the error that ends the run."""
        self._refused = ServiceRefused(str(error), kind=error.kind, status=error.status)
        return self._refused

    async def chat(
        self,
        question: Question,
        system: str,
        user: str,
        formats: Mapping[str, dict[str, Any] | None],
        *,
        more_room: int = 1,
    ) -> Answered:
        """Ask, with patience; the reply is committed, unparsed. `more_room` multiplies the output ceiling.

        Raises ServiceRefused, Stopped (the run ends), PassingFailure (the questions stay open), RequestTooLarge,
        BadReply and OverBudget (a smaller request may do).
        """
        room = self._completions or CompletionModel()
        count = len(question.numbers)
        ceiling = room.ceiling(count, more_room)
        if count == 1:  # there is no smaller request: rather a reply that may be cut than none at all
            ceiling = int(min(ceiling, self._office.limiter.largest(self._lane)))
        schema = orjson.dumps(formats[self._client.capabilities.response_format]).decode()
        prompt = sum(map(self._counter.count, (system, schema, user)))  # a provider bills the schema like text
        at_most = Usage(prompt=most_tokens(system, schema, user), completion=ceiling)
        size = Size(len(schema) + len(system) + len(user), prompt, room.expected(count), ceiling)
        need = Need(at_most, size, prompt / self._counter.factor, user if self.traces_prompts else "")

        async def send() -> ChatReply:
            return await self._client.chat(system, user, ceiling, formats)

        async def store(call: LLMCall, reply: ChatReply) -> None:
            await self._office.ledger.commit(
                calls.finish, call, reply=reply.text.encode("utf-8", "surrogatepass"), parsed=False
            )

        call, reply = await self._ask(question, need, send, store)
        self._counter.observe(len(system) + len(schema) + len(user), reply.usage.prompt)
        if reply.finish_reason != "length" and reply.usage.completion <= ceiling:
            room.observe(count, reply.usage.completion)
        return Answered(call.id, reply)

    async def embed(self, question: Question, texts: Sequence[str]) -> None:
        """Embed, with patience; vectors and call are committed together. Raises what chat() raises."""
        prompt = sum(map(self._counter.count, texts))

        async def send() -> EmbeddingReply:
            return await self._client.embed(texts)

        async def store(call: LLMCall, reply: EmbeddingReply) -> None:
            answers = list(zip(question.numbers, reply.vectors, strict=True))

            def commit(db: Any) -> None:
                calls.finish(db, call, reply=None)
                questions.answer_embeddings(db, call.id, answers)

            await self._office.ledger.commit(commit)

        # A request of many texts may be worth seconds of a limit: until a reply has told, better a little too much.
        careful = prompt if self._counter.taught else round(prompt * _UNTAUGHT)
        size = Size(sum(map(len, texts)), careful)
        asked = "\n\n".join(texts) if self.traces_prompts else ""
        need = Need(Usage(prompt=most_tokens(*texts)), size, prompt / self._counter.factor, asked)
        call, _ = await self._ask(question, need, send, store)
        self._counter.observe(sum(map(len, texts)), call.usage.prompt)

    def _ceiling(self, usage: Usage) -> Decimal | None:
        """At the dearest of the ways in which the provider may process it: which one it took, it says with the reply."""
        end = self._client.endpoint
        ways = {"standard", processing_of(end.service_tier or "")}
        prices = [self._office.pricer.price(end.model, usage, self._stage, way) for way in ways]
        return max((price for price in prices if price is not None), default=None)

    # --- the way of one request -------------------------------------------------------------------------------------

    async def _ask(
        self,
        question: Question,
        need: Need,
        send: Callable[[], Awaitable[T]],
        store: Callable[[LLMCall, T], Awaitable[None]],
    ) -> tuple[LLMCall, T]:
        """The first request goes alone: a wrong key, model or parameter is met once and not twenty times."""
        if not self.proven:
            async with self._first:
                if not self.proven:
                    return await self._with_patience(question, need, send, store)
        return await self._with_patience(question, need, send, store)

    async def _with_patience(
        self,
        question: Question,
        need: Need,
        send: Callable[[], Awaitable[T]],
        store: Callable[[LLMCall, T], Awaitable[None]],
    ) -> tuple[LLMCall, T]:
        office = self._office
        retries = office.retries if question.patient else min(office.retries, 1)
        failures = steps = attempt = 0
        give_up_at = time.monotonic() + _LONGEST_FAILING_S
        while True:
            attempt += 1
            try:
                async with self._outage.turn():
                    if self._refused:
                        raise self.give_up(self._refused)  # those who waited need not hear the same by themselves
                    return await self._attempt(question, attempt, need, send, store)
            except ServiceRefused as refusal:
                self.give_up(refusal)
                raise
            except SteppedDown as step:
                steps += 1
                if steps > _STEPS_DOWN:
                    raise self.give_up(step) from step
                log.warning("%s", step)
            except PassingFailure as failure:
                if failure.turned_away:
                    self._wait_for_the_limit(failure, attempt, need.size)
                    continue
                failures += 1
                self._outage.failed(question.batch, failure.lasted_s)
                if failure.kind == "timeout":
                    self._knee.timed_out(bound=self._bound)
                    if len(question.numbers) > 1 and not self._outage.hopeless:
                        raise  # asked in parts, each takes less time, and one that never ends holds up nobody else
                if self._outage.hopeless:
                    away = PassingFailure(
                        f"{failure} (no answer to anybody for {self._outage.lasts_s:.0f} s)", kind="unreachable"
                    )
                    raise self.give_up(away) from failure
                if failures > retries or time.monotonic() > give_up_at:
                    if failure.kind == "connection":
                        away = PassingFailure(f"{failure} (after {failures} tries)", kind="unreachable")
                        raise self.give_up(away) from failure
                    raise
                log.warning("%s; trying again", failure)
                async with office.stop.waiting():
                    await asyncio.sleep(self._jitter(failures))

    def _wait_for_the_limit(self, failure: PassingFailure, attempt: int, size: Size) -> None:
        """Hold everybody back; give up on a service that asks for more patience than a run has."""
        self._charge.refused(str(failure), size)
        now = time.monotonic()
        self._limited_since = self._limited_since or now
        pause = failure.retry_after_s or self._jitter(attempt)
        if now + pause > self._limited_since + _LONGEST_LIMITED_S:
            waited = f"asks to wait {pause:.0f} s more, after {now - self._limited_since:.0f} s without an answer"
            raise self.give_up(
                PassingFailure(f"{failure} ({waited}: the same command goes on from here later)", kind=failure.kind)
            ) from failure
        self._office.limiter.pause(self._lane, pause, failure.kind)

    def _jitter(self, failures: int) -> float:
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        return self._office.rng.uniform(0, min(LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**failures))

    async def _attempt(
        self,
        question: Question,
        attempt: int,
        need: Need,
        send: Callable[[], Awaitable[T]],
        store: Callable[[LLMCall, T], Awaitable[None]],
    ) -> tuple[LLMCall, T]:
        office = self._office
        office.ledger.look_for_room()
        ceiling, most = self._ceiling(need.at_most), need.at_most.total
        chunks = len(question.numbers) if self._stage == "extract" else 0
        persona = office.payer.persona_of(self._stage, question.persona)
        async with office.stop.waiting():
            await office.purse.reserve(ceiling, most, chunks, persona=persona, smallest=len(question.numbers) == 1)
        spent: Decimal | None = Decimal(0)
        used: int | None = 0
        done = 0
        try:
            async with contextlib.AsyncExitStack() as place:
                call, reservation = await self._cleared(place, question, attempt, ceiling, need)
                charged = settled = None
                try:
                    await reservation.leave()
                    spent = used = None  # until we know better: cut off from here on, all of it may be billed
                    call, reply = await self._send(call, send, need.at_most)
                    self._charge.replied(reply.headers, need.size)
                    charged = call.usage.total or None
                    settled = self._charge.to_settle(charged)
                    spent, used, done = call.cost, charged, chunks
                except ModelError as error:
                    charged = error.usage.total if error.usage else None
                    used = charged or (None if error.status is None else 0)
                    if not isinstance(error, PassingFailure) or error.turned_away:
                        self._outage.answered()
                    settled = self._charge.to_settle(charged)
                    if error.headers is not None:
                        if error.status in _SAYS_NO:
                            settled = self._charge.unheard(error.headers, need.size)
                        office.limiter.observe(self._lane, error.headers)
                    spent = await self._failed(call, error)
                    raise
                finally:
                    reservation.settle(settled)
            # The next request need not wait until the disk has this one's reply.
            await store(call, reply)
        finally:
            try:
                office.purse.budget.settle(ceiling, spent, most, used, chunks, done, persona=persona)
            finally:
                office.purse.settled()
        office.limiter.observe(self._lane, reply.headers, reservation)
        office.progress.last_commit_at = time.time()
        self.answered += 1
        self._outage.answered()
        self._knee.answered(call.duration_s, call.usage.total or 1, bound=self._bound)
        self._limited_since = None
        self._tell(call)
        return call, reply

    async def _cleared(
        self, place: contextlib.AsyncExitStack, question: Question, attempt: int, ceiling: Decimal | None, need: Need
    ) -> tuple[LLMCall, Reservation]:
        """All that a request needs before it is sent: one of the places, leave from the limiter, and its row, committed.

        Where no limit is known, a few have their rows committed while they wait for a place: no place waits for the disk.
        """
        if self._office.limiter.bounds(self._lane):
            await self._enter(place)
            reservation = await self._reserve(question, need)
            try:
                return await self._begin(question, attempt, ceiling, need, reservation.waited_s), reservation
            except BaseException:
                reservation.settle(self._charge.to_settle(None))
                raise
        async with self._ahead:
            call = await self._begin(question, attempt, ceiling, need, 0.0)
            try:
                await self._enter(place)
                reservation = await self._reserve(question, need)
            except BaseException:
                await asyncio.shield(self._office.ledger.commit(calls.withdraw, call.id))
                raise
        return replace(call, started_at=time.time(), wait_s=reservation.waited_s), reservation

    async def _enter(self, place: contextlib.AsyncExitStack) -> None:
        async with self._office.stop.waiting():
            await place.enter_async_context(self._knee.place())
            await place.enter_async_context(self._office.slots)
        if self._refused:  # those who waited need not hear the same by themselves
            raise self.give_up(self._refused)

    async def _reserve(self, question: Question, need: Need) -> Reservation:
        office = self._office
        async with office.stop.waiting():
            tokens = partial(self._charge.amount, need.size)
            return await office.limiter.reserve(self._lane, tokens, chunks=len(question.numbers))

    async def _send(self, call: LLMCall, send: Callable[[], Awaitable[T]], at_most: Usage) -> tuple[LLMCall, T]:
        began = time.monotonic()
        self._office.progress.enter()
        try:
            reply = await send()
        except ModelError as error:
            error.lasted_s = time.monotonic() - began
            raise
        finally:
            self._office.progress.leave()
        usage = reply.usage
        if usage.prompt > at_most.prompt * ABSURD:
            log.warning("%s says that a prompt had %d tokens: not believed", self._client.endpoint.label, usage.prompt)
            usage = Usage()
        chat = reply if isinstance(reply, ChatReply) else None
        requests, tokens = told(reply.headers, "requests").remaining, told(reply.headers, "tokens").remaining
        return replace(
            call,
            status="answered",
            duration_s=time.monotonic() - began,
            usage=usage,
            cost=self._price(usage, chat.tier if chat else ""),
            tier=chat.tier if chat else "",
            model_answered=reply.model,
            request_id=reply.request_id,
            finish_reason=chat.finish_reason if chat else "",
            http_status=200,
            requests_left=-1 if requests is None else int(requests),
            tokens_left=-1 if tokens is None else int(tokens),
            replied=chat.text if chat and self._office.trace_content in {"replies", "both"} else "",
        ), reply

    async def _begin(
        self, question: Question, attempt: int, ceiling: Decimal | None, need: Need, waited_s: float
    ) -> LLMCall:
        end = self._client.endpoint
        purpose = "again" if attempt > 1 else question.purpose
        call = LLMCall(
            id=uuid.uuid4().hex,
            run_id=self._office.run,
            stage=self._stage,
            model=end.model,
            endpoint=end.label,
            questions=len(question.numbers),
            attempt=attempt,
            status="sent",
            started_at=time.time(),
            wait_s=waited_s,
            batch_id=question.batch,
            persona=self._office.payer.persona_of(self._stage, question.persona),
            tags=self._office.payer.tags,
            workspace=self._office.payer.workspace,
            purpose=purpose,
            provider=self._provider,
            prompt_version=self._prompt[0],
            prompt_hash=self._prompt[1],
            temperature=self._client.capabilities.temperature(end.temperature),
            max_output=need.at_most.completion,
            chunks=tuple(question.chunks),
            asked=need.asked,
            speakers=tuple(question.speakers),
        )
        sending = calls.Sending(call, self._spec, question.numbers, purpose, ceiling, need.at_most.total, need.measured)
        try:
            await self._office.ledger.commit(calls.begin, sending)
        except BaseException:  # cancelled: the commit may be under way, what it is about will not be sent
            with contextlib.suppress(LedgerError, sqlite3.Error):
                await asyncio.shield(self._office.ledger.commit(calls.withdraw, call.id))
            raise
        if self._office.progress.first_request_at is None:
            self._office.progress.first_request_at = time.time()
        return call

    async def _failed(self, call: LLMCall, error: ModelError) -> Decimal | None:
        """Note the failed call; what it cost: by its usage, nothing where it was refused, None where nobody knows."""
        usage = error.usage or Usage()
        cost: Decimal | None = Decimal(0)
        if error.usage is not None:
            cost = self._price(usage, error.tier)
        elif error.status is None:
            cost = None  # cut off on the way: the provider may have answered, and may bill it
        call = replace(
            call,
            status="failed",
            duration_s=time.time() - call.started_at,
            usage=usage,
            cost=cost,
            error_kind=error.kind,
            tier=error.tier,
            http_status=error.status or 0,
        )
        await self._office.ledger.commit(calls.finish, call, reply=error.reply, error=str(error))
        self._tell(call)
        return cost

    def _price(self, usage: Usage, tier: str) -> Decimal | None:
        """No prompt is without tokens: where the provider tells no usage, nobody knows what it bills."""
        if not usage.prompt:
            return None
        end = self._client.endpoint
        return self._office.pricer.price(
            end.model, usage, self._stage, processing_of(tier, asked=end.service_tier or "")
        )

    def _tell(self, call: LLMCall) -> None:
        for observer in self._office.observers:
            observer.call_finished(call)


def most_tokens(*texts: str) -> int:
    """More tokens than these texts can have: no tokenizer makes more of them than there are bytes."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + _AROUND
