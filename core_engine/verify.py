"""Compares the stores with the ledger: how many, which, and (of a sample, or of all) what they hold."""

from __future__ import annotations

import math
import os
import sqlite3
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core_engine.chunking.serial import unpack_turns
from core_engine.embeddings.points import SparseEncoder, point
from core_engine.embeddings.stores.layout import storable
from core_engine.kg.stores.dump import FIELDS
from core_engine.kg.stores.text import clean, clean_or_none, finite
from core_engine.ledger import comparing, rows, stores
from core_engine.ledger.values import CHUNK, DOCUMENT, ENTITY, RELATIONSHIP, to_blob, to_id
from core_engine.pages import pages
from core_engine.ports import GraphStore, VectorStore
from core_engine.types import Chunk, Point, StoreMark, VectorKind

_SAMPLE = 500  # units of a kind
_PAGE = 500
_EXAMPLES = 3  # of each kind of finding
_NEARLY = 1e-4  # cosine stores scale a vector to length 1, in float32

_KINDS = {DOCUMENT: "documents", ENTITY: "entities", CHUNK: "chunks", RELATIONSHIP: "relationships"}
_ROWS: Mapping[int, Callable[[sqlite3.Connection, Sequence[bytes]], Mapping[bytes, Any]]] = {
    DOCUMENT: rows.document_rows,
    ENTITY: rows.entity_rows,
    CHUNK: rows.chunk_rows,
    RELATIONSHIP: rows.relationship_rows,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is off. `what`: missing, unknown to the ledger, or which fields differ."""

    kind: str
    id: str
    what: str


@dataclass(slots=True)
class StoreCheck:
    """A store beside the ledger. `expected`, `held`: by kind, as the ledger noted them and as the store has them.

    `compared`: units whose contents were read and compared. `pending`: changes in the ledger that the store was not
    sent yet; they are no finding. `stranger`: why this is not the store that the ledger last wrote ('' if it is).
    """

    role: str
    name: str
    stranger: str = ""
    expected: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    pending: int = 0
    compared: int = 0
    missing: int = 0
    unknown: int = 0
    differing: int = 0
    examples: list[Finding] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing is off, and nothing waits to be written."""
        return not (self.stranger or self.missing or self.unknown or self.differing or self.pending)

    def note(self, kind: str, identity: str, what: str) -> None:
        if what == "missing":
            self.missing += 1
        elif what == "unknown":
            self.unknown += 1
        else:
            self.differing += 1
        if sum(one.kind == kind and one.what == what for one in self.examples) < _EXAMPLES:
            self.examples.append(Finding(kind, identity, what))


async def check_graph(db: sqlite3.Connection, store: GraphStore, *, everything: bool) -> StoreCheck:
    """The graph store beside the ledger; closes nothing, changes nothing."""
    check = StoreCheck("graph", store.name)
    mark = await store.look()
    known = _known(db, mark, check)
    if mark is None:
        return check
    counts = await store.counts()
    check.pending = _pending(db, known, ())
    for kind, name in _KINDS.items():
        check.held[name] = getattr(counts, name)
        await _compare_ids(db, check, known, kind, store.ids(name))
        for keys in _chosen(db, known, kind, everything=everything):
            await _compare_rows(db, check, store, kind, keys)
    return check


async def check_vectors(
    db: sqlite3.Connection,
    store: VectorStore,
    workspace: str,
    sparse: SparseEncoder,
    *,
    dense: VectorKind | None,
    everything: bool,
) -> StoreCheck:
    """The vector store beside the ledger; closes nothing, changes nothing."""
    check = StoreCheck("vectors", store.name)
    mark = await store.look()
    known = _known(db, mark, check)
    if mark is None:
        return check
    check.pending = _pending(db, known, (CHUNK,))
    check.held["points"] = await store.count()
    await _compare_ids(db, check, known, CHUNK, store.ids(), "points")
    for keys in _chosen(db, known, CHUNK, everything=everything):
        sources = rows.vector_sources(db, keys, dense)
        expected = {}
        for key, (document, label, seq, turns, vector) in sources.items():
            chunk = Chunk(to_id(key), document, seq, unpack_turns(turns))
            expected[chunk.id] = point(workspace, chunk, label, sparse, vector)
        held = {one.id: one for one in await store.read([to_id(key) for key in keys])}
        check.compared += len(keys)
        for identity in map(to_id, keys):
            _compare(db, check, "points", identity, expected.get(identity), held.get(identity), _point_differs)
    return check


def _known(db: sqlite3.Connection, mark: StoreMark | None, check: StoreCheck) -> stores.StoreState | None:
    """What the ledger knows of the store with this mark; says so where it is not the one that was written."""
    if mark is None:
        if stores.clock(db):
            check.stranger = "it holds nothing of this workspace"
        return None
    row = db.execute(
        "SELECT no, generation, next_generation, synced FROM store WHERE epoch = ?", (mark.epoch,)
    ).fetchone()
    if row is None:
        check.stranger = "it is not the store that this ledger wrote"
        return None
    no, generation, coming, synced = row
    if mark.generation not in {generation, coming}:
        check.stranger = "it, or the ledger, was restored from another copy"
    return stores.StoreState(no, synced, mark.generation, fresh=False)


def _pending(db: sqlite3.Connection, known: stores.StoreState | None, kinds: Sequence[int]) -> int:
    if known is None:
        return 0
    only = f"AND kind IN ({','.join(map(str, kinds))})" if kinds else ""
    row = db.execute(f"SELECT count(*) FROM unit WHERE changed > ? {only}", (known.synced,)).fetchone()
    return int(row[0])


# --- which -----------------------------------------------------------------------------------------------------------


async def _compare_ids(
    db: sqlite3.Connection,
    check: StoreCheck,
    known: stores.StoreState | None,
    kind: int,
    pages: AsyncIterator[list[str]],
    name: str = "",
) -> None:
    """What the ledger noted as written against what is there."""
    name = name or _KINDS[kind]
    number = known.no if known else -1
    noted = db.execute("SELECT key FROM projected WHERE store = ? AND kind = ?", (number, kind))
    comparing.known_and_held(db, (_stored_id(kind, row[0]) for row in noted))
    await comparing.hold(db, pages)
    check.expected[name] = comparing.known_count(db)
    for identity in comparing.missing(db):
        check.note(name, identity, "missing")
    for page in comparing.unknown(db):
        for identity in page:
            check.note(name, identity, "unknown")


def _stored_id(kind: int, key: bytes) -> bytes:
    return to_blob(rows.relationship_public_id(key)) if kind == RELATIONSHIP else key


# --- what ------------------------------------------------------------------------------------------------------------


def _chosen(
    db: sqlite3.Connection, known: stores.StoreState | None, kind: int, *, everything: bool
) -> Iterator[list[bytes]]:
    """Pages of keys of units that the store has had sent: all, or some taken at random."""
    if known is None:
        return
    if everything:
        rows_ = db.execute("SELECT key FROM unit WHERE kind = ? AND changed <= ?", (kind, known.synced))
        found: Iterator[bytes] = (row[0] for row in rows_)
    else:
        found = iter(_sample(db, kind, known.synced))
    yield from pages(found, _PAGE)


def _sample(db: sqlite3.Connection, kind: int, synced: int) -> list[bytes]:
    """Units at random, by the next key after a random one: keys begin with hashes, so that they are spread evenly."""
    some = db.execute(
        "SELECT key FROM unit WHERE kind = ? AND changed <= ? ORDER BY key LIMIT ?", (kind, synced, _SAMPLE)
    ).fetchall()
    if len(some) < _SAMPLE:
        return [row[0] for row in some]
    found = set()
    for _ in range(_SAMPLE):
        row = db.execute(
            "SELECT key FROM unit WHERE kind = ? AND key >= ? AND changed <= ? ORDER BY key LIMIT 1",
            (kind, os.urandom(16), synced),
        ).fetchone()
        if row:
            found.add(row[0])
    return sorted(found)


async def _compare_rows(
    db: sqlite3.Connection, check: StoreCheck, store: GraphStore, kind: int, keys: Sequence[bytes]
) -> None:
    name = _KINDS[kind]
    expected = _ROWS[kind](db, keys)
    ids = {key: to_id(_stored_id(kind, key)) for key in keys}
    held = {row["id"]: row for row in await store.read(name, list(ids.values()))}
    check.compared += len(keys)
    for key, identity in ids.items():
        row = expected.get(key)
        _compare(db, check, name, identity, row and _fields(name, row), held.get(identity), _fields_differ)
    if kind == CHUNK:
        for part in ("mentions", "statements"):
            hanging = _by_chunk(await store.read(part, list(ids.values())))
            for row in expected.values():
                wanted = [_fields(part, one, row.id) for one in getattr(row, part)]
                if _sorted(wanted) != _sorted(hanging.get(row.id, [])):
                    check.note("chunks", row.id, f"differs: {part}")


def _compare(
    db: sqlite3.Connection,
    check: StoreCheck,
    kind: str,
    identity: str,
    expected: Any,
    held: Any,
    differs: Callable[[Any, Any], str],
) -> None:
    """Note where contents differ, and what the ledger's own notes had wrong (the rest was noted with the ids)."""
    if expected is not None and held is not None:
        if fields := differs(expected, held):
            check.note(kind, identity, f"differs: {fields}")
    elif expected is not None and not comparing.is_known(db, identity):
        check.note(kind, identity, "missing")
    elif held is not None and comparing.is_known(db, identity):
        check.note(kind, identity, "unknown")


def _fields(kind: str, row: Any, chunk: str = "") -> dict[str, Any]:
    """A row in the words of `GraphStore.read`."""
    return {name: chunk if name == "chunk_id" else _plain(getattr(row, name)) for name in FIELDS[kind]}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean_or_none(value)
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, Mapping):
        return {clean(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _fields_differ(expected: dict[str, Any], held: dict[str, Any]) -> str:
    return ", ".join(name for name, value in expected.items() if held.get(name) != value)


def _by_chunk(found: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        grouped.setdefault(row["chunk_id"], []).append(row)
    return grouped


def _sorted(found: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in found)


def _point_differs(expected: Point, held: Point) -> str:
    wanted, there = storable(dict(expected.payload)), dict(held.payload)
    off = [name for name in wanted if there.get(name) != wanted[name]]
    if set(expected.sparse.indices) != set(held.sparse.indices):
        off.append("sparse vector")
    if not _same_direction(expected.dense, held.dense):
        off.append("dense vector")
    return ", ".join(off)


def _same_direction(one: bytes | None, other: bytes | None) -> bool:
    if one is None or other is None:
        return one is other
    a, b = (struct.unpack(f"<{len(packed) // 4}f", packed) for packed in (one, other))
    if len(a) != len(b):
        return False
    lengths = math.hypot(*a), math.hypot(*b)
    if not all(lengths):
        return not any(lengths)
    return all(abs(x / lengths[0] - y / lengths[1]) < _NEARLY for x, y in zip(a, b, strict=True))
