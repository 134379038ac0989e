"""The embedder with an asker of our own: how texts are gathered, and that one bad text is buried alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core_engine.embeddings.embedder import ENOUGH, Embedder
from core_engine.errors import BadReply, LedgerError, ModelError, PassingFailure, RequestTooLarge, ServiceRefused
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.values import DEAD
from core_engine.llm.question import Question
from core_engine.llm.tokens import estimate_tokens
from core_engine.progress import Progress
from core_engine.types import Batch, BatchItem, Chunk, ChunkTurn

BAD = "a text that no model embeds"


@dataclass
class Asks:
    """Answers at once, or fails whatever holds the BAD text."""

    failure: Exception | None = None
    times: int = 1_000_000
    answered: int = 1
    requests: list[tuple[list[int], list[str], str]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    traces_content: bool = False
    told: list[str] = field(default_factory=list)

    def tell(self, name: str, **fields: object) -> None:
        self.told.append(name)

    async def embed(self, question: Question, texts: Sequence[str]) -> None:
        self.requests.append((list(question.numbers), list(texts), question.purpose))
        if self.gate:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.failure and self.times and any(BAD in text for text in texts):
            self.times -= 1
            raise self.failure
        self.answered += 1

    @property
    def proven(self) -> bool:
        return self.answered > 0

    def give_up(self, error: ModelError) -> ServiceRefused:
        return ServiceRefused(str(error), kind=error.kind)

    @property
    def sizes(self) -> list[int]:
        return [len(numbers) for numbers, _, _ in self.requests]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterable[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield ledger


FULL = -(-ENOUGH // 10)  # batches whose texts are enough for a request


def made(ledger: Ledger, asks: Asks) -> Embedder:
    return Embedder(ledger, asks, Progress())  # type: ignore[arg-type]  # an asker of our own


def batch(name: str, texts: Sequence[str], first: int = 0) -> Batch:
    chunks = [Chunk(f"{name}-{n}", "d", n, (ChunkTurn(None, text, text, n),)) for n, text in enumerate(texts)]
    return Batch(name, tuple(BatchItem(chunk, first + n, None, first + n) for n, chunk in enumerate(chunks)))


def batches(count: int, size: int = 10) -> list[Batch]:
    return [batch(f"b{b}", [f"text {b} {n}" for n in range(size)], b * size) for b in range(count)]


async def embed_all(embedder: Embedder, offered: Iterable[Batch]) -> list[BaseException | None]:
    offered = list(offered)
    for each in offered:
        embedder.offer(each)
    embedder.offered_all()
    async with asyncio.timeout(10):
        return await asyncio.gather(*map(embedder.embed, offered), return_exceptions=True)


async def test_texts_of_many_batches_travel_in_few_requests(ledger):
    asks = Asks()
    assert await embed_all(made(ledger, asks), batches(30)) == [None] * 30
    assert sum(asks.sizes) == 300
    assert len(asks.requests) <= 1 + 300 // ENOUGH
    assert sorted(no for numbers, _, _ in asks.requests for no in numbers) == list(range(300))


async def test_enough_texts_are_sent_before_anyone_waits_for_them(ledger):
    asks = Asks()
    embedder = made(ledger, asks)
    for each in batches(FULL):
        embedder.offer(each)
    await asyncio.sleep(0)
    assert asks.sizes == [FULL * 10]
    await embedder.close()


async def test_a_single_batch_is_sent_when_the_planner_has_no_more(ledger):
    asks = Asks()
    assert await embed_all(made(ledger, asks), batches(1)) == [None]
    assert asks.sizes == [10]


async def test_nobody_waits_for_ever_for_a_planner_that_goes_quiet(ledger):
    asks = Asks()
    embedder = made(ledger, asks)
    [only] = batches(1)
    embedder.offer(only)
    async with asyncio.timeout(5):
        await embedder.embed(only)
    assert asks.sizes == [10]


async def test_no_request_has_more_inputs_or_tokens_than_the_provider_takes(ledger):
    asks = Asks()
    embedder = made(ledger, asks)
    gathered = [*batches(300), batch("long", ["word " * 4_000] * 40, 3_000), batch("longer", ["x" * 90_000], 3_040)]
    embedder._waiting_texts = -1_000_000  # so that only the last offer sends
    for each in gathered:
        embedder.offer(each)
    embedder.offered_all()
    async with asyncio.timeout(10):
        await asyncio.gather(*map(embedder.embed, gathered))
    assert max(asks.sizes) <= 2_048
    assert sum(asks.sizes) == 3_041
    for _, texts, _ in asks.requests:
        assert sum(len(text) for text in texts) / 4 <= 300_000
        assert all(len(text) <= 24_000 for text in texts)


async def test_a_request_takes_at_most_half_of_a_told_limit(ledger):
    asks = Asks()
    embedder = Embedder(ledger, asks, Progress(), limit=1_000)  # type: ignore[arg-type]  # an asker of our own
    words = " ".join(["word"] * 25)
    assert await embed_all(embedder, [batch(f"b{n}", [words] * 4, n * 4) for n in range(20)]) == [None] * 20
    assert sum(asks.sizes) == 80
    assert len(asks.requests) > 1
    assert all(sum(map(estimate_tokens, texts)) <= 500 for _, texts, _ in asks.requests)


async def test_one_bad_text_is_found_and_buried_alone(ledger):
    ledger.write(_questions, 160)
    asks = Asks(BadReply("an embedding is all zeros", kind="all_zeros"))
    embedder = made(ledger, asks)
    gathered = [*batches(15), batch("bad", [BAD, "good", "good"], 150)]
    assert await embed_all(embedder, gathered) == [None] * 16
    assert _dead(ledger) == [(150, "all_zeros")]
    assert embedder.progress.buried == 1
    assert not embedder.progress.left_open
    assert len(asks.requests) <= 2 + 2 * 8
    asked_last = {no: at for at, (numbers, _, _) in enumerate(asks.requests) for no in numbers}
    assert all(BAD not in " ".join(asks.requests[at][1]) for no, at in asked_last.items() if no != 150)


async def test_a_text_that_is_too_large_for_the_provider_is_buried_alone_too(ledger):
    ledger.write(_questions, 10)
    asks = Asks(RequestTooLarge("maximum context length is 8192 tokens", kind="too_large", status=400), answered=0)
    assert await embed_all(made(ledger, asks), [batch("b", ["one", BAD, "three"])]) == [None]
    assert _dead(ledger) == [(1, "too_large")]


async def test_a_bad_reply_that_does_not_come_again_buries_nothing(ledger):
    ledger.write(_questions, 10)
    asks = Asks(BadReply("asked for 3 embeddings, got 2", kind="wrong_count"), times=1)
    embedder = made(ledger, asks)
    assert await embed_all(embedder, [batch("b", ["one", BAD, "three"])]) == [None]
    assert [purpose for _, _, purpose in asks.requests] == ["first", "reask"]
    assert _dead(ledger) == []
    assert embedder.progress.reasked == 1


async def test_a_passing_failure_leaves_the_text_open_that_it_is_about_and_ends_nothing(ledger):
    ledger.write(_questions, 10)
    asks = Asks(PassingFailure("503", kind="http_503", status=503))
    embedder = made(ledger, asks)
    assert await embed_all(embedder, [batch("b", ["one", BAD, "three"])]) == [None]
    assert embedder.progress.left_open == {"http_503": 1}
    assert _dead(ledger) == []


@pytest.mark.parametrize(
    "failure", [ServiceRefused("401", kind="401"), LedgerError("the disk is full"), TypeError("a mistake of ours")]
)
async def test_every_batch_of_a_request_hears_what_went_wrong_with_it(ledger, failure):
    asks = Asks(failure)
    told = await embed_all(made(ledger, asks), [*batches(3), batch("bad", [BAD], 40)])
    assert told == [failure] * 4


async def test_a_server_that_refuses_the_very_first_request_ends_the_run_and_buries_nothing(ledger):
    ledger.write(_questions, 10)
    asks = Asks(BadReply("400: no such thing", kind="http_400", status=400), answered=0)
    [told] = await embed_all(made(ledger, asks), [batch("b", [BAD, f"{BAD} too", BAD, BAD])])
    assert isinstance(told, ServiceRefused)
    assert asks.sizes == [4, 2, 2, 1, 1, 1, 1]
    assert _dead(ledger) == []


async def test_a_batch_without_words_or_without_questions_waits_for_nothing(ledger):
    asks = Asks()
    silent = Batch("s", (BatchItem(Chunk("c", "d", 0, (ChunkTurn(None, "um", "", 0),)), 1, 1, 1),))
    answered = Batch("a", (BatchItem(Chunk("c", "d", 0, (ChunkTurn(None, "um", "um", 0),)), 1, 1, None),))
    assert await embed_all(made(ledger, asks), [silent, answered]) == [None, None]
    assert asks.requests == []


async def test_nothing_is_kept_of_batches_that_are_done(ledger):
    embedder = made(ledger, Asks())
    await embed_all(embedder, batches(50))
    assert not embedder._tickets
    assert not embedder._pending
    assert not embedder._sending
    assert embedder._waiting_texts == 0


async def test_close_waits_for_what_is_out_and_drops_what_was_only_offered(ledger):
    asks = Asks(gate=asyncio.Event())
    embedder = made(ledger, asks)
    for each in batches(FULL + 1):
        embedder.offer(each)
    closing = asyncio.create_task(embedder.close())
    await asyncio.sleep(0)
    assert not closing.done()
    asks.gate.set()
    async with asyncio.timeout(5):
        await closing
    assert asks.sizes == [FULL * 10]


async def test_cancel_ends_requests_that_are_out(ledger):
    asks = Asks(gate=asyncio.Event())
    embedder = made(ledger, asks)
    for each in batches(FULL):
        embedder.offer(each)
    waiting = asyncio.create_task(embedder.embed(batches(1)[0]))
    await asyncio.sleep(0)
    embedder.cancel()
    async with asyncio.timeout(5):
        await embedder.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_unpaired_surrogates_are_sent_as_what_utf_8_can_hold(ledger):
    asks = Asks()
    await embed_all(made(ledger, asks), [batch("b", ["half \ud83d of a face"])])
    assert asks.requests[0][1] == ["half ? of a face"]


def _questions(db, count: int) -> None:
    rows = [(n, n.to_bytes(4, "big")) for n in range(count)]
    db.executemany("INSERT INTO question (no, key, spec, state) VALUES (?, ?, 1, 1)", rows)


def _dead(ledger: Ledger) -> list[tuple[int, str]]:
    with ledger.reading() as db:
        return db.execute("SELECT no, reason FROM question WHERE state = ?", (DEAD,)).fetchall()
