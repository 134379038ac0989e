"""How far a name reaches: which are one in the whole workspace, and which mean something else in each document.

docs/decisions/0010-what-a-name-means-elsewhere.md says why.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from core_engine.kg.normalise import UNSPACED, word_set

Scope = Literal["document", "workspace"]

PERSON: Final = "Person"
DATE: Final = "Date"
MONEY: Final = "Money"
_ONE_DOCUMENTS: Final = frozenset(("ActionItem", "Decision", "Percentage"))
KINDS: Final = (PERSON, DATE, MONEY, *sorted(_ONE_DOCUMENTS))
"""The types, as the built-in ontology names them, whose names don't always reach through the workspace."""

# A date is the same day for everybody where it names its year.
_YEAR = re.compile(r"\b(?:1[0-9]|20)\d\ds?\b|\b(?:fy|cy|q[1-4]|h[12]|[1-4]q) ?\d\d\b|\bcentury\b")
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|"
    r"seventy|eighty|ninety|hundred|thousand|million|billion|trillion)\b"
)
_CURRENCY = re.compile(
    r"[$\u20ac\u00a3\u00a5]|\b(?:dollar|buck|cent|euro|pound|yen|yuan|renminbi|rupee|peso|franc|kron(?:or|er)|usd|eur|gbp|"
    r"chf|jpy|cny|rmb|cad|aud|inr|mxn|brl|sek|nok|dkk|hkd|sgd)(?:s|\d|\b)"
)

# Words of labels that tools and transcribers give to speakers whose name they don't know.
_ROLE_WORDS: Final = word_set("""
    administrator agent analyst announcer assistant associate attendee audience board caller candidate ceo cfo chair
    chairman chairperson chairwoman chief cio client cmo coach cohost commissioner consultant coo coordinator cto
    customer deputy designer developer director doctor editor employee engineer evp executive expert facilitator
    female financial grad guest head host human industrial interface interviewee interviewer junior lead leader
    lecturer male manager marketing member minister moderator narrator nurse officer operator owner panelist
    participant patient person phd postdoc presenter president product professor project rapporteur reporter
    representative researcher respondent sales secretary senior speaker spk spokesperson staff student support svp
    teacher technical translator undergrad unidentified unknown user vice voice vp witness
""")
_FILLERS: Final = word_set("of the and for")


def scope_of(norm: str, kind: str, speaker: bool) -> Scope:
    """`kind` is the entity's type by the name that the built-in ontology gives it (`Ontology.kind`)."""
    if kind == PERSON or speaker:
        return _of_person(norm)
    if kind in _ONE_DOCUMENTS:
        return "document"
    if kind == DATE:
        return "workspace" if _YEAR.search(norm) else "document"
    if kind == MONEY:
        return "workspace" if _NUMBER.search(norm) and _CURRENCY.search(norm) else "document"
    return "workspace"


def _of_person(norm: str) -> Scope:
    # "Project Manager", "Speaker 3" and a lone "Ann" mean someone else in each document.
    telling = _telling(norm)
    if len(telling) > 1:
        return "workspace"
    full_name = len(telling) == 1 and len(telling[0]) >= 3 and UNSPACED.match(telling[0])
    return "workspace" if full_name else "document"


def is_role_label(norm: str) -> bool:
    """Whether the normal form of a speaker's name is what a role is called, not a person."""
    return not _telling(norm)


def _telling(norm: str) -> list[str]:
    """The words that tell one person from another."""
    words = [word for word in norm.split() if len(word) > 1 and not word.isdecimal()]
    return [word for word in words if word not in _ROLE_WORDS and word not in _FILLERS]
