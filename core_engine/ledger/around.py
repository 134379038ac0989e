"""What stands around entities: who is named, what joins them, and the words that say so. Read from the ledger alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from core_engine.chunking.serial import unpack_turns
from core_engine.ledger.rows import put_keys
from core_engine.ledger.values import CO_OCCURS, to_id
from core_engine.types import MODALITIES

_STATED = (
    "SELECT k.key, o.entity, t.predicate, t.chunk, t.turn, t.detail, t.modality FROM temp.wanted k "
    "CROSS JOIN atom s ON s.entity = k.key CROSS JOIN statement t ON t.subject = s.no "
    "CROSS JOIN atom o ON o.no = t.object WHERE o.entity != k.key"
)
# There is no index by object: every statement about it stands in a chunk that names it.
_STATED_OF = (
    "SELECT s.entity, k.key, t.predicate, t.chunk, t.turn, t.detail, t.modality FROM temp.wanted k "
    "CROSS JOIN atom o ON o.entity = k.key CROSS JOIN mention m ON m.atom = o.no "
    "CROSS JOIN statement t ON t.chunk = m.chunk AND t.object = o.no "
    "CROSS JOIN atom s ON s.no = t.subject WHERE s.entity != k.key"
)
_TOGETHER = (
    "SELECT k.key, y.entity, p.chunk, m.detail FROM temp.wanted k CROSS JOIN atom x ON x.entity = k.key "
    "CROSS JOIN cooccurrence p ON p.a = x.no CROSS JOIN atom y ON y.no = p.b "
    "LEFT JOIN mention m ON m.atom = x.no AND m.chunk = p.chunk WHERE y.entity != k.key"
)
_TOGETHER_OF = (
    "SELECT k.key, y.entity, p.chunk, m.detail FROM temp.wanted k CROSS JOIN atom x ON x.entity = k.key "
    "CROSS JOIN mention m ON m.atom = x.no CROSS JOIN cooccurrence p ON p.chunk = m.chunk AND p.b = x.no "
    "CROSS JOIN atom y ON y.no = p.a WHERE y.entity != k.key"
)


class Place(NamedTuple):
    """A turn of a chunk, by the chunk's number in this ledger; `quote` is '' for the whole turn.

    `named`: the turn's words name what it is about; else it is its speaker, or a pronoun stands for it.
    """

    chunk: int
    turn: int
    named: bool = True
    quote: str = ""
    modality: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """Two entities that a statement, or standing together (CO_OCCURS), joins at one place. Keys are ids as bytes."""

    source: bytes
    target: bytes
    type: str
    place: Place


@dataclass(frozen=True, slots=True)
class Where:
    """A chunk: its document by id and by name, and which of its chunks it is, from 0."""

    document_id: str
    document: str
    index: int


@dataclass(frozen=True, slots=True)
class Said:
    """Words of a transcript: who said them when (seconds), in which file. The quote is as it was read."""

    where: Where
    turn: int
    speaker: str | None
    start: float | None
    end: float | None
    quote: str
    modality: str = ""


def heaviest(db: sqlite3.Connection, limit: int) -> list[bytes]:
    """The entities that most chunks name, the heaviest first."""
    rows = db.execute(
        "SELECT a.entity FROM atom a JOIN mention m ON m.atom = a.no GROUP BY a.entity "
        "ORDER BY count(DISTINCT m.chunk) DESC, a.entity LIMIT ?",
        (limit,),
    )
    return [row[0] for row in rows]


def named_by(db: sqlite3.Connection, run: str) -> list[bytes]:
    """The entities named in the chunks that this run had something to buy for, the heaviest there first."""
    rows = db.execute(
        "SELECT a.entity FROM chunk c CROSS JOIN mention m ON m.chunk = c.no CROSS JOIN atom a ON a.no = m.atom "
        "WHERE c.run = ? GROUP BY a.entity ORDER BY count(DISTINCT c.no) DESC, a.entity",
        (run,),
    )
    return [row[0] for row in rows]


def count(db: sqlite3.Connection) -> int:
    """How many entities are named."""
    row = db.execute(
        "SELECT count(DISTINCT a.entity) FROM atom a WHERE EXISTS (SELECT 1 FROM mention m WHERE m.atom = a.no)"
    ).fetchone()
    return int(row[0])


def called(db: sqlite3.Connection, norm: str, words: Sequence[str]) -> list[bytes]:
    """Entities of that normal form; if there are none, those of which one name holds all the words. Heaviest first.

    All of them in normal form: SQLite knows no capitals but ASCII's.
    """
    exact = [row[0] for row in db.execute("SELECT DISTINCT entity FROM atom WHERE norm = ?", (norm,))]
    if not exact and not words:
        return []
    held = " AND ".join(["instr(norm, ?)"] * len(words))
    found = exact or [row[0] for row in db.execute(f"SELECT DISTINCT entity FROM atom WHERE {held}", list(words))]
    put_keys(db, found)
    rows = db.execute(
        "SELECT k.key FROM temp.wanted k JOIN atom a ON a.entity = k.key JOIN mention m ON m.atom = a.no "
        "GROUP BY k.key ORDER BY count(DISTINCT m.chunk) DESC, k.key"
    )
    return [row[0] for row in rows]


def joined(db: sqlite3.Connection, keys: Sequence[bytes], *, backwards: bool) -> Iterator[Joined]:
    """All that joins these entities with others; `backwards` too where they are the object.

    Without it, what joins two of them comes once.
    """
    put_keys(db, keys)
    for query in (_STATED, _STATED_OF) if backwards else (_STATED,):
        for source, target, kind, chunk, turn, detail, modality in db.execute(query):
            said = orjson.loads(detail)
            yield Joined(
                source,
                target,
                kind.upper(),
                Place(chunk, turn, quote=said["quote"], modality=MODALITIES[modality]),
            )
    for query in (_TOGETHER, _TOGETHER_OF) if backwards else (_TOGETHER,):
        for one, other, chunk, detail in db.execute(query):
            place = _first_turn(chunk, detail) if detail else Place(chunk, 1)
            yield Joined(min(one, other), max(one, other), CO_OCCURS, place)


def mentions(db: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Place]]:
    """Where these entities are named: a turn of each chunk, the first with the name in its words if there is one."""
    put_keys(db, keys)
    rows = db.execute(
        "SELECT k.key, m.chunk, m.detail FROM temp.wanted k JOIN atom a ON a.entity = k.key JOIN mention m ON m.atom = a.no"
    )
    for key, chunk, detail in rows:
        yield key, _first_turn(chunk, detail)


def _first_turn(chunk: int, detail: bytes) -> Place:
    found = orjson.loads(detail)
    if found["offsets"]:
        return Place(chunk, min(turn for turn, _ in found["offsets"]))
    return Place(chunk, min(found["turns"], default=1), named=False)


def where(db: sqlite3.Connection, chunks: Iterable[int]) -> dict[int, Where]:
    """Of each chunk, by its number."""
    found = {}
    for chunk in chunks:
        row = db.execute(
            "SELECT d.id, d.name, d.record, c.seq FROM chunk c JOIN document d ON d.no = c.document WHERE c.no = ?",
            (chunk,),
        ).fetchone()
        if row:
            document, name, record, seq = row
            found[chunk] = Where(to_id(document), f"{name}#{record}" if record else name, seq)
    return found


def said(db: sqlite3.Connection, places: Iterable[Place], chunks: Mapping[int, Where]) -> dict[Place, Said]:
    """The words at each place; a place whose chunk or turn is no more is left out."""
    by_chunk: dict[int, list[Place]] = {}
    for place in places:
        by_chunk.setdefault(place.chunk, []).append(place)
    found = {}
    for chunk, wanted in by_chunk.items():
        row = db.execute("SELECT turns FROM chunk WHERE no = ?", (chunk,)).fetchone()
        turns = unpack_turns(row[0]) if row else ()
        for place in wanted:
            if 0 < place.turn <= len(turns) and chunk in chunks:
                turn = turns[place.turn - 1]
                quote = place.quote or turn.raw
                found[place] = Said(
                    chunks[chunk], place.turn, turn.speaker, turn.start, turn.end, quote, place.modality
                )
    return found


def first(places: Iterable[Place], chunks: Mapping[int, Where], count: int) -> list[Place]:
    """The first so many in the order of documents' names, whatever order they were read in; those that name it first."""
    there = [place for place in places if place.chunk in chunks]

    def order(place: Place) -> tuple[bool, str, int, int, str]:
        where = chunks[place.chunk]
        return not place.named, where.document, where.index, place.turn, place.quote

    return sorted(there, key=order)[:count]
