"""The graph in one SQLite file: what is used where no Neo4j is set."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from core_engine.errors import StoreError
from core_engine.kg.stores.dump import FIELDS, Dump, sorted_dump
from core_engine.kg.stores.text import checked_labels, checked_type, clean, clean_or_none, finite, holds, words_of
from core_engine.types import (
    ChunkRow,
    DocumentRow,
    EntityRow,
    GraphChanges,
    GraphCounts,
    RelationshipRow,
    StoreMark,
)

_VERSION = 2
_PAGE = 10_000  # ids
_APPLICATION = 0x6B674752  # "kgGR", by which `file` and we tell this file from other people's databases

# Ids are the UUIDs' 16 bytes: in text the file would be half as large again. Mentions and statements are kept in the
# order of their chunk, because they come and go with it.
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE documents (
    id BLOB PRIMARY KEY, path TEXT NOT NULL, title TEXT NOT NULL, metadata TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE entities (
    id BLOB PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL, aliases TEXT NOT NULL, weight INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX entities_by_weight ON entities (weight DESC);
CREATE TABLE chunks (
    id BLOB PRIMARY KEY, document_id BLOB NOT NULL REFERENCES documents DEFERRABLE INITIALLY DEFERRED,
    seq INTEGER NOT NULL, text TEXT NOT NULL, next_id BLOB, speakers TEXT NOT NULL, start REAL, "end" REAL
);
CREATE INDEX chunks_by_document ON chunks (document_id, seq);
CREATE TABLE mentions (
    chunk_id BLOB NOT NULL REFERENCES chunks ON DELETE CASCADE, seq INTEGER NOT NULL,
    entity_id BLOB NOT NULL REFERENCES entities ON DELETE CASCADE,
    name TEXT NOT NULL, turns TEXT NOT NULL, offsets TEXT NOT NULL, start REAL, "end" REAL,
    speakers TEXT NOT NULL DEFAULT '[]', grade TEXT NOT NULL DEFAULT 'exact',
    PRIMARY KEY (chunk_id, seq)
) WITHOUT ROWID;
CREATE INDEX mentions_by_entity ON mentions (entity_id);
CREATE TABLE statements (
    chunk_id BLOB NOT NULL REFERENCES chunks ON DELETE CASCADE, id BLOB NOT NULL,
    subject_id BLOB NOT NULL REFERENCES entities ON DELETE CASCADE,
    object_id BLOB NOT NULL REFERENCES entities ON DELETE CASCADE,
    predicate TEXT NOT NULL, quote TEXT NOT NULL, speaker TEXT, turn INTEGER NOT NULL, start REAL, "end" REAL,
    modality TEXT NOT NULL, "offset" INTEGER NOT NULL DEFAULT 0, date TEXT, grade TEXT NOT NULL DEFAULT 'exact',
    PRIMARY KEY (chunk_id, id)
) WITHOUT ROWID;
CREATE INDEX statements_by_subject ON statements (subject_id, object_id);
CREATE INDEX statements_by_object ON statements (object_id);
CREATE TABLE relationships (
    id BLOB PRIMARY KEY,
    source_id BLOB NOT NULL REFERENCES entities ON DELETE CASCADE,
    target_id BLOB NOT NULL REFERENCES entities ON DELETE CASCADE,
    type TEXT NOT NULL, weight INTEGER NOT NULL, first TEXT, last TEXT,
    current INTEGER NOT NULL DEFAULT 1, until TEXT, superseded_by TEXT, contradicted INTEGER NOT NULL DEFAULT 0,
    stated INTEGER NOT NULL DEFAULT 0, planned INTEGER NOT NULL DEFAULT 0, denied INTEGER NOT NULL DEFAULT 0,
    asked INTEGER NOT NULL DEFAULT 0, grade TEXT NOT NULL DEFAULT 'exact'
) WITHOUT ROWID;
CREATE INDEX relationships_by_source ON relationships (source_id);
CREATE INDEX relationships_by_target ON relationships (target_id);
"""

# What version 2 has more than version 1. Whatever it is about is written again in the next run.
_VERSION_2 = """
ALTER TABLE mentions ADD COLUMN speakers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE mentions ADD COLUMN grade TEXT NOT NULL DEFAULT 'exact';
ALTER TABLE statements ADD COLUMN "offset" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE statements ADD COLUMN date TEXT;
ALTER TABLE statements ADD COLUMN grade TEXT NOT NULL DEFAULT 'exact';
ALTER TABLE relationships ADD COLUMN current INTEGER NOT NULL DEFAULT 1;
ALTER TABLE relationships ADD COLUMN until TEXT;
ALTER TABLE relationships ADD COLUMN superseded_by TEXT;
ALTER TABLE relationships ADD COLUMN contradicted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE relationships ADD COLUMN stated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE relationships ADD COLUMN planned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE relationships ADD COLUMN denied INTEGER NOT NULL DEFAULT 0;
ALTER TABLE relationships ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE relationships ADD COLUMN grade TEXT NOT NULL DEFAULT 'exact'
"""

