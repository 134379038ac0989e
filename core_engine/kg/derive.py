"""Turns what a model or the rules found in a chunk into mentions and statements that the chunk's words support."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import orjson

from core_engine.chunking.clean import to_raw
from core_engine.identity import atom_id
from core_engine.kg.grounding import Place, Words
from core_engine.kg.normalise import normal_form, word_set
from core_engine.kg.ontology import Ontology
from core_engine.kg.prompt import one_line
from core_engine.kg.reply import LONGEST_NAME
from core_engine.kg.scope import PERSON, is_role_label, scope_of
from core_engine.types import Chunk, ChunkTurn

LONGEST_QUOTE: Final = 300
UNTYPED: Final = "Entity"
_NAMES: Final = frozenset((UNTYPED, "Organization", "Place"))

_PRONOUNS: Final = word_set(
    """i me my mine myself we us our ours you your yours he him his she her hers it its they them their this that these
    those who what someone somebody everyone everybody anyone nobody people guys"""
)


@dataclass(frozen=True, slots=True)
class DerivedMention:
    """An entity named in the chunk.

    `scope` is '' for the workspace or the document's id; `name` is as the words have it, where they have it whole. `turns` (from 1) are
    those that name it, and for a speaker those it speaks; `offsets` are (turn, offset in the raw turn) where it is
    named. `start` and `end` are the times of the first of its turns.
    """

    atom: str
    norm: str
    scope: str
    name: str
    type: str
    turns: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    start: float | None
    end: float | None


@dataclass(frozen=True, slots=True)
class DerivedStatement:
    """A relationship as one turn states it. `quote` is an exact part of that turn's raw text."""

    subject: str
    object: str
    predicate: str
    turn: int
    quote: str
    speaker: str | None
    start: float | None
    end: float | None


