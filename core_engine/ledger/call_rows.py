"""A call as it stands in the ledger, for those who look back at it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from core_engine.errors import KGError

_SHORTEST = 4  # digits by which a call may be named


@dataclass(frozen=True, slots=True)
class CallRow:
    """`fields` are the row's, in the words of logs and traces; `reply` is the model's, as it came."""

    id: str
    run: str
    stage: str
    questions: tuple[int, ...]
    prompt_version: str
    finish_reason: str
    reply: bytes | None
    fields: dict[str, Any]


_COLUMNS = (
    "status",
    "error_kind",
    "error",
    "verdict",
    "http_status",
    "provider",
    "endpoint",
    "model",
    "model_answered",
    "purpose",
    "attempt",
    "started_at",
    "wait_s",
    "duration_s",
    "prompt",
    "cached",
    "completion",
    "reasoning",
    "cost",
    "tier",
    "ceiling",
    "temperature",
    "max_output",
    "finish_reason",
    "request_id",
    "requests_left",
    "tokens_left",
    "persona",
)


def find(db: sqlite3.Connection, run: str, name: str) -> CallRow:
    """The run's call whose id begins so: with hyphens or without, also by a span's id, which is the first half."""
    prefix = name.replace("-", "").lower()
    if len(prefix) < _SHORTEST or not all(c in "0123456789abcdef" for c in prefix):
        raise KGError(f"{name!r} is no call's id, nor the beginning of one ({_SHORTEST} hexadecimal digits at least)")
    rows = db.execute(
        f"SELECT c.id, c.run, c.batch, c.stage, c.questions, s.description, s.hash, c.reply, "
        f"{', '.join(f'c.{column}' for column in _COLUMNS)} FROM call c LEFT JOIN spec s ON s.no = c.spec "
        "WHERE c.run = ? AND c.id >= ? AND c.id < ? LIMIT 2",
        (run, prefix, prefix + "g"),
    ).fetchall()
    if len(rows) != 1:
        many = "several calls begin" if rows else "no call begins"
        raise KGError(f"{many} with {name!r} in run {run}: `kg logs {run} --calls` lists them")
    identity, run, batch, stage, questions, description, digest, reply, *values = rows[0]
    prompt = orjson.loads(description).get("prompt") if description else None
    head = {"call_id": identity, "run_id": run, "batch_id": batch, "stage": stage, "prompt_version": prompt}
    fields = head | {"prompt_hash": digest.hex()[:12] if digest else None} | dict(zip(_COLUMNS, values, strict=True))
    numbers = tuple(orjson.loads(questions))
    return CallRow(identity, run, stage, numbers, prompt or "", fields["finish_reason"], reply, fields)


def listed(db: sqlite3.Connection, run: str) -> list[dict[str, Any]]:
    """The run's calls in the order in which they were begun, each in a few words."""
    names = ("id", "stage", "status", "purpose", "attempt", "error_kind", "verdict", "wait_s", "duration_s", "cost")
    rows = db.execute(
        f"SELECT {', '.join(names)}, prompt + completion, json_array_length(questions) FROM call WHERE run = ? ORDER BY no",
        (run,),
    )
    return [dict(zip((*names, "tokens", "questions"), row, strict=True)) for row in rows]
