"""The graph's rows as they follow from the ledger now: the one place where names, types and weights are computed."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from core_engine.chunking.serial import unpack_turns
from core_engine.identity import relationship_id, statement_id
from core_engine.ledger.values import ANSWERED, CO_OCCURS, split_relationship_key, to_id
from core_engine.types import Chunk, ChunkRow, DocumentRow, EntityRow, MentionRow, RelationshipRow, StatementRow

_ALIASES = 50  # surface forms shown per entity; the ledger keeps all


def document_rows(db: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, DocumentRow]:
    found = {}
    for key in keys:
        row = db.execute("SELECT name, record, title, metadata FROM document WHERE id = ?", (key,)).fetchone()
        if row:
            name, record, title, metadata = row
            path = f"{name}#{record}" if record else name
            found[key] = DocumentRow(to_id(key), path, title, orjson.loads(metadata))
    return found


def entity_rows(db: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, EntityRow]:
    """Name: the form most chunks use, the longer and then the alphabetically first of equals. Types likewise."""
    names: dict[bytes, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    types: dict[bytes, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    weights: dict[bytes, int] = defaultdict(int)
    put_keys(db, keys)
    rows = db.execute(
        "SELECT k.key, m.name, m.type, count(*) FROM temp.wanted k "
        "JOIN atom a ON a.entity = k.key JOIN mention m ON m.atom = a.no GROUP BY k.key, m.name, m.type"
    )
    for key, name, kind, count in rows:
        names[key][name] += count
        types[key][kind] += count
        weights[key] += count
    # Only an entity merged of several atoms can be named twice in one chunk.
    merged = db.execute(
        "SELECT k.key, count(DISTINCT m.chunk) FROM temp.wanted k JOIN atom a ON a.entity = k.key "
        "JOIN mention m ON m.atom = a.no GROUP BY k.key HAVING count(DISTINCT a.no) > 1"
    )
    weights.update(merged.fetchall())
    return {
        key: EntityRow(
            id=to_id(key),
            name=(ranked := sorted(of_names, key=lambda n: (-of_names[n], -len(n), n)))[0],
            labels=_labels(types[key]),
            aliases=tuple(sorted(ranked[1 : _ALIASES + 1])),
            weight=weights[key],
        )
        for key, of_names in names.items()
    }


def _labels(counts: dict[str, int]) -> tuple[str, ...]:
    # "Entity" says that the type is not known: any known one is better.
    known = {kind: count for kind, count in counts.items() if kind != "Entity"} or counts
    return (min(known, key=lambda kind: (-known[kind], kind)),)


def relationship_rows(db: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, RelationshipRow]:
    pairs: list[tuple[bytes, bytes, bytes]] = []
    stated: list[tuple[bytes, bytes, bytes, str]] = []
    for key in keys:
        source, target, kind = split_relationship_key(key)
        if kind == CO_OCCURS:
            pairs.append((key, source, target))
        else:
            stated.append((key, source, target, kind))
    found: dict[bytes, RelationshipRow] = {}
    _put_relations(db, [(key, source, target, kind) for key, source, target, kind in stated])
    rows = db.execute(
        "SELECT k.key, count(DISTINCT t.chunk), min(json_extract(d.metadata, '$.date')), "
        "max(json_extract(d.metadata, '$.date')) FROM temp.related k "
        "CROSS JOIN atom s ON s.entity = k.source CROSS JOIN statement t ON t.subject = s.no AND t.predicate = k.kind "
        "CROSS JOIN atom o ON o.no = t.object AND o.entity = k.target "
        "CROSS JOIN chunk c ON c.no = t.chunk CROSS JOIN document d ON d.no = c.document GROUP BY k.key"
    )
    for key, weight, first, last in rows:
        found[key] = _relationship(key, weight, first, last)
    for key, source, target in pairs:
        weight = _cooccurrence_weight(db, source, target)
        if weight:
            found[key] = _relationship(key, weight, None, None)
    return found


def _cooccurrence_weight(db: sqlite3.Connection, one: bytes, other: bytes) -> int:
    # Which of two atoms came first as `a` says nothing about which entity's id is smaller.
    row = db.execute(
        "SELECT count(*) FROM (SELECT p.chunk FROM atom x JOIN cooccurrence p ON p.a = x.no JOIN atom y ON y.no = p.b "
        "WHERE x.entity = ?1 AND y.entity = ?2 UNION SELECT p.chunk FROM atom x JOIN cooccurrence p ON p.a = x.no "
        "JOIN atom y ON y.no = p.b WHERE x.entity = ?2 AND y.entity = ?1)",
        (one, other),
    ).fetchone()
    return int(row[0])


def _relationship(key: bytes, weight: int, first: str | None, last: str | None) -> RelationshipRow:
    source, target, kind = split_relationship_key(key)
    return RelationshipRow(relationship_public_id(key), to_id(source), to_id(target), kind.upper(), weight, first, last)


def relationship_public_id(key: bytes) -> str:
    """The id by which the stores know a relationship unit."""
    source, target, kind = split_relationship_key(key)
    return relationship_id(to_id(source), kind.upper(), to_id(target))


def chunk_rows(db: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, ChunkRow]:
    """Only chunks that something was derived for; the others are not in the graph yet."""
    found = {}
    for key in keys:
        row = db.execute(
            "SELECT c.no, d.id, c.seq, c.turns, c.document FROM chunk c JOIN document d ON d.no = c.document "
            "WHERE c.id = ? AND c.derived IS NOT NULL",
            (key,),
        ).fetchone()
        if row is None:
            continue
        no, document_key, seq, turns, document = row
        following = db.execute(
            "SELECT id FROM chunk WHERE document = ? AND seq > ? AND derived IS NOT NULL ORDER BY seq LIMIT 1",
            (document, seq),
        ).fetchone()
        chunk = Chunk(to_id(key), to_id(document_key), seq, unpack_turns(turns))
        found[key] = ChunkRow(
            id=chunk.id,
            document_id=chunk.document_id,
            index=seq,
            text=chunk.text,
            next_id=to_id(following[0]) if following else None,
            speakers=chunk.speakers,
            start=chunk.start,
            end=chunk.end,
            mentions=_mentions(db, no),
            statements=_statements(db, no, chunk.id),
        )
    return found


def _mentions(db: sqlite3.Connection, chunk: int) -> tuple[MentionRow, ...]:
    by_entity: dict[bytes, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    rows = db.execute(
        "SELECT a.entity, m.name, m.detail FROM mention m JOIN atom a ON a.no = m.atom WHERE m.chunk = ? "
        "ORDER BY a.entity, a.id",
        (chunk,),
    )
    for entity, name, detail in rows:
        by_entity[entity].append((name, orjson.loads(detail)))
    return tuple(
        MentionRow(
            entity_id=to_id(entity),
            name=parts[0][0],
            turns=tuple(sorted({turn for _, part in parts for turn in part["turns"]})),
            offsets=tuple(sorted({(turn, at) for _, part in parts for turn, at in part["offsets"]})),
            start=min((part["start"] for _, part in parts if part["start"] is not None), default=None),
            end=max((part["end"] for _, part in parts if part["end"] is not None), default=None),
        )
        for entity, parts in by_entity.items()
    )


def _statements(db: sqlite3.Connection, chunk: int, chunk_id: str) -> tuple[StatementRow, ...]:
    rows = db.execute(
        "SELECT s.id, s.entity, o.id, o.entity, t.predicate, t.turn, t.detail FROM statement t "
        "JOIN atom s ON s.no = t.subject JOIN atom o ON o.no = t.object WHERE t.chunk = ? "
        "ORDER BY t.turn, s.id, t.predicate, o.id",
        (chunk,),
    )
    found = []
    for subject, subject_entity, object_, object_entity, predicate, turn, detail in rows:
        if subject_entity == object_entity:
            continue  # merged since: nobody states something about two that are one
        said = orjson.loads(detail)
        found.append(
            StatementRow(
                id=statement_id(chunk_id, to_id(subject), predicate, to_id(object_), turn),
                subject_id=to_id(subject_entity),
                object_id=to_id(object_entity),
                predicate=predicate.upper(),
                quote=said["quote"],
                speaker=said["speaker"],
                turn=turn,
                start=said["start"],
                end=said["end"],
            )
        )
    return tuple(found)


def vector_sources(db: sqlite3.Connection, keys: Sequence[bytes], *, dense: bool) -> dict[bytes, tuple[Any, ...]]:
    """(document id, document name, place in the document, packed turns, vector or None) of chunks fit to be points.

    With `dense`, only chunks whose embedding is answered; otherwise all, with no vector.
    """
    found = {}
    for key in keys:
        row = db.execute(
            "SELECT d.id, d.name, d.record, c.seq, c.turns, q.answer FROM chunk c JOIN document d ON d.no = c.document "
            "LEFT JOIN question q ON q.no = c.embed AND q.state = ? WHERE c.id = ?",
            (ANSWERED, key),
        ).fetchone()
        if row is None or (dense and row[5] is None):
            continue
        document, name, record, seq, turns, vector = row
        label = f"{name}#{record}" if record else name
        found[key] = (to_id(document), label, seq, turns, vector if dense else None)
    return found


def put_keys(db: sqlite3.Connection, keys: Sequence[bytes]) -> None:
    """Into the table `temp.wanted`, for queries to join with."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (key BLOB PRIMARY KEY) WITHOUT ROWID")
    db.execute("DELETE FROM temp.wanted")
    db.executemany("INSERT INTO temp.wanted (key) VALUES (?)", [(key,) for key in keys])


def _put_relations(db: sqlite3.Connection, relations: Sequence[tuple[bytes, bytes, bytes, str]]) -> None:
    db.execute("CREATE TEMP TABLE IF NOT EXISTS related (key BLOB PRIMARY KEY, source BLOB, target BLOB, kind TEXT)")
    db.execute("DELETE FROM temp.related")
    db.executemany("INSERT INTO temp.related (key, source, target, kind) VALUES (?, ?, ?, ?)", relations)


def keys_in_pages(db: sqlite3.Connection, kind: int, size: int) -> Iterator[list[bytes]]:
    """The keys of a kind's units, whether they still exist or not, sorted."""
    after = b""
    while page := [
        row[0]
        for row in db.execute(
            "SELECT key FROM unit WHERE kind = ? AND key > ? ORDER BY key LIMIT ?", (kind, after, size)
        )
    ]:
        yield page
        after = page[-1]
