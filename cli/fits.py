"""Whether requests fit into the limits of tokens that the user gave: a run is made to fit, or refused, before it starts."""

from __future__ import annotations

import logging
from dataclasses import replace

from cli.wiring import ways_of
from core_engine.errors import SettingsError
from core_engine.limits.charge import Charge, Size
from core_engine.llm.tokens import CompletionModel, estimate_tokens
from core_engine.planner import Plan
from core_engine.settings import Settings

log = logging.getLogger("kg")

_CHARACTERS_A_TOKEN = 4
_AROUND = 400  # characters that may stand around a chunk's text: numbers, labels of speakers, the turns before
_ROUND = 100


def fitted(settings: Settings, plan: Plan) -> tuple[Settings, Plan]:
    """Both with a batch size whose requests `--tpm` holds. Raises SettingsError where it can't hold a single chunk."""
    if settings.embedder_used == "openai":
        _check_embeddings(settings)
    if settings.tpm is None or settings.extractor_used != "openai":
        return settings, plan
    prompt = max((prompt.static_text for _, prompt in ways_of(settings)), key=len)
    charge = Charge(settings.base_url or "")
    needs = [_tokens(charge, prompt, count, settings.chunk_size) for count in range(1, settings.batch_size + 1)]
    size = sum(need <= settings.tpm for need in needs)
    if size == 0:
        raise SettingsError(_too_small("--tpm", settings.tpm, needs[0], "a request about one chunk, with its reply,"))
    if size < settings.batch_size and not settings.batch_api:
        log.warning(
            "--tpm %s holds no request about %d chunks: batches of %d (--tpm %s would hold them)",
            f"{settings.tpm:,.0f}",
            settings.batch_size,
            size,
            f"{needs[-1]:,}",
        )
        return replace(settings, batch_size=size), replace(plan, batch_size=size)
    return settings, plan


def _check_embeddings(settings: Settings) -> None:
    own = settings.embedding_tpm is not None
    limit = settings.embedding_tpm if own else settings.tpm
    need = settings.chunk_size // _CHARACTERS_A_TOKEN
    if limit is not None and limit < need:
        raise SettingsError(
            _too_small("--embedding-tpm" if own else "--tpm", limit, need, "the embedding of one chunk")
        )


def _tokens(charge: Charge, prompt: str, chunks: int, chunk_size: int) -> int:
    """What a request about so many chunks counts at the limit, before any reply has taught more."""
    replies, text = CompletionModel(), chunks * (chunk_size + _AROUND)
    tokens = round(estimate_tokens(prompt)) + text // _CHARACTERS_A_TOKEN
    return charge.amount(Size(len(prompt) + text, tokens, replies.expected(chunks), replies.ceiling(chunks)))


def _too_small(option: str, limit: float, need: int, what: str) -> str:
    enough = -(-need // _ROUND) * _ROUND
    return f"{option} {limit:,.0f} is too small: {what} may take {need:,} tokens: give {option} {enough} or more"
