"""What a page shows, chosen from a ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from core_engine.ledger import around
from core_engine.ledger.looking import looking
from core_engine.ledger.values import to_blob
from core_engine.view import graph as graphs
from tests.kg import ROOT, Kg
from tests.openai_server.fixture import start


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Kg:
    """The samples as a model reads them."""
    kg = Kg(tmp_path_factory.mktemp("samples"))
    with start(gold="data/gold/conversations.jsonl") as server:
        model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
        kg.process(ROOT / "data/transcripts", "--embedder", "none", **model)
    return kg


@pytest.fixture(scope="module")
def db(samples: Kg) -> Iterator[sqlite3.Connection]:
    with looking(samples.folder / ".kg/default/ledger.sqlite3") as ledger:
        yield ledger


@pytest.fixture(scope="module")
def stored(samples: Kg) -> dict[str, list[Any]]:
    return samples.graph()


def test_the_whole_is_what_the_store_holds(db: sqlite3.Connection, stored: dict[str, list[Any]]) -> None:
    whole = graphs.whole(db, 10_000)
    assert {node.entity.id for node in whole.nodes} == {row["id"] for row in stored["entities"]}
    assert whole.entities == len(stored["entities"])
    names = [node.entity.id for node in whole.nodes]
    shown = {(names[e.source], names[e.target], e.type): e.weight for e in whole.edges}
    assert shown == {(r["source_id"], r["target_id"], r["type"]): r["weight"] for r in stored["relationships"]}


def test_every_node_and_edge_has_the_words_that_say_so(db: sqlite3.Connection, stored: dict[str, list[Any]]) -> None:
    whole = graphs.whole(db, 10_000)
    assert all(node.said and node.documents for node in whole.nodes)
    quotes: dict[tuple[str, str, str], set[str]] = {}
    for row in stored["statements"]:
        quotes.setdefault((row["subject_id"], row["object_id"], row["predicate"]), set()).add(row["quote"])
    names = [node.entity.id for node in whole.nodes]
    for edge in whole.edges:
        assert edge.said
        known = quotes[names[edge.source], names[edge.target], edge.type]
        assert {one.quote for one in edge.said} <= known
    times = [one.start for node in whole.nodes for one in node.said]
    assert any(time is not None for time in times)


def test_of_too_many_the_heaviest_are_shown_and_it_says_so(db: sqlite3.Connection) -> None:
    some = graphs.whole(db, 20)
    assert len(some.nodes) == 20
    assert some.entities > 20
    rest = [node.entity.weight for node in graphs.whole(db, 10_000).nodes][20:]
    assert min(node.entity.weight for node in some.nodes) >= max(rest)


def test_surroundings_reach_as_far_as_they_are_asked_to(db: sqlite3.Connection, stored: dict[str, list[Any]]) -> None:
    (centre,) = around.called(db, "imogen tarrant", ["imogen", "tarrant"])[:1]
    edges = {(r["source_id"], r["target_id"]) for r in stored["relationships"]}
    reached = {next(r["id"] for r in stored["entities"] if to_blob(r["id"]) == centre)}
    for depth in (1, 2, 3):
        reached |= {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
        found = graphs.surroundings(db, centre, depth, 10_000)
        assert {node.entity.id for node in found.nodes} == reached
        assert found.centre == found.nodes[0].entity.id
    assert len(graphs.surroundings(db, centre, 3, 5).nodes) == 5


def test_an_entity_is_found_by_its_name_or_by_words_of_it(db: sqlite3.Connection) -> None:
    exact = around.called(db, "imogen tarrant", ["imogen", "tarrant"])
    assert exact == around.called(db, "no such form", ["tarrant", "imogen"])
    assert around.called(db, "no such form", ["zyzzyva"]) == []
