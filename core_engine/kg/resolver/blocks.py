"""Names of the workspace that are alike in some way, and what rules make of them.

Each atom has a few keys; atoms with a key in common are a block. No name is compared with all others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Final

from core_engine.kg.normalise import UNSPACED
from core_engine.kg.resolver.names import PersonName, compatible, person_name, same_given, same_surname
from core_engine.kg.resolver.nicknames import names_of
from core_engine.kg.resolver.organizations import (
    holds,
    initials_of,
    is_acronym,
    is_common,
    shortens,
    telling_words,
    without_legal_form,
)
from core_engine.kg.resolver.reasons import ACRONYM, FULL_NAME, LEGAL_FORM, SHORT_NAME, SPELLING, TITLE
from core_engine.kg.resolver.spelling import compact, plain, sound
from core_engine.ledger.resolution import Grounds, Known

MOST: Final = 200
"""A block of more atoms tells nothing."""

_MOST_ASKED: Final = 40
_LONE_ASKED: Final = 3
_VALUES: Final = frozenset(
    ("Date", "Money", "Percentage", "ActionItem", "Decision", "EmailAddress", "WebAddress", "Role")
)
_VAGUE: Final = frozenset(("Topic", "Entity"))
_PERSON, _ORGANIZATION = "Person", "Organization"

KindOf = Callable[[str], str]
Documents = Callable[[int], set[int]]


def keys_of(one: Known, kind_of: KindOf) -> list[str]:
    """The keys of an atom; none for values, labels, and names of one document that nothing else can be like."""
    kinds = {kind_of(type_) for type_ in one.types}
    if kinds <= _VALUES:
        return []
    if _PERSON in kinds:
        return _keys_of_person(one)
    return [] if one.local else _keys_of_thing(one, kind_of(one.types[0]))


def _keys_of_person(one: Known) -> list[str]:
    name = name_of(one)
    if name is None or UNSPACED.search(one.norm):
        return []
    keys = set()
    if name.lone:
        keys |= {f"l:{given}" for given in names_of(name.lone)}
    elif name.surname and not name.given and one.local:
        keys.add(f"l:{name.surname.split()[-1]}")
    if not one.local and len(compact(one.norm)) >= 4:
        keys.add(f"c:{compact(one.norm)}")
    if name.given and len(name.surname) > 1:
        keys.add(f"p:{name.surname.split()[-1]}")
    if name.full:
        given = name.given.split()[0]
        keys |= {f"l:{each}" for each in (*names_of(given), name.surname.split()[-1])}
        keys |= {f"g:{each}:{sound(name.surname)[:1]}" for each in names_of(given)}
        keys.add(f"s:{sound(one.norm)}")
    elif name.surname and not name.given and not one.local:
        keys.add(f"p:{name.surname.split()[-1]}")
    return sorted(keys)


def _keys_of_thing(one: Known, kind: str) -> list[str]:
    keys = set()
    if len(compact(one.norm)) >= 4:
        keys.add(f"c:{compact(one.norm)}")
    if len(one.norm.split()) > 1:
        keys |= {f"a:{each}" for each in initials_of(one.norm)}
    elif any(map(is_acronym, one.names)):
        keys.add(f"a:{plain(one.norm)}")
    if kind == _ORGANIZATION:
        keys.add(f"o:{without_legal_form(one.norm)[0]}")
    if kind not in _VAGUE:
        keys |= {f"w:{word}" for word in telling_words(one.norm) if len(word) >= 3}
        if len(sound(one.norm)) >= 3:
            keys.add(f"s:{sound(one.norm)}")
    return sorted(keys)


def name_of(one: Known) -> PersonName | None:
    """The parts of a person's name, by the form that has most of them."""
    named = [name for said in one.names if (name := person_name(said))]
    return max(named, key=lambda n: (bool(n.given and n.surname), bool(n.surname), n.surname, n.given), default=None)


def block_rules(key: str, atoms: Sequence[Known], kind_of: KindOf, documents: Documents) -> Grounds:
    """What the rules make of the atoms that have this key."""
    grounds = Grounds()
    if len(atoms) > 1:
        _RULES[key[0]](sorted(atoms, key=lambda one: one.atom), _Kinds(kind_of), documents, grounds)
    return grounds


class _Kinds:
    """Kinds of atoms as the built-in ontology names them."""

    def __init__(self, kind_of: KindOf) -> None:
        self._kind_of = kind_of

    def of(self, one: Known) -> str:
        """The kind that most of its mentions have; "Entity" only where none is known."""
        known = [kind for kind in map(self._kind_of, one.types) if kind != "Entity"]
        return known[0] if known else "Entity"

    def fit(self, one: Known, other: Known) -> bool:
        kinds = {self.of(one), self.of(other)}
        return len(kinds - {"Entity"}) <= 1

    def same(self, one: Known, other: Known) -> bool:
        return self.of(one) == self.of(other)


# --- spelling --------------------------------------------------------------------------------------------------------


