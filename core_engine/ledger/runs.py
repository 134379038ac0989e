"""Runs in the ledger: when, with which settings, and what came of them."""

from __future__ import annotations

import os
import socket
import sqlite3
from dataclasses import dataclass

import orjson

from core_engine.errors import KGError


@dataclass(frozen=True, slots=True)
class RunRow:
    """`status`: running | done | stopped | failed | killed (it ended without a word)."""

    id: str
    command: str
    started_at: float
    ended_at: float | None
    status: str
    exit_code: int | None
    report: bytes | None


def start(db: sqlite3.Connection, identity: str, command: str, started_at: float, settings: dict[str, object]) -> None:
    """Note that a run begins. Its persona and its tags are what its settings say."""
    tags = settings.get("tags")
    db.execute(
        "INSERT INTO run (id, command, started_at, status, pid, host, settings, persona, tags) "
        "VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?)",
        (
            identity,
            command,
            started_at,
            os.getpid(),
            socket.gethostname(),
            orjson.dumps(settings).decode(),
            settings.get("persona") or "",
            orjson.dumps(tags or {}, option=orjson.OPT_SORT_KEYS).decode(),
        ),
    )


def finish(db: sqlite3.Connection, identity: str, ended_at: float, status: str, exit_code: int, report: bytes) -> None:
    db.execute(
        "UPDATE run SET ended_at = ?1, status = ?2, exit_code = ?3, report = ?4, "
        "reuse_saved = json_extract(?4, '$.cost_usd.saved_by_reuse') WHERE id = ?5",
        (ended_at, status, exit_code, report.decode(), identity),
    )


def mark_killed(db: sqlite3.Connection) -> int:
    """Runs that say they are running while the run lock is ours: they were killed."""
    return db.execute("UPDATE run SET status = 'killed' WHERE status = 'running'").rowcount


_RUN = "SELECT id, command, started_at, ended_at, status, exit_code, report FROM run "


def latest(db: sqlite3.Connection, limit: int) -> list[RunRow]:
    """The newest first."""
    return [RunRow(*row) for row in db.execute(_RUN + "ORDER BY started_at DESC, id DESC LIMIT ?", (limit,))]


def find(db: sqlite3.Connection, name: str) -> RunRow:
    """A run by its id, the beginning of it, `last`, or `previous`."""
    if name in {"last", "previous"}:
        rows = latest(db, 2)
        wanted = 0 if name == "last" else 1
        if len(rows) > wanted:
            return rows[wanted]
        raise KGError(f"there is no {name} run in this workspace yet: `kg process PATHS` makes one")
    escaped = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found = db.execute(_RUN + "WHERE id LIKE ? ESCAPE '\\' ORDER BY id LIMIT 2", (escaped + "%",)).fetchall()
    if len(found) == 1:
        return RunRow(*found[0])
    many = "several runs begin with" if found else "no run is called"
    raise KGError(f"{many} {name!r}: `kg runs` lists them")
