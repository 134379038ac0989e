"""The report of a run: one documented, versioned value (docs/report.md), from the ledger's calls and the run's counters."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from core_engine.ledger import batches, documents, overview, pairs, questions, tally
from core_engine.ledger.resolution import merged_by_reason, names_merged
from core_engine.ledger.values import DEAD
from core_engine.limits.history import History
from core_engine.limits.rate_limiter import BucketState
from core_engine.machine import Used, used
from core_engine.ports import Pricer
from core_engine.progress import Progress, Trouble
from core_engine.projector import Projection, Written
from core_engine.session import Outcome
from core_engine.types import Usage, processing_of
from metrics.advice import advice
from metrics.estimate import against_bill
from metrics.grounding import grounding
from metrics.minutes import minutes
from metrics.percentiles import summary

SCHEMA = "kg.report/1"
_DEAD_LETTERS_SHOWN = 1000
_MOST_TROUBLES = 1000
_CHAT = ("extract", "resolve")
_BUYS = ("extract", "embed", "resolve")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the report says besides what happened: names of the parts, settings without secrets, limits as they stand."""

    workspace: str
    version: str
    settings: Mapping[str, Any]
    parts: Mapping[str, str]
    limits: Sequence[BucketState]
    stepped_down: Mapping[str, str]
    warnings: Sequence[str]
    price_sources: Mapping[str, str]
    forecast: Mapping[str, Any] = field(default_factory=dict)
    budget: Sequence[Mapping[str, Any]] = ()
    refused: Mapping[str, Any] | None = None
    history: History = field(default_factory=History)
    prompt: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Call:
    stage: str
    model: str
    status: str
    purpose: str
    error_kind: str
    verdict: str
    wait_s: float
    duration_s: float
    usage: Usage
    cost: Decimal | None
    ceiling: Decimal | None
    questions: int
    batch: bool
    tier: str

    @property
    def processing(self) -> str:
        return "batch" if self.batch else processing_of(self.tier)

    @property
    def answered(self) -> bool:
        return self.status == "answered"

    @property
    def unpriced(self) -> bool:
        """Answered, and nobody knows the model's price."""
        return self.answered and self.cost is None and self.ceiling is None

    @property
    def useless(self) -> bool:
        """Billed, and nothing of it could be used."""
        bad = bool(self.verdict) and not self.verdict.startswith(("repaired", "partial"))
        return bool(self.cost) and (not self.answered or bad)


def build(db: sqlite3.Connection, outcome: Outcome, about: Surroundings, pricer: Pricer) -> dict[str, Any]:
    """The report as plain values, ready for JSON. Reads the ledger; changes nothing."""
    calls = _calls(db, outcome.run)
    progress, projection = outcome.progress, outcome.projection
    chunks = _chunks(db, outcome, progress, projection)
    wall = max(outcome.finished_at - outcome.started_at, 1e-9)
    cost = _cost(db, calls, chunks, progress, pricer)
    report = {
        "schema": SCHEMA,
        "run_id": outcome.run,
        "workspace": about.workspace,
        "command": outcome.command,
        "version": about.version,
        "started_at": _iso(outcome.started_at),
        "finished_at": _iso(outcome.finished_at),
        "wall_s": round(wall, 3),
        "status": outcome.status,
        "exit_code": outcome.exit_code,
        "ended": outcome.ending.message,
        "parts": dict(about.parts),
        "settings": dict(about.settings),
        "documents": {
            **{name: progress.documents[name] for name in ("seen", "new", "changed", "renamed", "removed")},
            "unreadable": len(progress.unreadable_files),
            "skipped": len(progress.skipped),
            "vanished": len(progress.vanished),
        },
        "unreadable": _troubles(progress.unreadable),
        "skipped": _troubles(progress.skipped),
        "warnings": [
            *about.warnings,
            *_other_tiers(calls, about.settings),
            *(f"{t.where}: {t.reason}" for t in progress.warnings[:_MOST_TROUBLES]),
        ],
        "vanished": progress.vanished[:_MOST_TROUBLES],
        "notes": projection.notes,
        "store_errors": projection.errors,
        "chunks": chunks,
        "calls": _call_counts(calls, progress),
        "replies": _replies(calls),
        "tokens": _tokens(calls),
        "cost_usd": cost,
        "prices": dict(about.price_sources),
        "prompt": _prompt(about.prompt, calls, pricer),
        "budget": {"caps": list(about.budget), "refused": about.refused},
        "estimate": _estimate(about.forecast, calls, cost, whole=progress.planned and not chunks["pending"]),
        "latency_s": {
            "chat": summary([c.duration_s for c in calls if c.stage in _CHAT and c.answered and not c.batch]),
            "embedding": summary([c.duration_s for c in calls if c.stage == "embed" and c.answered and not c.batch]),
            "wait_for_limit": summary([c.wait_s for c in calls]),
        },
        "throughput": _throughput(calls, chunks, progress, about.limits, wall),
        "limits": [_limit(state) for state in about.limits],
        "minutes": minutes(db, outcome.run, about.history),
        "stepped_down": dict(about.stepped_down),
        "stages": _stages(calls, progress, projection),
        "graph": _graph(db, projection),
        "resolve": _resolve(db, progress),
        "vectors": {
            "points": projection.points or 0,
            "new": projection.vectors.new.get("points", 0),
            "changed": projection.vectors.changed.get("points", 0),
            "deleted": projection.vectors.deleted.get("points", 0),
        },
        "answers_by": _answers_by(db),
        "dead_letters": _dead_letters(db),
        "by_model": _by_model(calls),
        "recovered": {
            "killed_runs": outcome.recovered.runs,
            "unknown_calls": outcome.recovered.unknown_calls,
            "unknown_at_most": _money(outcome.recovered.unknown_at_most),
            "answers": outcome.recovered.answers,
        },
        "left_open": dict(progress.left_open),
        "batch": _batch(db, outcome.run, calls),
        "traces": [],  # filled in when the services have had their time
        "machine": _machine(projection.apart),
    }
    return {**report, "advice": advice(report)}


