"""Sources, documents and chunks in the ledger: what was read, from where, and how it was cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import orjson

from core_engine import keys
from core_engine.chunking.serial import pack_turns, unpack_turns
from core_engine.ledger import graph
from core_engine.ledger.values import CHUNK, DOCUMENT, tick, to_blob, to_id, touch
from core_engine.types import Chunk


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A file as it was last read. `status`: read | skipped; what is unreadable is tried anew each time."""

    path: str
    root: str
    name: str
    sha256: str
    size: int
    format: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    no: int
    id: str
    path: str
    record: str
    name: str
    title: str
    content: bytes


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to be stored; `content` hashes its turns, `cut` says how it was cut, `metadata` what its file says."""

    id: str
    path: str
    record: str
    name: str
    title: str
    metadata: dict[str, str]
    content: bytes
    cut: str


def source(db: sqlite3.Connection, path: str) -> SourceRow | None:
    row = db.execute(
        "SELECT path, root, name, sha256, size, format, status, reason FROM source WHERE path = ?", (path,)
    ).fetchone()
    return SourceRow(*row) if row else None


def save_source(db: sqlite3.Connection, row: SourceRow) -> None:
    db.execute(
        "INSERT OR REPLACE INTO source (path, root, name, sha256, size, format, status, reason) VALUES (?,?,?,?,?,?,?,?)",
        (row.path, row.root, row.name, row.sha256, row.size, row.format, row.status, row.reason),
    )


_DOCUMENT = "SELECT no, id, path, record, name, title, content FROM document "


def _stored(row: tuple[int, bytes, str, str, str, str, bytes]) -> StoredDocument:
    return StoredDocument(row[0], to_id(row[1]), *row[2:])


def documents_of(db: sqlite3.Connection, path: str) -> list[StoredDocument]:
    return [_stored(row) for row in db.execute(_DOCUMENT + "WHERE path = ? ORDER BY no", (path,))]


def document_at(db: sqlite3.Connection, path: str, record: str) -> StoredDocument | None:
    row = db.execute(_DOCUMENT + "WHERE path = ? AND record = ?", (path, record)).fetchone()
    return _stored(row) if row else None


def document_with_id(db: sqlite3.Connection, identity: str) -> StoredDocument | None:
    row = db.execute(_DOCUMENT + "WHERE id = ?", (to_blob(identity),)).fetchone()
    return _stored(row) if row else None


def documents_with_content(db: sqlite3.Connection, content: bytes) -> list[StoredDocument]:
    return [_stored(row) for row in db.execute(_DOCUMENT + "WHERE content = ? ORDER BY no", (content,))]


def documents_of_chunks(db: sqlite3.Connection, numbers: Iterable[int]) -> list[StoredDocument]:
    """The documents that hold these chunks, in order."""
    found = {}
    for no in numbers:
        row = db.execute(_DOCUMENT + "WHERE no = (SELECT document FROM chunk WHERE no = ?)", (no,)).fetchone()
        if row:
            found[row[0]] = _stored(row)
    return [found[no] for no in sorted(found)]


def below(db: sqlite3.Connection, folder: str) -> list[tuple[int, str, str, str]]:
    """(number, path, name, record) of the documents in a folder, whose path ends with the separator."""
    end = folder[:-1] + chr(ord(folder[-1]) + 1)
    query = "SELECT no, path, name, record FROM document WHERE path > ? AND path < ? ORDER BY no"
    return db.execute(query, (folder, end)).fetchall()


def move_document(db: sqlite3.Connection, no: int, path: str, record: str, name: str) -> None:
    """The same document under another path: a renamed file is not new."""
    identity, old_path = db.execute("SELECT id, path FROM document WHERE no = ?", (no,)).fetchone()
    _forget_source(db, old_path)
    db.execute("UPDATE document SET path = ?, record = ?, name = ? WHERE no = ?", (path, record, name, no))
    touch(db, DOCUMENT, [identity], now := tick(db))
    touch(db, CHUNK, [row[0] for row in db.execute("SELECT id FROM chunk WHERE document = ?", (no,))], now)


def save_document(db: sqlite3.Connection, document: NewDocument, chunks: Sequence[Chunk]) -> int:
    """Store a document with its chunks in place of what was stored of it; chunks that stand keep their answers.

    Gives the document's number.
    """
    identity = to_blob(document.id)
    labels = "SELECT json_extract(metadata, '$.date'), name, record FROM document WHERE id = ?"
    before = db.execute(labels, (identity,)).fetchone()
    db.execute(
        "INSERT INTO document (id, path, record, name, title, metadata, content, cut) VALUES (?,?,?,?,?,?,?,?) "
        "ON CONFLICT (id) DO UPDATE SET path = excluded.path, record = excluded.record, name = excluded.name, "
        "title = excluded.title, metadata = excluded.metadata, content = excluded.content, cut = excluded.cut",
        (
            identity,
            document.path,
            document.record,
            document.name,
            document.title,
            orjson.dumps(document.metadata).decode(),
            document.content,
            document.cut,
        ),
    )
    no: int = db.execute("SELECT no FROM document WHERE id = ?", (identity,)).fetchone()[0]
    now = tick(db)
    touch(db, DOCUMENT, [identity], now)
    after = db.execute(labels, (identity,)).fetchone()
    if before and before[0] != after[0]:
        graph.touch_dated(db, no, now)
    _save_chunks(db, no, chunks, now, renamed=before is not None and before[1:] != after[1:])
    return no


def _save_chunks(db: sqlite3.Connection, document: int, chunks: Sequence[Chunk], now: int, *, renamed: bool) -> None:
    """`renamed`: each point bears what the document is called."""
    query = "SELECT no, id, seq, turns, derived IS NOT NULL FROM chunk WHERE document = ? ORDER BY seq"
    before = {row[1]: row for row in db.execute(query, (document,))}
    # Each chunk in the graph points to the next one there; one that is new here comes into the graph when it is derived.
    followed = dict(pairwise(identity for identity, row in before.items() if row[4]))
    kept = [identity for identity in (to_blob(chunk.id) for chunk in chunks) if identity in before]
    follows = dict(pairwise(identity for identity in kept if before[identity][4]))
    fresh = []
    for chunk in chunks:
        identity = to_blob(chunk.id)
        turns = pack_turns(chunk.turns)
        context = orjson.dumps(
            [[speaker and _plain(speaker), _plain(text)] for speaker, text in chunk.context],
        )
        known = before.pop(identity, None)
        if known is None:
            fresh.append(
                (
                    identity,
                    document,
                    chunk.seq,
                    _plain(chunk.name),
                    keys.content(chunk),
                    keys.words(chunk),
                    turns,
                    context,
                )
            )
            continue
        no, _, seq, turns_before, _ = known
        db.execute(
            "UPDATE chunk SET seq = ?, content = ?, words = ?, turns = ?, context = ?, stale = stale OR ? WHERE no = ?",
            (chunk.seq, keys.content(chunk), keys.words(chunk), turns, context, turns != turns_before, no),
        )
        moved = seq != chunk.seq or followed.get(identity) != follows.get(identity)
        if moved or renamed or turns != turns_before:
            touch(db, CHUNK, [identity], now)
    graph.drop_chunks(db, [row[0] for row in before.values()], now)
    db.executemany(
        "INSERT INTO chunk (id, document, seq, name, content, words, turns, context) VALUES (?,?,?,?,?,?,?,?)", fresh
    )


def _plain(text: str) -> str:
    # orjson refuses unpaired surrogates; a context turn is only shown, so it may lose them.
    return text.encode("utf-8", "replace").decode()


def drop_document(db: sqlite3.Connection, no: int) -> None:
    """Take a document with its chunks out; answers stay, so that bringing it back is free."""
    now = tick(db)
    identity, path = db.execute("SELECT id, path FROM document WHERE no = ?", (no,)).fetchone()
    _forget_source(db, path)
    graph.drop_chunks(db, [row[0] for row in db.execute("SELECT no FROM chunk WHERE document = ?", (no,))], now)
    db.execute("DELETE FROM document WHERE no = ?", (no,))
    touch(db, DOCUMENT, [identity], now)


def _forget_source(db: sqlite3.Connection, path: str) -> None:
    # A file that comes back is read again, and not taken for one that is known.
    db.execute("DELETE FROM source WHERE path = ?", (path,))


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """What the planner needs of a chunk: its place, its hashes and the questions whose answers are current."""

    no: int
    seq: int
    content: bytes
    words: bytes
    extract_key: bytes | None
    embed_key: bytes | None


def planned_chunks(db: sqlite3.Connection, document: int) -> list[PlannedChunk]:
    """The chunks of a document in order."""
    return [
        PlannedChunk(*row)
        for row in db.execute(
            "SELECT c.no, c.seq, c.content, c.words, x.key, e.key FROM chunk c LEFT JOIN question x ON x.no = c.extract "
            "LEFT JOIN question e ON e.no = c.embed WHERE c.document = ? ORDER BY c.seq",
            (document,),
        )
    ]


def settle(db: sqlite3.Connection, document: int, extract: int, embed: int | None, chunks: int) -> None:
    """Note that all chunks of a document have, or wait for, their answers by these specs.

    Not where one still waits for another spec's answer (a switch of models that was given up): it may come.
    """
    db.execute(
        "INSERT OR REPLACE INTO settled (document, extract, embed, chunks) SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS ("
        "SELECT 1 FROM chunk c LEFT JOIN question x ON x.no = c.want_extract LEFT JOIN question e ON e.no = c.want_embed "
        "WHERE c.document = ?1 AND (c.want_extract IS NOT NULL OR c.want_embed IS NOT NULL) "
        "AND (x.spec != ?2 OR e.spec != ?3))",
        (document, extract, embed or 0, chunks),
    )


def settled_chunks(db: sqlite3.Connection, document: int, extract: int, embed: int | None) -> int | None:
    """How many chunks a document has, if all of them have their answers by these specs; None where that isn't known."""
    row = db.execute(
        "SELECT chunks FROM settled WHERE document = ?1 AND extract = ?2 AND embed = ?3 AND NOT EXISTS (SELECT 1 "
        "FROM chunk WHERE document = ?1 AND (want_extract IS NOT NULL OR want_embed IS NOT NULL))",
        (document, extract, embed or 0),
    ).fetchone()
    return row[0] if row else None


