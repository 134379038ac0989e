"""What was derived from current answers: atoms, mentions, statements (law 6), and the change log of graph units."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from core_engine.ledger import components, facts
from core_engine.ledger.components import entity_of
from core_engine.ledger.values import CHUNK, ENTITY, RELATIONSHIP, pair_key, relationship_key, tick, to_blob, touch


@dataclass(frozen=True, slots=True)
class AtomMention:
    """An atom named in a chunk. `detail` is what the stores are told besides: turns, offsets, times (JSON)."""

    atom: str
    scope: str
    norm: str
    name: str
    type: str
    detail: bytes


@dataclass(frozen=True, slots=True)
class AtomStatement:
    """A relationship stated in a turn of a chunk; `detail`: quote, its offset, speaker, times (JSON).

    `modality` and `grade` are places in types.MODALITIES and types.GRADES.
    """

    subject: str
    predicate: str
    object: str
    turn: int
    detail: bytes
    modality: int = 0
    grade: int = 0


@dataclass(frozen=True, slots=True)
class DerivedChunk:
    """All that a chunk's current answer says, checked. `extract` is the question that it was derived from.

    `graded`: how well the words bear out what a model found, see `derive.Derived`.
    """

    chunk: int
    extract: int
    hash: bytes
    dropped: dict[str, int]
    mentions: Sequence[AtomMention]
    statements: Sequence[AtomStatement]
    cooccurrences: Sequence[tuple[str, str]]
    graded: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StaleChunk:
    """A chunk whose current answer was not derived from yet."""

    no: int
    extract: int
    answer: bytes
    derived: bytes | None


def stale_chunks(db: sqlite3.Connection, after: int, limit: int) -> list[StaleChunk]:
    """Those that a model answered; the rules' are judged all together."""
    rows = db.execute(
        "SELECT c.no, c.extract, q.answer, c.derived FROM chunk c JOIN question q ON q.no = c.extract "
        "JOIN spec s ON s.no = q.spec AND s.kind = 'extract' WHERE c.stale AND c.no > ? ORDER BY c.no LIMIT ?",
        (after, limit),
    )
    return [StaleChunk(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class RuledChunk:
    """A chunk whose current answer the rules gave, of the spec of that number."""

    stale: StaleChunk
    spec: int
    document: int
    seq: int


def ruled_chunks(db: sqlite3.Connection, after: tuple[int, int], limit: int) -> list[RuledChunk]:
    """Those behind (document, place in it), document by document, each in order."""
    rows = db.execute(
        "SELECT c.no, c.extract, q.answer, c.derived, q.spec, c.document, c.seq FROM chunk c "
        "JOIN question q ON q.no = c.extract JOIN spec s ON s.no = q.spec AND s.kind = 'rules' "
        "WHERE (c.document, c.seq) > (?, ?) ORDER BY c.document, c.seq LIMIT ?",
        (*after, limit),
    )
    return [RuledChunk(StaleChunk(*row[:4]), *row[4:]) for row in rows]


def mark_stale(db: sqlite3.Connection, kind: str) -> None:
    """Have all chunks derived again whose current answer is one to specs of this kind."""
    db.execute(
        "UPDATE chunk SET stale = 1 WHERE extract IN "
        "(SELECT q.no FROM question q JOIN spec s ON s.no = q.spec AND s.kind = ?)",
        (kind,),
    )


def save_derived(db: sqlite3.Connection, page: Sequence[DerivedChunk]) -> int:
    """Put what was derived in the place of what was there; chunks that moved on meanwhile are left. Returns changes."""
    now = tick(db)
    changed = 0
    for derived in page:
        row = db.execute(
            "SELECT id, document, seq, derived FROM chunk WHERE no = ? AND extract = ?",
            (derived.chunk, derived.extract),
        ).fetchone()
        if row is None:
            continue
        identity, document, seq, before = row
        if before == derived.hash:
            db.execute(
                "UPDATE chunk SET stale = 0, dropped = ?, graded = ? WHERE no = ?", (*_counted(derived), derived.chunk)
            )
            continue
        changed += 1
        if before is not None:
            _forget(db, derived.chunk, now)
        _insert(db, derived, now)
        db.execute(
            "UPDATE chunk SET stale = 0, derived = ?, dropped = ?, graded = ? WHERE no = ?",
            (derived.hash, *_counted(derived), derived.chunk),
        )
        touch(db, CHUNK, [identity], now)
        if before is None:
            _touch_previous(db, document, seq, now)
    return changed


def _counted(derived: DerivedChunk) -> tuple[str, str]:
    return orjson.dumps(derived.dropped).decode(), orjson.dumps(derived.graded).decode()


def drop_chunks(db: sqlite3.Connection, numbers: Iterable[int], now: int) -> None:
    """Take chunks out with all that was derived from them. Their answers stay."""
    for no in numbers:
        identity, document, seq = db.execute("SELECT id, document, seq FROM chunk WHERE no = ?", (no,)).fetchone()
        _forget(db, no, now)
        db.execute("DELETE FROM chunk WHERE no = ?", (no,))
        touch(db, CHUNK, [identity], now)
        _touch_previous(db, document, seq, now)


def touch_dated(db: sqlite3.Connection, document: int, now: int) -> None:
    """Have what bears the document's date looked at again: its chunks, and the relationships that they state."""
    touch(db, CHUNK, [row[0] for row in db.execute("SELECT id FROM chunk WHERE document = ?", (document,))], now)
    rows = db.execute(
        "SELECT DISTINCT s.entity, o.entity, t.predicate FROM chunk c JOIN statement t ON t.chunk = c.no "
        "JOIN atom s ON s.no = t.subject JOIN atom o ON o.no = t.object WHERE c.document = ?",
        (document,),
    )
    related = {relationship_key(*row) for row in rows}
    touch(db, RELATIONSHIP, related | facts.rivals(db, related), now)


def _touch_previous(db: sqlite3.Connection, document: int, seq: int, now: int) -> None:
    # The chunk before it points to it (NEXT_CHUNK).
    row = db.execute(
        "SELECT id FROM chunk WHERE document = ? AND seq < ? AND derived IS NOT NULL ORDER BY seq DESC LIMIT 1",
        (document, seq),
    ).fetchone()
    if row:
        touch(db, CHUNK, [row[0]], now)


def _insert(db: sqlite3.Connection, derived: DerivedChunk, now: int) -> None:
    numbers: dict[str, tuple[int, bytes]] = {}
    for mention in derived.mentions:
        numbers[mention.atom] = _atom(db, mention)
    touch(db, ENTITY, [entity for _, entity in numbers.values()], now)
    db.executemany(
        "INSERT OR IGNORE INTO mention (atom, chunk, name, type, detail) VALUES (?, ?, ?, ?, ?)",
        [(numbers[m.atom][0], derived.chunk, m.name, m.type, m.detail) for m in derived.mentions],
    )
    db.executemany(
        "INSERT OR IGNORE INTO statement (chunk, subject, predicate, object, turn, detail, modality, grade) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                derived.chunk,
                numbers[s.subject][0],
                s.predicate,
                numbers[s.object][0],
                s.turn,
                s.detail,
                s.modality,
                s.grade,
            )
            for s in derived.statements
        ],
    )
    db.executemany(
        "INSERT OR IGNORE INTO cooccurrence (a, b, chunk) VALUES (?, ?, ?)",
        [(numbers[a][0], numbers[b][0], derived.chunk) for a, b in derived.cooccurrences],
    )
    related = {
        relationship_key(numbers[s.subject][1], numbers[s.object][1], s.predicate)
        for s in derived.statements
        if numbers[s.subject][1] != numbers[s.object][1]
    }
    related |= facts.rivals(db, related)
    related |= {pair_key(numbers[a][1], numbers[b][1]) for a, b in derived.cooccurrences}
    touch(db, RELATIONSHIP, related, now)


