"""Places the nodes of a graph on a plane: those that are joined near each other, and none upon another.

The forces are d3-force's (links as springs, nodes that push each other off, a weak pull to the middle), worked out for all
nodes at once. Without chance: the same graph lies the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]

_LINK = 34.0  # length of a link between two small nodes
_PUSH = 130.0
_PULL = 0.035
_KEPT = 0.6  # of its speed, from one step to the next
_GAP = 3.0  # between two nodes
_SOFT = 16.0  # what is nearer than the root of it is pushed no harder
_GOLDEN = math.pi * (3 - math.sqrt(5))


def layout(edges: Sequence[tuple[int, int]], radii: Sequence[float]) -> list[tuple[float, float]]:
    """A place for each node, given its radius. Joined ones in the middle, the others around them."""
    count = len(radii)
    size = np.asarray(radii, np.float32)
    ends = np.array(sorted({(min(e), max(e)) for e in edges if e[0] != e[1]}), np.int64).reshape(-1, 2)
    degree = np.bincount(ends.ravel(), minlength=count)
    order = _by_neighbourhood(count, ends, degree)
    joined = order[degree[order] > 0]
    places = np.zeros((count, 2), np.float32)
    reach = 0.0
    if len(joined):
        number = np.full(count, -1)
        number[joined] = np.arange(len(joined))
        places[joined] = _settled(number[ends], size[joined])
        reach = float(np.hypot(*places[joined].T).max()) + 40
    _around(places, order[degree[order] == 0], size, reach)
    return [(float(x), float(y)) for x, y in places]


def _settled(ends: Ints, size: Floats) -> Floats:
    count = len(size)
    places = _sunflower(np.arange(count), 14.0)
    speed = np.zeros_like(places)
    degree = np.bincount(ends.ravel(), minlength=count)
    source, target = ends.T
    stiff = (1 / np.minimum(degree[source], degree[target])).astype(np.float32)
    share = (degree[source] / (degree[source] + degree[target])).astype(np.float32)
    length = _LINK + size[source] + size[target]
    steps = 300 if count <= 1500 else 220
    cooling = 0.001 ** (1 / steps)
    heat = 1.0
    for step in range(steps):
        heat *= cooling
        apart = places[target] + speed[target] - places[source] - speed[source]
        distance = np.maximum(np.hypot(apart[:, 0], apart[:, 1]), 1e-3)
        pull = apart * ((distance - length) / distance * heat * stiff)[:, None]
        for axis in (0, 1):
            speed[:, axis] -= np.bincount(target, pull[:, axis] * share, count).astype(np.float32)
            speed[:, axis] += np.bincount(source, pull[:, axis] * (1 - share), count).astype(np.float32)
        speed += _pushed(places, size, heat, step % 2)
        speed -= places * (_PULL * heat)
        speed *= _KEPT
        places = places + speed
    # Where links hold too many too near each other, all move apart, until the nodes cover a third of their ground.
    covered = 3 * float(((size + _GAP) ** 2).sum())
    ground = float(np.quantile((places**2).sum(axis=1), 0.9))
    places = places * np.float32(max(1.0, math.sqrt(covered / max(ground, 1e-3))))
    for step in range(24):  # what is left of overlaps
        places = places + _pushed(places, size, 0.0, step % 2)
    settled: Floats = places - places.mean(axis=0)
    return settled


def _pushed(places: Floats, size: Floats, heat: float, axis: int) -> Floats:
    """How each node is pushed by all others: by those of its block one by one, by every other block as one body.

    Blocks hold equal numbers of nodes, cut along one axis first and then the other; the axes take turns, so that no two
    near nodes stand in different blocks for long. This makes a step O(n √n).
    """
    count = len(places)
    blocks = max(1, round(math.sqrt(count)))
    strips = max(1, round(math.sqrt(blocks)))
    strip = np.empty(count, np.int64)
    strip[np.argsort(places[:, axis], kind="stable")] = np.arange(count) * strips // count
    order = np.lexsort((places[:, 1 - axis], strip))
    held = math.ceil(count / blocks)
    blocks = math.ceil(count / held)
    padded = np.concatenate([order, np.full(blocks * held - count, order[-1])]).reshape(blocks, held)
    there = (np.arange(blocks * held) < count).reshape(blocks, held).astype(np.float32)

    block = places[padded]  # (blocks, held, 2)
    mass = there.sum(axis=1)
    centre = (block * there[:, :, None]).sum(axis=1) / mass[:, None]
    local = block - centre[:, None, :]

    # The sum over j of w[i, j] * (place[i] - place[j]) without the differences: two products of matrices.
    square = _squares(local, local)
    radius = size[padded]
    weight = (_PUSH * heat) / np.maximum(square, _SOFT)
    distance = np.sqrt(np.maximum(square, 1e-6))
    weight += 0.35 * np.maximum((radius[:, :, None] + radius[:, None, :] + _GAP) / distance - 1, 0)
    weight *= there[:, None, :]
    weight[:, np.arange(held), np.arange(held)] = 0
    force = local * weight.sum(axis=2, keepdims=True) - weight @ local

    if heat:
        flat = block.reshape(-1, 2)
        weight = (_PUSH * heat) * mass / np.maximum(_squares(flat, centre), _SOFT)
        weight.reshape(blocks, held, blocks)[np.arange(blocks), :, np.arange(blocks)] = 0
        force += (flat * weight.sum(axis=1, keepdims=True) - weight @ centre).reshape(blocks, held, 2)

    pushed = np.zeros_like(places)
    real = there.astype(bool)
    pushed[padded[real]] = force[real]
    return pushed


def _squares(one: Floats, other: Floats) -> Floats:
    """The squared distance of each of the one from each of the other."""
    products: Floats = one @ np.swapaxes(other, -1, -2)
    squares = (one**2).sum(axis=-1)[..., :, None] + (other**2).sum(axis=-1)[..., None, :] - 2 * products
    positive: Floats = np.maximum(squares, 0)
    return positive


def _around(places: Floats, alone: Ints, size: Floats, reach: float) -> None:
    """Puts nodes that nothing joins around the others, like the seeds of a sunflower."""
    if len(alone):
        apart = 2 * float(size[alone].max()) + _GAP + 6
        first = (reach / apart) ** 2 * 1.1
        places[alone] = _sunflower(np.arange(len(alone)) + first, apart)


def _sunflower(numbers: npt.NDArray[Any], apart: float) -> Floats:
    reach, angle = apart * np.sqrt(numbers + 0.5), numbers * _GOLDEN
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1).astype(np.float32)


def _by_neighbourhood(count: int, ends: Ints, degree: Ints) -> Ints:
    """The nodes as one meets them walking from the best joined one on, so that they begin near their neighbours."""
    others: list[list[int]] = [[] for _ in range(count)]
    for one, other in ends.tolist():
        others[one].append(other)
        others[other].append(one)
    met = [False] * count
    order: list[int] = []
    for first in np.argsort(-degree, kind="stable").tolist():
        if met[first]:
            continue
        met[first] = True
        order.append(first)
        at = len(order) - 1
        while at < len(order):
            for other in others[order[at]]:
                if not met[other]:
                    met[other] = True
                    order.append(other)
            at += 1
    return np.array(order, np.int64)