@dataclass(frozen=True, slots=True)
class Derived:
    """What one chunk adds to the graph, and how many of the findings were dropped, by reason.

    `cooccurrences` are pairs of atoms, the smaller first.
    """

    mentions: tuple[DerivedMention, ...]
    statements: tuple[DerivedStatement, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    cooccurrences: tuple[tuple[str, str], ...] = ()


class RuleMentionLike(Protocol):
    """A name or value that the rules found at `start` to `end` of a turn's cleaned text; -1 for a speaker as such."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def turn(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def speaker(self) -> bool: ...


def derive(workspace: str, chunk: Chunk, payload: bytes, ontology: Ontology) -> Derived:
    """What a model's answer to the chunk (see `reply.ParsedReply`) adds to the graph.

    Kept are the entities of the ontology whose names the chunk's words hold, its speakers, and the relationships
    between these that the ontology allows.
    """
    answer = orjson.loads(payload)
    dropped: Counter[str] = Counter(answer.get("d"))
    found = _Entities(workspace, chunk, ontology)
    ends = [_grounded(found, name, kind, ontology, dropped) for name, kind in answer["e"]]
    statements: dict[tuple[str, str, str, int], DerivedStatement] = {}
    for subject, predicate, target, turn in answer["r"]:
        _state(chunk, ontology, statements, (ends[subject], predicate, ends[target], turn), dropped)
    return Derived(found.mentions(), tuple(statements.values()), dict(dropped))


def derive_rules(
    workspace: str,
    chunk: Chunk,
    found: Sequence[RuleMentionLike],
    facts: Sequence[tuple[int, str, int, int]],
    pairs: Sequence[tuple[int, int, int]],
    ontology: Ontology,
) -> Derived:
    """What the rules found in the chunk adds to the graph: names, values, facts, and pairs said close together.

    A name is a plain Entity where the ontology hasn't its type; other findings and facts of types that it hasn't are
    left out.
    """
    entities = _Entities(workspace, chunk, ontology)
    persons = {normal_form(mention.name) for mention in found if mention.type == PERSON or mention.speaker}
    at = [_ruled(entities, mention, persons) for mention in found]
    statements: dict[tuple[str, str, str, int], DerivedStatement] = {}
    for subject, predicate, target, turn in facts:
        ends = [(end, end.type) if (end := at[i]) else None for i in (subject, target)]
        _state(chunk, ontology, statements, (ends[0], predicate, ends[1], turn), Counter())
    atoms = ((at[a], at[b]) for a, b, _ in pairs)
    together = {(min(a.atom, b.atom), max(a.atom, b.atom)) for a, b in atoms if a and b and a is not b}
    return Derived(entities.mentions(), tuple(statements.values()), cooccurrences=tuple(sorted(together)))


# --- entities -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Entity:
    """An entity of this chunk, while its places are being gathered."""

    atom: str
    norm: str
    scope: str
    name: str
    type: str
    turns: set[int] = field(default_factory=set)
    offsets: dict[tuple[int, int], None] = field(default_factory=dict)

    def add(self, places: Iterable[Place]) -> None:
        for place in places:
            self.turns.add(place.turn)
            self.offsets[place.turn, place.offset] = None


class _Entities:
    """The entities of one chunk by scope and normal form; its speakers are there from the start."""

    def __init__(self, workspace: str, chunk: Chunk, ontology: Ontology) -> None:
        self.workspace = workspace
        self.chunk = chunk
        self.ontology = ontology
        self.person = ontology.entity_type(PERSON) or PERSON
        self.words = Words(chunk)
        self._by_key: dict[tuple[str, str], _Entity] = {}
        self.speakers: dict[str, _Entity] = {}
        for number, turn in enumerate(chunk.turns, 1):
            if turn.speaker and turn.text and (norm := normal_form(turn.speaker)):
                self._speaker(turn.speaker, norm).turns.add(number)

    def _speaker(self, name: str, norm: str) -> _Entity:
        speaker = self.speakers.get(norm)
        if speaker is None:
            name = one_line(name)[:LONGEST_NAME].rstrip()
            speaker = self.speakers[norm] = self.entity(norm, self.person, name, speaker=True)
            # "We need a project manager" doesn't speak of the one who sits there.
            if not is_role_label(norm):
                speaker.add(self.words.places(name))
        return speaker

    def entity(self, norm: str, kind: str, name: str, *, speaker: bool = False) -> _Entity:
        """The entity of that form, made if it is new; its first name and type stay."""
        reach = scope_of(norm, self.ontology.kind(kind), speaker)
        scope = self.chunk.document_id if reach == "document" else ""
        entity = self._by_key.get((scope, norm))
        if entity is None:
            atom = atom_id(self.workspace, scope, norm)
            entity = self._by_key[scope, norm] = _Entity(atom, norm, scope, name, kind)
        return entity

    def mentions(self) -> tuple[DerivedMention, ...]:
        return tuple(_mention(entity, self.chunk.turns) for entity in self._by_key.values())


def _mention(entity: _Entity, turns: Sequence[ChunkTurn]) -> DerivedMention:
    numbers = tuple(sorted(entity.turns))
    first = turns[numbers[0] - 1]
    return DerivedMention(
        entity.atom,
        entity.norm,
        entity.scope,
        entity.name,
        entity.type,
        numbers,
        tuple(sorted(entity.offsets)),
        first.start,
        first.end,
    )


def _grounded(
    found: _Entities, name: str, kind: str, ontology: Ontology, dropped: Counter[str]
) -> tuple[_Entity, str] | None:
    """The entity that the chunk's words support, with its type; None where it is dropped."""
    norm = normal_form(name)
    type_ = ontology.entity_type(kind)
    speaker = found.speakers.get(norm)
    if speaker is not None and type_ in (None, found.person):
        return speaker, found.person
    if type_ is None:
        dropped["type_outside_ontology"] += 1
        return None
    places = _places(found, name, norm, type_)
    if norm in _PRONOUNS and (name.islower() or not any(_is_acronym(place.surface) for place in places)):
        dropped["pronoun"] += 1
        return None
    if not places:
        dropped["unsupported_entity"] += 1
        return None
    said = one_line(places[0].surface)  # may be a part of the name, or its plural
    entity = found.entity(norm, type_, said if normal_form(said) == norm else one_line(name))
    entity.add(places)
    return entity, type_


def _is_acronym(surface: str) -> bool:
    return len(surface) > 1 and surface.isupper()


def _places(found: _Entities, name: str, norm: str, kind: str) -> list[Place]:
    if kind != found.person:
        return found.words.places(name)
    if len(norm) == 1 and norm.isascii():
        return []  # a speaker's label in the prompt, taken for a name
    places = found.words.places(name)
    if not places and any(speaker and normal_form(speaker) == norm for speaker, _ in found.chunk.context):
        # Who spoke right before is known by the full name, though only "Ann" is said here.
        places = [place for word in norm.split() if len(word) > 2 for place in found.words.places(word)]
    return places


def _ruled(entities: _Entities, mention: RuleMentionLike, persons: set[str]) -> _Entity | None:
    norm = normal_form(mention.name)
    if not norm or not 1 <= mention.turn <= len(entities.chunk.turns):
        return None
    entity = entities.speakers.get(norm) if mention.speaker else None
    if entity is None:
        kind = _type_of(entities, PERSON if norm in persons else mention.type)
        if kind is None:
            return None
        entity = entities.entity(norm, kind, one_line(mention.name), speaker=mention.speaker)
    entity.turns.add(mention.turn)
    if mention.start >= 0:
        turn = entities.chunk.turns[mention.turn - 1]
        entity.offsets[mention.turn, to_raw(turn.cuts, mention.start)] = None
    return entity


def _type_of(entities: _Entities, told: str) -> str | None:
    """The type as the ontology names it. What it doesn't hold is an Entity if it is a name, and nothing otherwise."""
    if told == PERSON:
        return entities.person
    return entities.ontology.entity_type(told) or (UNTYPED if told in _NAMES else None)


# --- statements -----------------------------------------------------------------------------------------------------


def _state(
    chunk: Chunk,
    ontology: Ontology,
    statements: dict[tuple[str, str, str, int], DerivedStatement],
    relation: tuple[tuple[_Entity, str] | None, str, tuple[_Entity, str] | None, int],
    dropped: Counter[str],
) -> None:
    """Adds the statement that the relation makes, or counts why it makes none."""
    subject_end, predicate, object_end, cited = relation
    if subject_end is None or object_end is None:
        dropped["unsupported_end"] += 1
        return
    (subject, subject_type), (target, object_type) = subject_end, object_end
    if subject is target:
        dropped["self_relation"] += 1
        return
    kind = ontology.relationship(predicate)
    if kind is None:
        dropped["type_outside_ontology"] += 1
        return
    if (subject_type, object_type) not in kind.pairs:
        dropped["ends_not_allowed"] += 1
        return
    number = _evidence(cited, subject.turns, target.turns, len(chunk.turns))
    if number is None:
        dropped["no_evidence"] += 1
        return
    key = (subject.atom, kind.name, target.atom, number)
    if key not in statements:
        turn = chunk.turns[number - 1]
        quote = _quote(turn.raw, [at for end in (subject, target) for n, at in end.offsets if n == number])
        statements[key] = DerivedStatement(
            subject.atom, target.atom, kind.name, number, quote, turn.speaker, turn.start, turn.end
        )


def _evidence(cited: int, subject: set[int], target: set[int], turns: int) -> int | None:
    """The turn that states the relation: the cited one if an end is named there or next to it."""
    both = subject & target
    if not 1 <= cited <= turns:
        return min(both or subject | target, default=None)
    near = {cited - 1, cited, cited + 1}
    if near & (subject | target):
        return cited
    return min(both, default=None)


def _quote(raw: str, offsets: Sequence[int]) -> str:
    """The turn's words, or of a long turn those around the names, cut at spaces."""
    if len(raw) <= LONGEST_QUOTE:
        return raw.strip()
    middle = (min(offsets) + max(offsets)) // 2 if offsets else 0
    if offsets and max(offsets) - min(offsets) > LONGEST_QUOTE // 2:
        middle = min(offsets)
    start = min(max(middle - LONGEST_QUOTE // 2, 0), len(raw) - LONGEST_QUOTE)
    part = raw[start : start + LONGEST_QUOTE]
    if start and (space := part.find(" ", 0, 40)) >= 0:
        part = part[space:]
    if start + LONGEST_QUOTE < len(raw) and (space := part.rfind(" ", len(part) - 40)) >= 0:
        part = part[:space]
    return part.strip()
