"""The asker with a client of our own: what is written when, what is given back, and how patient it is."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core_engine.errors import BadReply, LedgerError, ModelError, OverBudget, PassingFailure, ServiceRefused, Stopped
from core_engine.ledger.ledger import Ledger
from core_engine.limits.rate_limiter import Lane, RateLimiter
from core_engine.llm.asker import Answered, Asker, Office
from core_engine.llm.client import Capabilities, ChatReply, EmbeddingReply, Endpoint, SteppedDown
from core_engine.llm.purse import Purse
from core_engine.llm.question import Question
from core_engine.llm.tokens import TokenCounter
from core_engine.progress import Progress
from core_engine.stopping import Stop
from core_engine.types import LLMCall, Usage
from metrics.budget import RunBudget
from tests.kg import Kg, write_meetings

ASKED = Usage(prompt=1_000, cached=200, completion=100)
FORMATS: dict[str, Any] = dict.fromkeys(("json_schema", "json_object", "text"))
PRICE = Decimal("0.000001")


@dataclass
class Clients:
    """A client: each request gets the next of `answers`, an error or a text; when they run out, the last again."""

    answers: list[Any]
    ledger: Ledger
    seen: list[list[tuple[Any, ...]]] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0
    gate: asyncio.Event | None = None
    endpoint: Endpoint = field(default_factory=lambda: Endpoint("http://host/v1", "m", timeout_s=5))
    capabilities: Capabilities = field(default_factory=Capabilities)

    async def chat(self, system: str, user: str, max_tokens: int, formats: Mapping[str, Any]) -> ChatReply:
        text = await self._next()
        return ChatReply(text, ASKED, "stop", "m-2026", "req", {})

    async def embed(self, texts: Sequence[str]) -> EmbeddingReply:
        await self._next()
        return EmbeddingReply([b"\0\0\x80?"] * len(texts), Usage(prompt=7), "e", "req", {})

    async def _next(self) -> Any:
        with self.ledger.reading() as db:
            self.seen.append(db.execute("SELECT status, ceiling, questions FROM call ORDER BY no").fetchall())
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(0)
            if self.gate:
                await self.gate.wait()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, BaseException):
                raise answer
            return answer
        finally:
            self.in_flight -= 1


class PerToken:
    """A Pricer: the same for every token."""

    def price(self, model: str, usage: Usage, stage: str, processing: str = "standard") -> Decimal | None:
        return PRICE * usage.total


class Unpriced:
    """A Pricer that knows no model."""

    def price(self, model: str, usage: Usage, stage: str, processing: str = "standard") -> Decimal | None:
        return None


class NoWait(random.Random):
    """Jitter that notes how long it might have been, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.longest: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.longest.append(b)
        return 0.0


@dataclass
class Watch:
    """An Observer."""

    calls: list[LLMCall] = field(default_factory=list)

    def call_finished(self, call: LLMCall) -> None:
        self.calls.append(call)

    def event(self, name: str, fields: dict[str, Any]) -> None:
        raise AssertionError(name)


@dataclass
class Desk:
    """An asker and all that it works with."""

    asker: Asker
    client: Clients
    office: Office
    budget: RunBudget
    watch: Watch
    ledger: Ledger

    async def chat(self, *numbers: int) -> Answered:
        return await self.asker.chat(Question(numbers or (1,), "batch"), "system " * 50, "user " * 50, FORMATS)

    def calls(self, columns: str = "status, attempt, cost") -> list[tuple[Any, ...]]:
        with self.ledger.reading() as db:
            return db.execute(f"SELECT {columns} FROM call ORDER BY no").fetchall()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """`desk(*answers)` makes one; all are closed after the test."""
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:

        def make(
            *answers: Any,
            stage: str = "extract",
            cap: Decimal | None = None,
            pricer: Any = None,
            slots: int = 20,
            limiter: RateLimiter | None = None,
            **office: Any,
        ) -> Desk:
            client = Clients(list(answers) or ["reply"], ledger)
            budget, watch = RunBudget(cap), Watch()
            shared = Office(
                ledger=ledger,
                run="run",
                limiter=limiter or RateLimiter(),
                pricer=pricer or PerToken(),
                purse=Purse(budget),
                observers=[watch],
                progress=Progress(),
                slots=asyncio.Semaphore(slots),
                rng=NoWait(),
                **office,
            )
            asker = Asker(shared, stage, client, 1, TokenCounter("m"))  # type: ignore[arg-type]  # a client of our own
            return Desk(asker, client, shared, budget, watch, ledger)

        yield make


# --- law 2 -----------------------------------------------------------------------------------------------------------


