"""A run's calls laid out in time, by stage, by document and by batch: what the plots of its page show.

Read from the ledger call by call and added up in at most so many bins, so that a page of 10,000 calls, or a million, is
not larger than one of a hundred.
"""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from metrics.percentiles import percentile

BINS = 60
_WIDTHS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400)
_SHOWN = 10  # of the slowest batches, and of the dearest documents
_RUNS = 20  # whose graphs show how it grew
_CHUNKS = 200_000  # of more than so many, a document's costs would take too long to add up at a run's end


@dataclass(slots=True)
class Bin:
    """What was sent in one stretch of time. `in_flight`: requests at one time, at most; `waits`: seconds each waited."""

    chat: int = 0
    embedding: int = 0
    prompt: int = 0
    completion: int = 0
    embedded: int = 0
    again: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    chat_s: array[float] = field(default_factory=lambda: array("d"))
    embedding_s: array[float] = field(default_factory=lambda: array("d"))
    longest_wait_s: float = 0.0
    in_flight: int = 0
    answered: int = 0
    entities: int = 0


@dataclass(slots=True)
class Spend:
    """What one model took for one stage. `cost` in US dollars, of the priced calls."""

    calls: int = 0
    failed: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchRow:
    """The requests about one batch's chunks. `seconds`: all of them, added up; `call`: the id of the slowest."""

    id: str
    stage: str
    model: str
    calls: int
    failed: int
    questions: int
    seconds: float
    tokens: int
    cost: float | None
    call: str


@dataclass(frozen=True, slots=True)
class DocumentCost:
    name: str
    chunks: int
    cost: float


@dataclass(frozen=True, slots=True)
class Growth:
    """The graph after a run."""

    run: str
    entities: int
    relationships: int


@dataclass(slots=True)
class Trace:
    """`width`: seconds a bin; `began`: when the first call was sent (Unix). `batched`: lines of Batch jobs, which have
    no place in time and are in the sums alone.
    """

    began: float = 0.0
    width: float = 1.0
    calls: int = 0
    batched: int = 0
    bins: Sequence[Bin] = ()
    spend: dict[tuple[str, str], Spend] = field(default_factory=dict)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    chunk_costs: Sequence[float] = ()
    slowest: Sequence[BatchRow] = ()
    dearest: Sequence[BatchRow] = ()
    documents: Sequence[DocumentCost] = ()
    document_costs: Sequence[float] = ()
    growth: Sequence[Growth] = ()

    def latencies(self, stage: str) -> list[float]:
        """All durations of answered calls, ascending. `stage`: chat | embedding."""
        held = [each.chat_s if stage == "chat" else each.embedding_s for each in self.bins]
        return sorted(value for values in held for value in values)

    def percentiles(self, share: float) -> list[float | None]:
        """By bin, of the chat calls that were sent in it."""
        return [percentile(sorted(each.chat_s), share) if each.chat_s else None for each in self.bins]


def traced(db: sqlite3.Connection, run: str) -> Trace:
    """What the ledger knows of the run's calls, also of a run that goes on or was killed."""
    first, last = db.execute(
        f"SELECT min(started_at), max(started_at + duration_s) FROM call {_OF_THE_RUN} AND job IS NULL", (run,)
    ).fetchone()
    trace = Trace(began=first or 0.0)
    span = max((last or 0.0) - trace.began, 0.0)
    trace.width = next((width for width in _WIDTHS if span / width <= BINS), math.ceil(span / BINS))
    bins = [Bin() for _ in range(min(int(span / trace.width) + 1, BINS + 1))]
    trace.bins = bins
    _calls(db, run, trace, bins)
    _growth_within(db, run, trace, bins)
    trace.slowest = _batches(db, run, "seconds")
    trace.dearest = _batches(db, run, "cost")
    _documents(db, run, trace)
    trace.growth = _growth(db, run)
    return trace


_OF_THE_RUN = "WHERE run = ? AND status != 'batched'"


def _calls(db: sqlite3.Connection, run: str, trace: Trace, bins: Sequence[Bin]) -> None:
    costs = array("d")
    moments: list[tuple[float, int]] = []
    rows = db.execute(
        "SELECT stage, model, status, purpose, error_kind, started_at, duration_s, wait_s, prompt, cached, completion, "
        "reasoning, cost, ceiling IS NULL, json_array_length(questions), job IS NOT NULL FROM call "
        f"{_OF_THE_RUN} ORDER BY no",
        (run,),
    )
    for stage, model, status, purpose, kind, at, took, wait, prompt, cached, completion, reasoning, *rest in rows:
        cost, no_ceiling, questions, batched = rest
        answered = status == "answered"
        spend = trace.spend.setdefault((stage, model), Spend())
        spend.calls += 1
        spend.failed += not answered
        spend.prompt += prompt
        spend.cached += cached
        spend.completion += completion
        spend.reasoning += reasoning
        spend.seconds += took
        if cost is not None:
            spend.cost += Decimal(cost)
        elif answered and no_ceiling:
            spend.unpriced += 1
        if not answered:
            trace.errors[stage, kind or status] += 1
        if answered and stage == "extract" and cost is not None and questions:
            costs.append(float(cost) / questions)
        trace.calls += 1
        if batched:
            trace.batched += 1
            continue
        held = bins[min(int((at - trace.began) / trace.width), len(bins) - 1)]
        if stage == "embed":
            held.embedding += 1
            held.embedded += prompt
        else:
            held.chat += 1
            held.prompt += prompt
            held.completion += completion
        held.again += purpose == "again"
        held.longest_wait_s = max(held.longest_wait_s, wait)
        if answered:
            (held.embedding_s if stage == "embed" else held.chat_s).append(took)
        else:
            held.failed[kind or status] += 1
        moments += ((at - trace.began, 1), (at + took - trace.began, -1))
    trace.chunk_costs = costs
    _in_flight(moments, trace.width, bins)


