"""One ranking out of two: by words and by meaning.

The engines can fuse as well, but they leave equals in any order, another one in each store; and servers before Qdrant
1.16 know no constant but 2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

# The constant of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): what both rankings know stands above what
# only one does.
_K = 60

Scored = tuple[str, float]


def depth(limit: int) -> int:
    """How much of each ranking to read for `limit` hits."""
    return max(100, 3 * limit)


def fuse(rankings: Sequence[Sequence[Scored]], limit: int) -> list[Scored]:
    """The best ids of all rankings by reciprocal rank; a single ranking keeps its scores. Equals stand by id."""
    ordered = [sorted(ranking, key=_best_first) for ranking in rankings]
    if len(ordered) == 1:
        return ordered[0][:limit]
    scores: defaultdict[str, float] = defaultdict(float)
    for ranking in ordered:
        for rank, (point_id, _) in enumerate(ranking, start=1):
            scores[point_id] += 1 / (_K + rank)
    return sorted(scores.items(), key=_best_first)[:limit]


def _best_first(scored: Scored) -> tuple[float, str]:
    point_id, score = scored
    return (-score, point_id)