def _calls(db: sqlite3.Connection, run: str) -> list[_Call]:
    rows = db.execute(
        "SELECT stage, model, status, purpose, error_kind, verdict, wait_s, duration_s, prompt, cached, completion, "
        "reasoning, cost, ceiling, json_array_length(questions), job IS NOT NULL, tier FROM call "
        "WHERE run = ? AND status != 'batched' ORDER BY no",
        (run,),
    )
    calls = []
    for stage, model, status, purpose, kind, verdict, wait, took, *tokens, cost, ceiling, count, batch, tier in rows:
        money = _decimal(cost), _decimal(ceiling)
        usage = Usage(*tokens)
        calls.append(
            _Call(stage, model, status, purpose, kind, verdict, wait, took, usage, *money, count, bool(batch), tier)
        )
    return calls


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _chunks(db: sqlite3.Connection, outcome: Outcome, progress: Progress, projection: Projection) -> dict[str, int]:
    """Adds up: total = written + reused + dead + pending. `bought`: what this run's answers and refusals were about."""
    rows = db.execute(
        "SELECT count(*), total(c.want_extract IS NULL AND c.want_embed IS NULL), total(x.state = ?1 OR e.state = ?1) "
        "FROM chunk c LEFT JOIN question x ON x.no = c.want_extract LEFT JOIN question e ON e.no = c.want_embed "
        "WHERE c.run = ?2",
        (DEAD, outcome.run),
    ).fetchone()
    answered, dead = int(rows[1]), int(rows[2])
    written = 0 if projection.errors or projection.deferred else answered
    bought = answered + dead
    dead += progress.dead_before
    return {
        "total": progress.chunks,
        "written": written,
        "reused": progress.reused,
        "dead": dead,
        "pending": progress.chunks - written - progress.reused - dead,
        "bought": bought,
    }


def _call_counts(calls: Sequence[_Call], progress: Progress) -> dict[str, Any]:
    failed = sum(not c.answered for c in calls)
    return {
        "chat": sum(c.stage in _CHAT for c in calls),
        "embedding": sum(c.stage == "embed" for c in calls),
        "failed": failed,
        "retried": sum(c.purpose == "again" for c in calls),
        "rate_limited": sum(c.error_kind == "rate_limited" for c in calls),
        "reasked": progress.reasked,
        "error_rate": _ratio(failed, len(calls)),
        "by_tier": _tiers(calls),
    }


def _replies(calls: Sequence[_Call]) -> dict[str, Any]:
    verdicts = [c.verdict for c in calls if c.stage in _CHAT and c.answered]
    invalid = Counter(v for v in verdicts if v and not v.startswith(("repaired", "partial")))
    return {
        "valid": sum(not v for v in verdicts),
        "repaired": sum(v.startswith("repaired") for v in verdicts),
        "partial": sum(v.startswith("partial") for v in verdicts),
        "invalid_by_reason": dict(sorted(invalid.items())),
    }


