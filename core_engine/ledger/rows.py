"""The graph's rows as they follow from the ledger now: the one place where names, types and weights are computed."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from core_engine.chunking.serial import unpack_turns
from core_engine.identity import relationship_id, statement_id
from core_engine.keys import NO_WORDS
from core_engine.ledger import facts
from core_engine.ledger.values import ANSWERED, CO_OCCURS, DEAD, split_relationship_key, to_id
from core_engine.types import (
    EXACT,
    GRADES,
    MODALITIES,
    PLANNED,
    UNSUPPORTED,
    Chunk,
    ChunkRow,
    ChunkTurn,
    DocumentRow,
    EntityRow,
    MentionRow,
    RelationshipEnds,
    RelationshipRow,
    StatementRow,
    VectorKind,
)

_RARELY = 5  # times
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
    """Name: the form most chunks use, the longer and then the alphabetically first of equals. Types likewise.

    A form that is somebody else's in other documents ("Wei"), or that a user gave as an alias, names only who has no
    other ("Wei Chen").
    """
    names: dict[bytes, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    behind: dict[bytes, dict[str, bool]] = defaultdict(dict)
    norms: dict[bytes, dict[str, str]] = defaultdict(dict)
    types: dict[bytes, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    weights: dict[bytes, int] = defaultdict(int)
    put_keys(db, keys)
    rows = db.execute(
        # CROSS JOIN: without it SQLite may read all that there is for each page.
        "SELECT k.key, f.name, f.type, sum(f.chunks), min(a.scope != ''), min(a.norm) FROM temp.wanted k "
        "CROSS JOIN atom a ON a.entity = k.key CROSS JOIN form f ON f.atom = a.no GROUP BY k.key, f.name, f.type"
    )
    for key, name, kind, count, of_document, norm in rows:
        names[key][name] += count
        behind[key][name] = bool(of_document) and behind[key].get(name, True)
        norms[key][name] = norm
        types[key][kind] += count
        weights[key] += count
    # Only an entity merged of several atoms can be named twice in one chunk.
    merged = db.execute(
        "SELECT k.key, count(DISTINCT m.chunk) FROM temp.wanted k CROSS JOIN atom a ON a.entity = k.key "
        "CROSS JOIN mention m ON m.atom = a.no WHERE k.key IN (SELECT j.key FROM temp.wanted j CROSS JOIN atom b "
        "ON b.entity = j.key GROUP BY j.key HAVING count(*) > 1) GROUP BY k.key"
    )
    weights.update(merged.fetchall())
    given: dict[bytes, set[str]] = defaultdict(set)
    for key, name, norm in db.execute(
        "SELECT k.key, l.name, l.norm FROM temp.wanted k CROSS JOIN atom a ON a.entity = k.key "
        "CROSS JOIN alias l ON l.atom = a.id"
    ):
        given[key].add(name)
        behind[key].update((form, True) for form, its in norms[key].items() if its == norm)
    return {
        key: EntityRow(
            id=to_id(key),
            name=(ranked := _ranked(of_names, behind[key]))[0],
            labels=_labels(types[key]),
            aliases=tuple(sorted({*ranked[1 : _ALIASES + 1], *given[key]} - {ranked[0]})),
            weight=weights[key],
        )
        for key, of_names in names.items()
    }


def _ranked(counts: dict[str, int], behind: dict[str, bool]) -> list[str]:
    def less(name: str) -> bool:
        """A part of a name that is said as well, and not much more rarely: "Wei-Lin" beside "Wei-Lin Zhao"."""
        words = set(name.split())
        return any(words < set(other.split()) and _RARELY * counts[other] >= counts[name] for other in counts)

    return sorted(counts, key=lambda name: (behind[name], less(name), -counts[name], -len(name), name))


def _labels(counts: dict[str, int]) -> tuple[str, ...]:
    # "Entity" says that the type is not known: any known one is better.
    known = {kind: count for kind, count in counts.items() if kind != "Entity"} or counts
    return (min(known, key=lambda kind: (-known[kind], kind)),)


def relationship_rows(db: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, RelationshipRow]:
    pairs: list[tuple[bytes, bytes, bytes]] = []
    stated: list[tuple[bytes, bytes, bytes, str]] = []
    for key in keys:
        source, target, kind = split_relationship_key(key)
        if source == target:
            continue  # two that were related are one now
        if kind == CO_OCCURS:
            pairs.append((key, source, target))
        else:
            stated.append((key, source, target, kind))
    found: dict[bytes, RelationshipRow] = {}
    _put_relations(db, [(key, source, target, kind) for key, source, target, kind in stated])
    # Nobody has said so where it was only asked or denied: these are statements, but no relationship.
    rows = db.execute(
        "SELECT k.key, count(DISTINCT t.chunk) FILTER (WHERE t.modality <= ?1), "
        "min(json_extract(d.metadata, '$.date')) FILTER (WHERE t.modality <= ?1), "
        "max(json_extract(d.metadata, '$.date')) FILTER (WHERE t.modality <= ?1), min(t.grade), "
        "total(t.modality = 0 AND t.grade < ?2), total(t.modality = 0), total(t.modality = 1), total(t.modality = 2), "
        "total(t.modality = 3) FROM temp.related k "
        "CROSS JOIN atom s ON s.entity = k.source CROSS JOIN atom o ON o.entity = k.target "
        "CROSS JOIN statement t ON t.subject = s.no AND t.predicate = k.kind AND t.object = o.no "
        "CROSS JOIN chunk c ON c.no = t.chunk CROSS JOIN document d ON d.no = c.document "
        "GROUP BY k.key HAVING min(t.modality) <= ?1",
        (MODALITIES.index(PLANNED), GRADES.index(UNSUPPORTED)),
    ).fetchall()
    denied = {row[0] for row in rows if row[8]}
    standings = facts.standings(db, [row[0] for row in rows], denied)
    for key, weight, first, last, grade, borne_out, *counts in rows:
        standing = standings.get(key, facts.STANDS)
        plain, planned, disputed, asked = map(int, counts)
        found[key] = replace(
            _relationship(key, weight),
            first=first,
            last=last,
            current=bool(borne_out) and not standing.superseded_by and not standing.contradicted,
            until=standing.until,
            superseded_by=relationship_public_id(standing.superseded_by) if standing.superseded_by else None,
            contradicted=standing.contradicted,
            grade=GRADES[grade],
            stated=plain,
            planned=planned,
            denied=disputed,
            asked=asked,
        )
    for key, source, target in pairs:
        weight = _cooccurrence_weight(db, source, target)
        if weight:
            found[key] = _relationship(key, weight)
    return found


def _cooccurrence_weight(db: sqlite3.Connection, one: bytes, other: bytes) -> int:
    # Which of two atoms came first as `a` says nothing about which entity's id is smaller. CROSS JOIN: by the whole key,
    # where SQLite would read everything that is named beside the first, which for a host are all who were ever there.
    row = db.execute(
        "SELECT count(*) FROM (SELECT p.chunk FROM atom x CROSS JOIN atom y CROSS JOIN cooccurrence p "
        "ON p.a = x.no AND p.b = y.no WHERE x.entity = ?1 AND y.entity = ?2 UNION "
        "SELECT p.chunk FROM atom x CROSS JOIN atom y CROSS JOIN cooccurrence p "
        "ON p.a = x.no AND p.b = y.no WHERE x.entity = ?2 AND y.entity = ?1)",
        (one, other),
    ).fetchone()
    return int(row[0])


def _relationship(key: bytes, weight: int) -> RelationshipRow:
    source, target, kind = split_relationship_key(key)
    return RelationshipRow(relationship_public_id(key), to_id(source), to_id(target), kind.upper(), weight)


def relationship_ends(key: bytes) -> RelationshipEnds:
    """What the stores have to know of a relationship unit to find it."""
    source, target, kind = split_relationship_key(key)
    return RelationshipEnds(relationship_public_id(key), to_id(source), to_id(target), kind.upper())


def relationship_public_id(key: bytes) -> str:
    """The id by which the stores know a relationship unit."""
    source, target, kind = split_relationship_key(key)
    return relationship_id(to_id(source), kind.upper(), to_id(target))


def chunk_rows(db: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, ChunkRow]:
    """Only chunks that something was derived for; the others are not in the graph yet."""
    found = {}
    for key in keys:
        row = db.execute(
            "SELECT c.no, d.id, c.seq, c.turns, c.document, json_extract(d.metadata, '$.date') FROM chunk c "
            "JOIN document d ON d.no = c.document WHERE c.id = ? AND c.derived IS NOT NULL",
            (key,),
        ).fetchone()
        if row is None:
            continue
        no, document_key, seq, turns, document, date = row
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
            mentions=_mentions(db, no, chunk.turns),
            statements=_statements(db, no, chunk.id, date),
        )
    return found


def _mentions(db: sqlite3.Connection, chunk: int, said: Sequence[ChunkTurn]) -> tuple[MentionRow, ...]:
    by_entity: dict[bytes, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    rows = db.execute(
        "SELECT a.entity, m.name, m.detail FROM mention m JOIN atom a ON a.no = m.atom WHERE m.chunk = ? "
        "ORDER BY a.entity, a.id",
        (chunk,),
    )
    for entity, name, detail in rows:
        by_entity[entity].append((name, orjson.loads(detail)))
    turns_of = {
        entity: tuple(sorted({turn for _, part in parts for turn in part["turns"]}))
        for entity, parts in by_entity.items()
    }
    return tuple(
        MentionRow(
            entity_id=to_id(entity),
            name=max((name for name, _ in parts), key=lambda name: (len(name), name)),
            turns=turns_of[entity],
            offsets=tuple(sorted({(turn, at) for _, part in parts for turn, at in part["offsets"]})),
            start=min((part["start"] for _, part in parts if part["start"] is not None), default=None),
            end=max((part["end"] for _, part in parts if part["end"] is not None), default=None),
            speakers=tuple(dict.fromkeys(who for turn in turns_of[entity] if (who := said[turn - 1].speaker))),
            grade=min((part.get("grade", EXACT) for _, part in parts), key=GRADES.index),
        )
        for entity, parts in by_entity.items()
    )


def _statements(db: sqlite3.Connection, chunk: int, chunk_id: str, date: str | None) -> tuple[StatementRow, ...]:
    rows = db.execute(
        "SELECT s.id, s.entity, o.id, o.entity, t.predicate, t.turn, t.detail, t.modality, t.grade FROM statement t "
        "JOIN atom s ON s.no = t.subject JOIN atom o ON o.no = t.object WHERE t.chunk = ? "
        "ORDER BY t.turn, s.id, t.predicate, o.id",
        (chunk,),
    )
    found = []
    for subject, subject_entity, object_, object_entity, predicate, turn, detail, modality, grade in rows:
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
                modality=MODALITIES[modality],
                offset=said.get("offset", 0),
                date=date,
                grade=GRADES[grade],
            )
        )
    return tuple(found)


def vector_sources(
    db: sqlite3.Connection, keys: Sequence[bytes], dense: VectorKind | None
) -> dict[bytes, tuple[Any, ...]]:
    """(document id, document name, place in the document, packed turns, vector or None) of chunks fit to be points.

    With `dense`, only chunks that have such a vector (an answer of the model before stays current until the new one's
    is there, and belongs to another store); otherwise all, with no vector.
    """
    with_vector, of = "", "NULL"
    said: tuple[Any, ...] = ()
    if dense:
        with_vector, of = "JOIN question q ON q.no = c.embed JOIN spec s ON s.no = q.spec AND q.state = ? ", "q.answer"
        with_vector += "AND length(q.answer) = ? AND s.kind = 'embed' AND json_extract(s.description, '$.model') = ? "
        said = (ANSWERED, 4 * dense.dimensions, dense.model)
    query = (
        f"SELECT d.id, d.name, d.record, c.seq, c.turns, {of} FROM chunk c JOIN document d ON d.no = c.document "
        f"{with_vector}WHERE c.id = ?"
    )
    found = {}
    for key in keys:
        row = db.execute(query, (*said, key)).fetchone()
        if row is None:
            continue
        document, name, record, seq, turns, vector = row
        label = f"{name}#{record}" if record else name
        found[key] = (to_id(document), label, seq, turns, vector)
    return found


def all_embedded(db: sqlite3.Connection, dense: VectorKind | None) -> bool:
    """Every chunk with words has such a vector, or a dead letter in its place."""
    if dense is None:
        return True
    missing = db.execute(
        "SELECT 1 FROM chunk c LEFT JOIN question w ON w.no = c.want_embed LEFT JOIN question q ON q.no = c.embed "
        "LEFT JOIN spec s ON s.no = q.spec WHERE c.words != ? AND w.state IS NOT ? AND (q.answer IS NULL "
        "OR length(q.answer) != ? OR json_extract(s.description, '$.model') != ?) LIMIT 1",
        (NO_WORDS, DEAD, 4 * dense.dimensions, dense.model),
    ).fetchone()
    return missing is None


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
