"""Batch API jobs in the ledger: what is meant to be sent is committed before it is sent (laws 1 and 2).

A job's lines are `call` rows with the status `batched`, and its questions are claimed by the job, not by a run: they
stay with it when the run ends, however it ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal

import orjson

from core_engine.ledger import calls
from core_engine.ledger.calls import Sending
from core_engine.ledger.questions import prompt_of
from core_engine.ledger.values import ANSWERED, BATCH_JOB, CLAIMED, DEAD, OPEN
from core_engine.types import LLMCall

# What becomes of a job: prepared (nothing was sent, or a file) → creating (its file is there; whether the job is, nobody
# knows) → submitted → ended (its results are in). Or abandoned: it never came about.
PREPARED, CREATING, SUBMITTED, ENDED, ABANDONED = "prepared", "creating", "submitted", "ended", "abandoned"
PENDING = (PREPARED, CREATING, SUBMITTED)

# What a line's failure says, kept as its call's verdict: asking again may help; the question itself is at fault; the
# line did not run, or was refused for its form or its key, which is nothing about the question.
PASSING, BAD, UNTRIED = "passing", "bad", "untried"


@dataclass(frozen=True, slots=True)
class Job:
    """A job. `status`, `done` and `failed` are what the provider last said, at `seen_at`; times are Unix times.

    `files` are the ids of files that still lie at the provider, the input's first; `ceiling` in US dollars, None where
    no price is known.
    """

    no: int
    id: str
    run: str
    stage: str
    endpoint: str
    model: str
    parameters: str
    requests: int
    questions: int
    tokens: int
    bytes: int
    ceiling: Decimal | None
    state: str
    created_at: float
    tried_at: float | None
    submitted_at: float | None
    seen_at: float | None
    ended_at: float | None
    batch: str | None
    files: tuple[str, ...]
    status: str
    done: int
    failed: int
    expires_at: float | None
    error: str

    @property
    def chunks(self) -> int:
        """That are to be extracted."""
        return self.questions if self.stage == "extract" else 0


@dataclass(frozen=True, slots=True)
class Intent:
    """A job that is about to be sent: its file's facts, and its lines."""

    id: str
    run: str
    stage: str
    endpoint: str
    model: str
    parameters: str
    tokens: int
    bytes: int
    ceiling: Decimal | None
    lines: Sequence[Sending]


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A line whose result is not in yet."""

    call: LLMCall
    questions: tuple[int, ...]
    purpose: str
    ceiling: Decimal | None
    tokens_at_most: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What an ended job leaves: questions that are open again, and such as are dead."""

    reopened: int = 0
    buried: int = 0


@dataclass(frozen=True, slots=True)
class JobSpent:
    """US dollars (None where no price is known), the tokens that were used and that might have been, answered chunks."""

    dollars: Decimal | None
    tokens: int
    tokens_at_most: int
    chunks: int


_COLUMNS = ", ".join(field.name for field in fields(Job))


def _job(row: tuple[object, ...]) -> Job:
    values = dict(zip((field.name for field in fields(Job)), row, strict=True))
    values["ceiling"] = None if values["ceiling"] is None else Decimal(str(values["ceiling"]))
    values["files"] = tuple(orjson.loads(str(values["files"])))
    return Job(**values)  # type: ignore[arg-type]  # SQLite's values are of the column's types


def find(db: sqlite3.Connection, identity: str) -> Job | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM job WHERE id = ?", (identity,)).fetchone()
    return _job(row) if row else None


def all_jobs(db: sqlite3.Connection) -> list[Job]:
    """The newest first."""
    return [_job(row) for row in db.execute(f"SELECT {_COLUMNS} FROM job ORDER BY no DESC")]


def pending(db: sqlite3.Connection) -> list[Job]:
    """Jobs whose results are not in yet, oldest first."""
    return [_job(row) for row in db.execute(f"SELECT {_COLUMNS} FROM job WHERE state IN (?,?,?) ORDER BY no", PENDING)]


def littered(db: sqlite3.Connection) -> list[Job]:
    """Jobs that are over, and whose files still lie at the provider."""
    return [
        _job(row)
        for row in db.execute(f"SELECT {_COLUMNS} FROM job WHERE state IN (?,?) AND files != '[]'", (ENDED, ABANDONED))
    ]


