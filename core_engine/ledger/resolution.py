"""What the resolver reads of the ledger, and where it keeps what it found: grounds by their origin, and what changed.

An origin is what a rule looks at as a whole: a document, or a block of names that are alike. When something in it
changes, all that it gave is made anew and compared with what is there, so that a deleted document's edges go with it.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from core_engine.chunking.serial import unpack_turns
from core_engine.ledger.values import CHUNK, DOCUMENT, ENTITY
from core_engine.types import ChunkTurn

_SEEN, _MARK, _MODE, _PERSON = "resolve_seen", "resolve_mark", "resolve_mode", "resolve_person"

Pair = tuple[bytes, bytes]


def pair(one: bytes, other: bytes) -> Pair:
    return (one, other) if one < other else (other, one)


@dataclass(slots=True)
class Grounds:
    """What an origin gives: edges with their reasons, pairs that must stay apart, pairs to ask a model about."""

    edges: set[tuple[bytes, bytes, str]] = field(default_factory=set)
    apart: set[Pair] = field(default_factory=set)
    candidates: set[Pair] = field(default_factory=set)

    def edge(self, one: bytes, other: bytes, reason: str) -> None:
        if one != other:
            self.edges.add((*pair(one, other), reason))

    def separate(self, one: bytes, other: bytes) -> None:
        if one != other:
            self.apart.add(pair(one, other))

    def ask(self, one: bytes, other: bytes) -> None:
        if one != other:
            self.candidates.add(pair(one, other))


@dataclass(frozen=True, slots=True)
class Said:
    """An atom as a chunk mentions it. `offsets` (turn, place in the raw turn) are where it is named; in turns of `turns`
    that are not among them it speaks.
    """

    atom: bytes
    norm: str
    local: bool
    name: str
    type: str
    chunk: int
    turns: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    seq: int  # the chunk's place in the document

    @property
    def named_in(self) -> set[int]:
        return {turn for turn, _ in self.offsets}

    @property
    def speaks(self) -> bool:
        return not self.named_in.issuperset(self.turns)


@dataclass(frozen=True, slots=True)
class Known:
    """An atom in the workspace: the forms and types of its mentions, most frequent first."""

    no: int
    atom: bytes
    norm: str
    local: bool
    names: tuple[str, ...]
    types: tuple[str, ...]


# --- what changed ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Since:
    """Up to where the resolver has seen the change log, by which rules, how far it was told to go, and what the ontology
    calls persons.
    """

    seen: int
    mark: str
    mode: str
    person: str


def since(db: sqlite3.Connection) -> Since:
    names = (_SEEN, _MARK, _MODE, _PERSON)
    rows = dict(db.execute("SELECT key, value FROM meta WHERE key IN (?, ?, ?, ?)", names).fetchall())
    return Since(int(rows.get(_SEEN, 0)), rows.get(_MARK, ""), rows.get(_MODE, "model"), rows.get(_PERSON, "Person"))


def unfinished(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM unsettled LIMIT 1").fetchone() is not None


def unlooked(db: sqlite3.Connection, most: int) -> list[str]:
    """Keys of blocks that were touched and not looked at since."""
    return [key for (key,) in db.execute("SELECT key FROM unlooked ORDER BY key LIMIT ?", (most,))]


def note_seen(db: sqlite3.Connection, seen: int, mark: str) -> None:
    """Everything up to there is resolved, by these rules."""
    _save(db, {_SEEN: str(seen), _MARK: mark})


def begin(db: sqlite3.Connection, mode: str, person: str) -> None:
    """Note how far to go; where that is another than before, all that rules or a model said is settled anew."""
    before = since(db)
    if (before.mode, before.person) != (mode, person):
        _save(db, {_MODE: mode, _PERSON: person})
        db.execute(
            "INSERT OR IGNORE INTO unsettled SELECT a FROM merge_edge WHERE origin != x'' "
            "UNION SELECT b FROM merge_edge WHERE origin != x''"
        )


def _save(db: sqlite3.Connection, values: Mapping[str, str]) -> None:
    db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values.items())


def changed_documents(db: sqlite3.Connection, seen: int) -> Iterator[tuple[int | None, bytes]]:
    """(number, id) of documents in which something changed; the number is None where the document is gone."""
    yield from db.execute(
        "SELECT d.no, d.id FROM unit u JOIN chunk c ON c.id = u.key JOIN document d ON d.no = c.document "
        "WHERE u.kind = ?1 AND u.changed > ?3 UNION "
        "SELECT d.no, u.key FROM unit u LEFT JOIN document d ON d.id = u.key WHERE u.kind = ?2 AND u.changed > ?3",
        (CHUNK, DOCUMENT, seen),
    )


def changed_atoms(db: sqlite3.Connection, seen: int) -> Iterator[int]:
    """Numbers of atoms whose mentions may have changed."""
    if not seen:
        rows = db.execute("SELECT no FROM atom ORDER BY no")
    else:
        rows = db.execute(
            "SELECT DISTINCT a.no FROM unit u JOIN atom a ON a.entity = u.key WHERE u.kind = ? AND u.changed > ?",
            (ENTITY, seen),
        )
    for row in rows:
        yield row[0]


# --- reading ---------------------------------------------------------------------------------------------------------


def said_in(db: sqlite3.Connection, document: int, type_: str) -> list[Said]:
    """The mentions of a document with this type, in order."""
    rows = db.execute(
        "SELECT a.id, a.norm, a.scope != '', m.name, m.type, m.chunk, c.seq, m.detail FROM chunk c "
        "CROSS JOIN mention m ON m.chunk = c.no CROSS JOIN atom a ON a.no = m.atom "
        "WHERE c.document = ? AND m.type = ? ORDER BY c.seq, a.id",
        (document, type_),
    )
    found = []
    for atom, norm, local, name, kind, chunk, seq, packed in rows:
        detail = orjson.loads(packed)
        offsets = tuple((turn, at) for turn, at, *_ in detail["offsets"])
        found.append(Said(atom, norm, bool(local), name, kind, chunk, tuple(detail["turns"]), offsets, seq))
    return found


def turns_of(db: sqlite3.Connection, chunks: Iterable[int]) -> dict[int, tuple[ChunkTurn, ...]]:
    """The turns of these chunks."""
    rows = (db.execute("SELECT no, turns FROM chunk WHERE no = ?", (no,)).fetchone() for no in chunks)
    return {row[0]: unpack_turns(row[1]) for row in rows if row}


def known_atoms(db: sqlite3.Connection, numbers: Iterable[int]) -> list[Known]:
    """The atoms of these numbers that something mentions."""
    found = []
    for no in numbers:
        names: dict[str, int] = defaultdict(int)
        types: dict[str, int] = defaultdict(int)
        for name, kind, count in db.execute("SELECT name, type, chunks FROM form WHERE atom = ?", (no,)):
            names[name] += count
            types[kind] += count
        if names:
            row = db.execute("SELECT id, norm, scope != '' FROM atom WHERE no = ?", (no,)).fetchone()
            found.append(Known(no, row[0], row[1], bool(row[2]), _ranked(names), _ranked(types)))
    return found


def _ranked(counts: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted(counts, key=lambda each: (-counts[each], each)))


def documents_with(db: sqlite3.Connection, atom: int, most: int) -> set[int]:
    """The documents that mention an atom; of a very frequent one, not all."""
    rows = db.execute(
        "SELECT DISTINCT c.document FROM mention m JOIN chunk c ON c.no = m.chunk WHERE m.atom = ? LIMIT ?",
        (atom, most),
    )
    return {row[0] for row in rows}


def block(db: sqlite3.Connection, key: str, most: int) -> list[int]:
    """The atoms that have a key; none where they are more than `most`."""
    rows = [row[0] for row in db.execute("SELECT atom FROM name_key WHERE key = ? LIMIT ?", (key, most + 1))]
    return rows if len(rows) <= most else []


# --- keeping ---------------------------------------------------------------------------------------------------------


def save_keys(db: sqlite3.Connection, keys: Mapping[int, Sequence[str]]) -> None:
    """Have these be the keys of these atoms; all blocks that they are in, or were, are to be looked at."""
    touched: set[str] = set()
    for no, now in keys.items():
        before = {row[0] for row in db.execute("SELECT key FROM name_key WHERE atom = ?", (no,))}
        after = set(now)
        db.executemany("DELETE FROM name_key WHERE key = ? AND atom = ?", [(key, no) for key in before - after])
        db.executemany("INSERT INTO name_key (key, atom) VALUES (?, ?)", [(key, no) for key in after - before])
        touched |= before | after
    db.executemany("INSERT OR IGNORE INTO unlooked (key) VALUES (?)", [(key,) for key in sorted(touched)])


def save_blocks(db: sqlite3.Connection, blocks: Mapping[str, Grounds]) -> None:
    """As save_grounds(), of blocks that were looked at."""
    save_grounds(db, [(b"#" + key.encode(), grounds) for key, grounds in blocks.items()])
    db.executemany("DELETE FROM unlooked WHERE key = ?", [(key,) for key in blocks])


def save_grounds(db: sqlite3.Connection, grounds: Sequence[tuple[bytes, Grounds]]) -> None:
    """Put what origins give in the place of what they gave before; atoms whose edges changed are to be settled."""
    for origin, now in grounds:
        edges = set(db.execute("SELECT a, b, reason FROM merge_edge WHERE origin = ?", (origin,)).fetchall())
        apart = set(db.execute("SELECT a, b FROM apart WHERE origin = ?", (origin,)).fetchall())
        asked = set(db.execute("SELECT a, b FROM candidate WHERE origin = ?", (origin,)).fetchall())
        _exchange(db, "merge_edge", ("a", "b", "reason"), edges, {*now.edges}, origin)
        _exchange(db, "apart", ("a", "b"), apart, {*now.apart}, origin)
        _exchange(db, "candidate", ("a", "b"), asked, {*now.candidates}, origin)
        pairs = {edge[:2] for edge in edges ^ now.edges} | (apart ^ now.apart)
        unsettle(db, {atom for both in pairs for atom in both})
        for both in asked ^ now.candidates:
            follow_verdict(db, both)


def _exchange(
    db: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    before: set[tuple[Any, ...]],
    now: set[tuple[Any, ...]],
    origin: bytes,
) -> None:
    where = " AND ".join(f"{column} = ?" for column in columns)
    db.executemany(f"DELETE FROM {table} WHERE {where} AND origin = ?", [(*row, origin) for row in before - now])
    marks = ", ".join("?" * (len(columns) + 1))
    db.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}, origin) VALUES ({marks})", [(*row, origin) for row in now - before]
    )


def unsettle(db: sqlite3.Connection, atoms: Iterable[bytes]) -> None:
    db.executemany("INSERT OR IGNORE INTO unsettled (atom) VALUES (?)", [(atom,) for atom in atoms])


def take_unsettled(db: sqlite3.Connection, most: int) -> list[bytes]:
    return [row[0] for row in db.execute("SELECT atom FROM unsettled ORDER BY atom LIMIT ?", (most,))]


def settled(db: sqlite3.Connection, atoms: Iterable[bytes]) -> None:
    db.executemany("DELETE FROM unsettled WHERE atom = ?", [(atom,) for atom in atoms])


def merged_by_reason(db: sqlite3.Connection) -> dict[str, int]:
    """Pairs of names that are one for each reason, as far as both are said."""
    rows = db.execute(
        "SELECT reason, count(*) FROM (SELECT DISTINCT e.a, e.b, e.reason FROM merge_edge e "
        "JOIN atom x ON x.id = e.a JOIN atom y ON y.id = e.b WHERE NOT e.undone "
        "AND EXISTS (SELECT 1 FROM mention m WHERE m.atom = x.no) AND EXISTS (SELECT 1 FROM mention m WHERE m.atom = y.no)) "
        "GROUP BY reason ORDER BY reason"
    )
    return dict(rows.fetchall())


def names_merged(db: sqlite3.Connection) -> int:
    """How many names that are said have become one with another: so many entities there are fewer."""
    row = db.execute(
        "SELECT total(names - 1) FROM (SELECT count(*) AS names FROM atom a "
        "WHERE a.entity IN (SELECT x.entity FROM merge_edge e JOIN atom x ON x.id = e.a WHERE NOT e.undone) "
        "AND EXISTS (SELECT 1 FROM mention m WHERE m.atom = a.no) GROUP BY a.entity)"
    ).fetchone()
    return int(row[0])


# --- what a model said ------------------------------------------------------------------------------------------------

MODEL = "model"
_BY_MODEL = b"model"
BY_ALIAS, BY_ONTOLOGY = b"aliases", b"ontology"
"""The origins of edges that users gave by names, and that reach whatever bears them."""


def follow_verdict(db: sqlite3.Connection, both: Pair) -> None:
    """A model's "same" is an edge as long as the rules would ask about the pair."""
    asked = db.execute("SELECT 1 FROM candidate WHERE a = ? AND b = ? LIMIT 1", both).fetchone()
    said = db.execute("SELECT verdict FROM pair WHERE a = ? AND b = ?", both).fetchone()
    if asked and said and said[0] == "same":
        db.execute(
            "INSERT OR IGNORE INTO merge_edge (a, b, reason, origin) VALUES (?, ?, ?, ?)", (*both, MODEL, _BY_MODEL)
        )
    else:
        db.execute("DELETE FROM merge_edge WHERE a = ? AND b = ? AND reason = ?", (*both, MODEL))
    if said:
        unsettle(db, both)


def refuted_among(db: sqlite3.Connection, atoms: Iterable[bytes]) -> set[Pair]:
    """The pairs of these atoms of which a model said that they are two."""
    atoms = set(atoms)
    return {
        (atom, b)
        for atom in atoms
        for (b,) in db.execute("SELECT b FROM pair WHERE a = ? AND verdict = 'different'", (atom,))
        if b in atoms
    }
