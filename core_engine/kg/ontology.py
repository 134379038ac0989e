"""Which kinds of entity and relationship a graph may hold, read from a TOML file."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from core_engine.errors import SettingsError
from core_engine.identity import digest
from core_engine.kg.scope import KINDS
from core_engine.kg.stores.text import RESERVED_LABELS, RESERVED_TYPES

DEFAULT = Path(__file__).parent / "ontologies" / "conversation.toml"

ANY = "Any"
# The graph uses these itself, as labels of nodes and types of relationships: `MATCH (d:Document)` must find documents.
RESERVED_ENTITIES = (*sorted(RESERVED_LABELS), "Any", "Entity")
RESERVED_RELATIONSHIPS = (*sorted(RESERVED_TYPES), "CO_OCCURS")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_NAME_RULE = "a name begins with a letter and has at most 64 letters, digits and underscores"
_LONGEST_DESCRIPTION = 300
_MOST_EXAMPLES = 5
_LONGEST_EXAMPLE = 80
_PARENTS = frozenset(("parent", "parents", "is_a", "extends", "inherits", "subclass_of", "subtype_of", "broader"))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EntityType:
    name: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    asked: bool = True
    """False for a type that a model isn't asked about: the rules find it by its form."""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in an ontology's file, in which line (0: that can't be told), and what to do."""

    line: int
    message: str


class OntologyError(SettingsError):
    """An ontology that can't be used, with the first thing that is wrong in it."""

    def __init__(self, path: str, problem: Problem) -> None:
        place = f"{path}:{problem.line}" if problem.line else path
        super().__init__(f"{place}: {problem.message}")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class RelationshipType:
    """`ends` are the rules as written, (subject types, object types); `pairs` is each pair that they allow."""

    name: str
    ends: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    pairs: frozenset[tuple[str, str]]
    description: str = ""
    aliases: tuple[str, ...] = ()
    single: bool = False
    """Its subject has one object at a time: of two that are stated, the later holds."""
    examples: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its type in the stores: `works_at` is `WORKS_AT`."""
        return upper_snake(self.name)


@dataclass(frozen=True, slots=True)
class Ontology:
    """The types by name. Build one with `default`, `load` or `parse`, which check that it holds together."""

    name: str
    entities: tuple[EntityType, ...]
    relationships: tuple[RelationshipType, ...]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of things that the user knows, each with others for the same: not shown to the model."""
    _entity_types: Mapping[str, str] = field(init=False, repr=False, compare=False)
    _relationship_types: Mapping[str, RelationshipType] = field(init=False, repr=False, compare=False)
    _kinds: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        entities = {_key(word): e.name for e in self.entities for word in (e.name, *e.aliases)}
        relationships = {_key(word): r for r in self.relationships for word in (r.name, *r.aliases)}
        object.__setattr__(self, "_entity_types", entities)
        object.__setattr__(self, "_relationship_types", relationships)
        kinds = {entities[_key(kind)]: kind for kind in KINDS if _key(kind) in entities}
        object.__setattr__(self, "_kinds", kinds)

    @classmethod
    def default(cls) -> Ontology:
        return cls.load(DEFAULT)

    @classmethod
    def load(cls, path: Path) -> Ontology:
        """The ontology of a TOML file; SettingsError names the file, the place in it and what to do."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SettingsError(f"{path}: the ontology can't be read ({reason}). Give a TOML file.") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"{path}: the ontology is not UTF-8 text. Save it as UTF-8.") from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, path: str = "ontology.toml") -> Ontology:
        """As `load`, from the file's text; `path` is how errors name it."""
        try:
            data = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise OntologyError(path, _not_toml(error)) from error
        return _Reader(path, text, data).ontology()

    def render(self) -> str:
        """The ontology as the model reads it; the same for the same types, whatever the file looks like."""
        lines = ["Entity types:"]
        lines += [_line(e.name, e.description, e.examples) for e in self.entities if e.asked]
        if self.relationships:
            lines += ["", "Relationship types (subject -> object):"]
            lines += [_line(f"{r.name} ({_render_ends(r)})", r.description, r.examples) for r in self.relationships]
        return "\n".join(lines)

    @property
    def mark(self) -> str:
        """Another for another ontology, be it in what isn't rendered."""
        types = (
            [[e.name, *e.aliases] for e in self.entities],
            [[r.name, *r.aliases, str(r.ends)] for r in self.relationships],
        )
        # Without `names`: they say nothing of what a chunk holds, only of who is who.
        return digest(self.render(), str(types)).hex()

    @property
    def single(self) -> frozenset[str]:
        """The relationship types of which a subject has one at a time."""
        return frozenset(kind.name for kind in self.relationships if kind.single)

    def entity_type(self, name: str) -> str | None:
        """The type of that name or alias, whatever its case and separators ("action item" is ActionItem)."""
        return self._entity_types.get(name) or self._entity_types.get(_key(name))

    def relationship(self, name: str) -> RelationshipType | None:
        """The relationship type of that name or alias, whatever its case and separators."""
        return self._relationship_types.get(name) or self._relationship_types.get(_key(name))

    def kind(self, type_: str) -> str:
        """What the built-in ontology calls the type, where that decides how far a name reaches; else the type itself.

        A type of your own that has "Date" as its name or alias is a Date.
        """
        return self._kinds.get(type_, type_)

    def allowed(self, subject_type: str, predicate: str, object_type: str) -> bool:
        """Whether the relationship may go from one type to the other (canonical type names)."""
        kind = self.relationship(predicate)
        return kind is not None and (subject_type, object_type) in kind.pairs


def upper_snake(name: str) -> str:
    """A relationship's type in the stores: `works_at` and `worksAt` are `WORKS_AT`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _line(name: str, description: str, examples: Sequence[str]) -> str:
    said = "; ".join(filter(None, (description, f"e.g. {', '.join(examples)}" if examples else "")))
    return f"- {name}: {said}" if said else f"- {name}"


def _render_ends(kind: RelationshipType) -> str:
    return "; ".join(f"{'|'.join(subjects)} -> {'|'.join(objects)}" for subjects, objects in kind.ends)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Checks one file's data on the way from TOML to an Ontology."""

    path: str
    text: str
    data: Mapping[str, Any]

    def ontology(self) -> Ontology:
        self._no_other_keys(self.data, ("name", "entities", "relationships", "names"), "")
        entities = tuple(self._entity(name, table) for name, table in self._tables("entities", self.data))
        if not any(entity.asked for entity in entities):
            raise self._error(
                "entities", "there is no entity type to ask about. Define at least one, as [entities.Person]."
            )
        self._no_duplicates("entities", entities, RESERVED_ENTITIES)
        names = {_key(e.name): e.name for e in entities}
        relationships = tuple(
            self._relationship(name, table, names) for name, table in self._tables("relationships", self.data)
        )
        self._no_duplicates("relationships", relationships, RESERVED_RELATIONSHIPS)
        return Ontology(self._text(self.data, "name", "") or "custom", entities, relationships, self._names())

    def _entity(self, name: str, table: Mapping[str, Any]) -> EntityType:
        where = f"entities.{name}"
        self._no_other_keys(table, ("description", "aliases", "asked", "examples"), where)
        asked = self._flag(table, "asked", where, default=True)
        description, aliases = self._text(table, "description", where), self._aliases(table, where)
        return EntityType(name, description, aliases, asked, self._examples(table, where))

    def _relationship(self, name: str, table: Mapping[str, Any], types: Mapping[str, str]) -> RelationshipType:
        where = f"relationships.{name}"
        self._no_other_keys(table, ("description", "aliases", "ends", "single", "examples"), where)
        rules = self._strings(table, "ends", where)
        if not rules:
            raise self._error(where, f'{where}.ends is missing. Write for example ends = ["Person -> Organization"].')
        ends = tuple(self._ends(rule, where, types) for rule in rules)
        every = tuple(types.values())
        pairs = frozenset(
            (s, o) for subjects, objects in ends for s in _expand(subjects, every) for o in _expand(objects, every)
        )
        return RelationshipType(
            name,
            ends,
            pairs,
            self._text(table, "description", where),
            self._aliases(table, where),
            self._flag(table, "single", where, default=False),
            self._examples(table, where),
        )

    def _ends(self, rule: str, where: str, types: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        sides = rule.split("->")
        if len(sides) != 2:
            raise self._error(where, f'{where}.ends: {rule!r} is not of the form "Subject -> Object".')
        subjects, objects = (tuple(self._end(name.strip(), where, types) for name in s.split("|")) for s in sides)
        return subjects, objects

    def _end(self, name: str, where: str, types: Mapping[str, str]) -> str:
        if _key(name) == _key(ANY):
            return ANY
        if found := types.get(_key(name)):
            return found
        close = difflib.get_close_matches(name, types.values(), 1)
        hint = f"Did you mean {close[0]}?" if close else f"Define [entities.{name or 'NAME'}] or use Any."
        raise self._error(where, f"{where}.ends: {name!r} is no entity type of this file. {hint}")

    def _names(self) -> dict[str, tuple[str, ...]]:
        table = self.data.get("names", {})
        if not isinstance(table, dict):
            raise self._error("names", 'names must be a table: [names], and below it "NAME" = ["OTHER NAME"].')
        names = {name: self._strings(table, name, "names") for name in table}
        if any(not word.strip() for name, others in names.items() for word in (name, *others)):
            raise self._error("names", "names has an empty name. Take it out.")
        return names

    def _tables(self, section: str, data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        tables = data.get(section, {})
        if not isinstance(tables, dict):
            raise self._error(section, f"{section} must be tables, as [{section}.NAME].")
        for name, table in tables.items():
            where = f"{section}.{name}"
            if not _NAME.fullmatch(name):
                raise self._error(where, f"{where}: {name!r} can't be the name of a type: {_NAME_RULE}. Rename it.")
            if not isinstance(table, dict):
                raise self._error(where, f"{where} must be a table: write [{where}] on a line of its own.")
            yield name, table

    def _text(self, table: Mapping[str, Any], key: str, where: str) -> str:
        value = table.get(key, "")
        full = f"{where}.{key}" if where else key
        if not isinstance(value, str):
            raise self._error(where, f"{full} must be text in quotes.")
        # One line each: a description must not look like another type to the model.
        value = " ".join(value.split())
        if len(value) > _LONGEST_DESCRIPTION:
            raise self._error(where, f"{full} is longer than {_LONGEST_DESCRIPTION} characters. Shorten it.")
        return value

    def _flag(self, table: Mapping[str, Any], key: str, where: str, *, default: bool) -> bool:
        value = table.get(key, default)
        if not isinstance(value, bool):
            raise self._error(where, f"{where}.{key} must be true or false.")
        return value

    def _strings(self, table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._error(where, f'{where}.{key} must be a list of texts, as ["…", "…"].')
        return tuple(value)

    def _aliases(self, table: Mapping[str, Any], where: str) -> tuple[str, ...]:
        aliases = self._strings(table, "aliases", where)
        if any(not _key(alias) for alias in aliases):
            raise self._error(where, f"{where}.aliases has an empty alias. Take it out.")
        return aliases

    def _examples(self, table: Mapping[str, Any], where: str) -> tuple[str, ...]:
        examples = tuple(" ".join(example.split()) for example in self._strings(table, "examples", where))
        if len(examples) > _MOST_EXAMPLES or any(not 1 <= len(each) <= _LONGEST_EXAMPLE for each in examples):
            rule = (
                f"at most {_MOST_EXAMPLES}, each of 1 to {_LONGEST_EXAMPLE} characters: they are sent with each request"
            )
            raise self._error(where, f"{where}.examples: {rule}. Shorten them.")
        return examples

    def _no_other_keys(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in table:
            if key in known:
                continue
            full = f"{where}.{key}" if where else key
            close = difflib.get_close_matches(key, known, 1)
            hint = f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}."
            if key in _PARENTS:
                hint = "Types have no parents here: name each type in a relationship's ends, joined by |."
            raise self._error(where or key, f"{full} is not known. {hint}")

    def _no_duplicates(
        self, section: str, types: Iterable[EntityType | RelationshipType], reserved: tuple[str, ...]
    ) -> None:
        taken = {_key(name): "the graph itself" for name in reserved}
        for kind in types:
            where = f"{section}.{kind.name}"
            if (owner := taken.get(_key(kind.name))) is not None:
                raise self._error(where, f"{where}: the name is used by {owner}. Rename one.")
            taken[_key(kind.name)] = where
        for kind in types:
            where = f"{section}.{kind.name}"
            for alias in kind.aliases:
                if taken.setdefault(_key(alias), where) != where:
                    raise self._error(
                        where, f"{where}.aliases: {alias!r} is used by {taken[_key(alias)]}. Take it out of one."
                    )

    # --- all that is wrong ------------------------------------------------------------------------------------------

    def problems(self) -> list[Problem]:
        """All that is wrong, of each table the first; empty where `ontology` raises nothing."""
        found: list[Problem] = []

        def tried(step: Callable[[], T]) -> T | None:
            try:
                return step()
            except OntologyError as error:
                if error.problem not in found:
                    found.append(error.problem)
                return None

        tried(lambda: self._no_other_keys(self.data, ("name", "entities", "relationships"), ""))
        tried(lambda: self._text(self.data, "name", ""))
        entities = [tried(partial(self._entity, *each)) for each in self._each_table("entities", tried)]
        told = self.data.get("entities")
        names = {_key(name): name for name in told} if isinstance(told, dict) else {}
        kinds = [tried(partial(self._relationship, *each, names)) for each in self._each_table("relationships", tried)]
        if not names:
            tried(self.ontology)
        self._check_names("entities", [e for e in entities if e], RESERVED_ENTITIES, found)
        self._check_names("relationships", [k for k in kinds if k], RESERVED_RELATIONSHIPS, found)
        if not found:
            tried(self.ontology)
        return sorted(found, key=lambda problem: problem.line)

    def _each_table(
        self, section: str, tried: Callable[[Callable[[], Any]], Any]
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        tables = self.data.get(section, {})
        for one in [{section: {name: tables[name]}} for name in tables] if isinstance(tables, dict) else [self.data]:
            yield from tried(partial(self._listed_tables, section, one)) or ()

    def _listed_tables(self, section: str, data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        return list(self._tables(section, data))

    def _check_names(
        self,
        section: str,
        types: Sequence[EntityType | RelationshipType],
        reserved: tuple[str, ...],
        found: list[Problem],
    ) -> None:
        """As `_no_duplicates`, of each type by itself; those that name each other as aliases in a circle as such."""
        by_key = {_key(kind.name): kind for kind in types}
        others = {
            kind.name: [by_key[_key(a)].name for a in kind.aliases if _key(a) in by_key and by_key[_key(a)] is not kind]
            for kind in types
        }
        circled: set[str] = set()
        for kind in types:
            circle = _circle(kind.name, others)
            if circle and not circled & set(circle):
                circled |= set(circle)
                where = f"{section}.{kind.name}"
                around = " -> ".join((*circle, circle[0]))
                problem = self._error(
                    where, f"{where}.aliases go in a circle: {around}. Keep one of these types."
                ).problem
                found.append(problem)
        kept: list[EntityType | RelationshipType] = []
        for kind in types:
            if kind.name in circled:
                continue
            try:
                self._no_duplicates(section, [*kept, kind], reserved)
            except OntologyError as error:
                found.append(error.problem)
            else:
                kept.append(kind)

    def _error(self, where: str, message: str) -> OntologyError:
        return OntologyError(self.path, Problem(self._line_of(where), message))

    def _line_of(self, where: str) -> int:
        """In which line the table or key is; 0 where that can't be told (tomllib keeps no lines)."""
        parts = [rf"[\"']?{re.escape(part)}[\"']?" for part in where.split(".")]
        header, key = r"\s*\.\s*".join(parts), parts[-1]
        for pattern in (rf"^[ \t]*\[\s*{header}\s*[\].]", rf"^[ \t]*{header}\s*[=.]", rf"^[ \t]*{key}\s*="):
            if found := re.search(pattern, self.text, re.MULTILINE):
                return self.text.count("\n", 0, found.start()) + 1
        return 0


def problems(text: str, path: str) -> list[Problem]:
    """All that is wrong with an ontology's file, in the order of its lines."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return [_not_toml(error)]
    return _Reader(path, text, data).problems()


def _not_toml(error: Exception) -> Problem:
    line = re.search(r"at line (\d+)", str(error))
    return Problem(int(line[1]) if line else 0, f"not valid TOML: {error}. Correct the file.")


def _circle(start: str, others: Mapping[str, Sequence[str]]) -> list[str]:
    """A way from a name over the others back to it; empty where there is none."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        for name in others[way[-1]]:
            if name == start:
                return way
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


def _expand(names: tuple[str, ...], every: tuple[str, ...]) -> tuple[str, ...]:
    return every if ANY in names else names
