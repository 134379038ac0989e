"""What a workspace holds at a glance: counts, current answers by what was asked, spending, stores."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from core_engine.ledger import stores, tally
from core_engine.ledger.values import CHUNK, DEAD


@dataclass(frozen=True, slots=True)
class ChunkStates:
    """`answered`: nothing is wanted for it; `dead`: only `kg retry` asks again; `open`: the next run goes on with it."""

    total: int
    answered: int
    open: int
    dead: int


@dataclass(frozen=True, slots=True)
class CurrentAnswers:
    """How many chunks have their current answer from one way of asking. `kind`: extract | rules | embed."""

    kind: str
    description: Mapping[str, Any]
    chunks: int


@dataclass(frozen=True, slots=True)
class Spending:
    """US dollars. `unknown_at_most`: calls of which nobody knows whether they were answered, at their ceilings."""

    calls: int
    total: Decimal
    unpriced_calls: int
    unknown_calls: int
    unknown_at_most: Decimal


@dataclass(frozen=True, slots=True)
class KnownStore:
    """A store as the ledger knows it: the units it was sent, and those that changed since it last caught up."""

    role: str
    name: str
    units: int
    pending: int


def documents(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM document").fetchone()[0])


def chunk_states(db: sqlite3.Connection) -> ChunkStates:
    # From the indexes, and the few chunks that want something: the table itself holds all words, gigabytes of them.
    total, extracted, dead, wanting = db.execute(
        "SELECT (SELECT count(*) FROM chunk), (SELECT count(*) FROM chunk WHERE extract IS NOT NULL), "
        "total(x.state IS ?1 OR e.state IS ?1), total(c.extract IS NOT NULL) FROM "
        "(SELECT no FROM chunk WHERE want_extract IS NOT NULL UNION SELECT no FROM chunk WHERE want_embed IS NOT NULL) w "
        "CROSS JOIN chunk c ON c.no = w.no LEFT JOIN question x ON x.no = c.want_extract "
        "LEFT JOIN question e ON e.no = c.want_embed",
        (DEAD,),
    ).fetchone()
    waiting = total - extracted + int(wanting) - int(dead)
    return ChunkStates(total, total - int(dead) - waiting, waiting, int(dead))


def current_answers(db: sqlite3.Connection) -> list[CurrentAnswers]:
    """By kind, the most chunks first. More than one way to extract, or to embed: the workspace is mixed (law 5)."""
    found = []
    for column in ("extract", "embed"):
        # By way of question_spec: answers are not read, only where they stand in the indexes.
        rows = db.execute(
            "SELECT kind, description, chunks FROM (SELECT s.no, s.kind, s.description, "
            f"(SELECT count(*) FROM question q CROSS JOIN chunk c ON c.{column} = q.no WHERE q.spec = s.no) AS chunks "
            "FROM spec s) WHERE chunks ORDER BY chunks DESC, no"
        )
        found += [CurrentAnswers(kind, orjson.loads(description), chunks) for kind, description, chunks in rows]
    return found


def vector_size(db: sqlite3.Connection, model: str) -> int | None:
    """Dimensions of the current vectors of this model; None where no chunk has one."""
    row = db.execute(
        "SELECT length(q.answer) / 4 FROM chunk c JOIN question q ON q.no = c.embed JOIN spec s ON s.no = q.spec "
        "WHERE json_extract(s.description, '$.model') = ? AND q.answer IS NOT NULL LIMIT 1",
        (model,),
    ).fetchone()
    return int(row[0]) if row else None


def spending(db: sqlite3.Connection, run: str | None = None) -> Spending:
    """Of the workspace since its beginning, or of one run. Lines of Batch jobs count when their results are in."""
    ended = tally.total(db, run)
    where, values = ("AND run = ?", (run,)) if run else ("", ())
    sent = db.execute(f"SELECT ceiling FROM call WHERE status = 'sent' {where}", values).fetchall()
    under_way = sum((Decimal(ceiling or 0) for (ceiling,) in sent), Decimal(0))
    return Spending(
        calls=ended.calls + len(sent),
        total=tally.dollars(ended.cost),
        unpriced_calls=ended.unpriced,
        unknown_calls=ended.unknown + len(sent),
        unknown_at_most=tally.dollars(ended.counted_cost - ended.cost) + under_way,
    )


def answered_by(db: sqlite3.Connection, run: str) -> tuple[int, int]:
    """(chunks that this run has had answered, chunks that it bought for): how far a run is that is going on."""
    row = db.execute(
        "SELECT total(want_extract IS NULL AND want_embed IS NULL), count(*) FROM chunk WHERE run = ?", (run,)
    ).fetchone()
    return int(row[0]), int(row[1])


def known_stores(db: sqlite3.Connection) -> list[KnownStore]:
    """The latest of each name and role."""
    rows = db.execute(
        "SELECT s.role, s.name, (SELECT count(*) FROM projected p WHERE p.store = s.no), "
        "(SELECT count(*) FROM unit u WHERE u.changed > s.synced AND (s.role = 'graph' OR u.kind = ?)) FROM store s "
        "WHERE s.no IN (SELECT max(no) FROM store GROUP BY role, name) ORDER BY s.role, s.no DESC",
        (CHUNK,),
    )
    return [KnownStore(*row) for row in rows]


def stores_holding(db: sqlite3.Connection, besides: Sequence[int]) -> list[tuple[str, str]]:
    """(role, name) of the stores that were sent something and are behind the ledger, but for these."""
    rows = db.execute(
        "SELECT DISTINCT role, name FROM store s WHERE synced < (SELECT max(changed) FROM unit) "
        f"AND no NOT IN ({','.join('?' * len(besides))}) AND EXISTS (SELECT 1 FROM projected WHERE store = s.no)",
        [*besides],
    )
    return rows.fetchall()


def last_written_store(db: sqlite3.Connection, role: str) -> str:
    """The name of the store that was met last, or ''."""
    row = db.execute("SELECT name FROM store WHERE role = ? ORDER BY no DESC LIMIT 1", (role,)).fetchone()
    return str(row[0]) if row else ""


def last_settings(db: sqlite3.Connection) -> dict[str, Any]:
    """The settings of the latest run that wrote, as far as they may be shown; {} before the first."""
    row = db.execute("SELECT settings FROM run ORDER BY started_at DESC, id DESC LIMIT 1").fetchone()
    return dict(orjson.loads(row[0])) if row else {}


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run has spent, in US dollars, and how many of its calls have no known price."""

    cost: Decimal = Decimal(0)
    unpriced: int = 0


def costs_by_run(db: sqlite3.Connection) -> dict[str, RunCost]:
    """What each run has spent, by its id."""
    found: dict[str, RunCost] = {}
    for key, sums in tally.read(db, waits=False):
        before = found.get(key.run, RunCost())
        found[key.run] = RunCost(before.cost + tally.dollars(sums.cost), before.unpriced + sums.unpriced)
    return found


def distrust(db: sqlite3.Connection, role: str) -> None:
    """Have the next projection write again, or delete, all that the ledger ever knew in stores of this role."""
    for (store,) in db.execute("SELECT no FROM store WHERE role = ?", (role,)).fetchall():
        stores.distrust(db, store, role)