def _tokens(calls: Sequence[_Call]) -> dict[str, int]:
    chat = sum((c.usage for c in calls if c.stage in _CHAT), Usage())
    embedding = sum((c.usage for c in calls if c.stage == "embed"), Usage())
    reasked = sum((c.usage for c in calls if c.purpose == "reask"), Usage())
    return {
        "prompt": chat.prompt,
        "cached": chat.cached,
        "completion": chat.completion,
        "reasoning": chat.reasoning,
        "embedding": embedding.prompt,
        "reasked": reasked.total,
    }


def _cost(
    db: sqlite3.Connection, calls: Sequence[_Call], chunks: Mapping[str, int], progress: Progress, pricer: Pricer
) -> dict[str, Any]:
    spent = {stage: sum((c.cost or Decimal(0) for c in calls if c.stage == stage), Decimal(0)) for stage in _BUYS}
    total = sum(spent.values(), Decimal(0))
    # An answer without its usage is billed all the same, and has a price: it is unknown, not unpriced.
    unknown = [c for c in calls if c.cost is None and (not c.answered or c.ceiling is not None)]
    bought = chunks["bought"]
    return {
        "total": _money(total),
        "chat": _money(spent["extract"] + spent["resolve"]),
        "embedding": _money(spent["embed"]),
        "resolve": _money(spent["resolve"]),
        "per_chunk": _money(total / bought) if bought else 0,
        "per_document": _money(total / progress.documents["seen"]) if progress.documents["seen"] else 0,
        "wasted": _money(sum((c.cost or Decimal(0) for c in calls if c.useless), Decimal(0))),
        "unknown_at_most": _money(sum((c.ceiling or Decimal(0) for c in unknown), Decimal(0))),
        "unknown_calls": len(unknown),
        "saved_by_reuse": _money(_cost_a_question(db) * progress.reused),
        "saved_by_cache": _money(_saved_by_cache(calls, pricer)),
        "saved_by_batch": _money(_saved_by(calls, "batch", pricer)),
        "saved_by_flex": _money(_saved_by(calls, "flex", pricer)),
        "unpriced_calls": sum(c.unpriced for c in calls),
    }


def _tiers(calls: Sequence[_Call]) -> dict[str, int]:
    """Replies by the service tier that processed them, where the provider says so."""
    return dict(sorted(Counter(c.tier for c in calls if c.answered and c.tier).items()))


def _other_tiers(calls: Sequence[_Call], settings: Mapping[str, Any]) -> list[str]:
    """That a provider did not process what it was asked in the tier that was asked for, and bills it so."""
    asked = settings.get("service_tier") or "auto"
    if asked == "auto":
        return []
    chats = [c for c in calls if c.stage in _CHAT and c.answered]
    others = Counter(c.tier or "not told" for c in chats if c.tier != asked)
    if not others:
        return []
    how = ", ".join(f"{tier}: {count:,}" for tier, count in sorted(others.items()))
    return [
        (
            f"{sum(others.values()):,} of {len(chats):,} replies were not processed as --service-tier {asked} ({how}): "
            "they cost what their tier costs"
        )
    ]


def _prompt(prompt: Mapping[str, Any], calls: Sequence[_Call], pricer: Pricer) -> dict[str, Any]:
    """The prompt of the extraction, and what the part of it cost that every request repeats; {} where none was used.

    What was cached is that part first: it is the beginning of each request.
    """
    if not prompt:
        return {}
    cost = Decimal(0)
    for c in calls:
        if c.stage == "extract" and c.answered and c.cost is not None:
            repeated = min(prompt["tokens"], c.usage.prompt)
            usage = Usage(repeated, min(c.usage.cached, repeated))
            cost += pricer.price(c.model, usage, c.stage, c.processing) or 0
    return {**prompt, "cost_usd": _money(cost)}


def _batch(db: sqlite3.Connection, run: str, calls: Sequence[_Call]) -> dict[str, Any]:
    """Batch jobs: lines that this run has collected, and the workspace's jobs whose results are not in yet."""
    waiting = batches.pending(db)
    ceilings = [job.ceiling for job in waiting if job.ceiling is not None]
    return {
        "requests": sum(c.batch for c in calls),
        "submitted": db.execute("SELECT count(*) FROM job WHERE run = ? AND state != 'abandoned'", (run,)).fetchone()[
            0
        ],
        "pending": len(waiting),
        "pending_requests": sum(job.requests for job in waiting),
        "pending_questions": sum(job.questions for job in waiting),
        "pending_at_most": _money(sum(ceilings, Decimal(0))),
    }