async def test_a_row_with_the_ceiling_is_committed_before_sending(desk):
    one = desk()
    await one.chat(4, 7)
    [[(status, ceiling, questions)]] = one.client.seen
    assert (status, questions) == ("sent", b"[4,7]")
    assert Decimal(ceiling) > PRICE * ASKED.total


async def test_the_reply_is_committed_unparsed_before_anyone_reads_it(desk):
    one = desk("the reply \ud83d")
    answered = await one.chat()
    assert one.calls("status, reply, parsed, prompt, cached, completion, cost, model_answered, id") == [
        ("answered", b"the reply \xed\xa0\xbd", 0, 1_000, 200, 100, str(PRICE * 1_100), "m-2026", answered.call)
    ]
    assert [call.status for call in one.watch.calls] == ["answered"]


async def test_vectors_are_committed_with_their_call(desk):
    one = desk(stage="embed")
    one.ledger.write(
        lambda db: db.executemany(
            "INSERT INTO question (no, key, spec, state) VALUES (?, ?, 1, 1)", [(1, b"1"), (2, b"2")]
        )
    )
    await one.asker.embed(Question((1, 2), "batch"), ["a", "b"])
    with one.ledger.reading() as db:
        assert db.execute("SELECT state, answer, call FROM question").fetchall() == [(2, b"\0\0\x80?", 1)] * 2
    assert one.calls("status, prompt, parsed") == [("answered", 7, 1)]


async def test_a_call_that_is_cut_off_by_a_cancellation_stays_a_row_at_its_ceiling(desk):
    one = desk(cap=Decimal(1))
    one.client.gate = asyncio.Event()
    asking = asyncio.create_task(one.chat())
    await _until(lambda: one.client.in_flight)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    [(status, ceiling)] = one.calls("status, ceiling")
    assert status == "sent"
    assert one.budget.spent == Decimal(ceiling)
    assert one.budget.reserved == 0
    assert one.office.progress.in_flight == 0


async def test_a_ledger_that_cannot_be_written_keeps_the_request_from_being_sent(desk):
    one = desk(cap=Decimal(1))
    one.ledger.write(lambda db: db.execute("DROP TABLE call"))
    with pytest.raises((LedgerError, sqlite3.Error)):
        await one.chat()
    assert one.client.seen == []
    assert one.budget.reserved == one.budget.spent == 0


# --- settling --------------------------------------------------------------------------------------------------------

BILLED = BadReply("wrong shape", kind="wrong_shape")
BILLED.usage = ASKED


@pytest.mark.parametrize(
    ("answer", "cost"),
    [
        ("reply", PRICE * 1_100),
        (BILLED, PRICE * 1_100),
        (ServiceRefused("401", kind="401", status=401), Decimal(0)),
        (BadReply("400", kind="http_400", status=400), Decimal(0)),
        (PassingFailure("cut off", kind="connection"), None),
        (RuntimeError("a mistake of ours"), None),
    ],
)
async def test_budget_and_limiter_are_settled_in_every_path(desk, answer, cost):
    limiter = RateLimiter(tpm=1e9)
    one = desk(answer, cap=Decimal(1), limiter=limiter, retries=0)
    with contextlib.suppress(ModelError, RuntimeError):
        await one.chat()
    [(ceiling,)] = one.calls("ceiling")
    assert one.budget.reserved == 0
    assert one.budget.spent == (Decimal(ceiling) if cost is None else cost)
    assert one.office.slots._value == 20
    assert one.office.progress.in_flight == 0
    # Nobody is kept waiting by a reservation that was never settled.
    async with asyncio.timeout(1):
        await limiter.reserve(Lane("chat", "http://host/v1", "m"), 10)


async def test_whoever_waits_at_a_cap_is_woken_where_the_account_can_not_be_written(desk):
    one = desk("reply", cap=Decimal(1))

    def full(*_: object, **__: object) -> None:
        raise LedgerError("no room on the disk")

    one.budget.settle = full
    with pytest.raises(LedgerError):
        await one.chat()
    assert one.office.purse._out == 0


async def test_a_call_at_whose_ceiling_the_cap_could_be_crossed_is_not_sent(desk):
    one = desk(cap=PRICE * 10)
    with pytest.raises(OverBudget):
        await one.chat()
    assert one.client.seen == []
    assert one.calls() == []


async def test_an_unpriced_call_costs_none_and_never_nothing(desk):
    one = desk(pricer=Unpriced())
    await one.chat()
    assert one.calls("status, cost, ceiling") == [("answered", None, None)]
    assert one.watch.calls[0].cost is None
    assert one.budget.unpriced == 1


# --- patience --------------------------------------------------------------------------------------------------------


