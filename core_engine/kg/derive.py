"""Turns what a model or the rules found in a chunk into mentions and statements that the chunk's words support."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import orjson

from core_engine.chunking.clean import to_raw
from core_engine.identity import atom_id
from core_engine.kg.grounding import Neighbourhood, Place, Words, parts_of
from core_engine.kg.normalise import normal_form, word_set
from core_engine.kg.ontology import Ontology
from core_engine.kg.prompt import one_line
from core_engine.kg.reply import LONGEST_NAME
from core_engine.kg.scope import PERSON, is_role_label, scope_of
from core_engine.types import EXACT, GRADES, INFERRED, STATED, UNSUPPORTED, Chunk, ChunkTurn

LONGEST_QUOTE: Final = 300
UNTYPED: Final = "Entity"
_RANK: Final = {grade: rank for rank, grade in enumerate(GRADES)}
_EXACT, _INFERRED, _UNSUPPORTED = _RANK[EXACT], _RANK[INFERRED], _RANK[UNSUPPORTED]
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
    named. `start` and `end` are the times of the first of its turns. `grade` is that of its best turn (see
    types.GRADES); a speaker's is exact, for the transcript names who speaks.
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
    grade: str = EXACT


@dataclass(frozen=True, slots=True)
class DerivedStatement:
    """A relationship as one turn states it. `quote` is an exact part of that turn's raw text, from `offset` on.

    `grade` is that of its less certain end in that turn; `modality` one of types.MODALITIES.
    """

    subject: str
    object: str
    predicate: str
    turn: int
    quote: str
    speaker: str | None
    start: float | None
    end: float | None
    offset: int = 0
    grade: str = EXACT
    modality: str = STATED


Graded = Mapping[str, Mapping[str, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Derived:
    """What one chunk adds to the graph, and how many of the findings were dropped, by reason.

    `graded` counts what a model found: {"e": {entity type: [exact, aligned, inferred, unsupported]}, "r": the same of
    relationship types}. `cooccurrences` are pairs of atoms, the smaller first.
    """

    mentions: tuple[DerivedMention, ...]
    statements: tuple[DerivedStatement, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    graded: Graded = field(default_factory=dict)
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


def derive(
    workspace: str, chunk: Chunk, payload: bytes, ontology: Ontology, *, keep_unsupported: bool = False
) -> Derived:
    """What a model's answer to the chunk (see `reply.ParsedReply`) adds to the graph.

    Kept are the entities of the ontology whose names the chunk's words hold, its speakers, and the relationships
    between these that the ontology allows and the turn that is cited bears out. With `keep_unsupported` what the words
    don't bear out is kept too, graded so.
    """
    answer = orjson.loads(payload)
    found = _Entities(workspace, chunk, ontology)
    stating = _Stating(found, keep_unsupported, Counter(answer.get("d")))
    stating.meet(answer["e"])
    for relation in answer["r"]:
        stating.state(*relation)
    return stating.derived()


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
    stating = _Stating(entities, False, Counter())
    stating.ends = [(entity, entity.type) if entity else None for entity in at]
    for subject, predicate, target, turn in facts:
        stating.state(subject, predicate, target, turn)
    atoms = ((at[a], at[b]) for a, b, _ in pairs)
    together = {(min(a.atom, b.atom), max(a.atom, b.atom)) for a, b in atoms if a and b and a is not b}
    return Derived(entities.mentions(), stating.derived().statements, cooccurrences=tuple(sorted(together)))


# --- entities -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Entity:
    """An entity of this chunk, while its places are being gathered.

    `turns`: how well each bears it out (the place of its grade among GRADES); `offsets`: (turn, offset in the raw turn)
    and how many characters name it there; `lent`: turns that speak of it, though only the one before the chunk names it.
    """

    atom: str
    norm: str
    scope: str
    name: str
    type: str
    turns: dict[int, int] = field(default_factory=dict)
    offsets: dict[tuple[int, int], int] = field(default_factory=dict)
    lent: set[int] = field(default_factory=set)
    speaks: bool = False
    said_before: bool | None = None
    said_in_part: frozenset[int] | None = None

    def add(self, places: Iterable[Place]) -> None:
        turns = self.turns
        for turn, offset, surface, grade in places:
            rank = _RANK[grade]
            if rank < turns.get(turn, _UNSUPPORTED):
                turns[turn] = rank
            self.offsets[turn, offset] = len(surface)

    @property
    def rank(self) -> int:
        if self.speaks:
            return _EXACT
        return min(self.turns.values(), default=_INFERRED if self.lent else _UNSUPPORTED)


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
                self._speaker(turn.speaker, norm).turns.setdefault(number, _INFERRED)

    def _speaker(self, name: str, norm: str) -> _Entity:
        speaker = self.speakers.get(norm)
        if speaker is None:
            name = one_line(name)[:LONGEST_NAME].rstrip()
            speaker = self.speakers[norm] = self.entity(norm, self.person, name, speaker=True)
            speaker.speaks = True
            # "We need a project manager" doesn't speak of the one who sits there.
            if not is_role_label(norm):
                speaker.add(self.words.places(name))
        return speaker

    def entity(self, norm: str, kind: str, name: str, *, speaker: bool = False) -> _Entity:
        """The entity of that form, made if it is new; its first name and type stay."""
        entity = self.loose(norm, kind, name, speaker=speaker)
        self._by_key[entity.scope, norm] = entity
        return entity

    def loose(self, norm: str, kind: str, name: str, *, speaker: bool = False) -> _Entity:
        """The entity of that form; where it is new, it is none of the chunk's until `adopt`."""
        reach = scope_of(norm, self.ontology.kind(kind), speaker)
        scope = self.chunk.document_id if reach == "document" else ""
        entity = self._by_key.get((scope, norm))
        if entity is None:
            entity = _Entity(atom_id(self.workspace, scope, norm), norm, scope, name, kind)
        return entity

    def adopt(self, entity: _Entity) -> None:
        self._by_key.setdefault((entity.scope, entity.norm), entity)

    def is_taken(self, place: Place) -> bool:
        """Whether another name is said there."""
        end = place.offset + len(place.surface)
        return any(
            turn == place.turn and at < end and place.offset < at + length
            for entity in self._by_key.values()
            for (turn, at), length in entity.offsets.items()
        )

    def was_said_before(self, entity: _Entity) -> bool:
        """Whether the last turn before the chunk names the entity, or is by that speaker."""
        if entity.said_before is None:
            entity.said_before = False
            if self.chunk.context:
                speaker, text = self.chunk.context[-1]
                said = ChunkTurn(speaker, text, text, 0, cuts=((0, 0),))
                before = Words(replace(self.chunk, turns=(said,)))
                entity.said_before = normal_form(speaker or "") == entity.norm or bool(before.places(entity.name))
        return entity.said_before

    def turns_in_part(self, entity: _Entity) -> frozenset[int]:
        """The turns that say a part of the name alone ("Gwen" of "Gwen Parrish", "the Infirmary", initials)."""
        if entity.said_in_part is None:
            parts = parts_of(entity.name, person=entity.type == self.person)
            places = (place for part in parts for place in self.words.places(part))
            entity.said_in_part = frozenset(place.turn for place in places if not self.is_taken(place))
        return entity.said_in_part

    def mentions(self) -> tuple[DerivedMention, ...]:
        return tuple(_mention(entity, self.chunk.turns) for entity in self._by_key.values())


