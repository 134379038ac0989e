"""Which words of a candidate are a name: the rules, asked once a chunk with the casing of the whole workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from core_engine.kg.rules import words as w
from core_engine.kg.rules.casing import Casing
from core_engine.kg.rules.patterns import ADVERBIAL, AMOUNT, FILLER, TAIL
from core_engine.kg.rules.records import Candidate

# Shares of capitals below which a word is taken for a common one, each the best of a few on half of two gold sets.
_STRONG = 0.1
_FIRST = 0.02
_ALONE = 0.2
_INITIAL = 0.5


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a candidate and what can be said of it without its surroundings."""

    width: int
    length: int
    """Without a comma, a possessive, or a "-based" behind."""
    base: str
    """In lower case, without a possessive or a full stop: how its casing is counted."""
    link: bool
    number: bool
    strong: bool
    """Two capitals or a digit beside them: an acronym or a coined name, hardly an ordinary word."""
    stop: bool
    within: bool
    amount: bool
    ends: bool
    """A possessive or the like behind it: what follows is another name."""
    letter: bool
    adverbial: bool


@lru_cache(maxsize=1 << 15)
def word(text: str) -> Word:
    stripped = TAIL.sub("", text.rstrip(","))
    bare = stripped.strip("._")
    base = bare.lower().replace("\u2019", "'")
    acronym = len(bare) > 1 and bare.replace(".", "").isupper() and base not in w.PLAIN_CAPITALS
    whole = text.lower().replace("\u2019", "'")
    return Word(
        width=len(text),
        length=len(stripped),
        base=base,
        link=text in w.LINK_WORDS,
        number=text.isdigit(),
        strong=sum(map(str.isupper, bare)) > 1 or any(map(str.isdigit, bare)),
        stop=(base in w.STOP or whole in w.STOP or FILLER.fullmatch(base) is not None) and not acronym,
        within=base in w.WITHIN,
        amount=AMOUNT.match(text) is not None,
        ends=stripped != text.rstrip(","),
        letter=len(base) == 1,
        adverbial=ADVERBIAL.search(base) is not None,
    )


Run = list[tuple[Word, int, int]]
"""Words that stand together, each with its offsets in the candidate."""


def names(candidate: Candidate, casing: Casing) -> Iterator[tuple[int, int, bool]]:
    """The names in a candidate: the offsets of each, and whether an honorific before it says that it is a person's."""
    for run, honoured in _runs(candidate, casing):
        kept, titled = _without_title(_without_ends(run))
        if kept and not _is_no_name(kept):
            last, start, _ = kept[-1]
            yield kept[0][1], start + last.length, honoured or titled


def _runs(candidate: Candidate, casing: Casing) -> Iterator[tuple[Run, bool]]:
    tokens = [word(text) for text in candidate.text.split()]
    alone = sum(not known.link for known in tokens) == 1
    run: Run = []
    honoured = False
    end = -1
    for i, known in enumerate(tokens):
        start, end = end + 1, end + 1 + known.width
        before = run[-1][0] if run else None
        if known.link:
            if before and not _joins(before, known, casing):
                yield run, honoured
                run, honoured = [], False
            elif run:
                run.append((known, start, end))
        elif known.number:
            if i == 0 or (before and not before.link):
                run.append((known, start, end))
        elif _is_name(known, before, casing, opens=candidate.initial and i == 0, alone=alone):
            if run and _is_title(i, tokens):
                yield run, honoured
                run, honoured = [], False
            run.append((known, start, end))
            if known.ends:
                yield run, honoured
                run, honoured = [], False
        else:
            if run:
                yield run, honoured
            run, honoured = [], known.base in w.HONORIFICS
    if run:
        yield run, honoured


def _is_name(known: Word, before: Word | None, casing: Casing, *, opens: bool, alone: bool) -> bool:
    if known.amount or not known.base:
        return False
    if known.stop:
        if known.base == "i":
            return before is not None and before.base in w.NUMBERED
        return known.within and not opens and not alone
    share = casing.share(known.base)
    if share is None:
        if known.strong or not opens:
            return True
        return casing.is_speaker(known.base) if alone else not known.adverbial
    if known.strong:
        return share >= _STRONG
    if opens:
        return share > _INITIAL
    return before is not None or share >= (_ALONE if alone else _FIRST)


def _joins(head: Word, link: Word, casing: Casing) -> bool:
    """Whether the link leads on within the name: in "Bank of America", but not in "Carlos Laboy of HSBC"."""
    if link.base == "for":
        return head.base in w.FOR_HEADS
    if link.base != "of":
        return True
    if head.base in w.OFFICES:
        return False
    return head.base in w.OF_HEADS or (not head.strong and casing.lower(head.base) > 0)


def _is_title(i: int, tokens: list[Word]) -> bool:
    """Whether the token is a title of the name that follows it in the run."""
    if i + 1 >= len(tokens) or tokens[i + 1].link or tokens[i + 1].number:
        return False
    if tokens[i].base in w.ADJUNCTS:
        return tokens[i + 1].base in w.TITLES
    return tokens[i].base in w.TITLES


def _without_ends(run: Run) -> Run:
    """The run without links at its ends, and without a year before it that is not part of the name."""
    if run[0][0].number and not (len(run) > 2 and any(known.base in w.YEARLY for known, _, _ in run)):
        run = run[1:]
    while run and run[-1][0].link:
        run = run[:-1]
    while run and run[0][0].link:
        run = run[1:]
    return run


def _without_title(run: Run) -> tuple[Run, bool]:
    tokens = [known for known, _, _ in run]
    titles = 0
    while _is_title(titles, tokens) if titles < len(tokens) else False:
        titles += 1
    return run[titles:], any(known.base in w.HONORIFICS for known in tokens[:titles])


def _is_no_name(run: Run) -> bool:
    if all(known.number or known.letter or known.stop for known, _, _ in run):
        return True
    return all(known.base in w.JOBS for known, _, _ in run) and not (len(run) == 1 and run[0][0].strong)
