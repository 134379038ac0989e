"""Reads price files: our own, and the user's, which goes before it."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from core_engine.errors import SettingsError

_MILLION = Decimal(1_000_000)
_KEYS = ("model", "stage", "processing", "input", "cached", "output", "from", "source")
_PROCESSING = ("standard", "batch", "flex", "priority")


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars a token, and where that is from."""

    input: Decimal
    cached: Decimal
    output: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One [[price]] of a file."""

    model: str
    stage: str | None
    processing: str
    since: dt.date
    rates: Rates

    def fits(self, model: str, stage: str, processing: str, on: dt.date) -> bool:
        named = model.startswith(self.model[:-1]) if self.model.endswith("*") else model == self.model
        return named and self.stage in (None, stage) and self.processing == processing and self.since <= on


def read(path: Path) -> list[Entry]:
    """The file's entries. SettingsError, with file and line, where it can't be read or says something that can't be."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: the price file can't be read: {error}") from error
    try:
        content = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise SettingsError(f"{path}:{line[1] if line else len(text.splitlines())}: {error}") from error
    prices = content.get("price")
    if content.keys() - {"price"} or not isinstance(prices, list) or not all(map(_is_table, prices)):
        raise SettingsError(f"{path}:1: a price file holds [[price]] tables, and nothing else")
    return [_entry(_Table(path, text, number, table)) for number, table in enumerate(prices)]


@dataclass(frozen=True, slots=True)
class _Table:
    path: Path
    text: str
    number: int
    values: Mapping[str, Any]

    def wrong(self, key: str, what: str) -> SettingsError:
        """The error for that key, at its line, or at the table's where the key is missing."""
        lines = self.text.splitlines()
        heads = [at for at, line in enumerate(lines) if re.match(r"\s*\[\[\s*price\s*\]\]", line)]
        at = heads[self.number] if self.number < len(heads) else 0
        for offset, line in enumerate(lines[at + 1 :], at + 1):
            if line.lstrip().startswith("[["):
                break
            if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                at = offset
                break
        return SettingsError(f"{self.path}:{at + 1}: {what}")

    def rate(self, key: str, default: Decimal | None = None) -> Decimal:
        value = self.values.get(key, default)
        if isinstance(value, str):
            try:
                value = Decimal(value)
            except ArithmeticError:
                value = None
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
            raise self.wrong(key, f"`{key}` must be a number: US dollars per million tokens")
        if value < 0:
            raise self.wrong(key, f"`{key}` is below 0")
        return Decimal(value)

    def word(self, key: str, default: str) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"`{key}` must be text")
        return value


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _entry(table: _Table) -> Entry:
    values = table.values
    for key in values:
        if key not in _KEYS:
            raise table.wrong(key, f"`{key}` is no key of a price; there are {', '.join(_KEYS)}")
    model = table.word("model", "")
    if not model:
        raise table.wrong("model", "a price needs its `model`")
    processing = table.word("processing", "standard")
    if processing not in _PROCESSING:
        raise table.wrong("processing", f"`processing` is one of {', '.join(_PROCESSING)}")
    since = values.get("from", dt.date.min)
    if type(since) is not dt.date:
        raise table.wrong("from", "`from` must be a date, such as 2026-01-31 (without quotes)")
    stage = table.word("stage", "") or None
    price = table.rate("input")
    source = f"{table.path.name}" + (f", from {since}" if "from" in values else "")
    if said := table.word("source", ""):
        source += f", {said}"
    rates = Rates(
        input=price / _MILLION,
        cached=table.rate("cached", price) / _MILLION,
        # An embedding has no completion; anything else without a price for it would look cheaper than it is.
        output=table.rate("output", Decimal(0) if stage == "embed" else None) / _MILLION,
        source=source,
    )
    return Entry(model, stage, processing, since, rates)
