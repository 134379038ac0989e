"""What a run will take: calls, tokens, dollars and time, from the planner's batches and what earlier replies taught."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol

from core_engine.kg.resolver.asking import MOST as PAIRS_A_RUN
from core_engine.llm.tokens import estimate_tokens
from core_engine.ports import Pricer
from core_engine.types import Batch, BatchItem, Chunk, Usage
from metrics.told import Resolving, Told

_CACHE_STEP = 128  # providers cache a prefix of 1,024 tokens or more, in such steps
_CACHE_LEAST = 1024
_EMBEDDED_TOGETHER = 512
_MEASURED_FIRST = 8  # batches measured in any case, before only some are

# How long a reply to a chunk is where no reply of the model is known: its form, and for each name and speaker in the
# chunk what they bring into it on average. Fitted to the answers in data/gold/conversations.jsonl, written as replies
# and counted by o200k_base (R² .45); `bench_estimate.py fit` does it again. Reasoning comes on top, and is unknown: the
# range is wide for it.
REPLY_BY_FORM = (10.4, 10.8, 10.6)  # tokens: alone, a name, a speaker
_FIRST_LOW, _FIRST_HIGH = 0.5, 3.0
# Where nobody has been asked about names yet: what came of QMSum's meetings. The more names there are, the more of them
# are alike: between 500 and 8,834 of its chunks, pairs grew by this power of the chunks (`bench_estimate.py names`).
RESOLVING = Resolving(pairs=3_177, chunks=8_831, calls=0.05, prompt=140.0, cached=0.0, completion=6.2)
PAIRS_GROW = 1.3
_NAMES_LOW, _NAMES_HIGH = 0.4, 2.5
_NAME = re.compile(r"(?<![.?!:\n] )(?<!^)\b[A-Z][\w'&-]*(?: [A-Z][\w'&-]*)*", re.MULTILINE)


class Renderer(Protocol):
    """The prompt: what comes with every request, and the message for a batch."""

    @property
    def static_text(self) -> str: ...
    def render(self, chunks: Sequence[Any], with_context: Sequence[bool]) -> str: ...


Count = Callable[[str], float]


@dataclass(slots=True)
class Sizes:
    """Sums over batches, in tokens as counted: of the messages, of the texts to embed, of the replies by their form."""

    characters: int = 0
    prompt: float = 0.0
    embedding: float = 0.0
    reply: float = 0.0


@dataclass(slots=True)
class Tally:
    """Adds up the batches of a plan. Of many, only each `every`-th is measured, and the rest by its characters.

    `prompt` of None: nothing is asked of a chat model.
    """

    prompt: Renderer | None
    embeds: bool
    count: Count = estimate_tokens
    count_embedded: Count = estimate_tokens
    every: int = 1
    chunks: int = 0
    asked: int = 0
    chat_calls: int = 0
    embedded: int = 0
    _all: int = 0
    _measured: Sizes = field(default_factory=Sizes)
    _batches: int = 0

    def add(self, batch: Batch) -> None:
        asked = [item for item in batch.items if item.extract is not None] if self.prompt else []
        embeds = [item for item in batch.items if item.embed is not None] if self.embeds else []
        self.chunks += len(batch.items)
        self.asked += len(asked)
        self.chat_calls += bool(asked)
        self.embedded += len(embeds)
        characters = sum(len(turn.text) for item in batch.items for turn in item.chunk.turns)
        self._all += characters
        if self._batches < _MEASURED_FIRST or self._batches % self.every == 0:
            self._measure(asked, embeds, characters)
        self._batches += 1

    def _measure(self, asked: Sequence[BatchItem], embeds: Sequence[BatchItem], characters: int) -> None:
        sizes = self._measured
        sizes.characters += characters
        if self.prompt and asked:
            chunks = [item.chunk for item in asked]
            sizes.prompt += self.count(self.prompt.render(chunks, [not item.follows for item in asked]))
            sizes.reply += sum(map(_reply_by_form, chunks))
        sizes.embedding += sum(self.count_embedded(item.chunk.text) for item in embeds)

    def sizes(self) -> Sizes:
        """Of all batches: those measured, scaled by characters to the rest."""
        some = self._measured
        scale = self._all / some.characters if some.characters else 1.0
        return Sizes(self._all, some.prompt * scale, some.embedding * scale, some.reply * scale)


class Batches(Protocol):
    def batches(self) -> Iterator[Batch]: ...
    def stop(self) -> None: ...


class Adds(Protocol):
    """Whatever adds up batches."""

    def add(self, batch: Batch) -> None: ...


class Tallied:
    """A source of batches that adds up what it gives."""

    def __init__(self, source: Batches, tally: Adds) -> None:
        self._source = source
        self._tally = tally

    def batches(self) -> Iterator[Batch]:
        for batch in self._source.batches():
            self._tally.add(batch)
            yield batch

    def stop(self) -> None:
        self._source.stop()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the time depends on: requests in flight, requests and tokens a minute."""

    max_concurrent: int
    rpm: float | None
    tpm: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What will be asked (the tally), and what was known of the models before it."""

    tally: Tally
    model: str
    embedding_model: str
    told: Told
    limits: Limits
    pricer: Pricer
    resolve_model: str | None = None
    """Which is asked about doubtful pairs of names, behind the rest; None: none is."""
    also_asked: int = 0
    """Chunks that are asked about in another way, and whose names meet these."""

    def said(self) -> dict[str, Any]:
        """The estimate as plain values (docs/report.md): a middle, and a range, since nobody knows the replies."""
        tally, told, sizes = self.tally, self.told, self.tally.sizes()
        static = self._static()
        prompt = round((sizes.prompt + static * tally.chat_calls) * told.prompt_factor)
        cached = min(self._cached(static * told.prompt_factor), prompt)
        low, middle, high = (round(length) for length in self._completion(sizes))
        embedding = round(sizes.embedding * told.embedding_factor)
        resolve_calls, names = self._about_names()
        calls = tally.chat_calls + resolve_calls, -(-tally.embedded // _EMBEDDED_TOGETHER)
        both = prompt + embedding
        seconds, bound_by = self._time(calls, both + middle + names.prompt + names.completion)
        return {
            "chunks": tally.chunks,
            "calls": {"chat": calls[0], "embedding": calls[1]},
            "tokens": {
                "prompt": prompt + names.prompt,
                "cached": cached + names.cached,
                "completion": middle + names.completion,
                "embedding": embedding,
            },
            "tokens_range": {
                word: round(both + length + factor * (names.prompt + names.completion))
                for word, length, factor in (("low", low, _NAMES_LOW), ("high", high, _NAMES_HIGH))
            },
            "cost_usd": {
                "low": self._dollars(Usage(prompt, cached, low), embedding, _NAMES_LOW),
                "middle": self._dollars(Usage(prompt, cached, middle), embedding, 1),
                "high": self._dollars(Usage(prompt, 0 if told.replies == 0 else cached, high), embedding, _NAMES_HIGH),
            },
            "seconds": round(seconds, 1),
            "bound_by": bound_by,
            "from_replies": told.replies,
        }

    def repeated(self) -> int:
        """Tokens, as billed, of the part of the prompt that every request repeats; 0 where nothing is asked."""
        return round(self._static() * self.told.prompt_factor)

    def _static(self) -> float:
        return self.tally.count(self.tally.prompt.static_text) if self.tally.prompt else 0.0

    def _about_names(self) -> tuple[int, Usage]:
        """Calls and tokens of the questions about pairs of names."""
        if self.resolve_model is None:
            return 0, Usage()
        each = self.told.resolving or RESOLVING
        pairs_of = each.pairs / each.chunks**PAIRS_GROW
        new = pairs_of * ((each.before + self.tally.asked + self.also_asked) ** PAIRS_GROW - each.before**PAIRS_GROW)
        pairs = min(new, PAIRS_A_RUN)
        usage = Usage(round(each.prompt * pairs), round(each.cached * pairs), round(each.completion * pairs))
        return math.ceil(each.calls * pairs), usage

    def _completion(self, sizes: Sizes) -> tuple[float, float, float]:
        told, asked = self.told, self.tally.asked
        if told.replies:
            middle, error = told.completion * asked, told.completion_error * asked
            return max(middle - error, 0.0), middle, middle + error
        return _FIRST_LOW * sizes.reply, sizes.reply, _FIRST_HIGH * sizes.reply

    def _cached(self, static: float) -> int:
        warm = max(self.tally.chat_calls - 1, 0)  # the first call fills the cache
        if self.told.cached_a_call is not None:
            return round(self.told.cached_a_call * warm)
        return int(static) // _CACHE_STEP * _CACHE_STEP * warm if static >= _CACHE_LEAST else 0

    def _dollars(self, chat: Usage, embedding: int, more_names: float) -> float | None:
        """None where something that is asked for has no known price."""
        total = Decimal(0)
        resolve_calls, names = self._about_names()
        if resolve_calls and self.resolve_model is not None:
            each = self.pricer.price(self.resolve_model, _share(names, resolve_calls), "resolve")
            if each is None:
                return None
            total = each * resolve_calls * Decimal(more_names)
        for asked, model, usage, stage in (
            (self.tally.chat_calls, self.model, chat, "extract"),
            (self.tally.embedded, self.embedding_model, Usage(embedding), "embed"),
        ):
            # Prices may rise with the length of a prompt: it is a call's that counts, not the sum's.
            each = self.pricer.price(model, _share(usage, asked), stage) if asked else Decimal(0)
            if each is None:
                return None
            total += each * asked
        return float(round(total, 6))

    def _time(self, calls: tuple[int, int], tokens: int) -> tuple[float, str]:
        limits = self.limits
        waves = calls[0] / limits.max_concurrent
        bounds = [(max(waves, 1.0) * self.told.latency_s if calls[0] else 0.0, "latency")]
        bounds += [(sum(calls) / limits.rpm * 60, "requests a minute")] if limits.rpm else []
        bounds += [(tokens / limits.tpm * 60, "tokens a minute")] if limits.tpm else []
        return max(bounds)


class Forecasts:
    """The forecast of a run, or one for each of the ways that are on trial in it."""

    def __init__(self, of_ways: Sequence[Forecast]) -> None:
        self._of_ways = of_ways

    def add(self, batch: Batch) -> None:
        """Add up a batch of the plan."""
        self._of_ways[batch.variant].tally.add(batch)

    def said(self) -> dict[str, Any]:
        """The estimate of the whole, as Forecast.said() has it."""
        first, *others = self._of_ways
        if not others:
            return first.said()
        # Names are asked about at the end, and at once, whoever found them.
        also = sum(other.tally.asked for other in others)
        said = [
            replace(first, also_asked=also).said(),
            *(replace(other, resolve_model=None).said() for other in others),
        ]
        costs = [each["cost_usd"] for each in said]
        priced = all(cost["middle"] is not None for cost in costs)
        return {
            "chunks": sum(each["chunks"] for each in said),
            **{
                name: {key: sum(each[name][key] for each in said) for key in said[0][name]}
                for name in ("calls", "tokens", "tokens_range")
            },
            "cost_usd": {key: sum(cost[key] for cost in costs) if priced else None for key in costs[0]},
            "seconds": round(sum(each["seconds"] for each in said), 1),
            "bound_by": max(said, key=lambda each: each["seconds"])["bound_by"],
            "from_replies": min(each["from_replies"] for each in said),
        }

    def repeated(self) -> int:
        """Tokens of the prompt that every request repeats, as billed; 0 where there are several prompts, or none."""
        each = {forecast.repeated() for forecast in self._of_ways}
        return each.pop() if len(each) == 1 else 0


def _reply_by_form(chunk: Chunk) -> float:
    """Tokens of a reply to the chunk, by what names and speakers it holds."""
    return sum(weight * count for weight, count in zip(REPLY_BY_FORM, (1, *named(chunk)), strict=True))


def named(chunk: Chunk) -> tuple[int, int]:
    """How many names, told by capitals within a sentence, and speakers the chunk holds."""
    names = {name for turn in chunk.turns for name in _NAME.findall(turn.text) if name.partition("'")[0] != "I"}
    return len(names), len(chunk.speakers)


def _share(usage: Usage, calls: int) -> Usage:
    return Usage(round(usage.prompt / calls), round(usage.cached / calls), round(usage.completion / calls))


def against_bill(estimate: Mapping[str, Any], billed_dollars: float, billed_tokens: int) -> dict[str, float | None]:
    """How far the bill lies from the estimate's middle: 0.03 is three per cent above it; None where either is nothing."""
    tokens = estimate["tokens"]
    expected = tokens["prompt"] + tokens["completion"] + tokens["embedding"]
    dollars = estimate["cost_usd"]["middle"]
    return {
        "cost": round(billed_dollars / dollars - 1, 4) if dollars and billed_dollars else None,
        "tokens": round(billed_tokens / expected - 1, 4) if expected and billed_tokens else None,
    }
