"""A question's words as a vector: one call to the embedding model, in the ledger like any other, and only once."""

from __future__ import annotations

import asyncio

from cli.wiring import budget_of, embed_spec_of, endpoint_of, prices_of
from core_engine import keys
from core_engine.errors import KGError, SettingsError
from core_engine.identity import digest
from core_engine.ledger import questions
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.questions import Claim, Wanted
from core_engine.limits.rate_limiter import RateLimiter
from core_engine.progress import Progress
from core_engine.settings import Settings

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
    from core_engine.llm.asker import Asker, Office
    from core_engine.llm.client import Capabilities, Client
    from core_engine.llm.purse import Purse
    from core_engine.llm.question import Question
    from core_engine.llm.tokens import TokenCounter

    prices = prices_of(settings)
    budget = budget_of(settings, prices, RUN, None, embed_spec_of(settings))
    office = Office(
        ledger=ledger,
        run=RUN,
        limiter=RateLimiter(
            rpm=settings.rpm,
            tpm=settings.tpm,
            embedding_rpm=settings.embedding_rpm,
            embedding_tpm=settings.embedding_tpm,
        ),
        pricer=prices,
        purse=Purse(budget),
        observers=(),
        progress=Progress(),
        slots=asyncio.Semaphore(1),
        retries=settings.retries,
        payer=settings.payer,
    )
    endpoint = endpoint_of(settings, "embed")
    client = Client(endpoint, Capabilities())
    asker = Asker(office, "embed", client, spec, TokenCounter(endpoint.model))
    try:
        await asker.embed(Question([question], RUN), [words.encode("utf-8", "replace").decode()])
    finally:
        await client.close()
        budget.close()