def _cost_a_question(db: sqlite3.Connection) -> Decimal:
    """What the answers to one chunk cost on average in this workspace: the worth of one that is reused."""
    cost: dict[str, int] = {}
    asked: dict[str, int] = {}
    for key, sums in tally.read(db, waits=False):
        cost[key.stage] = cost.get(key.stage, 0) + sums.answered_cost
        asked[key.stage] = asked.get(key.stage, 0) + sums.asked
    stages = (stage for stage in ("extract", "embed") if asked.get(stage))
    return sum((tally.dollars(cost[stage]) / asked[stage] for stage in stages), Decimal(0))


def _saved_by(calls: Sequence[_Call], processing: str, pricer: Pricer) -> Decimal:
    """What calls that were processed so would have cost as usual, less what they did cost."""
    saved = Decimal(0)
    for c in calls:
        if c.processing == processing and c.cost is not None:
            saved += (pricer.price(c.model, c.usage, c.stage) or c.cost) - c.cost
    return saved


def _saved_by_cache(calls: Sequence[_Call], pricer: Pricer) -> Decimal:
    saved = Decimal(0)
    for c in calls:
        if c.usage.cached and c.cost is not None:
            uncached = Usage(c.usage.prompt, 0, c.usage.completion, c.usage.reasoning)
            full = pricer.price(c.model, uncached, c.stage, c.processing)
            saved += (full or c.cost) - c.cost
    return saved


def _estimate(
    forecast: Mapping[str, Any], calls: Sequence[_Call], cost: Mapping[str, Any], *, whole: bool
) -> dict[str, Any]:
    """What was expected before the first call of all that was planned, and how far off the bill of the whole is."""
    if not forecast:
        return {}
    billed = sum(c.usage.total for c in calls)
    off = against_bill(forecast, cost["total"], billed) if whole else {"cost": None, "tokens": None}
    return {**forecast, "whole": whole, "off_by": off}


def _throughput(
    calls: Sequence[_Call],
    chunks: Mapping[str, int],
    progress: Progress,
    limits: Sequence[BucketState],
    wall: float,
) -> dict[str, Any]:
    busy = wall
    if progress.first_request_at and progress.last_commit_at:
        busy = max(progress.last_commit_at - progress.first_request_at, 1e-9)
    live = [c for c in calls if not c.batch]  # lines of Batch jobs were worked on at another time, by other limits
    tokens = sum(c.usage.total for c in live)
    requests = len(live)
    shares = [
        (requests if state.unit == "requests" else tokens) / (state.limit * busy / 60)
        for state in limits
        if state.limit and not (state.learned and not state.used)
    ]
    return {
        "chunks_per_s": round(chunks["bought"] / wall, 2),
        "tokens_per_min": round(tokens / busy * 60) if live else 0,
        "limit_efficiency": round(max(shares), 4) if shares and live else None,
        "peak_in_flight": progress.peak_in_flight,
        "first_request_to_last_commit_s": round(busy, 3) if progress.first_request_at else 0,
    }


def _stages(calls: Sequence[_Call], progress: Progress, projection: Projection) -> dict[str, Any]:
    def of_calls(stage: str) -> dict[str, Any]:
        mine = [c for c in calls if c.stage == stage]
        return _stage(sum(c.duration_s for c in mine), len(mine), sum(not c.answered for c in mine))

    return {
        "read": _stage(progress.read_s, progress.read_calls, 0),
        "plan": _stage(progress.plan_s, progress.documents["seen"], 0),
        "extract": of_calls("extract"),
        "embed": of_calls("embed"),
        "resolve": _resolve_stage(calls, projection),
        "write_graph": _written(projection.graph),
        "write_vectors": _written(projection.vectors),
    }


def _resolve_stage(calls: Sequence[_Call], projection: Projection) -> dict[str, Any]:
    """Checking what was found, and finding who is who: our own work, and the questions about pairs of names."""
    asked = [c for c in calls if c.stage == "resolve"]
    seconds = projection.derive_s + sum(c.duration_s for c in asked)
    return _stage(seconds, projection.derived + len(asked), sum(not c.answered for c in asked))


def _stage(seconds: float, calls: int, failed: int) -> dict[str, Any]:
    return {
        "s": round(seconds, 3),
        "calls": calls,
        "ok": calls - failed,
        "failed": failed,
        "error_rate": _ratio(failed, calls),
        "mean_s": round(seconds / calls, 4) if calls else 0,
    }


def _written(written: Written) -> dict[str, Any]:
    return _stage(written.seconds, written.calls + written.failed, written.failed)