def _mention(entity: _Entity, turns: Sequence[ChunkTurn]) -> DerivedMention:
    numbers = tuple(sorted(entity.turns or entity.lent))
    first = turns[numbers[0] - 1] if numbers else None
    return DerivedMention(
        entity.atom,
        entity.norm,
        entity.scope,
        entity.name,
        entity.type,
        numbers,
        tuple(sorted(entity.offsets)),
        first.start if first else None,
        first.end if first else None,
        GRADES[entity.rank],
    )


def _is_acronym(surface: str) -> bool:
    return len(surface) > 1 and surface.isupper()


def _places(found: _Entities, name: str, norm: str, kind: str) -> list[Place]:
    if kind != found.person:
        return found.words.places(name)
    if _is_label(norm, kind, found.person):
        return []
    places = found.words.places(name)
    if not places and any(speaker and normal_form(speaker) == norm for speaker, _ in found.chunk.context):
        # Who spoke right before is known by the full name, though only "Ann" is said here.
        parts = [place for word in norm.split() if len(word) > 2 for place in found.words.places(word)]
        places = [place._replace(grade=INFERRED) for place in parts]
    return places


def _is_label(norm: str, kind: str, person: str) -> bool:
    """A speaker's label in the prompt, taken for a name."""
    return kind == person and len(norm) == 1 and norm.isascii()


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
    if mention.start >= 0:
        turn = entities.chunk.turns[mention.turn - 1]
        offset = to_raw(turn.cuts, mention.start)
        entity.add([Place(mention.turn, offset, turn.text[mention.start : mention.end])])
    else:
        entity.turns.setdefault(mention.turn, _INFERRED)
    return entity