_CHUNK = "SELECT c.no, c.id, d.id, c.seq, c.name, c.turns, c.context FROM chunk c JOIN document d ON d.no = c.document "


def _chunk(row: tuple[int, bytes, bytes, int, str, bytes, bytes]) -> Chunk:
    return Chunk(
        id=to_id(row[1]),
        document_id=to_id(row[2]),
        seq=row[3],
        turns=unpack_turns(row[5]),
        context=tuple((speaker, text) for speaker, text in orjson.loads(row[6])),
        name=row[4],
    )


def chunks_of(db: sqlite3.Connection, document: int) -> list[Chunk]:
    """The chunks of a document in order, whole."""
    return [_chunk(row) for row in db.execute(_CHUNK + "WHERE c.document = ? ORDER BY c.seq", (document,))]


def load_chunks(db: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, Chunk]:
    """Chunks by their numbers."""
    found = {}
    for no in numbers:
        row = db.execute(_CHUNK + "WHERE c.no = ?", (no,)).fetchone()
        if row:
            found[no] = _chunk(row)
    return found


def chunks_that_want(db: sqlite3.Connection, questions: Iterable[int]) -> list[Chunk]:
    """For each question about an extraction a chunk that waits for it; without those that nothing waits for any more."""
    found = []
    for question in questions:
        row = db.execute(_CHUNK + "WHERE c.want_extract = ? LIMIT 1", (question,)).fetchone()
        if row:
            found.append(_chunk(row))
    return found


