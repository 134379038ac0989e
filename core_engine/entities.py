"""Looks at entities as the ledger has them now, and corrects them: names that are one, and names that aren't."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from core_engine.chunking.serial import unpack_turns
from core_engine.errors import SettingsError
from core_engine.identity import atom_id
from core_engine.kg.normalise import normal_form
from core_engine.kg.prompt import one_line
from core_engine.kg.resolver.reasons import ALIAS, HAND
from core_engine.kg.resolver.settling import settle
from core_engine.ledger import components, corrections, resolution, rows
from core_engine.ledger.values import to_blob, to_id
from core_engine.types import EntityRow

_LEAST_ID = 6  # hexadecimal digits by which an entity may be called
_SUGGESTED = 5
_QUOTE = 200
_LONGEST_ALIAS = 300
_UNSAID = "(a name that nobody says)"


@dataclass(frozen=True, slots=True)
class Bearing:
    """A name of an entity. `document`: the one that it is this entity's in, '' where it is everywhere."""

    atom: str
    name: str
    document: str
    mentions: int


@dataclass(frozen=True, slots=True)
class Ground:
    """Why two names are one, or (not `holds`) aren't though something says so. `where`: the document that shows it."""

    one: str
    other: str
    reason: str
    where: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Spot:
    """A mention: which document, which chunk in it (from 0), when, who speaks, and the words."""

    document: str
    index: int
    start: float | None
    speaker: str | None
    words: str


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity with its names, why they are one, the entities that users keep it from, and where it is mentioned."""

    id: str
    name: str
    type: str
    weight: int
    documents: int
    names: Sequence[Bearing]
    aliases: Sequence[str]
    merged: Sequence[Ground]
    apart: Sequence[str]
    places: Sequence[Spot] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """What a user's word means: an entity, and the atom that was named if the word is a name."""

    entity: bytes
    atom: bytes | None = None


