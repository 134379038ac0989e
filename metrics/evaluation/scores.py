"""Scores what was said against gold, document by document: entities, relationships, resolution, grounding."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from core_engine.kg.grounding import Words
from core_engine.kg.normalise import normal_form
from core_engine.types import GRADES, PLANNED, STATED
from metrics.evaluation.gold import GoldDocument, GoldFact, GoldPair, owners
from metrics.evaluation.said import SaidChunk, SaidEntity, SaidFact

_WORD = re.compile(r"\w+")
_ALIKE = 0.5  # of the words of two names


@dataclass(frozen=True, slots=True)
class Counts:
    """`right` of `said` is the precision, `found` of `gold` the recall: one gold entity may be said under two names."""

    right: float = 0
    said: float = 0
    found: float = 0
    gold: float = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.right + other.right, self.said + other.said, self.found + other.found, self.gold + other.gold
        )

    @property
    def precision(self) -> float | None:
        return self.right / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        return self.found / self.gold if self.gold else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean; None where neither can be told."""
        if self.precision is None and self.recall is None:
            return None
        p, r = self.precision or 0.0, self.recall or 0.0
        return 2 * p * r / (p + r) if p + r else 0.0


MEASURES = (
    "entities exact",
    "entities partial",
    "entities typed",
    "relationships exact",
    "relationships ends",
    "resolution pairwise",
    "resolution b_cubed",
)


@dataclass(frozen=True, slots=True)
class Miss:
    """What gold has and was not said, or was said and gold has not. `words`: what states it, as far as is known."""

    document: str
    kind: str  # missed entity | wrong entity | missed relationship | wrong relationship
    what: str
    words: str = ""


@dataclass(slots=True)
class Scored:
    """One document's scores."""

    name: str
    measures: dict[str, Counts] = field(default_factory=dict)
    by_type: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    by_position: dict[tuple[int, str], Counts] = field(default_factory=lambda: defaultdict(Counts))
    grades: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    """(entities or relationships, grade, is it right): how many."""
    evidence: Counter[str] = field(default_factory=Counter)
    """Of right relationships with a gold quote: cited `right`, or one turn `near`, or `elsewhere`."""
    misses: list[Miss] = field(default_factory=list)


def score(gold: GoldDocument, said: Sequence[SaidChunk]) -> Scored:
    """What was said of one document, against its gold."""
    return _Scorer(gold, said).scored()