def prepare(db: sqlite3.Connection, intent: Intent, now: float) -> None:
    """Commit what is about to be sent: the job, a call for each line, and that the questions are the job's."""
    questions = sum(len(line.questions) for line in intent.lines)
    no = db.execute(
        "INSERT INTO job (id, run, stage, endpoint, model, parameters, requests, questions, tokens, bytes, ceiling, "
        "state, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING no",
        (
            intent.id,
            intent.run,
            intent.stage,
            intent.endpoint,
            intent.model,
            intent.parameters,
            len(intent.lines),
            questions,
            intent.tokens,
            intent.bytes,
            None if intent.ceiling is None else str(intent.ceiling),
            PREPARED,
            now,
        ),
    ).fetchone()[0]
    for line in intent.lines:
        calls.begin(db, line)
        db.execute("UPDATE call SET status = 'batched', job = ? WHERE id = ?", (no, line.call.id))
        db.executemany(
            "UPDATE question SET run = ? WHERE no = ? AND state = ?",
            [(BATCH_JOB + intent.id, question, CLAIMED) for question in line.questions],
        )


def note_upload(db: sqlite3.Connection, job: Job, file: str) -> None:
    """The file is there."""
    db.execute("UPDATE job SET state = ?, files = ? WHERE no = ?", (CREATING, orjson.dumps([file]).decode(), job.no))


def note_try(db: sqlite3.Connection, job: Job, now: float) -> None:
    """From here on the provider may have created the job."""
    db.execute("UPDATE job SET tried_at = ? WHERE no = ?", (now, job.no))


def note_refused(db: sqlite3.Connection, job: Job) -> None:
    """The provider's queue was full: nothing of the job runs, its file is still there."""
    db.execute(
        "UPDATE job SET state = ?, tried_at = NULL, batch = NULL, status = 'queue full' WHERE no = ?",
        (CREATING, job.no),
    )


def note_created(db: sqlite3.Connection, job: Job, batch: str, now: float) -> None:
    db.execute("UPDATE job SET state = ?, batch = ?, submitted_at = ? WHERE no = ?", (SUBMITTED, batch, now, job.no))


def note_status(
    db: sqlite3.Connection,
    job: Job,
    status: str,
    counts: tuple[int, int],
    files: Sequence[str],
    expires_at: float | None,
    now: float,
) -> None:
    """What the provider says of the job. `counts`: lines done and failed."""
    db.execute(
        "UPDATE job SET status = ?, done = ?, failed = ?, files = ?, expires_at = ?, seen_at = ? WHERE no = ?",
        (status, *counts, orjson.dumps(list(files)).decode(), expires_at, now, job.no),
    )


def clean(db: sqlite3.Connection, job: Job) -> None:
    """Its files at the provider are deleted."""
    db.execute("UPDATE job SET files = '[]' WHERE no = ?", (job.no,))


def abandon(db: sqlite3.Connection, job: Job, reason: str, now: float) -> None:
    """The job never came about: no line of it ran, and its questions are open again."""
    db.execute("DELETE FROM call WHERE job = ? AND status = 'batched'", (job.no,))
    db.execute(
        "UPDATE question SET state = ?, run = NULL WHERE state = ? AND run = ?", (OPEN, CLAIMED, BATCH_JOB + job.id)
    )
    db.execute("UPDATE job SET state = ?, error = ?, ended_at = ? WHERE no = ?", (ABANDONED, reason, now, job.no))


def forget(db: sqlite3.Connection, job: Job, now: float) -> None:
    """Give up a job that nobody can reach any more: it may have been billed, and its questions are open again."""
    db.execute(
        "UPDATE call SET status = 'unknown', verdict = ? WHERE job = ? AND status = 'batched'", (UNTRIED, job.no)
    )
    end(db, job, now, "given up by hand")


def open_lines(db: sqlite3.Connection, job: Job) -> Iterator[OpenLine]:
    rows = db.execute(
        "SELECT id, run, attempt, started_at, batch, questions, purpose, ceiling, tokens_at_most, persona, provider, "
        "temperature, max_output, spec FROM call WHERE job = ? AND status = 'batched' ORDER BY no",
        (job.no,),
    ).fetchall()
    prompts = {spec: prompt_of(db, spec) for spec in {row[-1] for row in rows}}
    for identity, run, attempt, started_at, batch, numbers, purpose, ceiling, most, persona, *asked, spec in rows:
        questions = tuple(orjson.loads(numbers))
        call = LLMCall(
            id=identity,
            run_id=run,
            stage=job.stage,
            model=job.model,
            endpoint=job.endpoint,
            questions=len(questions),
            attempt=attempt,
            status="batched",
            started_at=started_at,
            batch_id=batch,
            persona=persona,
            purpose=purpose,
            provider=asked[0],
            temperature=asked[1],
            max_output=asked[2],
            prompt_version=prompts[spec][0],
            prompt_hash=prompts[spec][1],
        )
        yield OpenLine(call, questions, purpose, None if ceiling is None else Decimal(ceiling), most)