_UPSERT_DOCUMENT = """
INSERT INTO documents VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET path = excluded.path, title = excluded.title, metadata = excluded.metadata"""
_UPSERT_ENTITY = """
INSERT INTO entities VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    name = excluded.name, labels = excluded.labels, aliases = excluded.aliases, weight = excluded.weight"""
_UPSERT_CHUNK = """
INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    document_id = excluded.document_id, seq = excluded.seq, text = excluded.text, next_id = excluded.next_id,
    speakers = excluded.speakers, start = excluded.start, "end" = excluded."end" """
_UPSERT_RELATIONSHIP = """
INSERT INTO relationships VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    source_id = excluded.source_id, target_id = excluded.target_id, type = excluded.type, weight = excluded.weight,
    first = excluded.first, last = excluded.last, current = excluded.current, until = excluded.until,
    superseded_by = excluded.superseded_by, contradicted = excluded.contradicted, stated = excluded.stated,
    planned = excluded.planned, denied = excluded.denied, asked = excluded.asked, grade = excluded.grade"""

_NEIGHBOURS = """
SELECT r.*, e.* FROM (
    SELECT *, target_id AS other FROM relationships WHERE source_id = ?1
    UNION ALL
    SELECT *, source_id AS other FROM relationships WHERE target_id = ?1 AND source_id != ?1
    ORDER BY weight DESC, id LIMIT ?2
) AS r JOIN entities AS e ON e.id = r.other ORDER BY r.weight DESC, r.id"""