def _type_of(entities: _Entities, told: str) -> str | None:
    """The type as the ontology names it. What it doesn't hold is an Entity if it is a name, and nothing otherwise."""
    if told == PERSON:
        return entities.person
    return entities.ontology.entity_type(told) or (UNTYPED if told in _NAMES else None)


# --- statements -----------------------------------------------------------------------------------------------------

_End = tuple[_Entity, str]
"""An entity, and its type as it was told in this place."""


class _Stating:
    """Goes through an answer: its entities, then what it says of them; counts what becomes of each."""

    def __init__(self, found: _Entities, keep_unsupported: bool, dropped: Counter[str]) -> None:
        self._found = found
        self._turns = found.chunk.turns
        self._keep = keep_unsupported
        self._dropped = dropped
        self._hood = Neighbourhood(found.chunk)
        self._graded: dict[str, dict[str, list[int]]] = {"e": {}, "r": {}}
        self._statements: dict[tuple[str, str, str, int], DerivedStatement] = {}
        self.ends: list[_End | None] = []
        self._told: list[_End] = []

    def derived(self) -> Derived:
        for entity, type_ in self._told:
            self._count("e", type_, entity.rank)
            if entity.rank == _UNSUPPORTED and not self._keep:
                self._dropped["unsupported_entity"] += 1
        graded = {kind: types for kind, types in self._graded.items() if types}
        return Derived(self._found.mentions(), tuple(self._statements.values()), dict(self._dropped), graded)

    def _count(self, kind: str, type_: str, rank: int) -> None:
        counts = self._graded[kind].get(type_)
        if counts is None:
            counts = self._graded[kind][type_] = [0] * len(GRADES)
        counts[rank] += 1

    # --- entities ---------------------------------------------------------------------------------------------------

    def meet(self, said: Iterable[tuple[str, str]]) -> None:
        """Find the entities in the words: those that stand there first, for they own their places."""
        missing: list[tuple[int, str, str, str]] = []
        for name, kind in said:
            norm = normal_form(name)
            end = self._meet(name, norm, kind)
            if isinstance(end, str):
                missing.append((len(self.ends), name, norm, end))
                self.ends.append(None)
            else:
                self.ends.append(end)
        for at, name, norm, type_ in missing:
            self.ends[at] = self._look_again(name, norm, type_)
        self._told = [end for end in self.ends if end]

    def _meet(self, name: str, norm: str, kind: str) -> _End | str | None:
        """The entity and its type; the type alone where its words are missing, None where it is dropped."""
        found = self._found
        type_ = found.ontology.entity_type(kind)
        speaker = found.speakers.get(norm)
        if speaker is not None and type_ in (None, found.person):
            return speaker, found.person
        if type_ is None:
            self._dropped["type_outside_ontology"] += 1
            return None
        if not norm:
            self._dropped["empty_name"] += 1
            return None
        places = _places(found, name, norm, type_)
        if norm in _PRONOUNS and (name.islower() or not any(_is_acronym(place.surface) for place in places)):
            self._dropped["pronoun"] += 1
            return None
        if not places:
            return type_
        said = one_line(places[0].surface)  # may be a part of the name, or its plural
        entity = found.entity(norm, type_, said if normal_form(said) == norm else one_line(name))
        entity.add(places)
        return entity, type_

    def _look_again(self, name: str, norm: str, type_: str) -> _End:
        """The entity of a name that isn't said as such: if only nearly, it is there; else it waits for a statement."""
        found = self._found
        places = [] if _is_label(norm, type_, found.person) else found.words.nearly(name, found.is_taken)
        if not places and not self._keep:
            return found.loose(norm, type_, one_line(name)), type_
        entity = found.entity(norm, type_, one_line(name))
        entity.add(places)
        return entity, type_

    # --- relationships ----------------------------------------------------------------------------------------------

    def state(self, subject_at: int, predicate: str, object_at: int, cited: int, modality: str = STATED) -> None:
        """Add the statement that a relation makes, or count why it makes none."""
        subject_end, object_end = self.ends[subject_at], self.ends[object_at]
        if subject_end is None or object_end is None:
            self._dropped["unsupported_end"] += 1
            return
        (subject, subject_type), (target, object_type) = subject_end, object_end
        if subject.atom == target.atom:
            self._dropped["self_relation"] += 1
            return
        kind = self._found.ontology.relationship(predicate)
        if kind is None:
            self._dropped["type_outside_ontology"] += 1
            return
        if (subject_type, object_type) not in kind.pairs:
            self._dropped["ends_not_allowed"] += 1
            return
        turn, rank = self._evidence(cited, subject, target)
        self._count("r", kind.name, rank)
        if rank == _UNSUPPORTED and not self._keep:
            self._dropped["no_evidence" if subject.turns and target.turns else "unsupported_end"] += 1
            return
        for entity in (subject, target):
            if not entity.turns and rank != _UNSUPPORTED:  # it was said right before the chunk
                entity.lent.add(turn)
                self._found.adopt(entity)
        key = (subject.atom, kind.name, target.atom, turn)
        if key not in self._statements:
            self._statements[key] = self._statement(subject, kind.name, target, turn, GRADES[rank], modality)

    def _evidence(self, cited: int, subject: _Entity, target: _Entity) -> tuple[int, int]:
        """The turn that states the relation (0: none), and how well it does: both ends are said in or next to it."""
        if 1 <= cited <= len(self._turns):
            return cited, max(self._rank_at(subject, cited), self._rank_at(target, cited))
        if cited == 0:  # none was given
            both = subject.turns.keys() & target.turns.keys()
            for turn in (*sorted(both), *sorted(subject.turns.keys() | target.turns.keys())):
                if turn in both or max(self._rank_at(subject, turn), self._rank_at(target, turn)) < _UNSUPPORTED:
                    return turn, _INFERRED
        return 0, _UNSUPPORTED

    def _rank_at(self, entity: _Entity, turn: int) -> int:
        """How well a turn bears an entity out, with its neighbours."""
        if (rank := entity.turns.get(turn)) is not None:
            return rank
        around = self._hood.around(turn)
        if any(other in entity.turns for other in around) or (0 in around and self._found.was_said_before(entity)):
            return _INFERRED
        if entity.turns and not self._found.turns_in_part(entity).isdisjoint((turn, *around)):
            return _INFERRED
        return _UNSUPPORTED

    def _statement(
        self, subject: _Entity, kind: str, target: _Entity, number: int, grade: str, modality: str
    ) -> DerivedStatement:
        if not number:
            return DerivedStatement(subject.atom, target.atom, kind, 0, "", None, None, None, 0, grade, modality)
        turn = self._turns[number - 1]
        quote, offset = _quote(turn.raw, [at for end in (subject, target) for n, at in end.offsets if n == number])
        return DerivedStatement(
            subject.atom, target.atom, kind, number, quote, turn.speaker, turn.start, turn.end, offset, grade, modality
        )


def _quote(raw: str, offsets: Sequence[int]) -> tuple[str, int]:
    """The turn's words, or of a long turn those around the names, cut at spaces; and where they begin."""
    start, end = 0, len(raw)
    if len(raw) > LONGEST_QUOTE:
        middle = (min(offsets) + max(offsets)) // 2 if offsets else 0
        if offsets and max(offsets) - min(offsets) > LONGEST_QUOTE // 2:
            middle = min(offsets)
        start = min(max(middle - LONGEST_QUOTE // 2, 0), len(raw) - LONGEST_QUOTE)
        end = start + LONGEST_QUOTE
        if start and (space := raw.find(" ", start, start + 40)) >= 0:
            start = space
        if end < len(raw) and (space := raw.rfind(" ", end - 40, end)) >= 0:
            end = space
    part = raw[start:end]
    return part.strip(), start + len(part) - len(part.lstrip())
