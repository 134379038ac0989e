"""Who holds which role, where a text says it beside the name: "our CFO, Ann Lee", "Ann Lee, CFO of Acme", "I'm the CEO"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

NOWHERE: Final = -1


class Held(NamedTuple):
    """A role said beside a place where its holder's name must begin or end.

    `text[start:end]` is the role, perhaps two joined by "and". A person's name begins at `after`, or ends at `before`;
    with `mine` it is the speaker. An organization's name begins at `of`, or ends at `whose`. Each may be NOWHERE.
    `sure` says that whatever is named at `of` is an organization ("CFO of ...", "director at ...").
    """

    turn: int
    start: int
    end: int
    after: int
    before: int
    of: int
    whose: int
    mine: bool
    sure: bool


# An officer is one of a firm; a president, a director or a head may be one of a country or a department.
_OFFICER = r"""
    C[EFOTMIPR]O\b | (?:[Cc]o-?)?[Ff]ounder\b
  | [Cc]hief[ ](?:[Ee]xecutive(?![ ][Oo]fficer)|(?:[A-Za-z]+[ ]){1,2}[Oo]fficer)\b
  | (?:[Mm]anaging|[Gg]eneral)[ ][Pp]artner\b
"""
_OTHER = r"""
    (?:(?:[Ee]xecutive|[Ss]enior|[Aa]ssistant|[Aa]ssociate|[Dd]eputy|[Gg]roup|[Gg]lobal|[Rr]egional|[Cc]reative|
        [Ii]ndependent|[Ll]ead|[Cc]o-|[Cc]orporate|[Cc]ommercial|[Ff]inancial|[Ee]quity|[Rr]esearch)[ -]?){0,3}
    (?:[Vv]ice[ -][Pp]resident | VP\b | [SE]VP\b | [Pp]resident | [Cc]hair(?:man|woman|person)? | [Dd]irector | [Tt]reasurer
      | [Aa]nalyst)\b
  | (?:[Gg]eneral|[Pp]roduct|[Pp]roject|[Pp]rogramme?|[Oo]ffice|[Cc]ountry|[Ss]ales|[Mm]arketing|[Aa]ccount|[Ff]inance|
       [Oo]perations|[Ee]ngineering|[Pp]lant|[Ss]tore)[ ][Mm]anager\b
  | (?:[Mm]anaging|[Mm]arketing|[Mm]usic|[Cc]reative|[Mm]edical|[Tt]echnical|[Ee]xecutive)[ ][Dd]irector\b
  | (?:[Ll]ead|[Cc]hief|[Ss]enior|[Ss]oftware|[Ss]taff)[ ](?:[Ss]oftware[ ])?(?:[Ee]ngineer|[Dd]eveloper|[Aa]rchitect|[Ss]cientist|[Ee]conomist)\b
  | [Cc]hief[ ]of[ ][Ss]taff\b
  | (?:[Gg]eneral|[Cc]orporate)[ ][Cc]ounsel\b | [Ss]ecretary[ ][Gg]eneral\b