class EmbeddedGraphStore:
    """A GraphStore in a file of its own, readable by other processes while one writes. One caller at a time.

    Ids have to be UUIDs, as all of `core_engine.identity` are.
    """

    def __init__(self, path: Path, workspace: str) -> None:
        self.name = "embedded"
        self.path = path
        self.workspace = workspace
        self._connection: sqlite3.Connection | None = None

    def __repr__(self) -> str:
        return f"EmbeddedGraphStore({str(self.path)!r}, {self.workspace!r})"

    async def open(self) -> StoreMark:
        if self._connection is None:
            with self._told():
                self._connection = self._connect()
        try:
            with self._told():
                self._prepare(self._connection)
            return self._mark()
        except BaseException:
            await self.close()
            raise

    async def about(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    async def check_writable(self) -> None:
        """Opening it has: that makes its journal."""

    async def begin(self, generation: int) -> None:
        with self._transaction() as db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (generation,))

    async def apply(self, changes: GraphChanges) -> None:
        if changes == GraphChanges():
            return
        with self._transaction() as db:
            db.executemany(_UPSERT_DOCUMENT, map(_document_values, changes.documents))
            db.executemany(_UPSERT_ENTITY, map(_entity_values, changes.entities))
            _replace_chunks(db, list({chunk.id: chunk for chunk in changes.chunks}.values()))
            db.executemany(_UPSERT_RELATIONSHIP, map(_relationship_values, changes.relationships))
            _delete(db, "relationships", [gone.id for gone in changes.deleted_relationships])
            _delete(db, "chunks", changes.deleted_chunks)
            _delete(db, "entities", changes.deleted_entities)
            _delete(db, "documents", changes.deleted_documents)

    async def counts(self) -> GraphCounts:
        tables = ("documents", "chunks", "entities", "relationships", "mentions", "statements")
        with self._told():
            return GraphCounts(**{t: self._db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables})

    async def find_entities(self, words: str, limit: int) -> list[EntityRow]:
        """Entities of which one name or alias holds all the words, heaviest first; without words, the heaviest."""
        wanted = words_of(words)
        found: list[EntityRow] = []
        with self._told():
            # Along the index by weight, so that common words are answered without reading all entities.
            rows = self._db.execute("SELECT * FROM entities ORDER BY weight DESC, id")
            while len(found) < limit and (row := rows.fetchone()):
                entity = _entity(row)
                if holds([entity.name, *entity.aliases], wanted):
                    found.append(entity)
        return found

    async def neighbours(self, entity_id: str, limit: int) -> list[tuple[RelationshipRow, EntityRow]]:
        with self._told():
            rows = self._db.execute(_NEIGHBOURS, (_packed(entity_id), limit)).fetchall()
        width = len(FIELDS["relationships"])  # and the other end's id
        return [(_relationship(row[:width]), _entity(row[width + 1 :])) for row in rows]

    async def dump(self) -> Dump:
        """All that the store holds, sorted, in the same words as every other store's: equal graphs, equal dumps."""
        with self._told():
            return sorted_dump({kind: self._rows(kind) for kind in FIELDS})

    async def look(self) -> StoreMark | None:
        if not self.path.exists():
            return None
        with self._told():
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
            version = self._checked_version(self._connection)
            if version == 0:
                return None
            if version < _VERSION:
                raise StoreError(
                    f"{self.path} was made by an older kg: the next run, or `kg rebuild`, brings it up to date."
                )
            self._check_owner()
        return self._mark()

    async def ids(self, kind: str) -> AsyncIterator[list[str]]:
        with self._told():
            rows = self._db.execute(f"SELECT id FROM {_table(kind)} ORDER BY id")
            while page := rows.fetchmany(_PAGE):
                yield [_read("id", row[0]) for row in page]

    async def read(self, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        with self._told():
            return [dict(zip(FIELDS[kind], row, strict=True)) for row in self._rows(kind, ids)]

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- opening ---------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Made here and not by SQLite, so that it is never readable by others; its -wal and -shm follow its mode.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        # The projector's thread may be another than the one that closes the store at the end.
        return sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)

    def _prepare(self, db: sqlite3.Connection) -> None:
        version = self._checked_version(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -16000")
        if version < _VERSION:
            with self._transaction():
                version = self._checked_version(db)  # another process may have been quicker
                if version == 0:
                    self._create(db)
                elif version < _VERSION:
                    self._upgrade(db)
        self._check_owner()

    def _check_owner(self) -> None:
        if (owner := self._meta("workspace")) != self.workspace:
            raise StoreError(
                f"{self.path} is the graph of workspace {owner!r}, not of {self.workspace!r}: move it away, and "
                "`kg rebuild` makes a new one from the ledger."
            )

    def _checked_version(self, db: sqlite3.Connection) -> int:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        application: int = db.execute("PRAGMA application_id").fetchone()[0]
        empty = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if not empty and application != _APPLICATION:
            raise StoreError(f"{self.path} is a database of another program: move it away; nothing was changed in it.")
        if version > _VERSION:
            raise StoreError(
                f"{self.path} was made by a newer kg (version {version}, this one knows {_VERSION}): upgrade kg, or "
                "move the file away and `kg rebuild` makes a new one from the ledger."
            )
        return version

    def _create(self, db: sqlite3.Connection) -> None:
        for statement in _SCHEMA.split(";"):  # executescript would commit in between
            db.execute(statement)
        meta = {"workspace": self.workspace, "epoch": uuid.uuid4().hex, "generation": 0}
        db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {_VERSION}")

    def _upgrade(self, db: sqlite3.Connection) -> None:
        for statement in _VERSION_2.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {_VERSION}")

    def _mark(self) -> StoreMark:
        return StoreMark(epoch=self._meta("epoch"), generation=self._meta("generation"))

    def _meta(self, key: str) -> Any:
        with self._told():
            return self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]

    # --- access ----------------------------------------------------------------------------------------------------

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"The graph store {self.path} is not open.")
        return self._connection

    def _rows(self, kind: str, ids: Sequence[str] | None = None) -> Iterator[list[Any]]:
        """All rows of a kind, or those with these ids (of these chunks, where a kind comes and goes with them)."""
        fields = FIELDS[kind]
        columns = ", ".join(_COLUMNS.get(field, f'"{field}"') for field in fields)
        key = "chunk_id" if "chunk_id" in fields else "id"
        where = "" if ids is None else f" WHERE t.{key} IN ({','.join('?' * len(ids))})"
        for row in self._db.execute(f"SELECT {columns} FROM {_table(kind)} AS t{where}", [*map(_packed, ids or ())]):
            yield [_read(field, value) for field, value in zip(fields, row, strict=True)]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            db = self._db
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"The graph store {self.path} failed: {error}. {_advice(error)}") from error


# --- writing ---------------------------------------------------------------------------------------------------------


def _replace_chunks(db: sqlite3.Connection, chunks: Sequence[ChunkRow]) -> None:
    ids = [(_packed(chunk.id),) for chunk in chunks]
    db.executemany("DELETE FROM mentions WHERE chunk_id = ?", ids)
    db.executemany("DELETE FROM statements WHERE chunk_id = ?", ids)
    db.executemany(_UPSERT_CHUNK, map(_chunk_values, chunks))
    db.executemany(
        "INSERT INTO mentions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (values for chunk in chunks for values in _mention_values(chunk)),
    )
    db.executemany(
        "INSERT OR REPLACE INTO statements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (values for chunk in chunks for values in _statement_values(chunk)),
    )