def _spelling(atoms: Sequence[Known], kinds: _Kinds, _: Documents, into: Grounds) -> None:
    """One is "Zdeněk Kolář" and "Zdenek Kolar", "Petrel 2" and "Petrel Two", "Packright" and "Pack Right"."""
    for one, other in combinations(atoms, 2):
        if not kinds.fit(one, other):
            continue
        if kinds.of(one) == _PERSON and len(one.norm.split()) != len(other.norm.split()):
            into.ask(one.atom, other.atom)  # "Ma Ria" is hardly Maria, but "Mary Ann" may be Maryann
        else:
            into.edge(one.atom, other.atom, SPELLING)


# --- persons ---------------------------------------------------------------------------------------------------------


def _persons(atoms: Sequence[Known], kinds: _Kinds, documents: Documents, into: Grounds) -> None:
    """Those of one surname: forms of one full name are one, where it can be only that one."""
    named = [(one, name) for one in atoms if kinds.of(one) == _PERSON and (name := name_of(one)) is not None]
    fulls = [(one, name) for one, name in named if name.full and not one.local]
    _forms(fulls, into)
    for one, name in named:
        if name.full or one.local:
            continue
        if name.given:  # "J. T. Mercer"
            _initials(one, name, fulls, into)
        elif _one_person(fulls):  # "Senator Whitlock"
            for full, of_full in fulls[:1]:
                _title(one, name, full, of_full, documents, into)
    for (one, name), (other, of_other) in combinations(fulls[:_MOST_ASKED], 2):
        if not same_given(name.given, of_other.given) and _sounds_like(name.given, of_other.given):
            into.ask(one.atom, other.atom)


def _forms(fulls: Sequence[tuple[Known, PersonName]], into: Grounds) -> None:
    """All whom a name fits have to fit each other: "Alex Volkov" is neither Alexander nor Alexandra if both are there."""
    sure = {
        one.atom: _one_person([(other, of) for other, of in fulls if other is not one and compatible(name, of)])
        for one, name in fulls
    }
    for (one, name), (other, of_other) in combinations(fulls, 2):
        if not compatible(name, of_other):
            continue
        if sure[one.atom] and sure[other.atom]:
            into.edge(one.atom, other.atom, FULL_NAME)
        else:
            into.ask(one.atom, other.atom)


def _initials(one: Known, name: PersonName, fulls: Sequence[tuple[Known, PersonName]], into: Grounds) -> None:
    fitting = [(full, of_full) for full, of_full in fulls if compatible(name, of_full)]
    if fitting and _one_person(fitting):
        into.edge(one.atom, fitting[0][0].atom, FULL_NAME)
    else:
        for full, _ in fitting[:_LONE_ASKED]:
            into.ask(one.atom, full.atom)


def _one_person(fulls: Sequence[tuple[Known, PersonName]]) -> bool:
    return all(compatible(a, b) for (_, a), (_, b) in combinations(fulls, 2))


def titles_of(one: Known) -> set[str]:
    return {name.title for said in one.names if (name := person_name(said)) and name.title}


def _title(one: Known, name: PersonName, full: Known, of_full: PersonName, documents: Documents, into: Grounds) -> None:
    """Rules decide where both are said in a document, or where both names come with that title."""
    if not same_surname(name.surname, of_full.surname):
        return
    if titles_of(one) & titles_of(full):
        into.edge(one.atom, full.atom, TITLE)
    elif not documents(one.no) & documents(full.no):
        into.ask(one.atom, full.atom)


def _given_names(atoms: Sequence[Known], kinds: _Kinds, _: Documents, into: Grounds) -> None:
    """Full names of one given name: surnames that sound alike may be one that was misheard."""
    named = [(one, name) for one in atoms if kinds.of(one) == _PERSON and (name := name_of(one)) and name.full]
    if len(named) > _MOST_ASKED:
        return
    for (one, name), (other, of_other) in combinations(named, 2):
        if not same_surname(name.surname, of_other.surname) and _sounds_like(name.surname, of_other.surname):
            into.ask(one.atom, other.atom)


def _lone_names(atoms: Sequence[Known], kinds: _Kinds, documents: Documents, into: Grounds) -> None:
    """A lone name of one document may be that of somebody who is known by a full name from others."""
    named = [(one, name) for one in atoms if kinds.of(one) == _PERSON and (name := name_of(one)) is not None]
    fulls = [one for one, name in named if name.full and not one.local]
    if not fulls:
        return
    where = {one.no: documents(one.no) for one in fulls}
    fulls.sort(key=lambda one: (-len(where[one.no]), one.atom))
    for one, name in named:
        if one.local and (name.lone or not name.given):
            here = documents(one.no)
            strangers = [full for full in fulls if not where[full.no] & here]
            for full in strangers[:_LONE_ASKED] if len(strangers) == len(fulls) else ():
                into.ask(one.atom, full.atom)


def _sounds_like(one: str, other: str) -> bool:
    """Near enough to be asked about: no reason to merge."""
    return sound(one) == sound(other) or _near(one, other, 66)


