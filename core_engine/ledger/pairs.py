"""Questions about pairs of names: which are open, claiming them, and what came of them (laws 1 and 5, for pairs)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from core_engine import keys
from core_engine.chunking.serial import unpack_turns
from core_engine.ledger.resolution import MODEL, Pair, follow_verdict
from core_engine.ledger.values import ANSWERED, CLAIMED, DEAD, OPEN

VERDICTS = ("same", "different", "unsure")


@dataclass(frozen=True, slots=True)
class OpenPair:
    """A pair that the rules would ask about, and the key of the question about it."""

    a: bytes
    b: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """A pair whose question is ours to ask."""

    pair: OpenPair
    question: int


@dataclass(frozen=True, slots=True)
class Quoted:
    """Where an atom is said: the turn's raw words, the place of the name in them (None: it speaks), who speaks."""

    speaker: str | None
    raw: str
    at: int | None


FIRST: Pair = (b"", b"")


def open_pairs(db: sqlite3.Connection, spec: bytes, after: Pair, most: int) -> tuple[list[OpenPair], Pair | None]:
    """Of `most` candidates after that pair, those without a current answer to this spec's question that no user has
    decided about, in order; and the last candidate looked at, None at the end.
    """
    rows = db.execute(
        "SELECT DISTINCT c.a, c.b, x.scope, y.scope, q.key FROM candidate c JOIN atom x ON x.id = c.a "
        "JOIN atom y ON y.id = c.b LEFT JOIN pair p ON p.a = c.a AND p.b = c.b LEFT JOIN question q ON q.no = p.question "
        "WHERE (c.a, c.b) > (?, ?) AND NOT EXISTS "
        "(SELECT 1 FROM apart t WHERE t.a = c.a AND t.b = c.b AND t.origin = x'') ORDER BY c.a, c.b LIMIT ?",
        (*after, most),
    ).fetchall()
    found = []
    for a, b, one_scope, other_scope, answered in rows:
        scopes = sorted({bytes.fromhex(scope.replace("-", "")) for scope in (one_scope, other_scope) if scope})
        key = keys.key(spec, keys.pair(a, b, *(_content(db, scope) for scope in scopes)))
        if key != answered:
            found.append(OpenPair(a, b, key))
    return found, rows[-1][:2] if len(rows) == most else None


def _content(db: sqlite3.Connection, document: bytes) -> bytes:
    row = db.execute("SELECT content FROM document WHERE id = ?", (document,)).fetchone()
    return row[0] if row else b""


def claim(db: sqlite3.Connection, run: str, spec: int, pairs: Sequence[OpenPair]) -> list[Claimed]:
    """Claim what nobody has answered or holds. A pair whose answer is there gets it as its current one."""
    ours = []
    for one in pairs:
        row = db.execute("SELECT no, state, answer FROM question WHERE key = ?", (one.key,)).fetchone()
        if row is None:
            no = db.execute(
                "INSERT INTO question (key, spec, state, run) VALUES (?, ?, ?, ?) RETURNING no",
                (one.key, spec, CLAIMED, run),
            ).fetchone()[0]
            state = OPEN
        else:
            no, state, answer = row
        db.execute(
            "INSERT INTO pair (a, b, want) VALUES (?, ?, ?) ON CONFLICT (a, b) DO UPDATE SET want = excluded.want",
            (one.a, one.b, no),
        )
        if state == ANSWERED:
            _take(db, no, answer.decode())
        elif state == OPEN:
            db.execute("UPDATE question SET state = ?, run = ? WHERE no = ?", (CLAIMED, run, no))
            ours.append(Claimed(one, no))
    return ours


def answer(db: sqlite3.Connection, call: str, verdicts: Iterable[tuple[int, str]], verdict: str = "") -> None:
    """Store validated answers, by their questions; they become current for the pairs that wait for them."""
    row = db.execute("SELECT no FROM call WHERE id = ?", (call,)).fetchone()
    no = row[0] if row else None
    for question, said in verdicts:
        db.execute(
            "UPDATE question SET state = ?, answer = ?, call = ?, reason = NULL, attempts = attempts + 1 WHERE no = ?",
            (ANSWERED, said.encode(), no, question),
        )
        _take(db, question, said)
    db.execute("UPDATE call SET parsed = 1, verdict = ? WHERE no = ?", (verdict, no))


def _take(db: sqlite3.Connection, question: int, said: str) -> None:
    rows = db.execute(
        "UPDATE pair SET question = want, want = NULL, verdict = ? WHERE want = ? RETURNING a, b", (said, question)
    ).fetchall()
    for both in rows:
        follow_verdict(db, both)


def unanswered(db: sqlite3.Connection) -> int:
    """Pairs to whose question there was no usable answer."""
    row = db.execute(
        "SELECT count(*) FROM pair p JOIN question q ON q.no = p.want WHERE q.state = ?", (DEAD,)
    ).fetchone()
    return int(row[0])


def by_rules(db: sqlite3.Connection, atom: bytes) -> set[bytes]:
    """The atoms that are one with this without what a model said: the same whatever it was asked before."""
    rows = db.execute(
        "WITH RECURSIVE reached (id) AS (VALUES (?1) UNION "
        "SELECT e.b FROM reached r JOIN merge_edge e ON e.a = r.id AND NOT e.undone AND e.reason != ?2 UNION "
        "SELECT e.a FROM reached r JOIN merge_edge e ON e.b = r.id AND NOT e.undone AND e.reason != ?2) "
        "SELECT id FROM reached",
        (atom, MODEL),
    )
    return {row[0] for row in rows}


def names_of(db: sqlite3.Connection, atoms: Iterable[bytes]) -> list[tuple[str, str, int]]:
    """(name, type, mentions) of these atoms, the most frequent first."""
    found: dict[tuple[str, str], int] = {}
    for atom in atoms:
        for name, kind, count in db.execute(
            "SELECT f.name, f.type, f.chunks FROM atom a JOIN form f ON f.atom = a.no WHERE a.id = ?", (atom,)
        ):
            found[name, kind] = found.get((name, kind), 0) + count
    return [(*key, count) for key, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))]


def is_candidate(db: sqlite3.Connection, both: Pair) -> bool:
    return db.execute("SELECT 1 FROM candidate WHERE a = ? AND b = ? LIMIT 1", both).fetchone() is not None


def quotes(db: sqlite3.Connection, atom: bytes, beside: bytes, most: int) -> list[Quoted]:
    """Where an atom is said, in documents that also mention the other one first; always the same of the same mentions."""
    rows = db.execute(
        "SELECT m.detail, c.turns FROM atom a JOIN mention m ON m.atom = a.no JOIN chunk c ON c.no = m.chunk "
        "WHERE a.id = ?1 ORDER BY c.document NOT IN (SELECT d.document FROM atom o JOIN mention n ON n.atom = o.no "
        "JOIN chunk d ON d.no = n.chunk WHERE o.id = ?2), c.id LIMIT ?3",
        (atom, beside, most),
    )
    found: list[Quoted] = []
    for packed, turns in rows.fetchall():
        detail, said = orjson.loads(packed), unpack_turns(turns)
        places = [(turn, at) for turn, at, *_ in detail["offsets"]] or [(turn, None) for turn in detail["turns"]]
        for turn, at in places[: most - len(found)]:
            if 1 <= turn <= len(said):
                found.append(Quoted(said[turn - 1].speaker, said[turn - 1].raw, at))
    return found[:most]
