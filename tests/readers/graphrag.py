# /// script
# requires-python = ">=3.11"
# dependencies = ["neo4j-graphrag==1.21.0", "qdrant-client==1.20.0", "neo4j==5.28.8"]
# ///
"""neo4j-graphrag's retrievers; prints what each found as JSON. What it is asked comes as JSON on standard input."""

import json
import sys

import neo4j
from neo4j_graphrag.retrievers import (
    HybridCypherRetriever,
    HybridRetriever,
    QdrantNeo4jRetriever,
    VectorCypherRetriever,
    VectorRetriever,
)
from neo4j_graphrag.types import RetrieverResultItem
from qdrant_client import QdrantClient

asked = json.load(sys.stdin)
words, vector, size = asked["words"], asked["vector"], len(asked["vector"])
filters = {"workspace": asked["workspace"]}
around = """
WITH node, score WHERE node.workspace = 'WORKSPACE'
OPTIONAL MATCH (node)<-[:FROM_CHUNK]-(e:__Entity__)
OPTIONAL MATCH (node)<-[:FROM_CHUNK]-(s:Statement)
RETURN node.id AS id, score, collect(DISTINCT e.name) AS entities, collect(DISTINCT s.quote) AS quotes
ORDER BY score DESC
""".replace("WORKSPACE", asked["workspace"])


def ids(record: neo4j.Record) -> RetrieverResultItem:
    held = record.data()
    return RetrieverResultItem(content=held["node"]["id"] if "node" in held else held["id"], metadata=held)


def shown(result):
    return [item.content for item in result.items]


found = {}
driver = neo4j.GraphDatabase.driver(asked["uri"], auth=(asked["user"], asked["password"]))
qdrant = QdrantClient(asked["qdrant"], check_compatibility=False)
with driver:
    index = f"kg_chunk_embedding_{size}"
    by_vector = VectorRetriever(driver, index, return_properties=["id", "text"], result_formatter=ids)
    found["VectorRetriever"] = shown(by_vector.search(query_vector=vector, top_k=3, filters=filters))
    with_graph = VectorCypherRetriever(driver, index, around, result_formatter=ids)
    result = with_graph.search(query_vector=vector, top_k=3)
    found["VectorCypherRetriever"] = shown(result)
    found["entities"] = result.items[0].metadata["entities"]
    hybrid = HybridRetriever(driver, index, "kg_chunk_text", return_properties=["id", "text"], result_formatter=ids)
    found["HybridRetriever"] = shown(hybrid.search(query_text=words, query_vector=vector, top_k=3))
    hybrid_graph = HybridCypherRetriever(driver, index, "kg_chunk_text", around, result_formatter=ids)
    found["HybridCypherRetriever"] = shown(hybrid_graph.search(query_text=words, query_vector=vector, top_k=3))
    outside = QdrantNeo4jRetriever(
        driver=driver,
        client=qdrant,
        collection_name=f"kg_{asked['workspace']}",
        using="dense",
        id_property_external="id",
        id_property_neo4j="id",
        node_label_neo4j="Chunk",
        retrieval_query=around,
        result_formatter=ids,
    )
    found["QdrantNeo4jRetriever"] = shown(outside.search(query_vector=vector, top_k=3))
json.dump(found, sys.stdout)
