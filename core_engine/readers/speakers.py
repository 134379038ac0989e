"""Who speaks: which of the words before a colon in a file are speakers, told by their shape and by repetition."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from enum import IntEnum


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ROLE = re.compile(
    r"(?:(?:unknown|unidentified|male|female|first|second)[ _-])?"
    r"(?:speaker|spk|person|participant|guest|host|co-?host|moderator|operator|interviewer|interviewee|facilitator"
    r"|narrator|presenter|audience(?: member)?|voice|caller|agent|customer|student|teacher|unknown|chair(?:man|woman)?"
    r"|sprecher(?:in)?|intervenante?|locut(?:eur|rice)|hablante|q|a|s)[ _#-]{0,2}\d{0,4}",
    re.IGNORECASE,
)
_NOT_A_NAME = re.compile(r"""["“”„={}<>\\`*;!?…]|https?\b|//|[.,]$""")
_ABBREVIATED = re.compile(r"\b(?:[Jj]r|[Ss]r|[Ee]sq|[A-Z])\.$")
_PARTICLES = _words("for de del der den da di du la le van von of and und et y e bin ibn al el the & | / - \u2013 @")
_HEADINGS = _words(
    """
    abstract ad action actions added address agenda aim also and answers appendix attendees attention author authors
    because bonus break but cc caution caveat changed chapter chapters conclusion cons contact context contents
    copyright created date deadline deadlines decision decisions definition deprecated description details
    disclaimer duration edit email end episode eta example examples faq features figure file files finally first
    fixed footnote from fwd goal goals hence hint host-notes http https idea important in input jingle install
    installation intro introduction issue issues items keywords language last length license link links list
    location meeting method methods minutes motto music namely name next note notes now nb objective or output
    outcome outro overview owner page part participants phone place plot plus present problem pros ps purpose
    question questions quote rated reason reasons recap recorded recording references regarding remark remember
    removed requirements result results risk risks room second section security see setup show so solution source
    sources speakers sponsor start status step steps subject sum summary tags takeaway takeaways task tasks tel then
    therefore third time timestamps tip tips title to todo topic topics total transcript translation tldr type
    update updated updates url usage venue version video warning web website where why
    """
)
"""First words of labels that head a line or a remark, not a turn."""

_PARENTHESES = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")


class Shape(IntEnum):
    """How much a label looks like a speaker's."""

    NONE = 0
    LOOSE = 1
    NAME = 2
    ROLE = 3


def shape(label: str) -> Shape:
    """A role (`Speaker 3`), a name (capitalised words), something loose (`jvn`, `emma (reth)`), or no speaker."""
    if len(label) > 80 or not label[:1].isalnum():
        return Shape.NONE
    if _ROLE.fullmatch(label):
        return Shape.ROLE
    if _NOT_A_NAME.search(label) and not (_ABBREVIATED.search(label) and not _NOT_A_NAME.search(label[:-1])):
        return Shape.NONE
    words = _PARENTHESES.sub(" ", label).split()
    if not words or len(words) > 7 or words[0].casefold().strip(".") in _HEADINGS:
        return Shape.NONE
    small = [w for w in words if w[0].islower() and w not in _PARTICLES]
    digits = any(c.isdigit() for w in words for c in w)
    if not small and not digits and len(words) <= 6:
        return Shape.NAME
    return Shape.LOOSE if len(words) <= 3 and len(small) <= 1 and words[0][0].isalpha() else Shape.NONE


def speakers_among(
    labels: Iterable[str], units: int, known: Collection[str] = (), *, first: str | None = None
) -> set[str]:
    """Which of the labels, one for each place where one was found, are speakers; none where the file is prose.

    `units` says how many paragraphs (or captions) the file has; `known` are speakers the file names elsewhere;
    `first` is the label that the file begins with.
    """
    counts = Counter(labels)
    fit = {label for label, count in counts.items() if label in known or _fits(shape(label), count)}
    found = sum(counts[label] for label in fit)
    if not found:
        return set()
    again = sum(counts[label] for label in fit if counts[label] > 1)
    several = sum(1 for label in fit if counts[label] > 1) > 1
    throughout = found >= 0.25 * units
    alternating = several and again >= 6 and again >= 0.6 * found and found >= 0.05 * units
    from_the_top = first in fit and several and again >= 0.8 * sum(counts.values())
    if found >= 0.7 * units:
        # Where everything has a label, a strange one is a nickname and not prose.
        fit |= {label for label in counts if shape(label) is Shape.LOOSE}
    return fit if throughout or alternating or from_the_top else set()


def _fits(kind: Shape, count: int) -> bool:
    return kind >= Shape.NAME or (kind is Shape.LOOSE and count >= 3)