def _atom(db: sqlite3.Connection, mention: AtomMention) -> tuple[int, bytes]:
    identity = to_blob(mention.atom)
    row = db.execute("SELECT no, entity FROM atom WHERE id = ?", (identity,)).fetchone()
    if row is None:
        # Corrections by hand name atoms that may come later.
        entity = entity_of(components.component(db, identity))
        row = db.execute(
            "INSERT INTO atom (id, scope, norm, entity) VALUES (?, ?, ?, ?) RETURNING no, entity",
            (identity, mention.scope, mention.norm, entity),
        ).fetchone()
    return row[0], row[1]


def _forget(db: sqlite3.Connection, chunk: int, now: int) -> None:
    entities = [
        row[0]
        for row in db.execute("SELECT a.entity FROM mention m JOIN atom a ON a.no = m.atom WHERE m.chunk = ?", (chunk,))
    ]
    touch(db, ENTITY, entities, now)
    stated = db.execute(
        "SELECT s.entity, o.entity, t.predicate FROM statement t JOIN atom s ON s.no = t.subject "
        "JOIN atom o ON o.no = t.object WHERE t.chunk = ?",
        (chunk,),
    )
    related = {relationship_key(*row) for row in stated}
    related |= facts.rivals(db, related)
    pairs = db.execute(
        "SELECT a.entity, b.entity FROM cooccurrence c JOIN atom a ON a.no = c.a JOIN atom b ON b.no = c.b "
        "WHERE c.chunk = ?",
        (chunk,),
    )
    related |= {pair_key(*row) for row in pairs}
    touch(db, RELATIONSHIP, related, now)
    db.execute("DELETE FROM statement WHERE chunk = ?", (chunk,))
    db.execute("DELETE FROM cooccurrence WHERE chunk = ?", (chunk,))
    db.execute("DELETE FROM mention WHERE chunk = ?", (chunk,))
