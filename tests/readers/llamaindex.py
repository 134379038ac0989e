# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "llama-index-core==0.14.25",
#     "llama-index-graph-stores-neo4j==0.8.0",
#     "llama-index-vector-stores-qdrant==0.10.4",
#     "qdrant-client==1.20.0",
# ]
# ///
"""LlamaIndex' stores; prints what each found as JSON. What it is asked comes as JSON on standard input."""

import json
import sys

from llama_index.core.graph_stores.types import EntityNode
from llama_index.core.vector_stores import VectorStoreQuery
from llama_index.graph_stores.neo4j import Neo4jPropertyGraphStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

asked = json.load(sys.stdin)
vector = asked["vector"]
found = {}
graph = Neo4jPropertyGraphStore(
    username=asked["user"],
    password=asked["password"],
    url=asked["uri"],
    database=asked["database"],
    refresh_schema=False,  # the schema would need APOC
    create_indexes=False,  # or it would put constraints of its own on __Entity__ and Chunk
)
triplets = graph.get_triplets(ids=[asked["entity"]])
found["get_triplets"] = sorted({relation.label for _, relation, _ in triplets})
found["names"] = sorted({end.name for source, _, target in triplets for end in (source, target)})
entity = EntityNode(name=asked["entity"])  # whose name is its id, to LlamaIndex
found["get_rel_map"] = len(graph.get_rel_map([entity], depth=1, limit=200))
found["structured_query"] = graph.structured_query(
    "MATCH (c:Chunk {workspace: $w}) RETURN count(*) AS n", param_map={"w": asked["workspace"]}
)[0]["n"]
graph.close()
points = QdrantVectorStore(
    collection_name=f"kg_{asked['workspace']}",
    client=QdrantClient(asked["qdrant"], check_compatibility=False),
    dense_vector_name="dense",
    text_key="text",
)
result = points.query(VectorStoreQuery(query_embedding=vector, similarity_top_k=3))
found["QdrantVectorStore"] = result.ids
found["text"] = result.nodes[0].get_content()
json.dump(found, sys.stdout)
