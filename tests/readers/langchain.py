# /// script
# requires-python = ">=3.11"
# dependencies = ["langchain-neo4j==0.11.0", "langchain-qdrant==1.1.0", "neo4j==5.28.8", "qdrant-client==1.20.0"]
# ///
"""LangChain's stores; prints what each found as JSON. What it is asked comes as JSON on standard input."""

import json
import sys

from langchain_core.embeddings import Embeddings
from langchain_neo4j import Neo4jGraph, Neo4jVector
from langchain_neo4j.vectorstores.neo4j_vector import SearchType
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

asked = json.load(sys.stdin)
words, vector = asked["words"], asked["vector"]
place = {"url": asked["uri"], "username": asked["user"], "password": asked["password"], "database": asked["database"]}


class Known(Embeddings):
    """The model's vectors of the two texts that are asked about; a real program names its embedding model here."""

    def embed_documents(self, texts):
        return [vector for _ in texts]

    def embed_query(self, text):
        return vector


found = {}
graph = Neo4jGraph(**place, refresh_schema=False)  # the schema would need APOC
found["Neo4jGraph"] = graph.query("MATCH (c:Chunk {workspace: $w}) RETURN count(*) AS n", {"w": asked["workspace"]})[0][
    "n"
]
index = f"kg_chunk_embedding_{len(vector)}"
read = "RETURN node.text AS text, score, {id: node.id, start: node.start} AS metadata"
store = Neo4jVector.from_existing_index(Known(), index_name=index, retrieval_query=read, **place)
found["Neo4jVector"] = [one.metadata["id"] for one in store.similarity_search(words, k=3)]
hybrid = Neo4jVector.from_existing_index(
    Known(),
    index_name=index,
    keyword_index_name=f"kg_chunk_text_{len(vector)}",
    search_type=SearchType.HYBRID,
    retrieval_query=read,
    **place,
)
found["Neo4jVector hybrid"] = [one.metadata["id"] for one in hybrid.similarity_search(words, k=3)]
points = QdrantVectorStore(
    client=QdrantClient(asked["qdrant"], check_compatibility=False),
    collection_name=f"kg_{asked['workspace']}",
    embedding=Known(),
    vector_name="dense",
    content_payload_key="text",
    validate_collection_config=True,
)
hits = points.similarity_search(words, k=3)
found["QdrantVectorStore"] = [one.metadata["_id"] for one in hits]
found["text"] = hits[0].page_content
json.dump(found, sys.stdout)
