"""Single calls that belong to no run, in the ledger like any other: a question's words as a vector, a model on trial."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from cli.wiring import (
    budget_of,
    capabilities_of,
    embed_spec_of,
    endpoint_of,
    prices_of,
    remember,
    specs_of,
    ways_of,
)
from core_engine import keys
from core_engine.errors import KGError, SettingsError
from core_engine.identity import digest
from core_engine.ledger import questions
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.questions import Claim, Wanted
from core_engine.limits.rate_limiter import RateLimiter
from core_engine.progress import Progress
from core_engine.settings import Settings
from core_engine.types import Chunk, ChunkTurn, Usage
from metrics.budget import RunBudget
from metrics.prices import Prices

if TYPE_CHECKING:
    from core_engine.llm.asker import Office
    from core_engine.llm.client import Client

RUN = "search"
"""Under this name the calls of searches stand in the ledger; they belong to no run."""

_NO_CHUNK = 0


async def embed_query(settings: Settings, ledger: Ledger, words: str) -> bytes:
    """The vector: from the ledger if the same was asked before, else from the model. Raises KGError."""
    spec = embed_spec_of(settings)
    if spec is None or not _has_access(settings):
        raise SettingsError("--dense asks the embedding model: set OPENAI_API_KEY or --embedding-base-url")
    number = await ledger.commit(questions.spec_no, spec)
    key = keys.key(spec.hash, digest("words", words))
    wanted = [Wanted(_NO_CHUNK, None, key)]
    (claimed,) = await ledger.commit(questions.claim, RUN, number, number, wanted)
    if claimed.embed is None:
        raise AssertionError("an embedding was wanted")
    question, claim = claimed.embed
    if claim is not Claim.ANSWERED:
        try:
            await _ask(settings, ledger, number, question, words)
        finally:
            await ledger.commit(questions.release, RUN)
    with ledger.reading() as db:
        row = db.execute("SELECT answer FROM question WHERE no = ?", (question,)).fetchone()
    if not row or not row[0]:
        raise KGError("the embedding model gave no vector for these words: search without --dense")
    return bytes(row[0])


def _has_access(settings: Settings) -> bool:
    return bool(settings.api_key or settings.base_url or settings.embedding_api_key or settings.embedding_base_url)


async def _ask(settings: Settings, ledger: Ledger, spec: int, question: int, words: str) -> None:
    from core_engine.llm.asker import Asker
    from core_engine.llm.question import Question
    from core_engine.llm.tokens import TokenCounter

    prices = prices_of(settings)
    budget = budget_of(settings, prices, RUN, None, embed_spec_of(settings))
    office = _office(settings, ledger, RUN, prices, budget)
    client = _client(settings, ledger, "embed")
    asker = Asker(office, "embed", client, spec, TokenCounter(client.endpoint.model))
    try:
        await asker.embed(Question([question], RUN), [words.encode("utf-8", "replace").decode()])
    finally:
        await client.close()
        budget.close()


def _office(settings: Settings, ledger: Ledger, run: str, prices: Prices, budget: RunBudget) -> Office:
    """What an asker needs for a call or two that belong to no run."""
    from core_engine.llm.asker import Office
    from core_engine.llm.purse import Purse

    limiter = RateLimiter(
        rpm=settings.rpm, tpm=settings.tpm, embedding_rpm=settings.embedding_rpm, embedding_tpm=settings.embedding_tpm
    )
    return Office(
        ledger=ledger,
        run=run,
        limiter=limiter,
        pricer=prices,
        purse=Purse(budget),
        observers=(),
        progress=Progress(),
        slots=asyncio.Semaphore(1),
        retries=settings.retries,
        payer=settings.payer,
    )


def _client(settings: Settings, ledger: Ledger, stage: str) -> Client:
    """The client of a stage's model, with what is known of its server."""
    from core_engine.llm.client import Client

    endpoint = endpoint_of(settings, stage)
    return Client(endpoint, capabilities_of(ledger, endpoint))


# --- kg doctor --ask -------------------------------------------------------------------------------------------------

TRIAL = "doctor"
"""Under this name stands the call by which a model is tried; it belongs to no run."""

_WORDS = "I work at Acme, and Bob Marsh leads the Falcon project."
_SENTENCE = Chunk("", "", 0, (ChunkTurn("Ann Lee", _WORDS, _WORDS, 0),))


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one small call. `cost` in US dollars, None where unpriced; `invalid`: why the reply is of no use.

    `without`: what the server didn't take; `limits`: what it told of them.
    """

    format: str
    seconds: float
    tokens: int
    cost: Decimal | None
    invalid: str
    without: str
    limits: str


def trial_at_most(settings: Settings) -> tuple[int, Decimal | None]:
    """Tokens and US dollars that tried() may take at most; None where the model's price is not known."""
    from core_engine.llm.asker import most_tokens
    from core_engine.llm.tokens import CompletionModel

    model, prompt = ways_of(settings)[0]
    most = Usage(
        prompt=most_tokens(prompt.static_text, prompt.render([_SENTENCE], [False])),
        completion=CompletionModel().ceiling(1),
    )
    return most.total, prices_of(settings).price(model, most, "extract")


async def tried(settings: Settings, ledger: Ledger) -> Tried:
    """Ask the extraction's model about one sentence, as a run would, in the books like any other call. Raises KGError."""
    from core_engine.kg.extractor import read_reply
    from core_engine.kg.prompt import RESPONSE_FORMATS
    from core_engine.llm.asker import Asker
    from core_engine.llm.question import Question
    from core_engine.llm.tokens import TokenCounter

    model, prompt = ways_of(settings)[0]
    spec, _ = specs_of(settings, model, prompt)
    number = await ledger.commit(questions.spec_no, spec, prompt.name)
    prices = prices_of(settings)
    budget = budget_of(settings, prices, TRIAL, spec, None)
    client = _client(settings, ledger, "extract")
    office = _office(replace(settings, retries=0), ledger, TRIAL, prices, budget)
    asker = Asker(office, "extract", client, number, TokenCounter(model))
    try:
        question = Question([_NO_CHUNK], TRIAL, patient=False)
        answered = await asker.chat(question, prompt.system, prompt.render([_SENTENCE], [False]), RESPONSE_FORMATS)
    finally:
        await client.close()
        budget.close()
    reply = answered.reply
    parsed = read_reply(reply.text, reply.finish_reason, reply.refusal, 1)
    await ledger.commit(questions.answer_extractions, answered.call, [], parsed.invalid)
    await ledger.commit(remember, client)
    with ledger.reading() as db:
        took, cost = db.execute("SELECT duration_s, cost FROM call WHERE id = ?", (answered.call,)).fetchone()
    told = [f"{each.limit:,.0f} {each.unit} a minute" for each in office.limiter.snapshot() if each.limit]
    return Tried(
        client.capabilities.response_format,
        took,
        reply.usage.total,
        None if cost is None else Decimal(cost),
        parsed.invalid or next(iter(parsed.problems.values()), ""),
        client.capabilities.said(),
        ", ".join(told),
    )
