"""The caps of `[budget]` in kg.toml: dollars, tokens and chunks, per run, day and month, for home, workspace, persona.

    [budget]                        # everything in this home together
    time_zone = "Europe/Berlin"     # when a day and a month turn; UTC if left out
    run_dollars = 5                 # each run
    month_dollars = 100

    [budget.workspace.acme]
    day_tokens = 2_000_000

    [budget.persona."*"]            # each persona that has no table of its own
    day_dollars = 0.50

All caps that apply hold at once. `[quota]` (metrics/quotas.py) gives names to sets of such caps.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core_engine.errors import SettingsError

PERIODS = ("run", "day", "month")
UNITS = ("dollars", "tokens", "chunks")
WARN_AT = (50, 80, 100)  # per cent of a cap
KEYS = tuple(f"{period}_{unit}" for period in PERIODS for unit in UNITS)
_SCOPES = ("workspace", "persona")
_EACH = "*"


@dataclass(frozen=True, slots=True)
class Cap:
    """What may be spent at most: `amount` in dollars or tokens, in one run, or in all runs of a day or month.

    `scope` is workspace, persona, or '' for the whole home; `name` says which one. `origin` is where it was set. One that
    is not `hard` is only warned of.
    """

    period: str
    unit: str
    amount: Decimal
    scope: str = ""
    name: str = ""
    origin: str = ""
    hard: bool = True

    @property
    def key(self) -> str:
        """What it caps, whatever the amount."""
        return f"{self.period} {self.unit} {self.scope} {self.name}".rstrip()

    def binds(self, persona: str) -> bool:
        """It holds for calls of this persona, in a workspace for which it holds."""
        return self.scope != "persona" or self.name == persona

    def __str__(self) -> str:
        """As a message names it: `the day's cap of $10.00 for workspace 'acme' (kg.toml: day_dollars)`."""
        whose = f" for {self.scope} {self.name!r}" if self.scope else ""
        return f"the {self.period}'s cap of {amount_in_words(self.amount, self.unit)}{whose} ({self.origin})"


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps that hold for one run, the time zone in which days and months turn, and at how many per cent to warn."""

    caps: tuple[Cap, ...] = ()
    zone: dt.tzinfo = dt.UTC
    warn_at: tuple[int, ...] = WARN_AT

    @property
    def in_dollars(self) -> Cap | None:
        """One of the caps in dollars, if there is any: it can't hold a call whose price nobody knows."""
        return next((cap for cap in self.caps if cap.unit == "dollars" and cap.hard), None)

    def span(self, period: str, now: float) -> tuple[float, float]:
        """The day or month around `now` in this zone: its first moment, and that of the next one."""
        today = dt.datetime.fromtimestamp(now, self.zone).date()
        if period == "day":
            first, after = today, today + dt.timedelta(days=1)
        else:
            first = today.replace(day=1)
            after = (first + dt.timedelta(days=32)).replace(day=1)
        return self._midnight(first), self._midnight(after)

    def _midnight(self, day: dt.date) -> float:
        return dt.datetime.combine(day, dt.time(), self.zone).timestamp()


def caps_of(
    table: Mapping[str, Any],
    workspace: str,
    persona: str | None = None,
    *,
    also: Iterable[str] = (),
    max_cost: float | None = None,
    file: str = "kg.toml",
) -> Caps:
    """Those caps of the table `[budget]` that hold for a run, and `--max-cost` as one more.

    `also`: other personas for whom some of its calls are.

    Raises SettingsError, with file and line, for what the table can't mean.
    """
    checked = Table(file, table)
    zone = checked.zone()
    found = [*checked.caps("", "", table)]
    personas = dict.fromkeys((persona or "", *also))
    for scope, name in (("workspace", workspace), *(("persona", each) for each in personas)):
        named = checked.tables(scope)
        key = name if name in named else _EACH
        if name and key in named:
            found += checked.caps(scope, name, named[key], key)
    if max_cost is not None:
        if max_cost <= 0:
            raise SettingsError(f"--max-cost must be an amount above 0, and is {max_cost:g}: leave it out for no cap")
        found.append(Cap("run", "dollars", Decimal(str(max_cost)), origin="--max-cost"))
    return Caps(tuple(found), zone)


