"""What a name is, where its own words or the list of speakers say so."""

from __future__ import annotations

from collections.abc import Collection

from core_engine.kg.rules import words as w

PERSON = "Person"
ORGANIZATION = "Organization"
PLACE = "Place"
ROLE = "Role"
ENTITY = "Entity"


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
    return ENTITY
