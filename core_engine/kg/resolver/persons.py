"""Which names of persons in one document mean the same, as its own words show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from core_engine.kg.resolver.introductions import Naming, addresses, namings, says_own_name
from core_engine.kg.resolver.names import PersonName, compatible, person_name, same_surname
from core_engine.kg.resolver.nicknames import names_of, related
from core_engine.kg.resolver.reasons import FULL_NAME, GIVEN_NAME, INTRODUCED, SURNAME, TITLE
from core_engine.kg.scope import is_role_label
from core_engine.ledger.resolution import Grounds, Said
from core_engine.types import ChunkTurn

_ASKED_ABOUT: Final = 4  # bearers of a name that a model is asked about, at most
_MOST_ALIKE: Final = 50

Turns = Callable[[Collection[int]], Mapping[int, Sequence[ChunkTurn]]]


@dataclass(slots=True)
class _Person:
    """A person's atom in the document. `name` is None for a label ("Speaker 1")."""

    atom: bytes
    norm: str
    name: PersonName | None = None
    titles: set[str] = field(default_factory=set)
    speaks: bool = False
    said: list[Said] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return self.name is not None and self.name.full

    @property
    def label(self) -> bool:
        return self.name is None and is_role_label(self.norm)


def persons_of(said: Iterable[Said]) -> list[_Person]:
    """The persons of a document, by their atoms; each by the most telling of its forms ("Dr. Chen" before "Chen")."""
    found: dict[bytes, _Person] = {}
    for one in said:
        known = found.setdefault(one.atom, _Person(one.atom, one.norm))
        name = person_name(one.name)
        known.titles |= {name.title} - {""} if name else set()
        if name and (known.name is None or _telling(name) > _telling(known.name)):
            known.name = name
        known.speaks = known.speaks or one.speaks
        known.said.append(one)
    return [found[atom] for atom in sorted(found)]


def _telling(name: PersonName) -> tuple[bool, bool, str, str]:
    return bool(name.given and name.surname), bool(name.surname), name.surname, name.given


def persons_rules(said: Sequence[Said], turns: Turns, into: Grounds) -> None:
    """Add what a document shows of its persons. `turns` reads its words, if they are needed."""
    persons = persons_of(said)
    exact = {_name(one).lone for one in persons} - {""}
    fulls = _FullNames(one for one in persons if one.full)
    introduced = _introductions(persons, turns, into) if _needs_words(persons) else set()
    for one in persons:
        if one.name is None or one.full:
            continue
        if one.name.given:
            _by_initials(one, fulls, into)
        elif not one.name.lone and not one.name.surname:
            _by_title(one, persons, into)
        elif one.atom not in introduced:
            _by_part(one, fulls, exact, into)
    _short_forms(persons, fulls, into)
    _several_who_speak(fulls, into)
    _other_surnames(fulls, into)


def _needs_words(persons: Sequence[_Person]) -> bool:
    """Only a speaker whose full name isn't in the label has to be looked for among those that are named."""
    return any(one.speaks and not one.full for one in persons) and not all(one.speaks for one in persons)


# --- introductions ---------------------------------------------------------------------------------------------------


def _introductions(persons: Sequence[_Person], turns: Turns, into: Grounds) -> set[bytes]:
    """Speakers who are named in words; the atoms of those for whom it is decided."""
    by_norm = {one.norm: one for one in persons if one.speaks}
    by_atom = {one.atom: one for one in persons}
    named: dict[bytes, set[bytes]] = defaultdict(set)
    spoken_to: dict[bytes, Counter[bytes]] = defaultdict(Counter)
    named_only = [each for one in persons if not one.speaks for each in one.said]
    for naming in namings(named_only, turns({each.chunk for each in named_only}), _first_turns(by_norm.values())):
        who = by_atom[naming.atom]
        speaker = by_norm.get(naming.speaker)
        if speaker and speaker is not who and says_own_name(naming) and _may_be(speaker, who):
            named[speaker.atom].add(who.atom)
        if naming.next_is_new and (coming := by_norm.get(naming.next_speaker)) and who.full and _lone_of(coming, who):
            named[coming.atom].add(who.atom)
        if addresses(naming):
            _count_address(naming, who, by_norm, spoken_to)
    decided = set()
    for atom, names in named.items():
        if _one_person([by_atom[name] for name in names]):
            decided.add(atom)
            for name in names:
                into.edge(atom, name, INTRODUCED)
        else:
            for name in sorted(names)[:_ASKED_ABOUT]:
                into.ask(atom, name)
    for atom, times in spoken_to.items():
        if atom not in decided:
            for name, _ in sorted(times.items(), key=lambda item: (-item[1], item[0]))[:2]:
                into.ask(atom, name)
    return decided


