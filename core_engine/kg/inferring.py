"""Proposes an ontology from what a workspace's ledger holds: the types that answers used, fitting or not, with examples."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from core_engine.kg.ontology import RESERVED_ENTITIES, RESERVED_RELATIONSHIPS, Ontology
from core_engine.kg.reply import LONGEST_TYPE

_EXAMPLES = 3
_LONGEST_EXAMPLE = 60
_MOST_ENDS = 6  # rules of a relationship type that are written down
_WORD = re.compile(r"[A-Za-z0-9]+")
_SHOWN_UNTYPED = 10


@dataclass(slots=True)
class Found:
    """What answers used: types with how often and for which names, relationship types with the types of their ends."""

    entities: Counter[str] = field(default_factory=Counter)
    names: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    relationships: Counter[str] = field(default_factory=Counter)
    ends: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    untyped: Counter[str] = field(default_factory=Counter)
    answers: int = 0


def look(db: sqlite3.Connection, ontology: Ontology) -> Found:
    """What the current answers of models used, in the ontology's names where it has one; else what the rules found."""
    found = Found()
    rows = db.execute(
        "SELECT q.answer FROM chunk c JOIN question q ON q.no = c.extract JOIN spec s ON s.no = q.spec "
        "WHERE s.kind = 'extract'"
    )
    for (answer,) in rows:
        found.answers += 1
        _add(found, orjson.loads(answer), ontology)
    if not found.answers:
        _add_derived(db, found)
    return found


def _add(found: Found, answer: Mapping[str, list[list[str]]], ontology: Ontology) -> None:
    types = []
    for name, kind in answer["e"]:
        type_ = ontology.entity_type(kind) or camel(kind)
        types.append(type_)
        if type_:
            found.entities[type_] += 1
            found.names[type_][name] += 1
    for subject, predicate, target, *_ in answer["r"]:
        known = ontology.relationship(predicate)
        kind = known.name if known else snake(predicate)
        ends = types[int(subject)], types[int(target)]
        if kind and all(ends):
            found.relationships[kind] += 1
            found.ends[kind][ends] += 1


def _add_derived(db: sqlite3.Connection, found: Found) -> None:
    for name, kind, count in db.execute("SELECT name, type, count(*) FROM mention GROUP BY name, type"):
        if kind == "Entity":
            found.untyped[name] += count
        else:
            found.entities[kind] += count
            found.names[kind][name] += count
    rows = db.execute(
        "SELECT t.predicate, s.type, o.type, count(*) FROM statement t "
        "JOIN mention s ON s.atom = t.subject AND s.chunk = t.chunk "
        "JOIN mention o ON o.atom = t.object AND o.chunk = t.chunk GROUP BY 1, 2, 3"
    )
    for predicate, subject, target, count in rows:
        found.relationships[predicate] += count
        found.ends[predicate][subject, target] += count


def propose(found: Found, ontology: Ontology, *, at_least: int = 2) -> str:
    """The proposal as an ontology's file. What was used less often than `at_least` times is left out.

    Names and descriptions of the ontology stay where it has the type. What it lacks is marked as new.
    """
    types = [
        kind for kind, count in found.entities.most_common() if count >= at_least and kind not in RESERVED_ENTITIES
    ]
    known = {each.name: each for each in ontology.entities}
    kinds = {each.name: each for each in ontology.relationships}
    lines = [
        "# Proposed by `kg ontology infer` from what the workspace's answers hold. Nothing uses it until you name it with",
        "# --ontology FILE; another ontology is another question, so each chunk is then asked again.",
        "# Counts say how often a type was used. Read it, cut it, describe what is new, then `kg ontology check` it.",
        "",
        'name = "proposed"',
    ]
    for kind in types:
        lines += ["", f"[entities.{kind}]  # {_used(found.entities[kind], new=kind not in known)}"]
        entity = known.get(kind)
        if entity and entity.description:
            lines.append(f"description = {_quoted(entity.description)}")
        elif not entity:
            lines.append('description = ""  # say in a few words what it is')
        if entity and not entity.asked:
            lines.append("asked = false")
        if entity and entity.aliases:
            lines.append(f"aliases = {_listed(entity.aliases)}")
        if examples := _examples(found.names[kind]):
            lines.append(f"# such as {examples}")
    for kind, count in found.relationships.most_common():
        ends = [pair for pair, _ in found.ends[kind].most_common() if set(pair) <= set(types)]
        if count < at_least or not ends or kind.upper() in RESERVED_RELATIONSHIPS:
            continue
        relationship = kinds.get(kind)
        lines += ["", f"[relationships.{kind}]  # {_used(count, new=relationship is None)}"]
        if relationship and relationship.description:
            lines.append(f"description = {_quoted(relationship.description)}")
        lines.append(f"ends = {_listed([f'{subject} -> {target}' for subject, target in ends[:_MOST_ENDS]])}")
        if relationship and relationship.aliases:
            lines.append(f"aliases = {_listed(relationship.aliases)}")
        if relationship and relationship.single:
            lines.append("single = true")
    if found.untyped:
        names = ", ".join(name for name, _ in found.untyped.most_common(_SHOWN_UNTYPED))
        lines += ["", f"# Named most often, and of no type that the rules could tell: {_comment(names)}"]
    return "\n".join(lines) + "\n"


def camel(name: str) -> str:
    """A type's name as a model wrote it, as one that an ontology may have: "action item" is ActionItem; '' for none."""
    words = _WORD.findall(name[:LONGEST_TYPE])
    joined = "".join(
        word[0].upper() + (word[1:] if not word.isupper() or len(words) == 1 else word[1:].lower()) for word in words
    )
    return joined if joined[:1].isalpha() else ""


def snake(name: str) -> str:
    """A relationship's name likewise: "works for" and "worksFor" are works_for."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[:LONGEST_TYPE])
    joined = "_".join(_WORD.findall(spaced)).lower()
    return joined if joined[:1].isalpha() else ""


def _used(count: int, *, new: bool) -> str:
    return f"{'new, ' if new else ''}{count:,} times"


def _examples(names: Counter[str]) -> str:
    return _comment(", ".join(name for name, _ in names.most_common(_EXAMPLES) if len(name) <= _LONGEST_EXAMPLE))


def _comment(text: str) -> str:
    """Without what would end a comment, or may not stand in TOML."""
    return "".join(c if c.isprintable() else " " for c in text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True).replace("\x7f", "\\u007f")


def _listed(texts: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    return "[" + ", ".join(map(_quoted, texts)) + "]"