class _Scorer:
    def __init__(self, gold: GoldDocument, said: Sequence[SaidChunk]) -> None:
        self._gold = gold
        self._said = said
        self._owners = owners(gold)
        self._result = Scored(gold.name)
        self._named: dict[str, list[SaidEntity]] = defaultdict(list)
        for chunk in said:
            for entity in chunk.entities:
                self._named[entity.entity].append(entity)
        self._matches = {entity: self._match(named) for entity, named in self._named.items()}

    def scored(self) -> Scored:
        self._entities()
        self._facts()
        self._resolution()
        for chunk in self._said:
            self._position(chunk)
        return self._result

    def _match(self, named: Iterable[SaidEntity]) -> frozenset[int]:
        """The gold entities that bear one of the names."""
        forms = {form for each in named for form in (each.norm, normal_form(each.name))}
        return frozenset(owner for form in forms for owner in self._owners.get(form, ()))

    # --- entities ---------------------------------------------------------------------------------------------------

    def _entities(self) -> None:
        gold, result = self._gold.entities, self._result
        exact: set[int] = set()
        typed: set[int] = set()
        partial: set[int] = set()
        right = Counter[str]()
        for entity, named in self._named.items():
            matched = self._matches[entity]
            types = {each.type.casefold() for each in named}
            well = {i for i in matched if gold[i].type.casefold() in types}
            nearly = matched or {
                i for i, each in enumerate(gold) if any(_alike(n.norm, f) for n in named for f in each.forms)
            }
            right.update({"exact": bool(matched), "typed": bool(well), "partial": bool(nearly)})
            exact |= matched
            typed |= well
            partial |= nearly
            kind = Counter(each.type for each in named).most_common(1)[0][0]
            result.by_type[kind] += Counts(right=bool(matched), said=1)
            for one in named:
                result.grades["entities", one.grade, bool(matched)] += 1
            if not matched:
                result.misses.append(Miss(self._gold.name, "wrong entity", f"{named[0].name} ({kind})"))
        for name, found in (("exact", exact), ("partial", partial), ("typed", typed)):
            result.measures[f"entities {name}"] = Counts(right[name], len(self._named), len(found), len(gold))
        for i, each in enumerate(gold):
            result.by_type[each.type] += Counts(found=i in exact, gold=1)
            if i not in exact:
                result.misses.append(Miss(self._gold.name, "missed entity", f"{each.name} ({each.type})"))

    # --- relationships ----------------------------------------------------------------------------------------------

    def _facts(self) -> None:
        gold, result = self._gold.facts, self._result
        said: dict[tuple[str, str, str], list[tuple[SaidChunk, SaidFact]]] = defaultdict(list)
        for chunk in self._said:
            for fact in chunk.facts:
                if fact.modality in {STATED, PLANNED}:
                    said[fact.subject, fact.type, fact.object].append((chunk, fact))
        exact: set[int] = set()
        ends: set[int] = set()
        right = Counter[str]()
        for places in said.values():
            fact = places[0][1]
            joined = {i for i, each in enumerate(gold) if self._joins(fact, each)}
            matched = {i for i in joined if _same_type(gold[i].type, fact.type)}
            right.update({"exact": bool(matched), "ends": bool(joined)})
            exact |= matched
            ends |= joined
            result.by_type[fact.type] += Counts(right=bool(matched), said=1)
            for _, stated in places:
                result.grades["relationships", stated.grade, bool(matched)] += 1
            for i in matched:
                if gold[i].quote:
                    result.evidence[_cited(places, gold[i].quote)] += 1
            if not matched:
                result.misses.append(self._wrong(*places[0]))
        for name, found in (("exact", exact), ("ends", ends)):
            result.measures[f"relationships {name}"] = Counts(right[name], len(said), len(found), len(gold))
        for i, each in enumerate(gold):
            result.by_type[each.type] += Counts(found=i in exact, gold=1)
            if i not in exact:
                names = self._gold.entities[each.subject].name, self._gold.entities[each.object].name
                what = f"{names[0]} {each.type} {names[1]}"
                result.misses.append(Miss(self._gold.name, "missed relationship", what, each.quote))

    def _joins(self, fact: SaidFact, gold: GoldFact) -> bool:
        return gold.subject in self._matches.get(fact.subject, ()) and gold.object in self._matches.get(fact.object, ())

    def _wrong(self, chunk: SaidChunk, fact: SaidFact) -> Miss:
        subject, target = (
            self._named[end][0].name if end in self._named else "?" for end in (fact.subject, fact.object)
        )
        words = chunk.chunk.turns[fact.turn - 1].raw if fact.turn else ""
        return Miss(self._gold.name, "wrong relationship", f"{subject} {fact.type} {target}", words)

    # --- resolution -------------------------------------------------------------------------------------------------

    def _resolution(self) -> None:
        """Over the names that both have, each of which has one owner on either side."""
        said: dict[str, set[str]] = defaultdict(set)
        for entity, named in self._named.items():
            for each in named:
                said[each.norm].add(entity)
        items = [
            (self._owners[form][0], next(iter(entities)))
            for form, entities in sorted(said.items())
            if len(entities) == 1 and len(self._owners.get(form, ())) == 1
        ]
        pairs = Counter((a[0] == b[0], a[1] == b[1]) for a, b in combinations(items, 2))
        same = pairs[True, True]
        self._result.measures["resolution pairwise"] = Counts(
            same, same + pairs[False, True], same, same + pairs[True, False]
        )
        of_gold, of_said, of_both = Counter(a for a, _ in items), Counter(b for _, b in items), Counter(items)
        self._result.measures["resolution b_cubed"] = Counts(
            sum(of_both[item] / of_said[item[1]] for item in items),
            len(items),
            sum(of_both[item] / of_gold[item[0]] for item in items),
            len(items),
        )

    # --- by place in the request ------------------------------------------------------------------------------------

    def _position(self, said: SaidChunk) -> None:
        """A chunk's own entities and relationships: gold's as far as its words hold them."""
        words = Words(said.chunk)
        speakers = {normal_form(speaker) for speaker in said.chunk.speakers}
        here = {i for form, some in self._owners.items() if form in speakers or words.places(form) for i in some}
        matched = [self._matches[each.entity] for each in said.entities]
        found = here & {i for each in matched for i in each}
        self._result.by_position[said.position, "entities"] += Counts(
            sum(map(bool, matched)), len(matched), len(found), len(here)
        )
        texts = [_plain(turn.raw) for turn in said.chunk.turns]
        quoted = {
            i for i, each in enumerate(self._gold.facts) if each.quote and any(_plain(each.quote) in t for t in texts)
        }
        told = [fact for fact in said.facts if fact.modality in {STATED, PLANNED}]
        right = [
            {
                i
                for i, each in enumerate(self._gold.facts)
                if self._joins(fact, each) and _same_type(each.type, fact.type)
            }
            for fact in told
        ]
        found = quoted & {i for each in right for i in each}
        self._result.by_position[said.position, "relationships"] += Counts(
            sum(map(bool, right)), len(told), len(found), len(quoted)
        )


def pair_counts(
    pairs: Sequence[GoldPair], said: Mapping[str, Sequence[SaidChunk]]
) -> list[tuple[GoldPair, bool, bool]]:
    """Each pair of which both names were said, with whether they are taken for the same; and whether it was said."""
    of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for document, chunks in said.items():
        for chunk in chunks:
            for each in chunk.entities:
                of[document, each.norm].add(each.entity)
                of[document, normal_form(each.name)].add(each.entity)
    return [(pair, bool(of[pair.one] & of[pair.other]), bool(of[pair.one] and of[pair.other])) for pair in pairs]


def _alike(one: str, other: str) -> bool:
    """Whether two names share half of their words, or one holds all of the other's."""
    a, b = set(one.split()), set(other.split())
    return bool(a & b) and (a <= b or b <= a or len(a & b) / len(a | b) >= _ALIKE)


def _same_type(one: str, other: str) -> bool:
    return one.replace("_", "").casefold() == other.replace("_", "").casefold()


def _cited(places: Sequence[tuple[SaidChunk, SaidFact]], quote: str) -> str:
    wanted = _plain(quote)
    found = "elsewhere"
    for said, fact in places:
        turns = said.chunk.turns
        if fact.turn and wanted in _plain(turns[fact.turn - 1].raw):
            return "right"
        if any(wanted in _plain(turn.raw) for turn in turns[max(fact.turn - 2, 0) : fact.turn + 1]):
            found = "near"
    return found


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def grade_table(scored: Iterable[Scored]) -> Iterator[tuple[str, str, int, int]]:
    """(entities or relationships, grade, how many, how many of these are right)."""
    total: Counter[tuple[str, str, bool]] = sum((each.grades for each in scored), Counter())
    for of in ("entities", "relationships"):
        for grade in GRADES:
            right, wrong = total[of, grade, True], total[of, grade, False]
            if right + wrong:
                yield of, grade, right + wrong, right