def _first_turns(speakers: Iterable[_Person]) -> dict[str, tuple[int, int]]:
    """By the norms of speakers, the first place (chunk, turn) at which each speaks."""
    return {
        one.norm: min((each.seq, turn) for each in one.said for turn in each.turns if turn not in each.named_in)
        for one in speakers
    }


def _may_be(speaker: _Person, who: _Person) -> bool:
    """Whether a speaker with this label may say of himself that he is who is named."""
    if who.speaks:
        return False
    if speaker.name is None or who.name is None:
        return speaker.label
    if speaker.full and who.full:
        return compatible(speaker.name, who.name)
    return _part_of(speaker.name, who.name) or _part_of(who.name, speaker.name)


def _part_of(part: PersonName, whole: PersonName) -> bool:
    if part.lone:
        return whole.lone == part.lone or part.lone in whole.given.split() or _surname_is(part.lone, whole)
    return bool(part.surname) and bool(whole.surname) and same_surname(part.surname, whole.surname)


def _lone_of(speaker: _Person, who: _Person) -> bool:
    return bool(speaker.name and speaker.name.lone and who.name and _part_of(speaker.name, who.name)) and not who.speaks


def _count_address(
    naming: Naming, who: _Person, by_norm: Mapping[str, _Person], spoken_to: dict[bytes, Counter[bytes]]
) -> None:
    """Who speaks right before or after a turn in which somebody is addressed may be the one, if only a label is known."""
    if who.speaks or who.name is None:
        return
    for norm in {naming.last_speaker, naming.next_speaker} - {naming.speaker, ""}:
        speaker = by_norm.get(norm)
        if speaker and speaker.label:
            spoken_to[speaker.atom][who.atom] += 1


def _one_person(persons: Sequence[_Person]) -> bool:
    names = [one.name for one in persons if one.name and one.full and one.name]
    return all(compatible(names[0], name) for name in names[1:])


# --- parts of names --------------------------------------------------------------------------------------------------


def _surname_is(lone: str, whole: PersonName) -> bool:
    return len(whole.surname) > 1 and same_surname(lone, whole.surname)


class _FullNames:
    """The full names of a document, by their parts: there may be thousands."""

    def __init__(self, persons: Iterable[_Person]) -> None:
        self.by_given: dict[str, list[_Person]] = defaultdict(list)
        self.by_surname: dict[str, list[_Person]] = defaultdict(list)
        self._by_nickname: dict[str, list[_Person]] = defaultdict(list)
        for one in persons:
            if one.name is None:
                continue
            for part in {*one.name.given.split(), one.name.given}:
                self.by_given[part].append(one)
            self.by_surname[one.name.surname.split()[-1]].append(one)
            for name in names_of(one.name.given.split()[0]):
                self._by_nickname[name].append(one)

    def bearers(self, name: PersonName) -> list[tuple[_Person, str]]:
        """The full names of which this may be a part, each with which part; nicknames only where nobody bears it so."""
        word = name.lone or name.surname
        found = [(one, SURNAME) for one in self.by_surname.get(word.split()[-1], ()) if _surname_is(word, _name(one))]
        if not name.lone:
            return found
        found = [(one, GIVEN_NAME) for one in self.by_given.get(word, ())] + found
        found = list({one.atom: (one, part) for one, part in found}.values())
        return found or [(one, GIVEN_NAME) for one in self.nicknamed(word)]

    def nicknamed(self, word: str) -> list[_Person]:
        near = {one.atom: one for name in sorted(names_of(word)) for one in self._by_nickname.get(name, ())}
        return [one for one in near.values() if related(word, _name(one).given.split()[0])]

    def with_initials(self, lone: str) -> list[_Person]:
        """Those whose initials a short name may be: "JD"."""
        if not 2 <= len(lone) <= 3:
            return []
        found = [one for group in self.by_surname.values() for one in group if lone in _initials(_name(one))]
        return found[:_ASKED_ABOUT]

    def spelling_out(self, short: PersonName) -> list[_Person]:
        """Those of whom this may be a form with initials."""
        if len(short.surname) == 1:
            same = self.by_given.get(short.given, ())
            return [one for one in same if _name(one).surname.startswith(short.surname)]
        return [one for one in self.by_surname.get(short.surname.split()[-1], ()) if compatible(short, _name(one))]


