"""The models that the server offers, with their prices and what each of them takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input: Decimal
    cached: Decimal
    output: Decimal

    def of(self, prompt: int, cached: int, completion: int) -> Decimal:
        return ((prompt - cached) * self.input + cached * self.cached + completion * self.output) / _MILLION


@dataclass(frozen=True, slots=True)
class Model:
    """`dimensions` is of an embedding model; `reasoning` models refuse max_tokens and a temperature."""

    name: str
    price: Price | None
    context: int
    reasoning: bool = False
    dimensions: int | None = None


def _price(text: str) -> Price:
    dollars, cached, output = (Decimal(part) for part in text.split())
    return Price(dollars, cached, output)


# Prices: the data of genai-prices 0.2.3, read on 2026-11-21, to be independent of the code that the books check.
_BUILT_IN = (
    Model("gpt-5", _price("1.25 0.125 10"), 400_000, reasoning=True),
    Model("gpt-5-mini", _price("0.25 0.025 2"), 400_000, reasoning=True),
    Model("gpt-5-nano", _price("0.05 0.005 0.4"), 400_000, reasoning=True),
    Model("o4-mini", _price("1.1 0.275 4.4"), 200_000, reasoning=True),
    Model("gpt-4.1-mini", _price("0.4 0.1 1.6"), 1_000_000),
    Model("gpt-4o", _price("2.5 1.25 10"), 128_000),
    Model("gpt-4o-mini", _price("0.15 0.075 0.6"), 128_000),
    Model("text-embedding-3-small", _price("0.02 0.02 0"), 8_192, dimensions=1536),
    Model("text-embedding-3-large", _price("0.13 0.13 0"), 8_192, dimensions=3072),
    Model("text-embedding-ada-002", _price("0.1 0.1 0"), 8_192, dimensions=1536),
)

_LOCAL_DIMENSIONS = 384

PRICE_HELP = "US dollars for a million tokens in, cached and out (built in: OpenAI's)"


def checked_price(text: str) -> str:
    """The text, if it is a price as the options write it. Raises ValueError."""
    name, _, figures = text.rpartition("=")
    try:
        complete = bool(name) and len([Decimal(part) for part in figures.split(",")]) == 3
    except InvalidOperation:
        complete = False
    if not complete:
        raise ValueError(f"{text!r} is not MODEL=IN,CACHED,OUT")
    return text


class Models:
    """The models by name. `prices` are texts `MODEL=INPUT,CACHED,OUTPUT`; `extra` are further, unpriced names.

    With `anything`, every name is a model, as with local servers: one that holds "embed" embeds, the others chat.
    """

    def __init__(self, extra: Iterable[str] = (), prices: Iterable[str] = (), *, anything: bool = False) -> None:
        self._anything = anything
        self._known = {model.name: model for model in (*_BUILT_IN, *map(_local, extra))}
        self._prices: dict[str, Price] = {}
        for text in prices:
            name, _, figures = text.rpartition("=")
            self._prices[name] = _price(figures.replace(",", " "))

    def get(self, name: str) -> Model | None:
        known = self._known.get(name)
        return known or (_local(name) if self._anything and name else None)

    def price(self, name: str) -> Price | None:
        model = self.get(name)
        return self._prices.get(name) or (model.price if model else None)

    @property
    def names(self) -> list[str]:
        return list(self._known)


def _local(name: str) -> Model:
    embeds = "embed" in name or "bge" in name
    return Model(name, None, 8_192 if embeds else 131_072, dimensions=_LOCAL_DIMENSIONS if embeds else None)
