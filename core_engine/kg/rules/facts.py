"""Who holds which role where, from the roles of a chunk and the names that stand beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from core_engine.kg.rules.casing import Casing
from core_engine.kg.rules.kinds import ENTITY, ORGANIZATION, PERSON, ROLE
from core_engine.kg.rules.records import Findings, Role, RuleFact, RuleMention
from core_engine.kg.rules.roles import Held
from core_engine.kg.rules.speakers import is_label

_LONGEST_NAME = 4  # words
_PART = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*\.?")

HAS_ROLE = "has_role"
WORKS_AT = "works_at"


def with_roles(found: Sequence[RuleMention], roles: Sequence[Role], casing: Casing) -> Findings:
    """The mentions with those of roles behind them, their holders as persons, their firms as organizations."""
    mentions = list(found)
    facts: list[RuleFact] = []
    beside = _Beside(found, casing)
    for held, text in roles:
        holder = beside.holder(held)
        if holder is None:
            continue
        if mentions[holder].type == ENTITY:
            mentions[holder] = replace(mentions[holder], type=PERSON)
        at = held.start
        for role in text.split(" and "):
            facts.append(RuleFact(holder, HAS_ROLE, len(mentions), held.turn))
            mentions.append(RuleMention(role, ROLE, held.turn, at, at + len(role), False))
            at += len(role) + len(" and ")
        firm = beside.firm(held)
        if firm is not None and firm != holder:
            mentions[firm] = replace(mentions[firm], type=ORGANIZATION)
            facts.append(RuleFact(holder, WORKS_AT, firm, held.turn))
    return Findings(tuple(mentions), tuple(facts))


class _Beside:
    """The names by where they begin and end, and which of them have a role already."""

    def __init__(self, found: Sequence[RuleMention], casing: Casing) -> None:
        self._found = found
        self._casing = casing
        self._begins = {(m.turn, m.start): i for i, m in enumerate(found) if not m.speaker}
        self._ends = {(m.turn, m.end): i for i, m in enumerate(found) if not m.speaker}
        self._speaks = {m.turn: i for i, m in enumerate(found) if m.speaker}
        self._taken: set[int] = set()

    def holder(self, held: Held) -> int | None:
        """The index of the person whose role it is; in "Ann Lee, CFO, Bob Ray, COO" each name is taken once."""
        if held.mine:
            speaker = self._speaks.get(held.turn)
            return None if speaker is None or is_label(self._found[speaker].name) else speaker
        for place in (self._ends.get((held.turn, held.before)), self._begins.get((held.turn, held.after))):
            if place is not None and place not in self._taken and self._is_person(place):
                self._taken.add(place)
                return place
        return None

    def firm(self, held: Held) -> int | None:
        """The index of the organization in which the role is held, where that is sure."""
        for place, sure in (
            (self._begins.get((held.turn, held.of)), held.sure),
            (self._ends.get((held.turn, held.whose)), held.sure),
        ):
            if place is not None:
                type_ = self._found[place].type
                return place if type_ == ORGANIZATION or (sure and type_ == ENTITY) else None
        return None

    def _is_person(self, index: int) -> bool:
        mention = self._found[index]
        if mention.type != ENTITY:
            return mention.type == PERSON
        words = mention.name.split()
        if len(words) == 1:
            return self._casing.is_speaker(mention.name)
        return len(words) <= 4 and all(
            word.replace(".", "").replace("-", "").replace("'", "").replace("\u2019", "").isalpha() for word in words
        )