def _initials(name: PersonName) -> set[str]:
    given = "".join(part[0] for part in (*name.given.split(), *name.middle))
    return {given, given + name.surname[:1]}


def _name(one: _Person) -> PersonName:
    return one.name or PersonName()


def _by_part(one: _Person, fulls: _FullNames, lone: Collection[str], into: Grounds) -> None:
    """A "Wei", "Chen" or "Dr. Chen" is the one of that name in the document, if there is one.

    A label with a lone name is left to be asked about: who speaks is rarely called by the full name, and where somebody
    is, it is often to tell him from the one who speaks. So is a nickname of somebody who is absent, or who is called by
    the whole given name as well.
    """
    bearers = fulls.bearers(_name(one))
    named = all(_named_so(_name(one), bearer, lone) for bearer, _ in bearers)
    if bearers and named and not one.speaks and _one_person([bearer for bearer, _ in bearers]):
        bearer, reason = bearers[0]
        into.edge(one.atom, bearer.atom, reason)
        return
    for bearer in [bearer for bearer, _ in bearers[:_ASKED_ABOUT]] or fulls.with_initials(_name(one).lone):
        into.ask(one.atom, bearer.atom)


def _by_title(one: _Person, persons: Sequence[_Person], into: Grounds) -> None:
    """The "Inspector" is the one in the document who is called so with a name."""
    bearers = [other for other in persons if other is not one and one.titles & other.titles and _name(other).surname]
    if len({_name(other).surname.split()[-1] for other in bearers}) == 1 and not one.speaks:
        into.edge(one.atom, bearers[0].atom, TITLE)


def _named_so(short: PersonName, bearer: _Person, lone: Collection[str]) -> bool:
    """Whether the name is a part of the bearer's, or a nickname that can be nobody else's."""
    full = _name(bearer)
    if not short.lone or short.lone in (*full.given.split(), full.given) or _surname_is(short.lone, full):
        return True
    return bearer.speaks and full.given.split()[0] not in lone


def _by_initials(one: _Person, fulls: _FullNames, into: Grounds) -> None:
    """An "H. Gale" is Hedda Gale, "Anna B" is Anna Berg, where it can be nobody else."""
    found = fulls.spelling_out(_name(one))
    if found and not (one.speaks and any(full.speaks for full in found)) and _one_person(found):
        into.edge(one.atom, found[0].atom, FULL_NAME)
        return
    for full in found[:_ASKED_ABOUT]:
        into.ask(one.atom, full.atom)


def _short_forms(persons: Sequence[_Person], fulls: _FullNames, into: Grounds) -> None:
    """One is "Mike" and "Michael" of a document where nobody else is called so."""
    lone: dict[str, dict[bytes, _Person]] = defaultdict(dict)
    for one in persons:
        for name in names_of(_name(one).lone) if _name(one).lone else ():
            lone[name][one.atom] = one
    for group in lone.values():
        if not 2 <= len(group) <= _ASKED_ABOUT:
            continue
        for one, other in combinations(group.values(), 2):
            if not related(_name(one).lone, _name(other).lone):
                continue
            bearers = [full for each in (one, other) for full, _ in fulls.bearers(_name(each))]
            if len(group) == 2 and one.speaks != other.speaks and not bearers:
                into.edge(one.atom, other.atom, GIVEN_NAME)
            else:
                into.ask(one.atom, other.atom)


def _several_who_speak(fulls: _FullNames, into: Grounds) -> None:
    """Two labels of one document that could be one name are two persons, or a tool's mistake: not for rules to join."""
    for group in fulls.by_surname.values():
        for one, other in combinations([each for each in group if each.speaks][:_MOST_ALIKE], 2):
            if compatible(_name(one), _name(other)):
                into.separate(one.atom, other.atom)


def _other_surnames(fulls: _FullNames, into: Grounds) -> None:
    """Two of one given name in a document may be one who has married, or whose name was misheard."""
    for group in fulls.by_given.values():
        if len(group) > _ASKED_ABOUT:
            continue
        for one, other in combinations(group, 2):
            if not (one.speaks and other.speaks) and not same_surname(_name(one).surname, _name(other).surname):
                into.ask(one.atom, other.atom)
