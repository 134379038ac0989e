"""What the calls in a home's ledgers tell of a model, for an estimate of the next ones."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_DRIFT = 0.03  # other text, other replies: so much is allowed for beyond what chance explains
_FIRST_LATENCY_S = 8.0
_OTHER_LEDGERS = 20  # of the same home, the ones written last


@dataclass(frozen=True, slots=True)
class Resolving:
    """What questions about pairs of names came to: so many pairs in a corpus of so many chunks, calls and tokens a pair.

    `before`: the chunks that this workspace has asked about already.
    """

    pairs: float
    chunks: float
    calls: float
    prompt: float
    cached: float
    completion: float
    before: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """What earlier calls tell: tokens billed for one of our measure, of a reply a chunk, seconds a call.

    `completion_error`: the mean of what is to come lies within so much of `completion`, nineteen times of twenty.
    `replies` of 0: nothing is known of the chat model. Repeated requests and their replies are in all of it.
    """

    replies: int = 0
    prompt_factor: float = 1.0
    completion: float = 0.0
    completion_error: float = 0.0
    cached_a_call: float | None = None
    latency_s: float = _FIRST_LATENCY_S
    embedding_calls: int = 0
    embedding_factor: float = 1.0
    resolving: Resolving | None = None


def told_by(ledger: Path, model: str, spec: int | None, embedding_model: str) -> Told:
    """By this ledger, of the same prompt if it was used before; else by the other ledgers of the home."""
    told = Told()
    others = sorted(ledger.parent.parent.glob("*/ledger.sqlite3"), key=_written, reverse=True)
    for path in [ledger, *(other for other in others if other != ledger)][:_OTHER_LEDGERS]:
        with _opened(path) as db:
            if db is None:
                continue
            with contextlib.suppress(sqlite3.Error):  # a damaged one is its own workspace's trouble
                if not told.replies:
                    told = _chat(db, told, model, spec if path == ledger else None)
                if not told.embedding_calls:
                    told = _embedding(db, told, embedding_model)
                if told.resolving is None:
                    told = replace(told, resolving=_resolving(db, own=path == ledger))
        if told.replies and told.embedding_calls:
            break
    return told


def _chat(db: sqlite3.Connection, told: Told, model: str, spec: int | None) -> Told:
    row = _sums(db, "extract", model, spec)
    if not row["replies"] and spec is not None:
        row = _sums(db, "extract", model, None)
    if not row["replies"] or not row["asked"] or not row["measured"]:
        return told
    mean = row["completion"] / row["asked"]
    # The error of a ratio of sums (Cochran, Sampling Techniques, 6.4), each call a draw.
    residual = row["cc"] - 2 * mean * row["cq"] + mean * mean * row["qq"]
    error = 2 * math.sqrt(max(residual, 0.0)) / row["asked"]
    return replace(
        told,
        replies=row["replies"],
        prompt_factor=row["prompt"] / row["measured"],
        completion=mean,
        completion_error=error + _DRIFT * mean,
        cached_a_call=row["cached"] / max(row["replies"] - row["runs"], 1),
        latency_s=row["seconds"] / row["replies"] or _FIRST_LATENCY_S,  # lines of Batch jobs have none
    )


def _embedding(db: sqlite3.Connection, told: Told, model: str) -> Told:
    row = _sums(db, "embed", model, None)
    if not row["replies"] or not row["measured"]:
        return told
    return replace(told, embedding_calls=row["replies"], embedding_factor=row["prompt"] / row["measured"])


def _resolving(db: sqlite3.Connection, *, own: bool) -> Resolving | None:
    """By all runs that asked about names, whatever the model: how many names are doubtful is the text's doing."""
    pairs, calls, prompt, cached, completion = db.execute(
        "SELECT total(json_array_length(questions)) FILTER (WHERE purpose = 'first'), count(*), total(prompt), "
        "total(cached), total(completion) FROM call WHERE stage = 'resolve' AND status = 'answered'"
    ).fetchone()
    (chunks,) = db.execute(
        "SELECT total(json_array_length(questions)) FROM call WHERE stage = 'extract' AND purpose = 'first' "
        "AND status = 'answered'"
    ).fetchone()
    if not pairs or not chunks:
        return None
    before = chunks if own else 0.0
    return Resolving(pairs, chunks, calls / pairs, prompt / pairs, cached / pairs, completion / pairs, before)


def _sums(db: sqlite3.Connection, stage: str, model: str, spec: int | None) -> dict[str, Any]:
    """Each chunk is asked about in one `first` request; what repetitions cost is spread over those.

    Calls that a killed run never heard of are left out: nobody knows what they took, and they are asked again.
    """
    db.row_factory = sqlite3.Row
    row = db.execute(
        "SELECT count(*) FILTER (WHERE status = 'answered') AS replies, count(DISTINCT run) AS runs, "
        "total(prompt) AS prompt, total(cached) AS cached, total(completion) AS completion, "
        "total(measured) FILTER (WHERE purpose = 'first') AS measured, "
        "total(q) FILTER (WHERE purpose = 'first') AS asked, "
        "total(duration_s) FILTER (WHERE status = 'answered') AS seconds, "
        "total(completion * completion) FILTER (WHERE status = 'answered') AS cc, "
        "total(completion * q) FILTER (WHERE status = 'answered') AS cq, "
        "total(q * q) FILTER (WHERE status = 'answered') AS qq "
        "FROM (SELECT *, json_array_length(questions) AS q FROM call WHERE stage = ? AND model = ? AND measured > 0 "
        "AND status NOT IN ('sent', 'unknown') "
        "AND (spec = ? OR ? IS NULL))",
        (stage, model, spec, spec),
    ).fetchone()
    return dict(row)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The ledger, to be read; None where it can't be, or is from before calls were measured."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        yield None
        return
    with contextlib.closing(db):
        try:
            columns = {row[1] for row in db.execute("PRAGMA table_info(call)")}
        except sqlite3.Error:
            columns = set()
        yield db if "measured" in columns else None


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
