"""neo4j-graphrag's, LangChain's and LlamaIndex' retrievers and stores find in our databases what is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core_engine.kg.stores.conftest import forget
from tests.kg import ROOT, Kg, neo4j_graph
from tests.neo4j_server.server import Address
from tests.openai_server.fixture import start
from tests.qdrant_face.fixture import RunningFace

pytestmark = pytest.mark.neo4j

WORKSPACE = "readers"


@pytest.fixture(scope="module")
def asked(
    neo4j_server: Address, _face_process: RunningFace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What every script is told: where the databases are, and a chunk's own vector and words to look for."""
    kg = Kg(tmp_path_factory.mktemp("readers"), **neo4j_server.env, QDRANT_URL=_face_process.url)
    with start(gold="data/gold/conversations.jsonl") as server:
        model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
        kg.process(
            ROOT / "data/transcripts", "-w", WORKSPACE, "--dimensions", 64, "--neo4j-embeddings", "--yes", **model
        )
    with neo4j_server.driver() as driver:
        driver.execute_query("CALL db.awaitIndexes(120)", database_=neo4j_server.database)
        driver.execute_query(
            "CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()", database_=neo4j_server.database
        )
    chunk, vector = (
        kg.ledger(WORKSPACE)
        .execute(
            "SELECT hex(c.id), q.answer FROM chunk c JOIN question q ON q.no = c.embed JOIN document d ON "
            "d.no = c.document WHERE d.name LIKE 'podcast-31%' ORDER BY c.seq LIMIT 1"
        )
        .fetchone()
    )
    graph = neo4j_graph(neo4j_server, WORKSPACE)
    row = next(row for row in graph["chunks"] if row["id"].replace("-", "") == chunk.lower())
    entity = next(row for row in graph["entities"] if row["name"] == "Imogen Tarrant")
    yield {
        "workspace": WORKSPACE,
        "uri": neo4j_server.uri,
        "user": neo4j_server.user,
        "password": neo4j_server.password,
        "database": neo4j_server.database,
        "qdrant": _face_process.url,
        "words": " ".join(word for word in row["text"].split()[:12] if word.isalpha()),
        "vector": list(struct.unpack(f"<{len(vector) // 4}f", vector)),
        "chunk": row["id"],
        "text": row["text"],
        "entity": entity["id"],
        "graph": graph,
    }
    forget(neo4j_server, {WORKSPACE})


def _found(script: str, asked: dict[str, Any]) -> dict[str, Any]:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv to make an environment for the script with")
    told = {key: value for key, value in asked.items() if key != "graph"}
    clean = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(
        [uv, "run", "--quiet", "--script", str(Path(__file__).with_name(script))],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        env=clean,
        cwd=Path(__file__).parent,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_neo4j_graphrag(asked: dict[str, Any]) -> None:
    found = _found("graphrag.py", asked)
    for retriever in (
        "VectorRetriever",
        "VectorCypherRetriever",
        "HybridRetriever",
        "HybridCypherRetriever",
        "QdrantNeo4jRetriever",
    ):
        assert asked["chunk"] == found[retriever][0], retriever
    named = {row["entity_id"] for row in asked["graph"]["mentions"] if row["chunk_id"] == asked["chunk"]}
    assert set(found["entities"]) == {row["name"] for row in asked["graph"]["entities"] if row["id"] in named}


def test_langchain(asked: dict[str, Any]) -> None:
    found = _found("langchain.py", asked)
    assert found["Neo4jGraph"] == len(asked["graph"]["chunks"])
    for store in ("Neo4jVector", "Neo4jVector hybrid", "QdrantVectorStore"):
        assert asked["chunk"] == found[store][0], store
    assert found["text"] == asked["text"]


def test_llamaindex(asked: dict[str, Any]) -> None:
    found = _found("llamaindex.py", asked)
    assert "Imogen Tarrant" in found["names"]
    ours = [r for r in asked["graph"]["relationships"] if asked["entity"] in {r["source_id"], r["target_id"]}]
    assert found["get_triplets"] == sorted({row["type"] for row in ours})
    assert found["structured_query"] == len(asked["graph"]["chunks"])
    assert found["get_rel_map"]
    assert asked["chunk"] == found["QdrantVectorStore"][0]
    assert found["text"] == asked["text"]


def _queries() -> list[str]:
    page = (ROOT / "docs/graph-model.md").read_text("utf-8")
    return re.findall(r"^```cypher\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_page_shows_ten_queries() -> None:
    assert len(_queries()) == 10


@pytest.mark.parametrize("query", _queries(), ids=range(1, 11))
def test_every_query_of_the_page_finds_something_in_the_samples(
    query: str, asked: dict[str, Any], neo4j_server: Address
) -> None:
    assert asked
    with neo4j_server.driver() as driver:
        assert driver.execute_query(query, database_=neo4j_server.database).records