def chunks_asked(db: sqlite3.Connection, stage: str, questions: Iterable[int]) -> list[Chunk]:
    """For each question of a stage (extract | embed) a chunk that it is about; without those that are gone."""
    found = []
    for question in questions:
        row = db.execute(_CHUNK + f"WHERE c.{stage} = ?1 OR c.want_{stage} = ?1 LIMIT 1", (question,)).fetchone()
        if row:
            found.append(_chunk(row))
    return found


def document_names(db: sqlite3.Connection, numbers: Iterable[int]) -> list[str]:
    """How documents are named to users, in the order of their numbers here."""
    found = [db.execute("SELECT name, record FROM document WHERE no = ?", (no,)).fetchone() for no in numbers]
    return [f"{row[0]}#{row[1]}" if row[1] else row[0] for row in found if row]


def chunk_label(db: sqlite3.Connection, no: int) -> tuple[str, str, int, bytes]:
    """(chunk id, document name, place in the document from 0, packed turns) of a chunk, for messages."""
    row = db.execute(
        "SELECT c.id, d.name, d.record, c.seq, c.turns FROM chunk c JOIN document d ON d.no = c.document WHERE c.no = ?",
        (no,),
    ).fetchone()
    name = f"{row[1]}#{row[2]}" if row[2] else row[1]
    return to_id(row[0]), name, row[3], row[4]
