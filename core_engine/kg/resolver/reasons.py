"""Why two names are one: the reasons by their words in ledger and reports, the strongest first."""

from __future__ import annotations

from typing import Final

from core_engine.ledger.resolution import MODEL

HAND: Final = "hand"  # a user merged them
ALIAS: Final = "alias"  # a user gave the name to the entity
ONTOLOGY: Final = "ontology"  # the ontology's [names] say so
SPELLING: Final = "spelling"  # the same but for accents, spaces and numerals
LEGAL_FORM: Final = "legal_form"  # "Acme", "Acme Inc."
INTRODUCED: Final = "introduced"  # "this is Wei", "our guest is Desmond Achebe"
ACRONYM: Final = "acronym"
FULL_NAME: Final = "full_name"  # two full forms of one person's name: initials, middle names, nicknames
TITLE: Final = "title"  # "Senator Whitlock", "the Senator"
SURNAME: Final = "surname"  # "Dr. Chen" where the document has one Chen
GIVEN_NAME: Final = "given_name"  # "Wei" where the document has one Wei
SHORT_NAME: Final = "short_name"  # "the Ministry" where the document has one

STRENGTH: Final = {
    reason: at
    for at, reason in enumerate((
        HAND, ALIAS, ONTOLOGY, SPELLING, LEGAL_FORM, INTRODUCED, ACRONYM, FULL_NAME, TITLE, SURNAME, GIVEN_NAME, SHORT_NAME, MODEL,
    ))
}  # fmt: skip

BY_USER: Final = frozenset((HAND, ALIAS))
