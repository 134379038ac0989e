"""What calls cost: the user's price file first, then our additions, then the list of genai-prices.

A price file is TOML; rates are US dollars per million tokens:

    [[price]]
    model = "qwen3:8b"              # as given with --model; a * at its end stands for anything
    input = 0                       # a local model that costs nothing; without this it is unpriced
    output = 0

    [[price]]
    model = "gpt-5-mini"            # a negotiated rate
    input = 0.20
    cached = 0.02                   # prompt tokens read from the cache; left out: as `input`
    output = 1.60                   # may only be left out where stage = "embed"
    processing = "batch"            # standard (default), batch, flex, priority
    stage = "extract"               # left out: for all stages
    from = 2026-07-01               # the latest one that has begun holds
    source = "contract 17"          # shown in the report

Where the file has a model's standard price but none for the processing asked for, the standard price holds: a
negotiated rate and a public discount are not mixed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from core_engine.ports import Pricer
from core_engine.types import Usage
from metrics.price_file import Entry, Rates, read

_OURS = Path(__file__).with_name("prices.toml")
_MILLION = Decimal(1_000_000)
_OPEN_WEIGHTS = ("gpt-oss",)
"""Models that genai-prices knows from one provider, but which anyone may serve, for nothing as well."""


class Prices:
    """A Pricer. A model it doesn't know is unpriced: None, never 0.

    `endpoints`: the base URL of each stage, by which a provider's own prices are found (a model costs different money
    at different providers). `on`: the day whose prices hold; today, if not given.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        endpoints: Mapping[str, str] | None = None,
        on: dt.date | None = None,
    ) -> None:
        self._users = [] if file is None else read(file)
        self._endpoints = endpoints or {}
        self._on = on or dt.datetime.now(dt.UTC).date()
        self._found: dict[tuple[str, str, str], Rates | _Tiers | None] = {}

    def price(self, model: str, usage: Usage, stage: str, processing: str = "standard") -> Decimal | None:
        """US dollars for the usage; None where no price is known."""
        rates = self._rates(model, stage, processing)
        if isinstance(rates, _Tiers):
            rates = rates.at(usage.prompt)
        if rates is None:
            return None
        cached = min(usage.cached, usage.prompt)
        return (usage.prompt - cached) * rates.input + cached * rates.cached + usage.completion * rates.output

    def source(self, model: str, stage: str = "", processing: str = "standard") -> str:
        """Where the price is from, and since when it holds, for the report; 'unpriced' where there is none."""
        rates = self._rates(model, stage, processing)
        return "unpriced" if rates is None else rates.source

    def _rates(self, model: str, stage: str, processing: str) -> Rates | _Tiers | None:
        key = model, stage, processing
        if key not in self._found:
            self._found[key] = (
                self._latest(self._users, key)
                or self._latest(self._users, (model, stage, "standard"))
                or self._latest(self._ours, key)
                or _public(model, self._endpoints.get(stage), processing, self._on)
            )
        return self._found[key]

    def _latest(self, entries: list[Entry], key: tuple[str, str, str]) -> Rates | None:
        fitting = [entry for entry in entries if entry.fits(*key, self._on)]
        # One that names the model in full goes before a pattern, one that names the stage before one for all.
        best = max(fitting, key=lambda e: (not e.model.endswith("*"), e.stage is not None, e.since), default=None)
        return best.rates if best else None

    @cached_property
    def _ours(self) -> list[Entry]:
        return read(_OURS)


class Processed:
    """A Pricer by whose prices each stage's requests are processed in the way that is given for it."""

    def __init__(self, prices: Pricer, ways: Mapping[str, str]) -> None:
        self._prices = prices
        self._ways = ways

    def price(self, model: str, usage: Usage, stage: str, processing: str = "") -> Decimal | None:
        return self._prices.price(model, usage, stage, processing or self._ways.get(stage, "standard"))


class _Tiers:
    """Rates that rise with the length of the prompt."""

    def __init__(self, rates: list[tuple[int, Rates]]) -> None:
        self._rates = rates  # (prompt tokens above which they hold, rates), descending
        self.source = rates[0][1].source

    def at(self, prompt: int) -> Rates:
        return next(rates for start, rates in self._rates if prompt > start or start == 0)


def _public(model: str, endpoint: str | None, processing: str, on: dt.date) -> Rates | _Tiers | None:
    import genai_prices  # noqa: PLC0415 - takes 0.6 s, and offline runs never ask for a price

    when = dt.datetime.combine(on, dt.time(12), dt.UTC)
    context = {} if processing == "standard" else {"processing": processing, "service_tier": processing}
    # By its endpoint first: one model has several prices. Then by its name, since a proxy or a test server resells
    # what its maker sells.
    ways: list[dict[str, str]] = [{"provider_api_url": endpoint}] if endpoint else []
    if not model.startswith(_OPEN_WEIGHTS):
        ways += [{}, {"provider_id": "openai"}]  # which finds its embeddings only when it is named
    for way in ways:
        try:
            found = genai_prices.calc_price(
                genai_prices.Usage(input_tokens=1),
                model,
                genai_request_timestamp=when,
                price_context=context,
                **way,
            )
        except LookupError:
            continue
        source = f"genai-prices {genai_prices.__version__}, {found.provider.id} {found.model.id} on {on}"
        return _from_public(found.model_price, source)
    return None


def _from_public(price: Any, source: str) -> Rates | _Tiers | None:
    if price.input_mtok is None:
        return None
    prompt = price.input_mtok
    cached = prompt if price.cache_read_mtok is None else price.cache_read_mtok
    output = Decimal(0) if price.output_mtok is None else price.output_mtok
    starts = {0}.union(tier.start for part in (prompt, cached, output) for tier in getattr(part, "tiers", ()))
    tiers = [
        (start, Rates(_rate(prompt, start), _rate(cached, start), _rate(output, start), source))
        for start in sorted(starts, reverse=True)
    ]
    return tiers[0][1] if len(tiers) == 1 else _Tiers(tiers)


def _rate(part: Any, start: int) -> Decimal:
    """Dollars a token for prompts longer than `start`."""
    if isinstance(part, Decimal):
        return part / _MILLION
    reached = [tier for tier in part.tiers if tier.start <= start]
    rate: Decimal = max(reached, key=lambda tier: int(tier.start)).price if reached else part.base
    return rate / _MILLION