"""
_NO_FIELD = (
    "the|an?|our|your|my|their|his|her|its|this|that|these|those|all|at|of|for|from|with|by|on|in|to|who|which|is|was|are|"
    "has|since|until|and|or|but|as|here|there|now|today|so|if|when|where|while|please|may|can|will|would|it|we|you|they"
)
_WORDS = rf"(?:[ ](?:and[ ])?(?!(?:{_NO_FIELD})\b)[a-z][\w-]+){{1,3}}"
_ROLE = rf"(?:{_OFFICER}|{_OTHER}|[Hh]ead[ ]of(?:{_WORDS}|[ ][A-Z]{{2,4}}\b))"
_FIELD = rf"(?:[ ](?:of|for)(?:[ ][Ii]nvestor[s]?[ ][Rr]elations|{_WORDS})\b)"
_ROLES = re.compile(
    rf"""
    (?:(?P<mine>\bI(?:['\u2019]m|[ ]am)[ ](?:the[ ]|our[ ]|an?[ ])?)
     | (?P<whose>(?<=\w)['\u2019]s?[ ])
     | (?P<our>\b(?:[Oo]ur|[Mm]y|[Yy]our|[Tt]heir|[Ii]ts|[Hh]is|[Hh]er|[Tt]he|[Ff]ormer)[ ])
     | (?P<open>(?<![\w'\u2019-]))
    )
    (?P<role>(?:{_ROLE})(?:[ ]and[ ](?:{_ROLE}))?)
    (?P<field>{_FIELD})?
    (?P<link>[ ](?P<prep>of|at|for|with|from)[ ](?:the[ ])?(?=[A-Z0-9])|(?P<name>,?[ ]is[ ]|,[ ]|[ ](?=[A-Z])))?
    """,
    re.VERBOSE,
)
# No role without one of these, and looking for plain words is quicker than for a pattern.
_HINTS = (
    "fficer", "hief", "resident", "hair", "irector", "anager", "ounder", "artner", "reasurer", "nalyst", "ngineer",
    "eveloper", "rchitect", "cientist", "conomist", "ounsel", "ecretary", "ead of", "VP",
)  # fmt: skip
_LETTERS = re.compile(r"C[EFOTMIPR]O\b")
_BEFORE = re.compile(
    r"(?P<to>,[ ](?:who[ ]is[ ]|and[ ])?|[ ]is[ ]|[ ]\(|[ ]--?[ ])(?:(?:our|my|the|your|their|its|an?|former)[ ])*$"
)
_OFFICERS = re.compile(_OFFICER, re.VERBOSE)
_HONORIFIC = re.compile(r"(?:Mr|Mrs|Ms|Dr|Prof|Sir)\.? ")
_PAST = re.compile(
    r"\b(?:[Ff]ormer|[Pp]ast|[Ee]x|[Rr]etired|[Ff]uture|[Nn]ew|[Nn]ext|[Ii]ncoming|[Oo]utgoing|no|any|as|become)[ -](?:an? |the )?$"
)
_NOT_MEANT = re.compile(
    r"\b(?:if|like|when|where|unless|imagine|suppose|pretend|says?|said|goes|think|not)[ ,:]*$", re.IGNORECASE
)
_BACK = 60
_ON = 100
LONGEST_ROLE: Final = _BACK + _ON
"""Characters, with what links it to a name: no role is looked for in more."""


def held(number: int, text: str) -> Iterator[Held]:
    """The roles in a turn's text beside which a name may stand; whether one does, the names decide."""
    done = 0
    for hint in _hints(text):
        if hint < done:
            continue
        found = _ROLES.search(text, max(done, hint - _BACK), hint + _ON)
        if found is None or _PAST.search(text, max(0, found.start() - _BACK), found.start("role")):
            continue
        start, end = found.span("role")
        done = end
        if found["mine"] and _NOT_MEANT.search(text, max(0, found.start() - _BACK), found.start()):
            continue
        officer = _OFFICERS.search(text, start, end) is not None
        stop = found.end("field") if found["field"] else end
        after = before = of = whose = NOWHERE
        if found["name"]:
            after = found.end("name")
            if honorific := _HONORIFIC.match(text, after):
                after = honorific.end()
        if found["prep"]:
            of = found.end("link")
        if found["whose"]:
            whose = found.start("whose")
        elif not found["mine"] and (link := _BEFORE.search(text, max(0, found.start() - _BACK), start)):
            before = link.start("to")
        sure = officer or found["prep"] in ("at", "with", "from")
        if max(after, before) == NOWHERE and not found["mine"]:
            continue
        yield Held(number, start, stop, after, before, of, whose, found["mine"] is not None, sure)


def _hints(text: str) -> list[int]:
    """Where a role may stand, in order."""
    places = [found.start() for found in _LETTERS.finditer(text)]
    for hint in _HINTS:
        at = text.find(hint)
        while at >= 0:
            places.append(at)
            at = text.find(hint, at + len(hint))
    return sorted(places)