def _graph(db: sqlite3.Connection, projection: Projection) -> dict[str, Any]:
    counts = projection.counts
    written = projection.graph
    if counts is None:
        entities, mentions = db.execute(
            "SELECT (SELECT count(DISTINCT a.entity) FROM form f JOIN atom a ON a.no = f.atom), "
            "(SELECT total(chunks) FROM form)"
        ).fetchone()
        mentions = int(mentions)
        relationships = None
    else:
        entities, mentions, relationships = counts.entities, counts.mentions, counts.relationships
    dropped: Counter[str] = Counter()
    rows = db.execute(
        "SELECT j.key, sum(j.value) FROM chunk c, json_each(c.dropped) j WHERE c.dropped != '{}' GROUP BY j.key"
    )
    dropped.update(dict(rows.fetchall()))
    return {
        "entities": entities,
        "relationships": relationships,
        "mentions": mentions,
        "statements": counts.statements if counts else None,
        "documents": counts.documents if counts else None,
        "entities_new": written.new.get("entities", 0),
        "relationships_new": written.new.get("relationships", 0),
        "units_written": sum(written.new.values()) + sum(written.changed.values()),
        "units_deleted": sum(written.deleted.values()),
        "dropped_by_reason": dict(sorted(dropped.items())),
        "grounding": grounding(db),
        "names_merged": names_merged(db),
        "merged_by_reason": merged_by_reason(db),
    }


def _resolve(db: sqlite3.Connection, progress: Progress) -> dict[str, Any]:
    """Pairs of names that rules can't tell: asked about in this run, left to the next, and what is known of all."""
    said: Counter[str] = Counter(dict(db.execute("SELECT verdict, count(*) FROM pair GROUP BY verdict").fetchall()))
    return {
        "pairs_asked": progress.pairs_asked,
        "pairs_left": progress.pairs_left,
        **{verdict: said[verdict] for verdict in pairs.VERDICTS},
        "unanswered": pairs.unanswered(db),
    }


def _answers_by(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """Who gave the current extractions (law 5): more than one row is a half-done switch of model or prompt."""
    answers = [answer for answer in overview.current_answers(db) if answer.kind != "embed"]
    return [{"by": answer.kind, **answer.description, "chunks": answer.chunks} for answer in answers]


def _dead_letters(db: sqlite3.Connection) -> list[dict[str, Any]]:
    letters = questions.dead_letters(db)[:_DEAD_LETTERS_SHOWN]
    found = []
    for letter in letters:
        identity, name, seq, _ = documents.chunk_label(db, letter.chunk)
        found.append(
            {"chunk": identity, "document": name, "index": seq, "stage": letter.stage, "reason": letter.reason}
        )
    return found


def _by_model(calls: Sequence[_Call]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model in sorted({c.model for c in calls}):
        mine = [c for c in calls if c.model == model]
        usage = sum((c.usage for c in mine), Usage())
        found[model] = {
            "calls": len(mine),
            "failed": sum(not c.answered for c in mine),
            "prompt": usage.prompt,
            "cached": usage.cached,
            "completion": usage.completion,
            "cost_usd": _money(sum((c.cost or Decimal(0) for c in mine), Decimal(0))),
            "unpriced_calls": sum(c.unpriced for c in mine),
        }
    return found


def _limit(state: BucketState) -> dict[str, Any]:
    return {
        "bucket": state.bucket,
        "unit": state.unit,
        "per_minute": state.limit,
        "learned": state.learned,
        "used_last_minute": round(state.used, 1),
        "remaining": state.remaining,
        "reset_s": state.reset_s,
    }


def _troubles(troubles: Sequence[Trouble]) -> list[dict[str, str]]:
    return [{"where": trouble.where, "reason": trouble.reason} for trouble in troubles[:_MOST_TROUBLES]]


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _money(amount: Decimal) -> float:
    """Dollars for JSON: added up as Decimal, shown to a millionth of a cent."""
    return float(round(amount, 8))


def _iso(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def _machine(apart: Used | None) -> dict[str, float]:
    """What the run used of the machine, its projector's process included."""
    here = used()
    peaks, cpu = [here.peak_rss_mb], [here.cpu_s]
    if apart:
        peaks.append(apart.peak_rss_mb)
        cpu.append(apart.cpu_s)
    return {"processes": len(cpu), "peak_rss_mb": round(sum(peaks), 1), "cpu_s": round(sum(cpu), 2)}


def to_json(report: Mapping[str, Any]) -> bytes:
    return orjson.dumps(report, option=orjson.OPT_INDENT_2)
