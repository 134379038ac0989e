"""Which names of a chunk stand close together: all that can be said of relationships without understanding."""

from __future__ import annotations

from collections.abc import Sequence

from core_engine.kg.rules.records import RuleMention

# A mention is paired with so many names at most, the nearest behind it: a list of 200 names makes 1,600 pairs, not
# 19,900. On Re-DocRED's gold entities, a text being one long turn, 8 keep .87 of the related pairs at .20 precision;
# all pairs .98 at .18, 4 nearest ones .70 at .25.
_PARTNERS = 8
# And no mention is compared with more than so many behind it, be they of one name a thousand times.
_REACH = 60


def cooccurrences(found: Sequence[RuleMention]) -> list[tuple[int, int, int]]:
    """Pairs of distinct names that stand in one turn or in turns that follow each other: (index, index, turn).

    Each pair comes once a chunk, with the turn of the later of its first close mentions, in the order of the text;
    the indexes are those of the two names' first mentions, the smaller first.
    """
    first: dict[str, int] = {}
    ids = [first.setdefault(mention.name.casefold(), i) for i, mention in enumerate(found)]
    order = sorted(range(len(found)), key=lambda i: (found[i].turn, found[i].start, i))
    pairs: dict[tuple[int, int], int] = {}
    for at, i in enumerate(order):
        partners: set[int] = set()
        for j in order[at + 1 : at + 1 + _REACH]:
            if found[j].turn > found[i].turn + 1 or len(partners) == _PARTNERS:
                break
            if ids[j] != ids[i] and ids[j] not in partners:
                partners.add(ids[j])
                pair = (min(ids[i], ids[j]), max(ids[i], ids[j]))
                pairs.setdefault(pair, found[j].turn)
    return [(a, b, turn) for (a, b), turn in pairs.items()]
