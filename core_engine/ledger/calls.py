"""Calls in the ledger: a row before money is spent, the reply before it is parsed (law 2)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson

from core_engine.types import LLMCall


@dataclass(frozen=True, slots=True)
class Sending:
    """A request that is about to be sent. `ceiling` is what it may cost at most, None where no price is known.

    `tokens_at_most` is the same in tokens; `measured` its prompt by `estimate_tokens`, for later estimates.
    """

    call: LLMCall
    spec: int
    questions: Sequence[int]
    purpose: str  # first | again (a network retry) | reask (after a bad reply)
    ceiling: Decimal | None
    tokens_at_most: int = 0
    measured: float = 0.0


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A stored reply that was never parsed, with its questions in order."""

    call: str
    stage: str
    questions: tuple[int, ...]
    reply: str
    finish_reason: str


def begin(db: sqlite3.Connection, sending: Sending) -> None:
    call = sending.call
    db.execute(
        "INSERT INTO call (id, run, batch, stage, endpoint, model, spec, questions, attempt, purpose, ceiling, "
        "started_at, wait_s, tokens_at_most, measured, persona, provider, temperature, max_output, status) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'sent')",
        (
            call.id,
            call.run_id,
            call.batch_id,
            call.stage,
            call.endpoint,
            call.model,
            sending.spec,
            orjson.dumps(list(sending.questions)),
            call.attempt,
            sending.purpose,
            None if sending.ceiling is None else str(sending.ceiling),
            call.started_at,
            call.wait_s,
            sending.tokens_at_most,
            sending.measured,
            call.persona,
            call.provider,
            call.temperature,
            call.max_output,
        ),
    )


def finish(db: sqlite3.Connection, call: LLMCall, *, reply: bytes | None, error: str = "", parsed: bool = True) -> None:
    """Store how a call ended. An answered chat call is stored unparsed first."""
    db.execute(
        "UPDATE call SET started_at = ?, wait_s = ?, status = ?, duration_s = ?, prompt = ?, cached = ?, completion = ?, reasoning = ?, cost = ?, "
        "error_kind = ?, error = ?, model_answered = ?, finish_reason = ?, request_id = ?, reply = ?, parsed = ?, "
        "http_status = ?, requests_left = ?, tokens_left = ?, tier = ? "
        "WHERE id = ?",
        (
            call.started_at,
            call.wait_s,
            call.status,
            call.duration_s,
            call.usage.prompt,
            call.usage.cached,
            call.usage.completion,
            call.usage.reasoning,
            None if call.cost is None else str(call.cost),
            call.error_kind,
            error,
            call.model_answered,
            call.finish_reason,
            call.request_id,
            reply,
            parsed,
            call.http_status,
            call.requests_left,
            call.tokens_left,
            call.tier,
            call.id,
        ),
    )


def withdraw(db: sqlite3.Connection, call_id: str) -> None:
    """Take back the row of a call that was not sent after all."""
    db.execute("DELETE FROM call WHERE id = ? AND status = 'sent'", (call_id,))


def abandon_sent(db: sqlite3.Connection) -> tuple[int, Decimal]:
    """Calls that a dead run sent and never heard of: how many, and what they may be billed at most, in US dollars."""
    ceilings = db.execute("UPDATE call SET status = 'unknown' WHERE status = 'sent' RETURNING ceiling").fetchall()
    return len(ceilings), sum((Decimal(ceiling or 0) for (ceiling,) in ceilings), Decimal(0))


def latest_replies(db: sqlite3.Connection, spec: int, limit: int) -> list[tuple[int, int]]:
    """The last whole replies to what this spec asks, oldest first: chunks asked about, and tokens of the reply."""
    rows = db.execute(
        "SELECT json_array_length(questions), completion FROM call WHERE spec = ? AND status = 'answered' "
        "AND completion > 0 AND finish_reason <> 'length' ORDER BY no DESC LIMIT ?",
        (spec, limit),
    ).fetchall()
    return [(int(chunks), int(completion)) for chunks, completion in reversed(rows)]


def unparsed(db: sqlite3.Connection) -> Iterator[Unparsed]:
    for row in db.execute("SELECT id, stage, questions, reply, finish_reason FROM call WHERE NOT parsed ORDER BY no"):
        yield Unparsed(row[0], row[1], tuple(orjson.loads(row[2])), (row[3] or b"").decode("utf-8", "replace"), row[4])
