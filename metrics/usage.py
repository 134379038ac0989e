"""Usage across workspaces and time, told from the ledgers' tallies: what was asked, what it took, what it cost."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from core_engine.ledger import tally
from core_engine.ledger.spending import Spent, under_way
from core_engine.ledger.tally import PICO, SLOT_S, Key, Sums
from core_engine.ports import Pricer
from metrics.caps import Cap, Caps

BY = ("day", "month", "model", "workspace", "persona", "stage", "tag")
NOBODY = "(none)"
_DAY_S = 86_400
_TREND_DAYS = 7


@dataclass(frozen=True, slots=True)
class Entry:
    """Calls of one workspace and run that began in one quarter of an hour, for one persona, to one model."""

    workspace: str
    key: Key
    tags: Mapping[str, str]
    sums: Sums

    @property
    def at(self) -> float:
        return float(self.key.slot * SLOT_S)


@dataclass(frozen=True, slots=True)
class Reused:
    """US dollars that a run did not spend, because its questions had been answered before."""

    workspace: str
    persona: str
    tags: Mapping[str, str]
    at: float
    dollars: Decimal


@dataclass(slots=True)
class Group:
    """Some calls together. `reused` is None where runs can't be divided by what was grouped by (models, stages)."""

    name: str
    sums: Sums = field(default_factory=Sums)
    reused: Decimal | None = Decimal(0)

    @property
    def paid(self) -> Decimal:
        """US dollars, of the calls whose cost is known."""
        return tally.dollars(self.sums.cost)

    @property
    def counted(self) -> Decimal:
        """US dollars as budgets count them: with the ceilings of calls of which nobody knows."""
        return tally.dollars(self.sums.counted_cost)

    @property
    def saved(self) -> Decimal:
        """US dollars, by cached tokens, Batch jobs and reuse."""
        return tally.dollars(self.sums.saved) + (self.reused or 0)

    def in_numbers(self) -> dict[str, Any]:
        """Plain values, for JSON and CSV."""
        s = self.sums
        timed = sum(s.durations.values())
        return {
            "name": self.name,
            "calls": s.calls,
            "failed": s.failed,
            "error_rate": round(s.failed / s.calls, 4) if s.calls else 0.0,
            "errors": dict(sorted(s.errors.items())),
            "latency_s": {
                "mean": round(s.busy_us / timed / 1e6, 4) if timed else 0.0,
                "p95": round(min(tally.quantile(s.durations, 0.95), s.longest_us / 1e6), 4),
                "max": round(s.longest_us / 1e6, 4),
            },
            "tokens": {
                "prompt": s.prompt,
                "cached": s.cached,
                "completion": s.completion,
                "reasoning": s.reasoning,
                "total": s.tokens,
                "per_call": round(s.tokens / s.answered, 1) if s.answered else 0.0,
            },
            "chunks": s.chunks,
            "cost_usd": {
                "paid": _float(self.paid),
                "unknown_at_most": _float(self.counted - self.paid),
                "saved": _float(self.saved),
                "saved_by_reuse": None if self.reused is None else _float(self.reused),
            },
            "unpriced_calls": s.unpriced,
            "unknown_calls": s.unknown,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Calls of one persona (None: of all), with all of these tags, in one workspace (None: in all)."""

    persona: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    workspace: str | None = None


@dataclass(slots=True)
class Usage:
    """What the ledgers of a home hold, put together. Days and months turn as `caps` say."""

    caps: Caps
    now: float
    entries: list[Entry] = field(default_factory=list)
    reuse: list[Reused] = field(default_factory=list)
    under_way: list[tuple[str, Spent]] = field(default_factory=list)

    def take(self, db: sqlite3.Connection, workspace: str, pricer: Pricer | None = None) -> None:
        """Add what one ledger holds."""
        runs: dict[str, dict[str, str]] = {}
        for run, persona, tags, at, saved in db.execute("SELECT id, persona, tags, started_at, reuse_saved FROM run"):
            runs[run] = orjson.loads(tags)
            if saved and float(saved):
                self.reuse.append(Reused(workspace, persona, runs[run], at, Decimal(saved)))
        for key, sums in tally.read(db, pricer, waits=False):
            self.entries.append(Entry(workspace, key, runs.get(key.run, {}), sums))
        self.under_way += [(workspace, each) for each in under_way(db)]

    def of(self, wanted: Wanted | None = None, *, since: float = 0.0, until: float = float("inf")) -> Usage:
        """That part of it that is wanted, from `since` up to, not including, `until`."""
        whom = wanted or Wanted()

        def fits(each: Entry | Reused, whose: str) -> bool:
            return (
                since <= each.at < until
                and (whom.persona is None or whose == whom.persona)
                and (whom.workspace is None or each.workspace == whom.workspace)
                and all(each.tags.get(name) == value for name, value in whom.tags.items())
            )

        entries = [each for each in self.entries if fits(each, each.key.persona)]
        return Usage(self.caps, self.now, entries, [each for each in self.reuse if fits(each, each.persona)])

    def period(self, period: str) -> Usage:
        """Today's part, or this month's."""
        since, until = self.caps.span(period, self.now)
        return self.of(since=since, until=until)

    def total(self, name: str = "total") -> Group:
        group = Group(name, reused=sum((each.dollars for each in self.reuse), Decimal(0)))
        for each in self.entries:
            group.sums.add(each.sums)
        return group

    def by(self, what: str) -> list[Group]:
        """Groups by one of BY: days and months in order, all others the dearest first.

        By tag, a call with several tags is in several groups.
        """
        divides = what not in {"model", "stage"}
        groups: dict[str, Group] = {}

        def group(name: str) -> Group:
            if name not in groups:
                groups[name] = Group(name, reused=Decimal(0) if divides else None)
            return groups[name]

        name_of = self._namer(what)
        for each in self.entries:
            for name in name_of(each, each.key.persona):
                group(name).sums.add(each.sums)
        for saved in self.reuse if divides else ():
            for name in name_of(saved, saved.persona):
                one = group(name)
                one.reused = (one.reused or 0) + saved.dollars
        if what in {"day", "month"}:
            return sorted(groups.values(), key=lambda one: one.name)
        return sorted(groups.values(), key=lambda one: (-one.sums.counted_cost, -one.sums.tokens, one.name))

    def _namer(self, what: str) -> Callable[[Any, str], Iterable[str]]:
        known: dict[int, str] = {}

        def when(each: Entry | Reused, _: str) -> Iterable[str]:
            quarter = int(each.at // SLOT_S)
            if quarter not in known:
                day = dt.datetime.fromtimestamp(each.at, self.caps.zone).date().isoformat()
                known[quarter] = day if what == "day" else day[:7]
            return (known[quarter],)

        ways: dict[str, Callable[[Any, str], Iterable[str]]] = {
            "day": when,
            "month": when,
            "model": lambda each, _: (each.key.model,),
            "workspace": lambda each, _: (each.workspace,),
            "persona": lambda _, persona: (persona or NOBODY,),
            "stage": lambda each, _: (each.key.stage,),
            "tag": lambda each, _: [f"{name}={value}" for name, value in sorted(each.tags.items())] or (NOBODY,),
        }
        return ways[what]

    def spent(self, cap: Cap) -> Decimal:
        """What counts against a cap of a day or month, in its unit, up to now."""
        since, until = self.caps.span(cap.period, self.now)
        whole = 0
        for each in self.entries:
            if since <= each.at < until and _is_under(cap, each.workspace, each.key.persona):
                sums = each.sums
                whole += {"dollars": sums.counted_cost, "tokens": sums.counted_tokens, "chunks": sums.chunks}[cap.unit]
        return Decimal(whole) / PICO if cap.unit == "dollars" else Decimal(whole)

    def held(self, cap: Cap) -> Decimal:
        """What calls that are under way may take of the cap at most, those of Batch jobs among them."""
        since, until = self.caps.span(cap.period, self.now)
        mine = (
            each
            for workspace, each in self.under_way
            if since <= each.at < until and _is_under(cap, workspace, each.persona)
        )
        return sum((Decimal(getattr(each, cap.unit)) for each in mine), Decimal(0))

    def projected(self, cap: Cap) -> Decimal:
        """What will have been spent by the end of the cap's month, if its rest is like the last seven days.

        Where there is less than seven days of usage, they are taken for as many as there are; one day at least.
        """
        _, until = self.caps.span(cap.period, self.now)
        mine = [each for each in self.entries if _is_under(cap, each.workspace, each.key.persona)]
        first = min((each.at for each in mine), default=self.now)
        days = min(max((self.now - first) / _DAY_S, 1.0), _TREND_DAYS)
        recent = Usage(self.caps, self.now, [each for each in mine if each.at >= self.now - days * _DAY_S - SLOT_S])
        lately = recent.total().sums
        whole = {"dollars": lately.counted_cost, "tokens": lately.counted_tokens, "chunks": lately.chunks}[cap.unit]
        rest = Decimal((until - self.now) / _DAY_S / days)
        expected = Decimal(whole) / PICO if cap.unit == "dollars" else Decimal(whole)
        return self.spent(cap) + expected * rest

    def standings(self) -> list[dict[str, Any]]:
        """How each cap of a day or month stands, in plain values."""
        return [self._standing(cap) for cap in self.caps.caps]

    def _standing(self, cap: Cap) -> dict[str, Any]:
        used, held = self.spent(cap), self.held(cap)
        turns = self.caps.span(cap.period, self.now)[1]
        return {
            "period": cap.period,
            "unit": cap.unit,
            "scope": cap.scope or "home",
            "name": cap.name,
            "limit": float(cap.amount),
            "used": _float(used),
            "reserved": _float(held),
            "remaining": _float(max(cap.amount - used - held, Decimal(0))),
            "percent": round(float(100 * used / cap.amount), 1),
            "projected": _float(self.projected(cap)) if cap.period == "month" else None,
            "hard": cap.hard,
            "resets_at": dt.datetime.fromtimestamp(turns, self.caps.zone).isoformat(),
            "set_by": cap.origin,
        }


def rows(groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    """Flat, for CSV."""
    for group in groups:
        said = group.in_numbers()
        flat: dict[str, Any] = {}
        for name, value in said.items():
            if name == "errors":
                continue
            if isinstance(value, dict):
                flat |= {f"{name}_{inner}": one for inner, one in value.items()}
            else:
                flat[name] = value
        yield flat


def _is_under(cap: Cap, workspace: str, persona: str) -> bool:
    return not cap.scope or cap.name == (workspace if cap.scope == "workspace" else persona)


def _float(amount: Decimal) -> float:
    return float(round(amount, 8))