@dataclass(slots=True)
class Corrected:
    """What came of a correction: the entities that are concerned, as they are now, and what else was done, in words."""

    entities: list[EntityRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


# --- looking ---------------------------------------------------------------------------------------------------------


def listed(
    db: sqlite3.Connection, words: str, *, type_: str | None, merged: bool, corrected: bool, limit: int
) -> list[tuple[EntityRow, int, list[str]]]:
    """The heaviest entities of which a name holds the words, each with its documents and the reasons of its merges."""
    wanted = normal_form(words)
    if words.strip() and not wanted:
        return []
    query = "SELECT a.entity FROM atom a JOIN mention m ON m.atom = a.no WHERE true"
    values: list[object] = []
    if wanted:
        query += (
            " AND a.entity IN (SELECT entity FROM atom WHERE instr(norm, ?1) UNION "
            "SELECT x.entity FROM alias l JOIN atom x ON x.id = l.atom WHERE instr(l.norm, ?1))"
        )
        values.append(wanted)
    if type_:
        query += f" AND m.type = ?{len(values) + 1}"
        values.append(type_)
    if corrected:
        query += (
            " AND a.entity IN (SELECT x.entity FROM atom x WHERE x.id IN (SELECT a FROM merge_edge WHERE origin = x'' "
            "UNION SELECT b FROM merge_edge WHERE origin = x'' UNION SELECT a FROM apart WHERE origin = x'' "
            "UNION SELECT b FROM apart WHERE origin = x'' UNION SELECT atom FROM alias))"
        )
    having = "HAVING count(DISTINCT a.no) > 1 " if merged else ""
    query += f" GROUP BY a.entity {having}ORDER BY count(DISTINCT m.chunk) DESC, a.entity LIMIT {limit}"
    keys = [row[0] for row in db.execute(query, values).fetchall()]
    found = rows.entity_rows(db, keys)
    return [(found[key], _documents(db, key), _reasons(db, key)) for key in keys if key in found]


def _documents(db: sqlite3.Connection, entity: bytes) -> int:
    row = db.execute(
        "SELECT count(DISTINCT c.document) FROM atom a JOIN mention m ON m.atom = a.no JOIN chunk c ON c.no = m.chunk "
        "WHERE a.entity = ?",
        (entity,),
    ).fetchone()
    return int(row[0])


def _reasons(db: sqlite3.Connection, entity: bytes) -> list[str]:
    rows_ = db.execute(
        "SELECT DISTINCT e.reason FROM atom a JOIN merge_edge e ON e.a = a.id JOIN atom b ON b.id = e.b "
        "WHERE a.entity = ? AND NOT e.undone ORDER BY 1",
        (entity,),
    )
    return [row[0] for row in rows_]


def shown(db: sqlite3.Connection, named: Named, places: int) -> Entity:
    """All that there is to say of an entity."""
    row = rows.entity_rows(db, [named.entity])[named.entity]
    bearings = _bearings(db, named.entity)
    labels = {to_blob(one.atom): one.name + (f" ({one.document})" if one.document else "") for one in bearings}
    aliases = db.execute(
        "SELECT DISTINCT l.name FROM atom a JOIN alias l ON l.atom = a.id WHERE a.entity = ? ORDER BY 1",
        (named.entity,),
    )
    return Entity(
        row.id,
        row.name,
        row.labels[0],
        row.weight,
        _documents(db, named.entity),
        bearings,
        [alias[0] for alias in aliases],
        _grounds(db, labels),
        _kept_apart(db, labels),
        _spots(db, named.entity, places),
    )


def _bearings(db: sqlite3.Connection, entity: bytes) -> list[Bearing]:
    found = []
    for no, identity, scope in db.execute("SELECT no, id, scope FROM atom WHERE entity = ?", (entity,)).fetchall():
        names = db.execute(
            "SELECT name, count(*) FROM mention WHERE atom = ? GROUP BY name ORDER BY 2 DESC, 1", (no,)
        ).fetchall()
        if names:
            document = _document_name(db, to_blob(scope)) if scope else ""
            found.append(Bearing(to_id(identity), names[0][0], document, sum(count for _, count in names)))
    return sorted(found, key=lambda one: (one.document != "", -one.mentions, one.name, one.document))


def _document_name(db: sqlite3.Connection, identity: bytes) -> str:
    row = db.execute("SELECT name, record FROM document WHERE id = ?", (identity,)).fetchone()
    return _label(*row) if row else ""


def _label(name: str, record: str) -> str:
    return f"{name}#{record}" if record else name


def _grounds(db: sqlite3.Connection, labels: dict[bytes, str]) -> list[Ground]:
    found: dict[tuple[bytes, bytes, str], Ground] = {}
    for atom in labels:
        for column in ("a", "b"):
            for a, b, reason, origin, undone in db.execute(
                f"SELECT a, b, reason, origin, undone FROM merge_edge WHERE {column} = ? "
                "AND NOT (undone AND origin = x'')",
                (atom,),
            ):
                where = _document_name(db, origin) if len(origin) == 16 else ""
                known = found.get((a, b, reason))
                if known is None or (not known.where and where):
                    one, other = (labels.get(each) or name_of(db, each) for each in (a, b))
                    found[a, b, reason] = Ground(one, other, reason, where, not undone)
    said = [ground for ground in found.values() if _UNSAID not in {ground.one, ground.other}]
    return sorted(said, key=lambda ground: (not ground.holds, ground.reason, ground.one, ground.other))


def _kept_apart(db: sqlite3.Connection, labels: dict[bytes, str]) -> list[str]:
    """The entities that users keep this one from."""
    found: set[bytes] = set()
    for atom in labels:
        for column, other in (("a", "b"), ("b", "a")):
            rows_ = db.execute(
                f"SELECT x.entity FROM apart t JOIN atom x ON x.id = t.{other} WHERE t.{column} = ? AND t.origin = x''",
                (atom,),
            )
            found |= {row[0] for row in rows_}
    return sorted(row.name for row in rows.entity_rows(db, sorted(found)).values())


def name_of(db: sqlite3.Connection, atom: bytes) -> str:
    """How an atom is shown: the name, and the document that it belongs to."""
    row = db.execute("SELECT no, norm, scope FROM atom WHERE id = ?", (atom,)).fetchone()
    if row is None:
        return _UNSAID
    said = db.execute(
        "SELECT name FROM mention WHERE atom = ? GROUP BY name ORDER BY count(*) DESC, name LIMIT 1", (row[0],)
    ).fetchone()
    document = _document_name(db, to_blob(row[2])) if row[2] else ""
    return str(said[0] if said else row[1]) + (f" ({document})" if document else "")


def _spots(db: sqlite3.Connection, entity: bytes, most: int) -> list[Spot]:
    found = []
    for name, record, seq, packed, turns in db.execute(
        "SELECT d.name, d.record, c.seq, m.detail, c.turns FROM atom a JOIN mention m ON m.atom = a.no "
        "JOIN chunk c ON c.no = m.chunk JOIN document d ON d.no = c.document WHERE a.entity = ? "
        "ORDER BY d.name, d.record, c.seq LIMIT ?",
        (entity, most),
    ):
        detail, said = orjson.loads(packed), unpack_turns(turns)
        places = [(turn, at) for turn, at, *_ in detail["offsets"]] or [(turn, 0) for turn in detail["turns"]]
        turn, at = places[0]
        one = said[turn - 1]
        start = max(min(at - _QUOTE // 2, len(one.raw) - _QUOTE), 0)
        words = ("…" if start else "") + one_line(one.raw[start : start + _QUOTE])
        words += "…" if start + _QUOTE < len(one.raw) else ""
        found.append(Spot(_label(name, record), seq, one.start, one.speaker, words))
    return found


# --- which one is meant ----------------------------------------------------------------------------------------------


def meant(db: sqlite3.Connection, word: str) -> Named:
    """The entity that a user calls by its id (or the beginning of it), a name, or `name@document`.

    Raises SettingsError where it is none or several, and says which there are.
    """
    found = _by_id(db, word) or _by_name(db, normal_form(word), None)
    if not found and "@" in word:
        name, _, document = word.rpartition("@")
        found = _by_name(db, normal_form(name), document)
    entities = {one.entity for one in found}
    if len(entities) == 1:
        atoms = {one.atom for one in found}
        return Named(found[0].entity, found[0].atom if len(atoms) == 1 else None)
    if not entities:
        raise SettingsError(f"no entity is called {word!r}{_near(db, word)}: `kg entities` lists them")
    which = "; ".join(_described(db, entity) for entity in sorted(entities)[:_SUGGESTED])
    more = f" and {len(entities) - _SUGGESTED} more" if len(entities) > _SUGGESTED else ""
    raise SettingsError(
        f"{word!r} are {len(entities)} entities: {which}{more}: name one by its id, or as name@document"
    )


def _by_id(db: sqlite3.Connection, word: str) -> list[Named]:
    digits = word.replace("-", "").lower()
    if not _LEAST_ID <= len(digits) <= 32 or any(char not in "0123456789abcdef" for char in digits):
        return []
    low, high = bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))
    rows_ = db.execute(
        "SELECT DISTINCT a.entity FROM atom a WHERE a.entity BETWEEN ? AND ? "
        "AND EXISTS (SELECT 1 FROM mention m WHERE m.atom = a.no)",
        (low, high),
    )
    return [Named(row[0]) for row in rows_]


def _by_name(db: sqlite3.Connection, norm: str, document: str | None) -> list[Named]:
    if not norm:
        return []
    found = []
    for entity, atom, no, scope in db.execute(
        "SELECT entity, id, no, scope FROM atom a WHERE norm = ? AND EXISTS (SELECT 1 FROM mention m WHERE m.atom = a.no)",
        (norm,),
    ).fetchall():
        if document is None or _is_in(db, no, scope, document):
            found.append(Named(entity, atom))
    if document is None:
        rows_ = db.execute("SELECT a.entity, a.id FROM alias l JOIN atom a ON a.id = l.atom WHERE l.norm = ?", (norm,))
        found += [Named(*row) for row in rows_]
    return found


def _is_in(db: sqlite3.Connection, atom: int, scope: str, document: str) -> bool:
    if scope:
        return _document_name(db, to_blob(scope)) == document
    rows_ = db.execute(
        "SELECT DISTINCT d.name, d.record FROM mention m JOIN chunk c ON c.no = m.chunk JOIN document d ON d.no = c.document "
        "WHERE m.atom = ?",
        (atom,),
    )
    return any(document == _label(*row) for row in rows_)


def _near(db: sqlite3.Connection, word: str) -> str:
    rows_ = db.execute(
        "SELECT DISTINCT m.name FROM atom a JOIN mention m ON m.atom = a.no WHERE instr(a.norm, ?) ORDER BY 1 LIMIT ?",
        (normal_form(word) or "\0", _SUGGESTED),
    )
    names = [row[0] for row in rows_]
    return f" ({', '.join(map(repr, names))}?)" if names else ""


def _described(db: sqlite3.Connection, entity: bytes) -> str:
    row = rows.entity_rows(db, [entity])[entity]
    where = sorted({one.document for one in _bearings(db, entity) if one.document})
    said = f" in {where[0]}" + (f" and {len(where) - 1} more" if len(where) > 1 else "") if where else ""
    return f"{row.id[:8]} {row.name!r}{said}"


# --- correcting ------------------------------------------------------------------------------------------------------


def merge(db: sqlite3.Connection, words: Sequence[str]) -> Corrected:
    """Have all these be one. What a user had said against it before is taken back."""
    named = [meant(db, word) for word in words]
    done = Corrected()
    if len({one.entity for one in named}) == 1:
        done.notes.append("they are one already: now also by hand")
    first = _speaking_for(db, named[0])
    for one in named[1:]:
        other = _speaking_for(db, one)
        some, others = components.component(db, first), components.component(db, other)
        if corrections.let_together(db, some, others):
            done.notes.append(
                f"{name_of(db, first)} and {name_of(db, other)} had been split by hand: that is taken back"
            )
        if first != other:
            corrections.merge(db, first, other, HAND)
        settle(db, [first, other])
    done.entities = _now(db, [first])
    return done


def _speaking_for(db: sqlite3.Connection, named: Named) -> bytes:
    """The atom by which a correction knows an entity: the one that was named, or its most frequent full name."""
    if named.atom is not None:
        return named.atom
    row = db.execute(
        "SELECT a.id FROM atom a JOIN mention m ON m.atom = a.no WHERE a.entity = ? GROUP BY a.id "
        "ORDER BY a.scope != '', count(*) DESC, a.id LIMIT 1",
        (named.entity,),
    ).fetchone()
    return bytes(row[0])


def split(db: sqlite3.Connection, word: str, names: Sequence[str], *, each: bool) -> Corrected:
    """Take these names out of an entity: together they are one of their own, or `each` is. None named: all of them.

    No later run puts them back with what is left, and nothing that ties both joins them.
    """
    entity = meant(db, word).entity
    bearings = _bearings(db, entity)
    parts = [_chosen(bearings, name, word) for name in names] if names else [[one] for one in bearings]
    taken = {to_blob(one.atom) for part in parts for one in part}
    atoms = {to_blob(one.atom) for one in bearings}
    rest = atoms - taken
    if names and not rest:
        raise SettingsError(f"these are all names of {word!r}: name those that are somebody else's")
    if len(bearings) == 1:
        raise SettingsError(f"{word!r} has one name only: there is nothing to split (docs/entities.md says why)")
    if names and not each:
        parts = [[one for part in parts for one in part]]
    # Names that are not said any more may tie those that are.
    unsaid = components.component(db, min(atoms)) - atoms
    groups = [{to_blob(one.atom) for one in part} for part in parts]
    groups += [rest | unsaid] if rest else [{one} for one in unsaid]
    done = Corrected()
    for at, some in enumerate(groups):
        for others in groups[at + 1 :]:
            if corrections.unmerge(db, some, others):
                done.notes.append("a merge by hand is taken back")
            corrections.keep_apart(db, some, others)
    settle(db, atoms)
    for group in groups[: len(parts)]:
        _hold_together(db, group)
    done.notes = list(dict.fromkeys(done.notes))
    done.entities = _now(db, atoms)
    return done


def _chosen(bearings: Sequence[Bearing], name: str, word: str) -> list[Bearing]:
    """The names of an entity that a user means by `name`, or `name@document`."""
    found = [one for one in bearings if normal_form(one.name) == normal_form(name)]
    if not found and "@" in name:
        bare, _, document = name.rpartition("@")
        found = [one for one in bearings if normal_form(one.name) == normal_form(bare) and one.document == document]
    if not found:
        known = ", ".join(repr(one.name + (f"@{one.document}" if one.document else "")) for one in bearings[:10])
        raise SettingsError(f"{name!r} is no name of {word!r}: its names are {known}")
    return found


def _hold_together(db: sqlite3.Connection, group: set[bytes]) -> None:
    """What was taken out together is one, though what tied it may have been left behind."""
    first, *others = sorted(group)
    for other in others:
        if other not in components.component(db, first):
            corrections.merge(db, first, other, HAND)
            settle(db, [first, other])


def add_alias(db: sqlite3.Connection, workspace: str, word: str, name: str) -> Corrected:
    """Have an entity also be called so: in this workspace, whatever bears the name now or later is it."""
    norm = _norm_of(name)
    atom = _speaking_for(db, meant(db, word))
    everywhere = to_blob(atom_id(workspace, "", norm))
    if components.apart_among(db, components.component(db, atom) | components.component(db, everywhere)).get(
        resolution.pair(atom, everywhere), False
    ):
        raise SettingsError(f"{word!r} and {name!r} were split by hand: `kg entities merge` takes that back")
    done = Corrected()
    before = {row.id for row in _now(db, components.component(db, atom))}
    corrections.add_alias(db, atom, norm, one_line(name))
    for bearer in corrections.bearers(db, norm, everywhere):
        _by_alias(db, atom, bearer)
    settle(db, [atom])
    components.touch_entities(db, [atom])
    done.entities = _now(db, [atom])
    gained = sum(one.mentions for one in _bearings(db, to_blob(done.entities[0].id)) if normal_form(one.name) == norm)
    if gained and {done.entities[0].id} != before:
        done.notes.append(f"{gained:,} mentions of {name!r} are merged with it")
    return done


def _by_alias(db: sqlite3.Connection, atom: bytes, bearer: bytes) -> None:
    """As the resolver will make it anew at each run."""
    if atom != bearer:
        db.execute(
            "INSERT OR IGNORE INTO merge_edge (a, b, reason, origin) VALUES (?, ?, ?, ?)",
            (*resolution.pair(atom, bearer), ALIAS, resolution.BY_ALIAS),
        )


def drop_alias(db: sqlite3.Connection, workspace: str, word: str, name: str) -> Corrected:
    """Take an alias back."""
    norm = _norm_of(name)
    atom = _speaking_for(db, meant(db, word))
    members = components.component(db, atom)
    owners = [one for one, of in corrections.aliases(db) if of == norm and one in members]
    if not corrections.drop_alias(db, members, norm):
        raise SettingsError(f"{word!r} was not given the name {name!r}: `kg entities show` lists its aliases")
    for owner in owners:
        for bearer in _alias_ends(db, owner, norm, to_blob(atom_id(workspace, "", norm))):
            db.execute(
                "DELETE FROM merge_edge WHERE a = ? AND b = ? AND origin = ?",
                (*resolution.pair(owner, bearer), resolution.BY_ALIAS),
            )
    settle(db, members)
    components.touch_entities(db, members)
    return Corrected(_now(db, members))


def _alias_ends(db: sqlite3.Connection, owner: bytes, norm: str, everywhere: bytes) -> list[bytes]:
    local = [row[0] for row in db.execute("SELECT id FROM atom WHERE norm = ?", (norm,))]
    return [one for one in {everywhere, *local} if one != owner]


def _norm_of(name: str) -> str:
    norm = normal_form(name)
    if not norm or len(name) > _LONGEST_ALIAS:
        raise SettingsError(
            f"{name[:60]!r} can't be a name: it needs a letter or digit, and {_LONGEST_ALIAS} characters at most"
        )
    return norm


def _now(db: sqlite3.Connection, atoms: Iterable[bytes]) -> list[EntityRow]:
    """The entities of these atoms, the heaviest first."""
    keys = {row[0] for atom in atoms if (row := db.execute("SELECT entity FROM atom WHERE id = ?", (atom,)).fetchone())}
    return sorted(rows.entity_rows(db, sorted(keys)).values(), key=lambda row: (-row.weight, row.name, row.id))
