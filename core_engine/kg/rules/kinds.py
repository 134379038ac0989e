"""What a name is, where its own words or the list of speakers say so."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from core_engine.kg.rules import words as w
from core_engine.kg.rules.given_names import GIVEN

PERSON = "Person"
ORGANIZATION = "Organization"
PLACE = "Place"
ROLE = "Role"
ENTITY = "Entity"

_LONGEST_NAME = 4  # words
# A capital and small letters ("O'Brien", "McGrew", "Garcia-Alarcon"), an initial, or what stands between them ("van").
_NAME = re.compile(
    r"(?:[^\W\d_a-z][^\W\d_]*[^\W\d_A-Z](?:['\u2019-]?[^\W\d_]+)*|[^\W\d_a-z]['\u2019][^\W\d_]+|[A-Z]\.?|van|von|der|den|de|del|della|da|dos|di|la|bin|Jr\.?|Sr\.?)"
)


def kind(name: str, speakers: Collection[str]) -> str:
    """The type of a name; `speakers` are those of the chunk, each whole and by first and last name, case-folded."""
    if name.casefold() in speakers:
        return PERSON
    if name.isupper() and name.lower() in w.OFFICES:
        return ROLE
    if name in w.PLACES:
        return PLACE
    tokens = name.lower().replace(",", "").replace(".", "").split()
    if len(tokens) > 1:
        if tokens[-1] in w.ORGANIZATION_LAST or (tokens[0] in w.ORGANIZATION_FIRST and tokens[1] == "of"):
            return ORGANIZATION
        if tokens[-1] in w.PLACE_LAST:
            return PLACE
        if _is_full_name(name, tokens):
            return PERSON
    return ENTITY


def _is_full_name(name: str, tokens: Sequence[str]) -> bool:
    if tokens[0] not in GIVEN or len(tokens) > _LONGEST_NAME or tokens[-1] in w.NO_SURNAMES:
        return False
    return all(_NAME.fullmatch(word) for word in name.split())