def finish_line(
    db: sqlite3.Connection,
    call: LLMCall,
    *,
    reply: bytes | None,
    error: str = "",
    verdict: str = "",
    parsed: bool = True,
) -> None:
    """Store a line's result. The call counts in the run that has fetched it: `call.run_id`."""
    calls.finish(db, call, reply=reply, error=error, parsed=parsed)
    db.execute("UPDATE call SET run = ?, verdict = ? WHERE id = ?", (call.run_id, verdict, call.id))


def end(db: sqlite3.Connection, job: Job, now: float, error: str = "") -> Settled:
    """All results are in: settle the questions that they did not answer.

    One that was asked alone, again, and got no usable answer is dead. The others are open, and those whose request
    went wrong remember it (`attempts`), so that each is asked alone the next time.
    """
    reopened = buried = 0
    holder = BATCH_JOB + job.id
    rows = db.execute(
        "SELECT no, questions, status, purpose, error_kind, verdict FROM call WHERE job = ? ORDER BY no", (job.no,)
    ).fetchall()
    for call_no, numbers, status, purpose, kind, verdict in rows:
        answered = status == "answered"
        reason = kind or (verdict.removeprefix("partial: ") if answered else "") or "left_out"
        alone_again = purpose == "reask" and len(orjson.loads(numbers)) == 1
        state = DEAD if alone_again and (answered or verdict == BAD) else OPEN
        tried = 1 if answered or verdict in {PASSING, BAD} else 0
        for question in orjson.loads(numbers):
            row = db.execute("SELECT state, run FROM question WHERE no = ?", (question,)).fetchone()
            if row is None or row[0] in {ANSWERED, DEAD} or row[1] != holder:
                continue
            db.execute(
                "UPDATE question SET state = ?, run = NULL, reason = ?, call = ?, attempts = attempts + ? WHERE no = ?",
                (state, reason, call_no if state == DEAD else None, tried, question),
            )
            buried += state == DEAD
            reopened += state == OPEN
    db.execute("UPDATE job SET state = ?, error = ?, ended_at = ? WHERE no = ?", (ENDED, error, now, job.no))
    return Settled(reopened, buried)


def spent(db: sqlite3.Connection, job: Job) -> JobSpent:
    """What the job's lines have cost: those of which nobody knows count at their ceilings."""
    dollars, used, most, chunks = Decimal(0), 0, 0, 0
    for cost, ceiling, tokens, at_most, status, questions in db.execute(
        "SELECT cost, ceiling, prompt + completion, tokens_at_most, status, json_array_length(questions) FROM call "
        "WHERE job = ?",
        (job.no,),
    ):
        dollars += Decimal((ceiling or 0) if cost is None else cost)
        used += tokens if cost is not None or (status == "answered" and tokens) else at_most
        most += at_most
        chunks += questions if status == "answered" and job.stage == "extract" else 0
    return JobSpent(None if job.ceiling is None else dollars, used, most, chunks)


def persona_of(db: sqlite3.Connection, job: Job) -> str | None:
    """Who the job was made for; None where none of its lines is left."""
    row = db.execute("SELECT persona FROM call WHERE job = ? LIMIT 1", (job.no,)).fetchone()
    return row[0] if row else None


def tried_before(db: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """Of these questions, those whose request went wrong before, with the reason."""
    found: dict[int, str] = {}
    for number in numbers:
        row = db.execute("SELECT attempts, reason FROM question WHERE no = ?", (number,)).fetchone()
        if row and row[0]:
            found[number] = row[1] or ""
    return found


def left_open(db: sqlite3.Connection, run: str) -> tuple[dict[int, frozenset[str]], dict[str, int]]:
    """Chunks of a run whose questions are open: chunk number → kinds (extract, embed), and how many by reason."""
    kinds: dict[int, frozenset[str]] = {}
    reasons: dict[str, int] = {}
    for stage in ("extract", "embed"):
        for chunk, reason in db.execute(
            f"SELECT c.no, q.reason FROM chunk c JOIN question q ON q.no = c.want_{stage} WHERE c.run = ? AND q.state = ?",
            (run, OPEN),
        ):
            kinds[chunk] = kinds.get(chunk, frozenset()) | {stage}
            reasons[reason or "not_asked"] = reasons.get(reason or "not_asked", 0) + 1
    return kinds, reasons
