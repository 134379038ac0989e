"""What a run would take: calls, tokens, dollars and time, from the planner's batches and from what the ledger remembers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from core_engine.ports import Pricer
from core_engine.types import Batch, BatchItem, Usage

_CACHE_STEP = 128  # providers cache a prefix of 1,024 tokens or more, in such steps
_CACHE_LEAST = 1024
_FIRST_COMPLETION = (120.0, 220.0, 400.0)  # tokens a chunk where no reply of the model is known: low, middle, high
_FIRST_LATENCY_S = 8.0
_EMBEDDED_TOGETHER = 128


class Counter(Protocol):
    def count(self, text: str) -> int: ...


class Renderer(Protocol):
    """The prompt: its static part, and the message for a batch."""

    @property
    def system(self) -> str: ...
    def render(self, chunks: Sequence[Any], with_context: Sequence[bool]) -> str: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier calls of the model tell: tokens of a reply a chunk (low, middle, high), seconds, share of prompt cached.

    `replies` of 0: nothing is known, and the values are guesses.
    """

    replies: int = 0
    completion: tuple[float, float, float] = _FIRST_COMPLETION
    latency_s: float = _FIRST_LATENCY_S
    prompt_factor: float = 1.0
    cached_share: float | None = None


@dataclass(slots=True)
class Planned:
    """The sums over the planned batches."""

    chunks: int = 0
    chat_calls: int = 0
    embedding_calls: int = 0
    prompt: int = 0
    static: int = 0
    embedding: int = 0
    _embeds: int = field(default=0, repr=False)

    def add(self, batch: Batch, prompt: Renderer | None, counter: Counter, *, embeds: bool) -> None:
        asked = [item for item in batch.items if item.extract is not None and item.chunk.text]
        self.chunks += len(batch.items)
        if prompt is not None and asked:
            self.chat_calls += 1
            self.prompt += counter.count(prompt.render([i.chunk for i in asked], [not i.follows for i in asked]))
        if embeds:
            self._embed([item for item in batch.items if item.embed is not None], counter)

    def _embed(self, items: Sequence[BatchItem], counter: Counter) -> None:
        self._embeds += len(items)
        self.embedding += sum(counter.count(item.chunk.text) for item in items)
        self.embedding_calls = -(-self._embeds // _EMBEDDED_TOGETHER)


def plan(batches: Iterable[Batch], prompt: Renderer | None, counter: Counter, *, embeds: bool) -> Planned:
    """Add up all batches. `prompt` of None: nothing is asked of a chat model."""
    planned = Planned()
    for batch in batches:
        planned.add(batch, prompt, counter, embeds=embeds)
    planned.static = counter.count(prompt.system) if prompt else 0
    return planned


def known(db: sqlite3.Connection, model: str) -> Known:
    """What the ledger's calls tell of a model; the last 2,000 of them."""
    rows = db.execute(
        "SELECT completion * 1.0 / max(1, json_array_length(questions)), duration_s, prompt, cached FROM call "
        "WHERE stage = 'extract' AND status = 'answered' AND model = ? AND completion > 0 ORDER BY no DESC LIMIT 2000",
        (model,),
    ).fetchall()
    if not rows:
        return Known()
    lengths = sorted(row[0] for row in rows)
    mean = sum(lengths) / len(lengths)
    # The mean of all that is to come lies near the mean of what came: the range narrows with the root of the number.
    spread = (sum((length - mean) ** 2 for length in lengths) / len(lengths)) ** 0.5
    error = max(2 * spread / len(lengths) ** 0.5, 0.03 * mean)
    prompts = sum(row[2] for row in rows)
    return Known(
        replies=len(rows),
        completion=(max(mean - error, 0.0), mean, mean + error),
        latency_s=sum(row[1] for row in rows) / len(rows),
        cached_share=sum(row[3] for row in rows) / prompts if prompts else None,
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What the time depends on: requests in flight, requests and tokens a minute."""

    max_concurrent: int
    rpm: float | None
    tpm: float | None


def estimate(
    planned: Planned, model: str, embedding_model: str, told: Known, limits: Limits, pricer: Pricer
) -> dict[str, Any]:
    """The estimate as plain values (docs/report.md): a middle, and a range where replies are unknown."""
    prompt = planned.prompt + planned.static * planned.chat_calls
    cached = _cached(planned, prompt, told)
    low, middle, high = (round(length * planned.chunks) if planned.chat_calls else 0 for length in told.completion)
    embedding = (
        pricer.price(embedding_model, Usage(prompt=planned.embedding), "embed") if planned.embedding else Decimal(0)
    )

    def dollars(completion: int, cached_tokens: int) -> float | None:
        if not planned.chat_calls:
            return None if embedding is None else _money(embedding)
        chat = pricer.price(model, Usage(prompt, cached_tokens, completion), "extract")
        return None if chat is None or embedding is None else _money(chat + embedding)

    tokens = prompt + middle + planned.embedding
    calls = planned.chat_calls + planned.embedding_calls
    bounds = [(planned.chat_calls * told.latency_s / limits.max_concurrent, "latency")]
    bounds += [(calls / limits.rpm * 60, "requests a minute")] if limits.rpm else []
    bounds += [(tokens / limits.tpm * 60, "tokens a minute")] if limits.tpm else []
    seconds, bound_by = max(bounds)
    return {
        "chunks": planned.chunks,
        "calls": {"chat": planned.chat_calls, "embedding": planned.embedding_calls},
        "tokens": {"prompt": prompt, "cached": cached, "completion": middle, "embedding": planned.embedding},
        "cost_usd": {"low": dollars(low, cached), "middle": dollars(middle, cached), "high": dollars(high, 0)},
        "seconds": round(seconds, 1),
        "bound_by": bound_by,
        "from_replies": told.replies,
    }


def _cached(planned: Planned, prompt: int, told: Known) -> int:
    if told.cached_share is not None:
        return round(prompt * told.cached_share)
    if planned.static < _CACHE_LEAST:
        return 0
    # The first call fills the cache.
    return planned.static // _CACHE_STEP * _CACHE_STEP * max(planned.chat_calls - 1, 0)


def _money(amount: Decimal) -> float:
    return float(round(amount, 6))
