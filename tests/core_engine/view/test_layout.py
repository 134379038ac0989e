from __future__ import annotations

import math
import random
from itertools import combinations

from core_engine.view.layout import layout


def _apart(places: list[tuple[float, float]]) -> float:
    return min(math.dist(a, b) for a, b in combinations(places, 2))


def test_the_same_graph_lies_the_same_way() -> None:
    edges = [(random.Random(n).randrange(80), random.Random(-n).randrange(80)) for n in range(160)]
    assert layout(edges, [5.0] * 80) == layout(edges, [5.0] * 80)


def test_what_is_joined_lies_nearer_than_what_is_not() -> None:
    # Two groups of ten, each joined among themselves, and one link between them.
    edges = [pair for first in (0, 10) for pair in combinations(range(first, first + 10), 2)] + [(0, 10)]
    places = layout(edges, [5.0] * 20)
    within = [math.dist(places[a], places[b]) for a, b in edges if (a < 10) == (b < 10)]
    between = [math.dist(places[a], places[b]) for a in range(1, 10) for b in range(11, 20)]
    assert max(within) < min(between)


def test_no_node_lies_on_another() -> None:
    edges = [(n, (n * 7 + 3) % 200) for n in range(200)] + [(0, n) for n in range(1, 60)]
    places = layout(edges, [6.0] * 230)
    assert _apart(places) > 9  # two radii of 6 overlap a little at most


def test_nodes_that_nothing_joins_stand_around_the_others() -> None:
    places = layout([(0, 1), (1, 2), (2, 0)], [5.0] * 30)
    joined = max(math.hypot(*place) for place in places[:3])
    assert min(math.hypot(*place) for place in places[3:]) > joined


def test_any_small_graph_has_a_layout() -> None:
    assert layout([], []) == []
    assert len(layout([], [5.0])) == 1
    assert len(layout([(0, 0)], [5.0])) == 1
    for count in range(2, 12):
        edges = [(n, n + 1) for n in range(count - 1)] * 2
        places = layout(edges, [5.0] * count)
        assert all(map(math.isfinite, (number for place in places for number in place)))
        assert _apart(places) > 8
