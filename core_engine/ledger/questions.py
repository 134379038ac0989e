"""Questions in the ledger: one chunk's extraction or one text's embedding, asked once (law 1)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import orjson

from core_engine.keys import Spec
from core_engine.ledger import documents, prompts
from core_engine.ledger.values import ANSWERED, BATCH_JOB, CHUNK, CLAIMED, DEAD, OPEN, tick, touch


class Claim(Enum):
    """What a run may do about a question that it needs."""

    OURS = "ours"  # nobody has it: ask
    SHARED = "shared"  # this run asks it already, for another chunk
    ELSEWHERE = "elsewhere"  # a Batch job holds it
    ANSWERED = "answered"
    DEAD = "dead"  # failed for good before; only `kg retry` asks again


@dataclass(frozen=True, slots=True)
class Wanted:
    """A chunk and the keys of the questions it needs; None where it needs none of that kind."""

    chunk: int
    extract: bytes | None
    embed: bytes | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What became of a Wanted: per kind the question's number and the claim on it."""

    chunk: int
    extract: tuple[int, Claim] | None
    embed: tuple[int, Claim] | None


def spec_no(db: sqlite3.Connection, spec: Spec, name: str = "") -> int:
    """The number of what is asked, noted with its prompt where it is new. `name`: what people call the prompt."""
    row = db.execute("SELECT no FROM spec WHERE hash = ?", (spec.hash,)).fetchone()
    if row is None:
        row = db.execute(
            "INSERT INTO spec (hash, kind, description) VALUES (?, ?, ?) RETURNING no",
            (spec.hash, spec.kind, orjson.dumps(spec.description, option=orjson.OPT_SORT_KEYS).decode()),
        ).fetchone()
    number = int(row[0])
    if spec.text:
        prompts.note(db, number, name or str(spec.description.get("prompt", "")), spec.text)
    return number


def prompt_of(db: sqlite3.Connection, spec: int) -> tuple[str, str]:
    """The version of a spec's prompt ('' where it has none), and the beginning of the hash of all that it asks."""
    row = db.execute("SELECT json_extract(description, '$.prompt'), hash FROM spec WHERE no = ?", (spec,)).fetchone()
    return (str(row[0] or ""), bytes(row[1]).hex()[:12]) if row else ("", "")


def claim(
    db: sqlite3.Connection,
    run: str,
    extract_spec: int,
    embed_spec: int | None,
    wanted: Sequence[Wanted],
    whole: tuple[int, int] | None = None,
) -> list[Claimed]:
    """Claim what nobody has answered or holds. Chunks whose answer is there get it as their current one.

    `whole`: the document and the number of its chunks, where the others of them need nothing.
    """
    now = 0
    claimed = []
    for want in wanted:
        extract = embed = None
        if want.extract is not None:
            extract = _claim_one(db, run, extract_spec, want.extract)
        if want.embed is not None and embed_spec is not None:
            embed = _claim_one(db, run, embed_spec, want.embed)
        claimed.append(Claimed(want.chunk, extract, embed))
        buys = False
        if extract:
            if extract[1] is Claim.ANSWERED:
                db.execute(
                    "UPDATE chunk SET extract = ?1, want_extract = NULL, stale = 1 WHERE no = ?2 AND extract IS NOT ?1",
                    (extract[0], want.chunk),
                )
            else:
                buys = extract[1] is not Claim.DEAD
                db.execute("UPDATE chunk SET want_extract = ? WHERE no = ?", (extract[0], want.chunk))
        if embed:
            if embed[1] is Claim.ANSWERED:
                now = now or tick(db)
                _set_embedding(db, embed[0], "no", want.chunk, now)
            else:
                buys = buys or embed[1] is not Claim.DEAD
                db.execute("UPDATE chunk SET want_embed = ? WHERE no = ?", (embed[0], want.chunk))
        if buys:
            db.execute("UPDATE chunk SET run = ? WHERE no = ?", (run, want.chunk))
    if whole:
        documents.settle(db, whole[0], extract_spec, embed_spec, whole[1])
    return claimed


def _claim_one(db: sqlite3.Connection, run: str, spec: int, key: bytes) -> tuple[int, Claim]:
    row = db.execute("SELECT no, state, run FROM question WHERE key = ?", (key,)).fetchone()
    if row is None:
        no = db.execute(
            "INSERT INTO question (key, spec, state, run) VALUES (?, ?, ?, ?) RETURNING no", (key, spec, CLAIMED, run)
        ).fetchone()[0]
        return no, Claim.OURS
    no, state, holder = row
    if state == ANSWERED:
        return no, Claim.ANSWERED
    if state == DEAD:
        return no, Claim.DEAD
    if state == CLAIMED:
        return no, Claim.SHARED if holder == run else Claim.ELSEWHERE
    db.execute("UPDATE question SET state = ?, run = ? WHERE no = ?", (CLAIMED, run, no))
    return no, Claim.OURS


