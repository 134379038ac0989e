"""What calls came to, added up when they have ended: by run, quarter of an hour, persona, stage, endpoint and model.

Usage is told from here, without reading the calls, of which there may be millions; and calls that are added up can be
let go without changing a sum. Money is in whole trillionths of a dollar and times in microseconds, so that sums are
exact, in whatever order and in however many steps they were made.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import orjson

from core_engine.ledger.schema import TALLIED
from core_engine.ports import Pricer
from core_engine.types import Usage, processing_of

SLOT_S = 900  # all time zones of today differ by quarters of an hour
PICO = 10**12
STEPS = 16  # steps of a histogram in a doubling: each is 4 % wide
_LEAST_S = 2.0**-20
_PAGE = 20_000  # calls added up in one commit: about a tenth of a second
_KEY = ("run", "slot", "persona", "stage", "endpoint", "model")
_TEXTS = ("errors", "durations", "waits")


class Key(NamedTuple):
    """What calls are added up by. `slot` is their start in quarters of an hour since 1970."""

    run: str
    slot: int
    persona: str
    stage: str
    endpoint: str
    model: str


@dataclass(slots=True)
class Sums:
    """What some calls came to.

    `cost` is what they are known to have cost; `counted_cost` and `counted_tokens` are what budgets count: the ceiling
    where nobody knows. `saved` by cached tokens and by the Batch API. `asked` and `answered_cost` are the questions and
    the cost of answered calls with a price. `unknown` calls may be billed, nobody knows what. `chunks` are those of
    answered extractions. `durations` (of answered requests) and `waits` count by step of a histogram: `step_of`.
    """

    calls: int = 0
    answered: int = 0
    retried: int = 0
    reasked: int = 0
    chunks: int = 0
    asked: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0
    cost: int = 0
    answered_cost: int = 0
    counted_cost: int = 0
    counted_tokens: int = 0
    saved: int = 0
    unpriced: int = 0
    unknown: int = 0
    busy_us: int = 0
    longest_us: int = 0
    wait_us: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    durations: dict[int, int] = field(default_factory=dict)
    waits: dict[int, int] = field(default_factory=dict)

    def add(self, other: Sums) -> None:
        for name in TALLIED:
            if name != "longest_us":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_us = max(self.longest_us, other.longest_us)
        _add(self.errors, other.errors)
        _add(self.durations, other.durations)
        _add(self.waits, other.waits)

    @property
    def failed(self) -> int:
        return self.calls - self.answered

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion

    def values(self) -> list[int | str]:
        """As the table holds them."""
        counts = (self.errors, self.durations, self.waits)
        texts = (orjson.dumps(list(chain.from_iterable(sorted(each.items())))).decode() for each in counts)
        return [*(getattr(self, name) for name in TALLIED), *texts]


T = TypeVar("T", int, str)


def _add(counts: dict[T, int], more: Mapping[T, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count


def step_of(seconds: float) -> int:
    """The step of a histogram that a time falls into: above 2**((step - 1) / 16) seconds, and up to 2**(step / 16)."""
    return math.ceil(STEPS * math.log2(max(seconds, _LEAST_S)))


def quantile(counts: Mapping[int, int], share: float) -> float:
    """The time in seconds that `share` of the times don't exceed, within 3 %, from a histogram by `step_of`; 0.0 of none."""
    rank = share * sum(counts.values())
    seen = 0
    for step in sorted(counts):
        seen += counts[step]
        if seen >= rank:
            return math.pow(2.0, (step - 0.5) / STEPS)
    return 0.0


def pico(dollars: Decimal) -> int:
    return int((dollars * PICO).to_integral_value(ROUND_HALF_UP))


def dollars(pico: int) -> Decimal:
    """Trillionths of a dollar as dollars, exactly."""
    return Decimal(pico).scaleb(-12).normalize() + Decimal(0)


# --- adding up -------------------------------------------------------------------------------------------------------


def fold(db: sqlite3.Connection, pricer: Pricer | None = None) -> int:
    """Add up the oldest of the calls that ended and are not in the tally yet. How many: 0 when there are none.

    `pricer` says what cached tokens and Batch jobs saved.
    """
    sums, numbers = _added_up(_ended(db, _PAGE), pricer)
    put(db, sums)
    db.executemany("UPDATE call SET tallied = 1 WHERE no = ?", ((number,) for number in numbers))
    return len(numbers)


def put(db: sqlite3.Connection, sums: Mapping[Key, Sums]) -> int:
    """Add these to what the tally holds under their keys. How many keys are new."""
    new = 0
    for key, each in sums.items():
        held = take(db, key)
        new += not held.calls
        held.add(each)
        db.execute(f"INSERT INTO tally ({_COLUMNS}) VALUES ({_MARKS})", (*key, *held.values()))
    return new


def take(db: sqlite3.Connection, key: Key) -> Sums:
    """Take out what the tally holds under a key."""
    row = db.execute(f"DELETE FROM tally WHERE {_IS_KEY} RETURNING {_SUMS}", key).fetchone()
    return _sums(row) if row else Sums()


def keys(db: sqlite3.Connection, *, before: int) -> list[Key]:
    """What the tally holds of slots before that one."""
    return [Key(*row) for row in db.execute(f"SELECT {', '.join(_KEY)} FROM tally WHERE slot < ?", (before,))]


def waiting(db: sqlite3.Connection) -> int:
    """Calls that are not in the tally, whether they have ended or not."""
    return int(db.execute("SELECT count(*) FROM call WHERE tallied = 0").fetchone()[0])


