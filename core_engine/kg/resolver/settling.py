"""From edges to entities: which edges hold, so that no entity has two names that must stay apart.

A function of the set of edges alone, whatever order they came in: the strongest first, and of equals the smallest; one
that would bring two together that are apart gives way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from core_engine.kg.resolver.names import PersonName, clash, person_name
from core_engine.kg.resolver.reasons import BY_USER, ONTOLOGY, STRENGTH
from core_engine.ledger import components, resolution
from core_engine.ledger.components import BY_HAND, Edge
from core_engine.ledger.resolution import MODEL, Pair, Since, pair

_WEAKEST = len(STRENGTH)


def settle(db: sqlite3.Connection, atoms: Iterable[bytes]) -> int:
    """Make the entities of these atoms anew, and of all that is tied to them; how many atoms changed theirs."""
    left = set(atoms)
    told = resolution.since(db)
    changed = 0
    while left:
        cluster = components.cluster(db, min(left))
        changed += _settle(db, cluster, told)
        left -= cluster
    return changed


def _settle(db: sqlite3.Connection, cluster: set[bytes], told: Since) -> int:
    edges = components.edges_among(db, cluster)
    standing = dict.fromkeys(edges, False)
    counting = sorted((edge for edge in edges if _holds_in(edge, told.mode)), key=_order)
    forest = _Forest(cluster, _Limits(db, cluster, counting, told.person))
    for edge in counting:
        standing[edge] = forest.join(edge)
    return components.regroup(db, forest.components(), standing.items())


def _order(edge: Edge) -> tuple[bool, int, bytes, bytes, bytes]:
    return (edge.origin != BY_HAND, STRENGTH.get(edge.reason, _WEAKEST), edge.a, edge.b, edge.origin)


def by_user(edge: Edge) -> bool:
    return edge.origin == BY_HAND or edge.reason in BY_USER


def _holds_in(edge: Edge, mode: str) -> bool:
    """What `--resolve none` and `--resolve rules` leave."""
    if by_user(edge) or edge.reason == ONTOLOGY:
        return True
    return mode == "model" or (mode == "rules" and edge.reason != MODEL)


class _Limits:
    """What keeps two atoms of a cluster apart: a user, a document in which both speak, a model, or their names."""

    def __init__(self, db: sqlite3.Connection, cluster: set[bytes], edges: Sequence[Edge], person: str) -> None:
        apart = components.apart_among(db, cluster) if len(cluster) > 1 else {}
        self._by_hand = {both for both, by_hand in apart.items() if by_hand}
        self._shown = apart.keys() - self._by_hand
        self._refuted = resolution.refuted_among(db, cluster) if any(e.reason == MODEL for e in edges) else set()
        self._direct = {(edge.a, edge.b) for edge in edges}
        self._names = _full_names(db, cluster, person) if len(cluster) > 1 else {}

    def forbid(self, edge: Edge, some: set[bytes], others: set[bytes]) -> bool:
        """Whether the edge must not bring these together."""
        if edge.origin == BY_HAND:
            return False
        against: set[Pair] = set(self._by_hand)
        if not by_user(edge):
            against |= self._shown
        if edge.reason == MODEL:
            against |= self._refuted
        if any(_between(both, some, others) for both in against):
            return True
        if by_user(edge) or edge.reason == ONTOLOGY:
            return False
        named = [atom for atom in some if atom in self._names]
        return any(
            clash(self._names[one], self._names[other]) and pair(one, other) not in self._direct
            for one in named
            for other in others
            if other in self._names
        )


def _between(both: Pair, some: set[bytes], others: set[bytes]) -> bool:
    a, b = both
    return (a in some and b in others) or (b in some and a in others)


def _full_names(db: sqlite3.Connection, cluster: set[bytes], person: str) -> Mapping[bytes, PersonName]:
    """The full names of persons among these atoms, as they are said."""
    found = {}
    for atom in cluster:
        row = db.execute(
            "SELECT m.name FROM atom a JOIN mention m ON m.atom = a.no WHERE a.id = ? AND m.type = ? "
            "ORDER BY m.name LIMIT 1",
            (atom, person),
        ).fetchone()
        if row and (name := person_name(row[0])) and name.full:
            found[atom] = name
    return found


class _Forest:
    """Atoms that are joined one edge after another."""

    def __init__(self, atoms: set[bytes], limits: _Limits) -> None:
        self._members = {atom: {atom} for atom in atoms}
        self._limits = limits

    def join(self, edge: Edge) -> bool:
        """Whether the two are one now: False where something keeps them apart."""
        some, others = self._members[edge.a], self._members[edge.b]
        if some is others:
            return True
        if self._limits.forbid(edge, some, others):
            return False
        if len(some) < len(others):
            some, others = others, some
        some |= others
        for atom in others:
            self._members[atom] = some
        return True

    def components(self) -> list[set[bytes]]:
        return list({id(members): members for members in self._members.values()}.values())