def answer_extractions(
    db: sqlite3.Connection,
    call: str | None,
    answers: Iterable[tuple[int, bytes]],
    verdict: str = "",
    *,
    done: bool = True,
) -> None:
    """Store validated answers; they become current for all chunks that wait for them (law 5).

    `call` is the call whose reply gave them (None where no model was asked); `done` marks its reply as parsed, with
    the verdict on it.
    """
    call_no = _call_no(db, call)
    for question, payload in answers:
        db.execute(
            "UPDATE question SET state = ?, answer = ?, call = ?, reason = NULL, attempts = attempts + 1 WHERE no = ?",
            (ANSWERED, payload, call_no, question),
        )
        db.execute("UPDATE chunk SET extract = ?1, want_extract = NULL, stale = 1 WHERE want_extract = ?1", (question,))
    if call_no is not None and done:
        db.execute("UPDATE call SET parsed = 1, verdict = ? WHERE no = ?", (verdict, call_no))


def answer_embeddings(db: sqlite3.Connection, call: str, answers: Iterable[tuple[int, bytes]]) -> None:
    """Store vectors (float32, little-endian); they become current for all chunks that wait for them."""
    call_no = _call_no(db, call)
    now = tick(db)
    for question, vector in answers:
        db.execute(
            "UPDATE question SET state = ?, answer = ?, call = ?, reason = NULL, attempts = attempts + 1 WHERE no = ?",
            (ANSWERED, vector, call_no, question),
        )
        _set_embedding(db, question, "want_embed", question, now)


def _set_embedding(db: sqlite3.Connection, question: int, column: str, value: int, now: int) -> None:
    rows = db.execute(
        f"UPDATE chunk SET embed = ?1, want_embed = NULL WHERE {column} = ?2 AND embed IS NOT ?1 RETURNING id",
        (question, value),
    ).fetchall()
    touch(db, CHUNK, [row[0] for row in rows], now)


def bury(db: sqlite3.Connection, question: int, reason: str, call: str | None) -> None:
    """The question is dead: only `kg retry` asks it again (law 5)."""
    db.execute(
        "UPDATE question SET state = ?, reason = ?, call = ?, attempts = attempts + 1 WHERE no = ? AND state != ?",
        (DEAD, reason, _call_no(db, call), question, ANSWERED),
    )


def _call_no(db: sqlite3.Connection, call: str | None) -> int | None:
    if call is None:
        return None
    row = db.execute("SELECT no FROM call WHERE id = ?", (call,)).fetchone()
    return row[0] if row else None


def release(db: sqlite3.Connection, run: str | None = None) -> int:
    """Open again what a run claimed and didn't settle; without a name, what any dead run left claimed.

    What a Batch job holds stays with it.
    """
    # The first condition says nothing new, but lets SQLite use the index of what is not answered.
    opened = f"UPDATE question SET state = ?, run = NULL WHERE state != {ANSWERED} AND state = ? AND run"
    if run is None:
        return db.execute(f"{opened} NOT GLOB ?", (OPEN, CLAIMED, BATCH_JOB + "*")).rowcount
    return db.execute(f"{opened} = ?", (OPEN, CLAIMED, run)).rowcount


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A question that failed for good, and the chunk that waits for it. `reply` is as it came, if one came."""

    question: int
    chunk: int
    stage: str
    reason: str
    attempts: int
    call: str | None
    reply: bytes | None


def dead_letters(db: sqlite3.Connection, *, with_reply: bool = False) -> list[DeadLetter]:
    """All dead letters of the workspace, by chunk."""
    reply = "k.reply" if with_reply else "NULL"
    found = []
    for stage in ("extract", "embed"):
        rows = db.execute(
            f"SELECT q.no, c.no, '{stage}', q.reason, q.attempts, k.id, {reply} FROM question q "
            f"JOIN chunk c ON c.want_{stage} = q.no LEFT JOIN call k ON k.no = q.call WHERE q.state != {ANSWERED} AND q.state = ?",
            (DEAD,),  # "!=": the index is of what is not answered
        )
        found += [DeadLetter(*row) for row in rows]
    return sorted(found, key=lambda letter: (letter.chunk, letter.stage))


def revive(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Open dead questions again."""
    db.executemany(
        "UPDATE question SET state = ?, run = NULL WHERE no = ? AND state = ?", [(OPEN, no, DEAD) for no in numbers]
    )
