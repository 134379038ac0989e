"""What only the store in Neo4j promises: its place beside other people's data, its shape, its errors."""

from __future__ import annotations

import dataclasses
import logging
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from core_engine.errors import StoreError
from core_engine.kg.stores import neo4j
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
            deleted_relationships=(meeting.works.ends, dataclasses.replace(meeting.works.ends, id="theirs")),
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


async def test_indexes_are_made_once_and_hold_nothing_of_others(
    store: Neo4jGraphStore, workspace: str, ask: Asker, neo4j_server: Address
) -> None:
    await store.apply(Meeting(workspace).changes())
    indexes = ask("SHOW INDEXES YIELD name, type, labelsOrTypes WHERE name STARTS WITH 'kg_' RETURN *")
    kinds = {row["name"]: row["type"] for row in indexes}
    assert kinds["kg_entity_names"] == kinds["kg_chunk_text"] == "FULLTEXT"
    assert all(label.startswith("Kg") for row in indexes if row["type"] != "RANGE" for label in row["labelsOrTypes"])
    before = last_transaction(neo4j_server)
    await store.open()
    assert last_transaction(neo4j_server) == before


async def test_names_aliases_and_text_are_found_by_full_text(
    store: Neo4jGraphStore, workspace: str, ask: Asker
) -> None:
    meeting = Meeting(workspace)
    acme = dataclasses.replace(meeting.acme, aliases=("Zyzzyva Holdings",))
    await store.apply(dataclasses.replace(meeting.changes(), entities=(meeting.ann, acme)))
    ask("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
    by_index = """
        CALL db.index.fulltext.queryNodes($index, $words) YIELD node WHERE node.workspace = $w
        RETURN node.id AS id"""
    assert ask(by_index, index="kg_entity_names", words="zyzzyva", w=workspace) == [{"id": acme.id}]
    assert {"id": meeting.first.id} in ask(by_index, index="kg_chunk_text", words="acme", w=workspace)


async def test_embeddings_are_indexed_by_their_size_and_found_by_likeness(
    store: Neo4jGraphStore, workspace: str, ask: Asker
) -> None:
    meeting = Meeting(workspace)
    vectors = {meeting.first.id: struct.pack("<3f", 1, 0, 0), meeting.second.id: struct.pack("<3f", 0, 1, 0)}
    await store.apply(dataclasses.replace(meeting.changes(), embeddings=vectors))
    ask("CALL db.awaitIndexes(60)")
    nearest = """
        CALL db.index.vector.queryNodes('kg_chunk_embedding_3', 10, [0.9, 0.1, 0.0]) YIELD node, score
        WHERE node.workspace = $w RETURN node.id AS id ORDER BY score DESC"""
    assert [row["id"] for row in ask(nearest, w=workspace)] == [meeting.first.id, meeting.second.id]
    # Another model's are of another size, and have an index of their own.
    other = {meeting.first.id: struct.pack("<2f", 0, 1)}
    await store.apply(GraphChanges(chunks=(meeting.first,), embeddings=other))
    names = {row["name"] for row in ask("SHOW INDEXES YIELD name, type WHERE type = 'VECTOR' RETURN name")}
    assert {"kg_chunk_embedding_2", "kg_chunk_embedding_3"} <= names
    assert [row["id"] for row in ask(nearest, w=workspace)] == [meeting.second.id]
    (labels,) = ask("MATCH (n:KgNode {id: $id}) RETURN labels(n) AS held", id=meeting.first.id)
    assert set(labels["held"]) == {"KgNode", "Chunk", "KgVector2"}
    # Written anew before the next model has answered, it has none: it would stand beside the next one's.
    await store.apply(GraphChanges(chunks=(meeting.first,), embeddings={meeting.first.id: None}))
    (held,) = ask("MATCH (n:KgNode {id: $id}) RETURN labels(n) AS labels, n.embedding AS e", id=meeting.first.id)
    assert (set(held["labels"]), held["e"]) == ({"KgNode", "Chunk"}, None)
    for name in ("kg_chunk_embedding_2", "kg_chunk_embedding_3", "kg_chunk_text_2", "kg_chunk_text_3"):
        ask(f"DROP INDEX {name}")


async def test_a_graph_that_a_newer_version_wrote_is_left_alone(
    store: Neo4jGraphStore, workspace: str, ask: Asker, neo4j_server: Address
) -> None:
    ask("MATCH (m:KgStore {workspace: $w}) SET m.layout = 99", w=workspace)
    with pytest.raises(StoreError, match=r"a newer kg wrote .layout 99.*upgrade kg"):
        await store.open()
    # The one before it wrote none.
    ask("MATCH (m:KgStore {workspace: $w}) REMOVE m.layout", w=workspace)
    await store.open()


def test_rows_go_in_queries_of_so_many_rows_and_so_many_bytes() -> None:
    small = [{"id": "x", "values": {"weight": 1}}] * 5_000
    assert [len(some) for some in neo4j._slices(small)] == [2_000, 2_000, 1_000]
    large = [{"id": "x", "embedding": [0.5] * 1536}] * 1_500
    sizes = [len(some) for some in neo4j._slices(large)]
    assert sum(sizes) == 1_500
    assert max(sizes) * 1536 * 9 < 9_000_000
    huge = [{"text": "a" * 20_000_000}, {"text": "b"}]
    assert [len(some) for some in neo4j._slices(huge)] == [1, 1]
