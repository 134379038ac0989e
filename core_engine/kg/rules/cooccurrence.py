"""Which findings of a chunk stand close together: all that can be said of most relationships without understanding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core_engine.kg.rules.kinds import ROLE
from core_engine.kg.rules.records import RuleMention
from core_engine.kg.rules.values import VALUES

# A mention is paired with so many names at most, the nearest behind it: a list of 200 names makes 1,600 pairs, not
# 19,900. On Re-DocRED's gold entities, a text being one long turn, 8 keep .87 of the related pairs at .20 precision;
# all pairs .98 at .18, 4 nearest ones .70 at .25.
_PARTNERS = 8
# And no mention is compared with more than so many behind it, be they of one name a thousand times.
_REACH = 60


def cooccurrences(found: Sequence[RuleMention]) -> list[tuple[int, int, int]]:
    """Pairs of distinct names that stand in one turn or in turns that follow each other: (index, index, turn).

    A date, an amount or the like pairs with one name alone, that before it in its turn, else that behind it. Each pair
    comes once a chunk, with the turn of the later of its first close mentions, in the order of the text; the indexes
    are those of the two names' first mentions, the smaller first. A role has its holder, and no pairs.
    """
    first: dict[str, int] = {}
    ids = [first.setdefault(mention.name.casefold(), i) for i, mention in enumerate(found)]
    order = sorted(range(len(found)), key=lambda i: (found[i].turn, found[i].start, i))
    named = [i for i in order if found[i].type != ROLE and found[i].type not in VALUES]
    pairs: dict[tuple[int, int], int] = {}
    for i, j in (*_names(found, ids, named), *_values(found, order)):
        if ids[i] != ids[j]:
            pairs.setdefault((min(ids[i], ids[j]), max(ids[i], ids[j])), max(found[i].turn, found[j].turn))
    return [(a, b, turn) for (a, b), turn in pairs.items()]


def _names(found: Sequence[RuleMention], ids: Sequence[int], order: Sequence[int]) -> Iterator[tuple[int, int]]:
    for at, i in enumerate(order):
        partners: set[int] = set()
        for j in order[at + 1 : at + 1 + _REACH]:
            if found[j].turn > found[i].turn + 1 or len(partners) == _PARTNERS:
                break
            if ids[j] != ids[i] and ids[j] not in partners:
                partners.add(ids[j])
                yield i, j


def _values(found: Sequence[RuleMention], order: Sequence[int]) -> Iterator[tuple[int, int]]:
    # On Re-DocRED's gold entities .16 of such pairs are related, and they are .44 of the related ones; with one name
    # on either side .11 and .54, with two .08 and .71.
    before: int | None = None
    waiting: list[int] = []
    turn = 0
    for i in order:
        mention = found[i]
        if mention.turn != turn:
            turn, before, waiting = mention.turn, None, []
        if mention.type == ROLE:
            continue
        if mention.type not in VALUES:
            for value in waiting:
                yield value, i
            before, waiting = i, []
        elif before is not None:
            yield before, i
        else:
            waiting.append(i)