async def test_a_passing_failure_is_tried_again_each_attempt_a_row_of_its_own(desk):
    failure = PassingFailure("502", kind="http_502", status=502)
    one = desk(failure, failure, "reply")
    assert (await one.chat()).reply.text == "reply"
    assert one.calls("status, attempt, purpose, error_kind") == [
        ("failed", 1, "first", "http_502"),
        ("failed", 2, "again", "http_502"),
        ("answered", 3, "again", ""),
    ]


async def test_pauses_grow_with_full_jitter_up_to_half_a_minute(desk):
    one = desk(PassingFailure("502", kind="http_502", status=502), retries=9)
    with pytest.raises(PassingFailure):
        await one.chat()
    assert len(one.calls()) == 10
    assert one.office.rng.longest == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


async def test_a_server_that_cannot_be_reached_ends_the_run(desk):
    one = desk(PassingFailure("refused", kind="connection"), retries=2)
    with pytest.raises(ServiceRefused, match="after 3 tries") as caught:
        await one.chat()
    assert caught.value.kind == "unreachable"


async def test_a_refusal_is_not_tried_again(desk):
    one = desk(ServiceRefused("401", kind="401", status=401))
    with pytest.raises(ServiceRefused):
        await one.chat()
    assert len(one.calls()) == 1


async def test_being_turned_away_for_the_rate_limit_uses_up_no_retry_and_pauses_everyone(desk):
    limited = PassingFailure("429", kind="rate_limited", status=429, retry_after_s=0.05)
    limiter = RateLimiter()
    one = desk(*["reply"] * 100, *[limited] * 3, "reply", limiter=limiter, retries=0)
    await _many(one)
    began = asyncio.get_running_loop().time()
    await one.chat()
    assert asyncio.get_running_loop().time() - began >= 3 * 0.05
    kinds = [kind for (kind,) in one.calls("error_kind")]
    assert kinds[99:] == ["", "rate_limited", "rate_limited", "rate_limited", ""]
    assert limiter.snapshot()[0].learned


async def test_one_refusal_for_the_rate_limit_holds_the_others_back(desk):
    limited = PassingFailure("429", kind="rate_limited", status=429, retry_after_s=0.2)
    one = desk(*["reply"] * 100, limited, "reply")
    await _many(one)
    first = asyncio.create_task(one.chat())
    await _until(lambda: len(one.client.seen) == 101 and not one.client.in_flight)
    await asyncio.sleep(0.01)
    began = asyncio.get_running_loop().time()
    await one.chat()
    assert asyncio.get_running_loop().time() - began > 0.1
    await first


async def test_a_server_that_says_wait_for_an_hour_ends_the_run_after_one_request(desk):
    one = desk(PassingFailure("429", kind="rate_limited", status=429, retry_after_s=3_600))
    for _ in range(2):
        with pytest.raises(ServiceRefused, match="asks to wait 3600 s more"):
            await one.chat()
    assert len(one.calls()) == 1


async def test_a_stepped_down_parameter_is_asked_again_at_once_and_uses_up_no_retry(desk):
    step = SteppedDown("does not take temperature", kind="stepped_down", status=400)
    one = desk(step, step, "reply", retries=0)
    await one.chat()
    assert one.office.rng.longest == []
    assert [cost for (cost,) in one.calls("cost")][:2] == ["0", "0"]


async def test_a_server_that_finds_ever_new_words_for_no_ends_the_run(desk):
    one = desk(SteppedDown("does not take x", kind="stepped_down", status=400))
    with pytest.raises(ServiceRefused):
        await one.chat()
    assert len(one.calls()) < 12


# --- together --------------------------------------------------------------------------------------------------------


async def test_the_first_request_goes_alone_and_the_others_follow_together(desk):
    one = desk()
    one.client.gate = asyncio.Event()
    asking = [asyncio.create_task(one.chat(n)) for n in range(1, 11)]
    await _until(lambda: one.client.in_flight)
    await asyncio.sleep(0.02)
    assert one.client.in_flight == 1
    first, one.client.gate = one.client.gate, asyncio.Event()
    first.set()
    await _until(lambda: one.client.in_flight > 1)
    one.client.gate.set()
    await asyncio.gather(*asking)
    assert one.client.peak > 1
    assert one.asker.proven


async def test_a_wrong_key_is_met_once_per_waiting_request_at_most_one_at_a_time(desk):
    one = desk(ServiceRefused("401", kind="401", status=401))
    told = await asyncio.gather(*(one.chat(n) for n in range(1, 6)), return_exceptions=True)
    assert {type(error) for error in told} == {ServiceRefused}
    assert one.client.peak == 1


