"""What only the store in Neo4j promises: its place beside other people's data, its shape, its errors."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from core_engine.errors import StoreError
from core_engine.kg.stores.neo4j import Neo4jGraphStore
from core_engine.types import GraphChanges, GraphCounts
from tests.core_engine.kg.stores.conftest import forget, last_transaction
from tests.core_engine.kg.stores.test_graph_stores import Meeting
from tests.neo4j_server.server import Address

Asker = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask(neo4j_server: Address) -> Asker:
    """Asks the server directly, as its other users do."""

    def asking(query: str, **parameters: Any) -> list[dict[str, Any]]:
        with neo4j_server.driver() as driver:
            found = driver.execute_query(query, parameters, database_=neo4j_server.database)
            return [record.data() for record in found.records]

    return asking


@pytest.fixture
async def store(neo4j_server: Address, workspace: str) -> AsyncIterator[Neo4jGraphStore]:
    s = neo4j_server
    store = Neo4jGraphStore(s.uri, s.user, s.password, s.database, workspace)
    await store.open()
    yield store
    await store.close()
    forget(neo4j_server, {workspace})


pytestmark = pytest.mark.neo4j


async def test_the_graph_has_the_shape_that_retrievers_read(store: Neo4jGraphStore, workspace: str, ask: Asker) -> None:
    meeting = Meeting(workspace)
    await store.apply(meeting.changes())
    (found,) = ask(
        """
        MATCH (c:Chunk {id: $chunk})-[:FROM_DOCUMENT]->(d:Document), (c)-[:NEXT_CHUNK]->(next:Chunk),
            (a:__Entity__:Entity:Person)-[m:FROM_CHUNK]->(c), (a)-[r:WORKS_AT]->(b:Organization:Customer),
            (s:Statement)-[:SUBJECT]->(a), (s)-[:OBJECT]->(b), (s)-[:FROM_CHUNK]->(c)
        RETURN c.text AS text, d.path AS path, next.index AS next, m.turns AS turns, m.offsets AS offsets,
            r.weight AS weight, s.quote AS quote""",
        chunk=meeting.first.id,
    )
    assert found == {
        "text": "Ann: I work at Acme.",
        "path": "a.vtt",
        "next": 1,
        "turns": [1],
        "offsets": [1, 0],
        "weight": 1,
        "quote": "I work at Acme.",
    }


async def test_every_node_and_relationship_carries_the_workspace(
    store: Neo4jGraphStore, workspace: str, ask: Asker
) -> None:
    await store.apply(Meeting(workspace).changes())
    (nodes,) = ask("MATCH (n:KgNode {workspace: $w}) RETURN count(*) AS n", w=workspace)
    assert nodes["n"] == 1 + 1 + 2 + 2 + 1  # the mark, a document, chunks, entities, a statement
    (strays,) = ask(
        "MATCH (n:KgNode {workspace: $w})-[r]-() WHERE coalesce(r.workspace, '') <> $w RETURN count(*) AS n",
        w=workspace,
    )
    assert strays["n"] == 0


async def test_labels_follow_the_types_and_other_peoples_labels_stay(
    store: Neo4jGraphStore, workspace: str, ask: Asker
) -> None:
    meeting = Meeting(workspace)
    await store.apply(meeting.changes())
    ask("MATCH (n:KgNode {id: $id}) SET n:Favourite, n.note = 'theirs'", id=meeting.acme.id)
    await store.apply(GraphChanges(entities=(dataclasses.replace(meeting.acme, labels=("Entity", "Supplier")),)))
    (node,) = ask("MATCH (n:KgNode {id: $id}) RETURN labels(n) AS labels, n.note AS note", id=meeting.acme.id)
    assert set(node["labels"]) == {"KgNode", "Entity", "__Entity__", "Supplier", "Favourite"}
    assert node["note"] == "theirs"
    await store.apply(GraphChanges(entities=(dataclasses.replace(meeting.acme, labels=("Customer",)),)))
    (node,) = ask("MATCH (n:KgNode {id: $id}) RETURN labels(n) AS labels", id=meeting.acme.id)
    assert set(node["labels"]) == {"KgNode", "Entity", "__Entity__", "Customer", "Favourite"}


async def test_other_peoples_data_is_untouched(store: Neo4jGraphStore, workspace: str, ask: Asker) -> None:
    meeting = Meeting(workspace)
    same = {"ann": meeting.ann.id, "chunk": meeting.first.id, "doc": meeting.document.id, "w": workspace}
    ask(
        """
        CREATE (e:Entity:Person:Foreign {id: $ann, w: $w})-[:FROM_CHUNK]->(c:Chunk:Foreign {id: $chunk, w: $w}),
            (c)-[:FROM_DOCUMENT]->(:Document:Foreign {id: $doc, w: $w}), (e)-[:WORKS_AT {id: 'theirs'}]->(c),
            (e)-[:WORKS_AT]->(:Entity:Foreign {id: $ann, w: $w})""",
        **same,
    )
    theirs = """
        MATCH (n:Foreign {w: $w}) OPTIONAL MATCH (n)-[r]-(o) RETURN labels(n) AS labels, properties(n) AS p,
            type(r) AS type, properties(r) AS rp ORDER BY labels, type, rp.id"""
    before = ask(theirs, w=workspace)
    await store.apply(meeting.changes())
    await store.apply(GraphChanges(chunks=(dataclasses.replace(meeting.first, mentions=(), statements=()),)))
    assert await store.counts() == GraphCounts(1, 2, 2, 1, 0, 0)
    await store.apply(
        GraphChanges(
            deleted_relationships=(meeting.works.id, "theirs"),
            deleted_chunks=(meeting.first.id, meeting.second.id),
            deleted_entities=(meeting.ann.id, meeting.acme.id),
            deleted_documents=(meeting.document.id,),
        )
    )
    assert await store.counts() == GraphCounts()
    assert ask(theirs, w=workspace) == before
    ask("MATCH (n:Foreign {w: $w}) DETACH DELETE n", w=workspace)


async def test_the_constraint_is_on_our_private_label_alone(store: Neo4jGraphStore, ask: Asker) -> None:
    await store.open()
    constraints = ask("SHOW CONSTRAINTS YIELD name, labelsOrTypes, properties WHERE name STARTS WITH 'kg'")
    assert constraints == [{"name": "kg_node_id", "labelsOrTypes": ["KgNode"], "properties": ["id"]}]


async def test_a_wiped_database_is_noticed_at_the_next_write_and_has_another_epoch(
    store: Neo4jGraphStore, workspace: str, ask: Asker
) -> None:
    meeting = Meeting(workspace)
    first = await store.open()
    ask("MATCH (n:KgNode {workspace: $w}) DETACH DELETE n", w=workspace)
    with pytest.raises(StoreError, match="emptied or exchanged"):
        await store.apply(meeting.changes())
    with pytest.raises(StoreError, match="emptied or exchanged"):
        await store.begin(2)
    assert (await store.open()).epoch != first.epoch
    await store.apply(meeting.changes())
    assert (await store.counts()).chunks == 2


async def test_an_empty_change_writes_nothing(store: Neo4jGraphStore, workspace: str, neo4j_server: Address) -> None:
    await store.apply(Meeting(workspace).changes())
    before = last_transaction(neo4j_server)
    await store.apply(GraphChanges())
    assert last_transaction(neo4j_server) == before
    await store.begin(1)
    assert last_transaction(neo4j_server) != before


async def test_the_driver_is_silent_on_stderr(
    store: Neo4jGraphStore, workspace: str, capfd: pytest.CaptureFixture[str]
) -> None:
    await store.apply(Meeting(workspace).changes())
    await store.find_entities("acme", 3)
    assert capfd.readouterr().err == ""
    assert logging.getLogger("neo4j").handlers


async def test_a_wrong_password_is_told_without_it(neo4j_server: Address) -> None:
    s = neo4j_server
    with pytest.raises(StoreError, match="NEO4J_PASSWORD") as told:
        await Neo4jGraphStore(s.uri, s.user, "hunter2-wrong", s.database, "w").open()
    assert "hunter2" not in str(told.value)


async def test_an_unknown_database_is_told(neo4j_server: Address) -> None:
    s = neo4j_server
    with pytest.raises(StoreError, match=r"no database 'nowhere'.*NEO4J_DATABASE"):
        await Neo4jGraphStore(s.uri, s.user, s.password, "nowhere", "w").open()
