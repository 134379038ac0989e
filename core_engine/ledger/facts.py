"""Which facts hold now: of two that can't both, the later one; none that was denied after it was last stated."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from core_engine.ledger.values import CO_OCCURS, RELATIONSHIP, relationship_key, split_relationship_key, tick, touch
from core_engine.types import DENIED, GRADES, MODALITIES, STATED, UNSUPPORTED

_SINGLE = "single_relationships"  # in the ledger's table of single values

_STATED = MODALITIES.index(STATED)
_DENIED = MODALITIES.index(DENIED)
_UNSUPPORTED = GRADES.index(UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a relationship stands: replaced by which other (its key), denied, and since when (a document's date)."""

    superseded_by: bytes | None = None
    contradicted: bool = False
    until: str | None = None


STANDS = Standing()


@dataclass(frozen=True, slots=True)
class _Said:
    """A statement: of which object, how, and when: its document, the document's date, its place therein."""

    object: bytes
    modality: int
    document: bytes
    date: str | None
    place: tuple[int, int]

    def is_after(self, other: _Said) -> bool:
        """Whether it is known to have been said later: in one document by place, else by the documents' dates."""
        if self.document == other.document:
            return self.place > other.place
        mine, others = _moment(self.date), _moment(other.date)
        if mine is None or others is None:
            return False
        if mine.date() != others.date():
            return mine.date() > others.date()
        # Of one day; and when in the day, two documents have to tell alike.
        both_tell = _tells_time(self.date) and _tells_time(other.date)
        return both_tell and (mine.tzinfo is None) == (others.tzinfo is None) and mine > others


def single(db: sqlite3.Connection) -> frozenset[str]:
    """The relationship types of which a subject has one at a time."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_SINGLE,)).fetchone()
    return frozenset(orjson.loads(row[0])) if row else frozenset()


def set_single(db: sqlite3.Connection, kinds: Collection[str]) -> None:
    """Note the relationship types of which a subject has one at a time, and have those that this changes looked at."""
    changed = single(db) ^ frozenset(kinds)
    if not changed:
        return
    db.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_SINGLE, orjson.dumps(sorted(kinds)).decode())
    )
    rows = db.execute(
        "SELECT DISTINCT s.entity, o.entity, t.predicate FROM statement t JOIN atom s ON s.no = t.subject "
        "JOIN atom o ON o.no = t.object WHERE t.predicate IN (SELECT value FROM json_each(?))",
        (orjson.dumps(sorted(changed)).decode(),),
    )
    touch(db, RELATIONSHIP, [relationship_key(*row) for row in rows], tick(db))


def rivals(db: sqlite3.Connection, keys: Iterable[bytes]) -> set[bytes]:
    """The relationships of which a subject has one at a time and may have another in one of these."""
    kinds = single(db)
    if not kinds:
        return set()
    groups = {(source, kind) for source, _, kind in map(split_relationship_key, keys) if kind in kinds}
    return {relationship_key(source, target, kind) for source, kind in groups for target in _targets(db, source, kind)}


def standings(db: sqlite3.Connection, keys: Iterable[bytes], denied: Collection[bytes]) -> dict[bytes, Standing]:
    """How each of the relationships stands; those not told stand undisputed. `denied` are those that somebody denies."""
    kinds = single(db)
    groups: dict[tuple[bytes, str], list[bytes]] = defaultdict(list)
    for key in keys:
        source, target, kind = split_relationship_key(key)
        if kind != CO_OCCURS and (kind in kinds or key in denied):
            groups[source, kind].append(target)
    found = {}
    for (source, kind), targets in groups.items():
        said = _said(db, source, kind)
        by_object: dict[bytes, list[_Said]] = defaultdict(list)
        for each in said:
            by_object[each.object].append(each)
        stated = [each for each in said if each.modality == _STATED]
        for target in targets:
            others = [each for each in stated if each.object != target] if kind in kinds else []
            found[relationship_key(source, target, kind)] = _standing(source, kind, by_object[target], others)
    return found


def _standing(source: bytes, kind: str, mine: Sequence[_Said], others: Sequence[_Said]) -> Standing:
    last = _last(each for each in mine if each.modality == _STATED)
    if not last:
        return STANDS
    replaced = _first(each for each in others if all(each.is_after(one) for one in last))
    denied = _first(each for each in mine if each.modality == _DENIED and all(each.is_after(one) for one in last))
    dates = [each.date for each in (replaced, denied) if each and each.date]
    return Standing(
        relationship_key(source, replaced.object, kind) if replaced else None,
        denied is not None,
        min(dates, default=None),
    )


def _last(said: Iterable[_Said]) -> list[_Said]:
    """Of statements those that nothing is known to come after, and perhaps a few more."""
    by_document: dict[bytes, _Said] = {}
    for each in said:
        held = by_document.get(each.document)
        if held is None or each.place > held.place:
            by_document[each.document] = each
    days = [moment.date() for each in by_document.values() if (moment := _moment(each.date))]
    latest = max(days, default=None)
    return [each for each in by_document.values() if (moment := _moment(each.date)) is None or moment.date() == latest]


def _first(said: Iterable[_Said]) -> _Said | None:
    return min(said, key=lambda each: (each.date or "", each.document, each.place, each.object), default=None)


def _said(db: sqlite3.Connection, source: bytes, kind: str) -> list[_Said]:
    rows = db.execute(
        "SELECT o.entity, t.modality, d.id, json_extract(d.metadata, '$.date'), c.seq, t.turn FROM atom s "
        "CROSS JOIN statement t ON t.subject = s.no AND t.predicate = ? CROSS JOIN atom o ON o.no = t.object "
        "CROSS JOIN chunk c ON c.no = t.chunk CROSS JOIN document d ON d.no = c.document "
        "WHERE s.entity = ? AND t.grade < ?",
        (kind, source, _UNSUPPORTED),
    )
    return [
        _Said(target, modality, document, date, (seq, turn)) for target, modality, document, date, seq, turn in rows
    ]


def _targets(db: sqlite3.Connection, source: bytes, kind: str) -> Iterator[bytes]:
    rows = db.execute(
        "SELECT DISTINCT o.entity FROM atom s CROSS JOIN statement t ON t.subject = s.no AND t.predicate = ? "
        "CROSS JOIN atom o ON o.no = t.object WHERE s.entity = ?",
        (kind, source),
    )
    return (row[0] for row in rows)


def _moment(date: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(date) if date else None
    except ValueError:
        return None


def _tells_time(date: str | None) -> bool:
    return len(date or "") > len("2026-03-03")