async def test_no_more_requests_are_in_flight_than_there_are_slots(desk):
    one = desk(slots=3)
    await one.chat()
    one.client.gate = asyncio.Event()
    asking = [asyncio.create_task(one.chat(n)) for n in range(2, 40)]
    await _until(lambda: one.client.in_flight == 3)
    await asyncio.sleep(0.02)
    one.client.gate.set()
    await asyncio.gather(*asking)
    assert one.client.peak == 3
    assert one.office.progress.peak_in_flight == 3


async def test_where_no_limit_is_known_few_have_their_rows_written_while_they_wait_for_a_place(desk):
    one = desk(slots=3, max_concurrent=3)
    await one.chat()
    one.client.gate = asyncio.Event()
    asking = [asyncio.create_task(one.chat(n)) for n in range(2, 40)]
    await _until(lambda: one.client.in_flight == 3)
    await _until(lambda: len(one.calls()) == 1 + 3 + 2)
    await asyncio.sleep(0.02)
    assert len(one.calls()) == 1 + 3 + 2
    one.client.gate.set()
    await asyncio.gather(*asking)
    assert one.client.peak == 3


async def test_where_a_limit_is_known_a_row_is_written_last(desk):
    one = desk(slots=3, max_concurrent=3, limiter=RateLimiter(rpm=1e6, tpm=1e9))
    await one.chat()
    one.client.gate = asyncio.Event()
    asking = [asyncio.create_task(one.chat(n)) for n in range(2, 40)]
    await _until(lambda: one.client.in_flight == 3)
    await asyncio.sleep(0.02)
    assert len(one.calls()) == 1 + 3
    one.client.gate.set()
    await asyncio.gather(*asking)


@pytest.mark.parametrize("how", ["asked to stop", "cancelled", "refused"])
async def test_a_row_whose_request_was_not_sent_after_all_is_taken_back(desk, how):
    stop = Stop(60)
    one = desk(cap=Decimal(1), slots=1, max_concurrent=1, stop=stop)
    await one.chat()
    one.client.gate = asyncio.Event()
    sent, waiting = (asyncio.create_task(one.chat(n)) for n in (2, 3))
    await _until(lambda: one.client.in_flight and len(one.calls()) == 3)
    if how == "asked to stop":
        stop.ask()
    elif how == "cancelled":
        waiting.cancel()
    else:
        one.asker.give_up(ServiceRefused("401", kind="401", status=401))
        one.client.gate.set()
    [error] = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(error, Stopped | asyncio.CancelledError | ServiceRefused)
    one.client.gate.set()
    await sent
    stop.settled()
    assert [status for (status,) in one.calls("status")] == ["answered", "answered"]
    assert len(one.client.seen) == 2
    assert one.budget.reserved == 0


async def test_a_call_that_waited_for_its_place_counts_from_when_it_was_sent(desk):
    one = desk(slots=1, max_concurrent=1)
    await one.chat()
    one.client.gate = asyncio.Event()
    asking = [asyncio.create_task(one.chat(n)) for n in (2, 3)]
    await _until(lambda: one.client.in_flight and len(one.calls()) == 3)
    await asyncio.sleep(0.05)
    one.client.gate.set()
    await asyncio.gather(*asking)
    [_, first, second] = one.calls("started_at, duration_s")
    assert second[0] >= first[0] + first[1]


async def test_an_observer_is_told_of_each_attempt_once(desk):
    failure = PassingFailure("502", kind="http_502", status=502)
    one = desk(failure, "reply")
    await one.chat(1, 2, 3)
    assert [(c.status, c.attempt, c.questions, c.error_kind) for c in one.watch.calls] == [
        ("failed", 1, 3, "http_502"),
        ("answered", 2, 3, ""),
    ]
    assert one.watch.calls[0].id != one.watch.calls[1].id


def test_what_a_server_does_not_take_is_remembered_for_the_next_run_and_reported(openai_server, tmp_path):
    server = openai_server(refuse=["json_schema"])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    first, second = write_meetings(tmp_path / "t", 2, turns=4)
    report = kg.process(first, "--embedder", "none")
    [said] = report["stepped_down"].values()
    assert "replies as json_object" in said
    assert "without temperature" in said
    assert report["calls"]["failed"] == 1  # the format; that this model takes no temperature is known
    report = kg.process(second, "--embedder", "none")
    assert report["calls"] | {"chat": 1, "failed": 0} == report["calls"]
    assert [said] == list(report["stepped_down"].values())


async def _many(one: Desk) -> None:
    """Let a hundred through, so that the pace learnt from a refusal is no slow one."""
    for _ in range(100):
        await one.chat()


async def _until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  what is waited for are plain counters
            await asyncio.sleep(0.001)