def read(
    db: sqlite3.Connection,
    pricer: Pricer | None = None,
    *,
    run: str | None = None,
    since: float = 0.0,
    waits: bool = True,
) -> Iterator[tuple[Key, Sums]]:
    """All that is added up, and what has ended since, by key (one may come twice).

    `run`: of one run alone; `since`: begun in the quarter of an hour that holds that moment, or later. Without `waits`,
    which is faster, nobody learns how long calls waited.
    """
    where, values = ("run = ? AND", (run,)) if run is not None else ("", ())
    columns = _COLUMNS if waits else _COLUMNS.removesuffix(", waits")
    rows = db.execute(f"SELECT {columns} FROM tally WHERE {where} slot >= ?", (*values, int(since // SLOT_S)))
    for row in rows:
        yield Key(*row[: len(_KEY)]), _sums(row[len(_KEY) :])
    sums, _ = _added_up(_ended(db, -1), pricer)
    for key, each in sums.items():
        if (run is None or key.run == run) and key.slot >= since // SLOT_S:
            yield key, each


def total(db: sqlite3.Connection, run: str | None = None) -> Sums:
    """All calls that have ended together: of the workspace, or of one run."""
    found = Sums()
    for _, each in read(db, run=run):
        found.add(each)
    return found


class _Ended(NamedTuple):
    """A call's row, as far as it is added up."""

    no: int
    run: str
    started_at: float
    persona: str
    stage: str
    endpoint: str
    model: str
    status: str
    purpose: str
    prompt: int
    cached: int
    completion: int
    reasoning: int
    cost: str | None
    ceiling: str | None
    tokens_at_most: int
    error_kind: str
    duration_s: float
    wait_s: float
    questions: int
    in_batch: bool
    tier: str


def _ended(db: sqlite3.Connection, limit: int) -> sqlite3.Cursor:
    columns = ", ".join(_Ended._fields[:-3])
    return db.execute(
        f"SELECT {columns}, json_array_length(questions), job IS NOT NULL, tier FROM call "
        "WHERE tallied = 0 AND status NOT IN ('sent', 'batched') ORDER BY started_at LIMIT ?",
        (limit,),
    )


def _added_up(rows: Iterable[tuple[Any, ...]], pricer: Pricer | None) -> tuple[dict[Key, Sums], list[int]]:
    sums: dict[Key, Sums] = {}
    numbers = []
    for row in rows:
        call = _Ended(*row)
        numbers.append(call.no)
        key = Key(call.run, int(call.started_at // SLOT_S), call.persona, call.stage, call.endpoint, call.model)
        _count(sums.setdefault(key, Sums()), call, pricer)
    return sums, numbers


def _count(sums: Sums, call: _Ended, pricer: Pricer | None) -> None:
    answered = call.status == "answered"
    usage = Usage(call.prompt, call.cached, call.completion, call.reasoning)
    sums.calls += 1
    sums.answered += answered
    sums.retried += call.purpose == "again"
    sums.reasked += call.purpose == "reask"
    sums.prompt += usage.prompt
    sums.cached += usage.cached
    sums.completion += usage.completion
    sums.reasoning += usage.reasoning
    known = call.cost is not None or (answered and usage.total)
    sums.counted_tokens += usage.total if known else call.tokens_at_most
    cost = None if call.cost is None else Decimal(call.cost)
    if cost is not None:
        sums.cost += pico(cost)
        sums.counted_cost += pico(cost)
    else:
        sums.counted_cost += pico(Decimal(call.ceiling or 0))
        # An answer without its usage is billed all the same, and has a price: it is unknown, not unpriced.
        unpriced = answered and call.ceiling is None
        sums.unpriced += unpriced
        sums.unknown += not unpriced
    if not answered:
        _add(sums.errors, {call.error_kind or call.status: 1})
    elif call.stage == "extract":
        sums.chunks += call.questions
    if answered and cost is not None:
        sums.asked += call.questions
        sums.answered_cost += pico(cost)
        sums.saved += _saved(call, usage, cost, pricer)
    if call.in_batch:
        return  # nobody waited for it
    if answered:
        took = round(call.duration_s * 1_000_000)
        sums.busy_us += took
        sums.longest_us = max(sums.longest_us, took)
        _add(sums.durations, {step_of(call.duration_s): 1})
    sums.wait_us += round(call.wait_s * 1_000_000)
    _add(sums.waits, {step_of(call.wait_s): 1})


def _saved(call: _Ended, usage: Usage, cost: Decimal, pricer: Pricer | None) -> int:
    """By what the call was cheaper than without cached tokens, and as a request of its own that is processed as usual."""
    if pricer is None or not (usage.cached or call.in_batch or processing_of(call.tier) != "standard"):
        return 0
    full = pricer.price(call.model, Usage(usage.prompt, 0, usage.completion, usage.reasoning), call.stage)
    return max(pico((full if full is not None else cost) - cost), 0)


def _sums(row: Sequence[Any]) -> Sums:
    numbers, counts = row[: len(TALLIED)], row[len(TALLIED) :]
    return Sums(*numbers, *(_counts(text) for text in counts if text is not None))


def _counts(text: str) -> dict[Any, int]:
    """Names (or steps) and counts by turns, as they stand in the table."""
    listed = iter(orjson.loads(text))
    return dict(zip(listed, listed, strict=True))


_SUMS = ", ".join((*TALLIED, *_TEXTS))
_COLUMNS = f"{', '.join(_KEY)}, {_SUMS}"
_MARKS = ", ".join("?" * (len(_KEY) + len(TALLIED) + len(_TEXTS)))
_IS_KEY = " AND ".join(f"{name} = ?" for name in _KEY)
