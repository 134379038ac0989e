"""Lets go of calls that are old and added up, without changing a sum; their days stay in the tally.

Only what was measured goes. A reply from which answers were read, or a dead letter came, stays: without it nothing
could be looked up again. So does the newest call, for the ledger gives the numbers of what was deleted last again.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from core_engine.ledger import tally
from core_engine.ledger.batches import PENDING
from core_engine.ledger.tally import SLOT_S, Key, Sums
from core_engine.ledger.values import ANSWERED

_PAGE = 10_000  # calls let go of in one commit
_NOON_S = 12 * 3_600.0
_ARCHIVED = (
    "id", "run", "batch", "stage", "endpoint", "model", "attempt", "purpose", "persona", "started_at", "wait_s", "status",
    "duration_s", "prompt", "cached", "completion", "reasoning", "cost", "ceiling", "tokens_at_most", "error_kind",
    "verdict", "model_answered", "finish_reason", "request_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RolledUp:
    """One step: calls whose rows are gone, and calls whose rows stay for their replies."""

    gone: int = 0
    kept: int = 0


def roll_up(db: sqlite3.Connection, before: float, archive: Path | None = None) -> RolledUp:
    """Let go of some of the calls that began before that moment (Unix time); nothing when there are none.

    Those of a run that is going on stay for its report. With an archive (a .jsonl.gz, which grows), each is written there and on the disk first, without a word of content.
    """
    rows = db.execute(
        f"SELECT no, stage, questions, {', '.join(_ARCHIVED)} FROM call WHERE tallied = 1 AND started_at < ? AND parsed "
        "AND no != (SELECT max(no) FROM call) AND run NOT IN (SELECT id FROM run WHERE status = 'running') "
        f"AND (job IS NULL OR job NOT IN (SELECT no FROM job WHERE state IN ({','.join('?' * len(PENDING))}))) "
        "ORDER BY started_at LIMIT ?",
        (before, *PENDING, _PAGE),
    ).fetchall()
    kept = [row for row in rows if _is_needed(db, row[0], row[1], row[2])]
    staying = {row[0] for row in kept}
    gone = [row for row in rows if row[0] not in staying]
    if archive and gone:
        _append(archive, (dict(zip(_ARCHIVED, row[3:], strict=True)) for row in gone))
    db.executemany("DELETE FROM call WHERE no = ?", ((row[0],) for row in gone))
    db.executemany("UPDATE call SET tallied = 2 WHERE no = ?", ((row[0],) for row in kept))
    return RolledUp(len(gone), len(kept))


def by_days(db: sqlite3.Connection, before: float, midnight: Callable[[float], float]) -> int:
    """Have the tally hold days where it held quarters of an hour, for days that ended before that moment.

    `midnight` gives the first moment of the day that holds a moment. How many rows it has fewer. A day stands at its noon,
    which is of the same date for who counts days in another zone.
    """
    most = int(midnight(before) // SLOT_S)
    days: dict[Key, Sums] = {}
    taken = 0
    for key in tally.keys(db, before=most):
        day = key._replace(slot=int((midnight(key.slot * SLOT_S) + _NOON_S) // SLOT_S))
        if day != key:
            days.setdefault(day, Sums()).add(tally.take(db, key))
            taken += 1
    return taken - tally.put(db, days)


def _is_needed(db: sqlite3.Connection, number: int, stage: str, questions: bytes) -> bool:
    """A question refers to this call. One that was answered by a vector needs no call."""
    asked = orjson.loads(questions)
    found = db.execute(
        f"SELECT 1 FROM question WHERE no IN ({','.join('?' * len(asked))}) AND call = ? AND (? OR state != ?) LIMIT 1",
        (*asked, number, stage != "embed", ANSWERED),
    ).fetchone()
    return found is not None


def _append(file: Path, calls: Iterator[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as raw:
        with gzip.GzipFile(fileobj=raw, mode="ab") as packed:
            packed.writelines(orjson.dumps(call, option=orjson.OPT_APPEND_NEWLINE) for call in calls)
        raw.flush()
        os.fsync(raw.fileno())
