"""What a page shows: entities, what joins them, and the words that say so, chosen from the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core_engine.ledger import around, rows
from core_engine.ledger.around import Place, Said, Where
from core_engine.ledger.values import CO_OCCURS, to_id
from core_engine.types import EntityRow

# A page of 5,000 nodes with all that is said about each would be too large for a browser.
_NODE_QUOTES = 10
_EDGE_QUOTES = 6
_EDGES_A_NODE = 4
_FEWEST_EDGES = 2_000


@dataclass(frozen=True, slots=True)
class ViewNode:
    """`said`: some of the places that name it; `places`: how many there are; `documents`: ids, in all of which it is named."""

    entity: EntityRow
    said: Sequence[Said]
    places: int
    documents: Sequence[str]


@dataclass(frozen=True, slots=True)
class ViewEdge:
    """Between the nodes with these numbers. `weight`: chunks that state it, or in which both stand together."""

    source: int
    target: int
    type: str
    weight: int
    said: Sequence[Said]
    documents: Sequence[str]


@dataclass(frozen=True, slots=True)
class ViewGraph:
    """`entities` and `relationships`: how many there are in all that was to be shown; the heaviest of them are."""

    nodes: Sequence[ViewNode]
    edges: Sequence[ViewEdge]
    documents: Mapping[str, str]
    entities: int
    relationships: int
    centre: str | None = None


def whole(db: sqlite3.Connection, limit: int) -> ViewGraph:
    """The heaviest entities, and what joins them."""
    return _shown(db, around.heaviest(db, limit), around.count(db), None)


def found_by(db: sqlite3.Connection, run: str, limit: int) -> ViewGraph:
    """What is named in the chunks that a run had something to buy for, the heaviest there; and what joins it."""
    keys = around.named_by(db, run)
    return _shown(db, keys[:limit], len(keys), None)


def surroundings(db: sqlite3.Connection, centre: bytes, depth: int, limit: int) -> ViewGraph:
    """An entity and what is at most so many steps away. Of too many those that statements, then chunks, join most."""
    chosen = {centre: None}
    frontier = [centre]
    seen = 1
    for _ in range(depth):
        strength: dict[bytes, list[int]] = {}
        known = chosen.keys()
        for one in around.joined(db, frontier, backwards=True):
            for other in {one.source, one.target} - known:
                strength.setdefault(other, [0, 0])[one.type == CO_OCCURS] += 1
        ranked = sorted(strength, key=lambda key: (-strength[key][0], -strength[key][1], key))
        seen += len(ranked)
        frontier = ranked[: limit - len(chosen)]
        chosen |= dict.fromkeys(frontier)
    return _shown(db, list(chosen), seen, to_id(centre))


def _shown(db: sqlite3.Connection, keys: Sequence[bytes], entities: int, centre: str | None) -> ViewGraph:
    between: dict[tuple[bytes, bytes, str], dict[int, Place]] = {}
    inside = set(keys)
    for one in around.joined(db, keys, backwards=False):
        if one.target in inside and one.source in inside:
            places = between.setdefault((one.source, one.target, one.type), {})
            if one.place.chunk not in places or _sooner(one.place, places[one.place.chunk]):
                places[one.place.chunk] = one.place
    relations = sorted(between, key=lambda key: (key[2] == CO_OCCURS, -len(between[key]), key))
    kept = relations[: max(_EDGES_A_NODE * len(keys), _FEWEST_EDGES)]

    named: dict[bytes, dict[int, Place]] = {key: {} for key in keys}
    for key, place in around.mentions(db, keys):
        if place.chunk not in named[key] or _sooner(place, named[key][place.chunk]):
            named[key][place.chunk] = place

    chunks = around.where(db, {chunk for places in (*named.values(), *between.values()) for chunk in places})
    of_nodes = {key: around.first(named[key].values(), chunks, _NODE_QUOTES) for key in keys}
    of_edges = {key: around.first(between[key].values(), chunks, _EDGE_QUOTES) for key in kept}
    said = around.said(db, {place for some in (*of_nodes.values(), *of_edges.values()) for place in some}, chunks)

    entity_rows = rows.entity_rows(db, keys)
    number = {key: at for at, key in enumerate(keys)}
    nodes = [
        ViewNode(
            entity_rows[key],
            [said[place] for place in of_nodes[key] if place in said],
            len(named[key]),
            _documents(named[key], chunks),
        )
        for key in keys
    ]
    edges = [
        ViewEdge(
            number[source],
            number[target],
            kind,
            len(between[source, target, kind]),
            [said[place] for place in of_edges[source, target, kind] if place in said],
            _documents(between[source, target, kind], chunks),
        )
        for source, target, kind in kept
    ]
    documents = {where.document_id: where.document for where in chunks.values()}
    return ViewGraph(nodes, edges, documents, entities, len(relations), centre)


def _sooner(one: Place, other: Place) -> bool:
    """Of two in the same chunk, whether the one tells more, or comes first."""
    return (not one.named, one.turn, one.quote) < (not other.named, other.turn, other.quote)


def _documents(places: Iterable[int], chunks: Mapping[int, Where]) -> list[str]:
    return sorted({chunks[chunk].document_id for chunk in places if chunk in chunks})