def _delete(db: sqlite3.Connection, table: str, ids: Sequence[str]) -> None:
    db.executemany(f"DELETE FROM {table} WHERE id = ?", [(_packed(i),) for i in ids])


def _document_values(row: DocumentRow) -> tuple[Any, ...]:
    metadata = {clean(key): clean(value) for key, value in row.metadata.items()}
    return _packed(row.id), clean(row.path), clean(row.title), _json(metadata)


def _entity_values(row: EntityRow) -> tuple[Any, ...]:
    labels = checked_labels(row.labels)
    return _packed(row.id), clean(row.name), _json(labels), _json([clean(a) for a in row.aliases]), row.weight


def _chunk_values(row: ChunkRow) -> tuple[Any, ...]:
    return (
        _packed(row.id),
        _packed(row.document_id),
        row.index,
        clean(row.text),
        _packed(row.next_id) if row.next_id else None,
        _json([clean(s) for s in row.speakers]),
        finite(row.start),
        finite(row.end),
    )


def _mention_values(chunk: ChunkRow) -> Iterator[tuple[Any, ...]]:
    chunk_id = _packed(chunk.id)
    for seq, row in enumerate(chunk.mentions):
        yield (
            chunk_id,
            seq,
            _packed(row.entity_id),
            clean(row.name),
            _json(row.turns),
            _json(row.offsets),
            finite(row.start),
            finite(row.end),
            _json([clean(speaker) for speaker in row.speakers]),
            row.grade,
        )


def _statement_values(chunk: ChunkRow) -> Iterator[tuple[Any, ...]]:
    chunk_id = _packed(chunk.id)
    for row in chunk.statements:
        yield (
            chunk_id,
            _packed(row.id),
            _packed(row.subject_id),
            _packed(row.object_id),
            clean(row.predicate),
            clean(row.quote),
            clean_or_none(row.speaker),
            row.turn,
            finite(row.start),
            finite(row.end),
            clean(row.modality),
            row.offset,
            clean_or_none(row.date),
            row.grade,
        )


def _relationship_values(row: RelationshipRow) -> tuple[Any, ...]:
    return (
        _packed(row.id),
        _packed(row.source_id),
        _packed(row.target_id),
        checked_type(row.type),
        row.weight,
        clean_or_none(row.first),
        clean_or_none(row.last),
        row.current,
        clean_or_none(row.until),
        row.superseded_by,
        row.contradicted,
        row.stated,
        row.planned,
        row.denied,
        row.asked,
        row.grade,
    )


def _table(kind: str) -> str:
    """The kind, which is its table's name: nothing else gets into a query."""
    if kind not in FIELDS:
        raise ValueError(kind)
    return kind


def _packed(identity: str) -> bytes:
    return bytes.fromhex(identity.replace("-", ""))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


# --- reading ---------------------------------------------------------------------------------------------------------

_COLUMNS = {
    "index": "seq",
    # A chunk may be written before the one that follows it; until that is there, nothing follows.
    "next_id": "(SELECT n.id FROM chunks AS n WHERE n.id = t.next_id)",
}
_JSON_FIELDS = frozenset({"metadata", "speakers", "labels", "aliases", "turns", "offsets"})
_FLAGS = frozenset({"current", "contradicted"})


def _read(field: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value))
    if field in _FLAGS:
        return bool(value)
    return orjson.loads(value) if field in _JSON_FIELDS else value


def _entity(row: Sequence[Any]) -> EntityRow:
    identity, name, labels, aliases, weight = row
    return EntityRow(
        id=_read("id", identity),
        name=name,
        labels=tuple(orjson.loads(labels)),
        aliases=tuple(orjson.loads(aliases)),
        weight=weight,
    )


def _relationship(row: Sequence[Any]) -> RelationshipRow:
    return RelationshipRow(*map(_read, FIELDS["relationships"], row))


def _advice(error: Exception) -> str:
    """What to do about it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code, of which there are many shades
    if isinstance(error, sqlite3.IntegrityError):
        return "The changes refer to what the store doesn't have; `kg rebuild` writes it anew from the ledger."
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return "Move the file away, and `kg rebuild` makes a new one from the ledger."
    if code == sqlite3.SQLITE_FULL:
        return "Make room on the disk; the next run writes what is missing."
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return "Another process is writing to it; run again when that is done."
    return "Check that the folder exists and may be written to; the next run writes what is missing."