def checked(table: Any, file: str) -> dict[str, Any]:
    """The table `[budget]`. Raises SettingsError, with file and line, if it says something that can't be."""
    if not isinstance(table, dict):
        raise SettingsError(f"{file}: `budget` must be a table: [budget], and below it lines like day_dollars = 10")
    written = Table(file, table)
    written.zone()
    list(written.caps("", "", table))
    for scope in _SCOPES:
        for name, inner in written.tables(scope).items():
            list(written.caps(scope, name, inner, name))
    return table


def amount_in_words(amount: Decimal, unit: str) -> str:
    """Dollars or tokens as a message shows them."""
    if unit != "dollars":
        return f"{amount:,.0f} {unit[:-1] if amount == 1 else unit}"
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.6f}".rstrip("0")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of caps as it stands in the file, under the name `of`."""

    file: str
    values: Mapping[str, Any]
    of: str = "budget"

    def zone(self) -> dt.tzinfo:
        name = self.values.get("time_zone", "UTC")
        if name == "UTC":
            return dt.UTC  # needs no zone database
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError, TypeError, AttributeError) as error:
            raise self.wrong(
                (), "time_zone", f"{name!r} is no time zone that this machine knows: one like Europe/Berlin, or UTC"
            ) from error

    def tables(self, scope: str) -> Mapping[str, Mapping[str, Any]]:
        named = self.values.get(scope, {})
        if not isinstance(named, dict) or not all(isinstance(inner, dict) for inner in named.values()):
            raise self.wrong((), scope, f"write [budget.{scope}.NAME], and below it lines like day_dollars = 10")
        return named

    def caps(self, scope: str, name: str, values: Mapping[str, Any], written: str = "") -> Iterator[Cap]:
        """The caps of one table; `written` is its name in the file."""
        place = (scope, written) if scope else ()
        others = () if scope else ("time_zone", *_SCOPES)
        for key, value in values.items():
            if key in others:
                continue
            if key not in KEYS:
                near = get_close_matches(key, (*KEYS, *others), 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join((*KEYS, *others))}"
                raise self.wrong(place, key, f"`{key}` is no setting of a budget: {hint}")
            period, unit = key.split("_")
            yield Cap(period, unit, self.amount(place, key, value), scope, name, f"{self.file}: {key}")

    def amount(self, place: tuple[str, ...], key: str, value: Any) -> Decimal:
        whole = not key.endswith("_dollars")
        kinds: Any = int if whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds) or not Decimal(str(value)).is_finite():
            raise self.wrong(place, key, f"`{key}` must be " + ("a whole number" if whole else "an amount in dollars"))
        if value <= 0:
            raise self.wrong(place, key, f"`{key}` must be above 0, and is {value}: leave it out for no cap")
        return Decimal(str(value))

    def wrong(self, place: tuple[str, ...], key: str, what: str) -> SettingsError:
        return SettingsError(f"{self.file}{_line_of(Path(self.file), (self.of, *place), key)}: {what}")


def _line_of(file: Path, table: tuple[str, ...], key: str) -> str:
    """`:LINE` of the key in that table, of the table's head if the key stands elsewhere; '' where neither is found."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    inside, head = False, ""
    for number, line in enumerate(lines, 1):
        if (path := _head(line)) is not None:
            inside = path == table
            head = f":{number}" if inside or path == (*table, key) else head
        elif inside and line.partition("=")[0].strip().strip("\"'") == key:
            return f":{number}"
    return head


def _head(line: str) -> tuple[str, ...] | None:
    """The path of a line like `[budget.workspace."a b"]`; None for any other line."""
    if not line.lstrip().startswith("["):
        return None
    try:
        content: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    path: list[str] = []
    while isinstance(content, dict) and content:
        name, content = next(iter(content.items()))
        path.append(name)
    return tuple(path)
