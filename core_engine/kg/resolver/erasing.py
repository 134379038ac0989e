"""Takes names that nothing mentions any more out of all that was found, asked and corrected about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import pairwise

import orjson

from core_engine.kg.resolver.settling import settle
from core_engine.ledger import corrections

_PAIRED: tuple[str, ...] = ("merge_edge", "apart", "candidate")


def erase_atoms(db: sqlite3.Connection, atoms: Iterable[bytes]) -> None:
    """Delete what is kept of these. What users merged through one of them stays merged."""
    left: set[bytes] = set()
    for atom in atoms:
        left |= _bridge(db, atom)
        _erase_questions(db, atom)
        for table in _PAIRED:
            db.execute(f"DELETE FROM {table} WHERE a = ?1 OR b = ?1", (atom,))
        db.execute("DELETE FROM alias WHERE atom = ?", (atom,))
        db.execute("DELETE FROM name_key WHERE atom = (SELECT no FROM atom WHERE id = ?)", (atom,))
        db.execute("DELETE FROM unsettled WHERE atom = ?", (atom,))
    settle(db, left)


def _bridge(db: sqlite3.Connection, atom: bytes) -> set[bytes]:
    """Merge by hand what a user had merged with this one."""
    rows = db.execute(
        "SELECT CASE WHEN a = ?1 THEN b ELSE a END, reason FROM merge_edge WHERE (a = ?1 OR b = ?1) AND NOT undone "
        "AND origin = x'' ORDER BY 1",
        (atom,),
    ).fetchall()
    for (one, reason), (other, _) in pairwise(rows):
        if one != other:
            corrections.merge(db, one, other, reason)
    return {row[0] for row in rows}


def _erase_questions(db: sqlite3.Connection, atom: bytes) -> None:
    """What was asked about its pairs. The questions' keys and verdicts hold no names; what a model wrote might."""
    asked = {row[0] for row in db.execute("SELECT question FROM pair WHERE a = ?1 OR b = ?1", (atom,))}
    db.execute("DELETE FROM pair WHERE a = ?1 OR b = ?1", (atom,))
    if not asked:
        return
    for no, packed in db.execute("SELECT no, questions FROM call WHERE stage = 'resolve'").fetchall():
        if not asked.isdisjoint(orjson.loads(packed)):
            db.execute("UPDATE call SET reply = NULL, error = '', parsed = 1 WHERE no = ?", (no,))