def _near(one: str, other: str, least: int = 50) -> bool:
    """Whether so many per cent of the letters are shared, in order."""
    from rapidfuzz import fuzz  # noqa: PLC0415  a tenth of a second, for who has names to compare

    return fuzz.ratio(one, other) >= least


# --- things ----------------------------------------------------------------------------------------------------------


def _legal_forms(atoms: Sequence[Known], kinds: _Kinds, _: Documents, into: Grounds) -> None:
    """One is "Acme" and "Acme Inc.", unless there are an Acme Inc. and an Acme GmbH."""
    firms = [one for one in atoms if kinds.of(one) == _ORGANIZATION]
    by_form: dict[str, list[Known]] = defaultdict(list)
    for one in firms:
        by_form[without_legal_form(one.norm)[1]].append(one)
    several = len(by_form.keys() - {""}) > 1
    for one, other in combinations(firms, 2):
        if without_legal_form(one.norm)[1] == without_legal_form(other.norm)[1] or not several:
            into.edge(one.atom, other.atom, LEGAL_FORM)
        else:
            into.ask(one.atom, other.atom)


def _acronyms(atoms: Sequence[Known], kinds: _Kinds, documents: Documents, into: Grounds) -> None:
    """An acronym is the one name of these initials; of several, the one that a document says beside it.

    What neither a document nor a known type ties together is left, and so are two letters without both.
    """
    short = [one for one in atoms if len(one.norm.split()) == 1]
    long = [one for one in atoms if len(one.norm.split()) > 1]
    for one in short:
        fitting = [other for other in long if kinds.fit(one, other) and kinds.of(other) != _PERSON]
        beside = [other for other in fitting if documents(one.no) & documents(other.no)]
        meant = _one_name(beside) or ([] if beside or len(one.norm) < 3 else _one_name(fitting))
        typed = kinds.of(one) != "Entity" and all(kinds.same(one, other) for other in meant)
        sure = meant and (typed or (bool(beside) and len(one.norm) > 2))
        for other in meant if sure else ():
            into.edge(one.atom, other.atom, ACRONYM)
        for other in () if sure else fitting[:_LONE_ASKED]:
            into.ask(one.atom, other.atom)


def _one_name(some: Sequence[Known]) -> Sequence[Known]:
    """These, if they are spellings of one name; none of them if they aren't."""
    alike = {without_legal_form(one.norm)[0] for one in some}
    return some if len(alike) == 1 else ()


def _sounds(atoms: Sequence[Known], kinds: _Kinds, _: Documents, into: Grounds) -> None:
    """Names that sound alike may be one that a recogniser misheard."""
    if len(atoms) > _MOST_ASKED:
        return
    for one, other in combinations(atoms, 2):
        if not kinds.same(one, other) or compact(one.norm) == compact(other.norm) or not _near(one.norm, other.norm):
            continue
        if kinds.of(one) != _PERSON or _both_full(one, other):
            into.ask(one.atom, other.atom)


def _both_full(one: Known, other: Known) -> bool:
    a, b = name_of(one), name_of(other)
    return bool(a and b and a.full and b.full and not compatible(a, b))


def _words(atoms: Sequence[Known], kinds: _Kinds, documents: Documents, into: Grounds) -> None:
    """A name that holds all words of another, or the same words in another order, may be a longer form of it."""
    firms = [one for one in atoms if kinds.of(one) == _ORGANIZATION]
    for one in firms:
        _short_name(one, firms, documents, into)
    if len(atoms) > _MOST_ASKED:
        return
    for one, other in combinations(atoms, 2):
        if kinds.same(one, other) and kinds.of(one) not in _VAGUE | {_PERSON}:
            some, others = set(telling_words(one.norm)), set(telling_words(other.norm))
            if (some <= others or others <= some) and not _differ_in_legal_form(one, other):
                into.ask(one.atom, other.atom)


def _differ_in_legal_form(one: Known, other: Known) -> bool:
    return without_legal_form(one.norm)[0] == without_legal_form(other.norm)[0]


def _short_name(one: Known, firms: Sequence[Known], documents: Documents, into: Grounds) -> None:
    """A short form is merged with the one name of the workspace that documents say beside it.

    "The Board" is everybody's: only where no document says it without that name.
    """
    words = telling_words(one.norm)
    beside = [
        other
        for other in firms
        if holds(words, telling_words(other.norm))
        and not _differ_in_legal_form(one, other)
        and documents(one.no) & documents(other.no)
    ]
    if not beside or not _one_name(beside) or not all(shortens(one.norm, other.norm) for other in beside):
        return
    if is_common(one.norm) and not documents(one.no) <= set().union(*(documents(other.no) for other in beside)):
        return
    for other in beside:
        into.edge(one.atom, other.atom, SHORT_NAME)


_Rule = Callable[[Sequence[Known], _Kinds, Documents, Grounds], None]
_RULES: Final[Mapping[str, _Rule]] = {
    "c": _spelling,
    "p": _persons,
    "g": _given_names,
    "l": _lone_names,
    "o": _legal_forms,
    "a": _acronyms,
    "s": _sounds,
    "w": _words,
}