def _in_flight(moments: list[tuple[float, int]], width: float, bins: Sequence[Bin]) -> None:
    """The most requests at one time, by bin. One that ends as another begins has ended."""
    now = 0
    before = 0
    for at, change in sorted(moments):
        place = min(int(at / width), len(bins) - 1)
        for between in bins[before + 1 : place + 1]:  # what was under way goes on
            between.in_flight = now
        before = max(before, place)
        now += change
        bins[place].in_flight = max(bins[place].in_flight, now)


def _growth_within(db: sqlite3.Connection, run: str, trace: Trace, bins: Sequence[Bin]) -> None:
    """When chunks were answered, and when an entity was first named in these answers."""

    def place(at: float) -> Bin:
        return bins[max(0, min(int((at - trace.began) / trace.width), len(bins) - 1))]

    answers = (
        "FROM chunk c CROSS JOIN question q ON q.no = c.extract CROSS JOIN call k ON k.no = q.call{0} "
        "WHERE c.run = ?1 AND k.run = ?1 AND k.job IS NULL GROUP BY "
    )
    ended = "SELECT min(k.started_at + k.duration_s)"
    rows = db.execute(f"{ended}, count(*) {answers.format('')} k.no", (run,))
    for at, count in rows:
        place(at).answered += count
    named = " CROSS JOIN mention m ON m.chunk = c.no CROSS JOIN atom a ON a.no = m.atom"
    rows = db.execute(f"{ended} {answers.format(named)} a.entity", (run,))
    for (at,) in rows:
        place(at).entities += 1


def _batches(db: sqlite3.Connection, run: str, most: str) -> list[BatchRow]:
    """The batches with the most `seconds` or `cost`, embeddings apart from extraction."""
    rows = db.execute(
        "SELECT batch, stage, model, count(*), total(status != 'answered'), max(json_array_length(questions)), "
        "total(duration_s) AS seconds, total(prompt + completion), sum(CAST(cost AS REAL)) AS cost, id, max(duration_s) "
        f"FROM call {_OF_THE_RUN} GROUP BY batch, stage ORDER BY {most} DESC, batch LIMIT ?",
        (run, _SHOWN),
    )
    found = []
    for batch, stage, model, count, failed, questions, seconds, tokens, cost, call, _ in rows:
        found.append(BatchRow(batch, stage, model, count, int(failed), questions, seconds, int(tokens), cost, call))
    return [row for row in found if getattr(row, most)]


def _documents(db: sqlite3.Connection, run: str, trace: Trace) -> None:
    """What the answers about each document's chunks cost that this run bought."""
    if db.execute("SELECT count(*) FROM chunk WHERE run = ?", (run,)).fetchone()[0] > _CHUNKS:
        return
    rows = db.execute(
        "WITH part AS MATERIALIZED (SELECT no, CAST(cost AS REAL) / json_array_length(questions) AS cost FROM call "
        "WHERE run = ?1 AND status = 'answered' AND cost IS NOT NULL AND json_array_length(questions) > 0) "
        "SELECT d.name, d.record, count(*), total(x.cost) + total(e.cost) FROM chunk c "
        "CROSS JOIN document d ON d.no = c.document LEFT JOIN question qx ON qx.no = c.extract "
        "LEFT JOIN part x ON x.no = qx.call LEFT JOIN question qe ON qe.no = c.embed LEFT JOIN part e ON e.no = qe.call "
        "WHERE c.run = ?1 GROUP BY d.no HAVING total(x.cost) + total(e.cost) > 0 ORDER BY 4 DESC, d.no",
        (run,),
    ).fetchall()
    trace.document_costs = [cost for *_, cost in rows]
    trace.documents = [
        DocumentCost(f"{name}#{record}" if record else name, chunks, cost)
        for name, record, chunks, cost in rows[:_SHOWN]
    ]


def _growth(db: sqlite3.Connection, run: str) -> list[Growth]:
    """The graph after this run and after those before it, as their reports say."""
    rows = db.execute(
        "SELECT id, json_extract(report, '$.graph.entities'), json_extract(report, '$.graph.relationships') FROM run "
        "WHERE report IS NOT NULL AND started_at <= (SELECT started_at FROM run WHERE id = ?) "
        "ORDER BY started_at DESC, id DESC LIMIT ?",
        (run, _RUNS),
    ).fetchall()
    return [Growth(one, entities or 0, relationships or 0) for one, entities, relationships in reversed(rows)]
