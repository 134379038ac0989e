"""Places where a vector store can live: a folder, the face over Qdrant's engine, and a real server if there is one."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from core_engine.embeddings.stores.edge import EdgeVectorStore
from core_engine.embeddings.stores.qdrant import QdrantVectorStore
from core_engine.ports import VectorStore


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[VectorStore] = []

    def store(self, dimensions: int | None = None, model: str | None = None) -> VectorStore:
        """A store object over this place; closed after the test."""
        self.opened.append(EdgeVectorStore(self.path, dimensions, model))
        return self.opened[-1]

    def wipe(self) -> None:
        shutil.rmtree(self.path)


class Server:
    def __init__(self, url: str, key: str | None, grpc_port: int | None) -> None:
        self.url = url
        self.key = key
        self.grpc_port = grpc_port
        self.alias = f"kg_test_{uuid.uuid4().hex[:12]}"
        self.opened: list[VectorStore] = []

    def store(self, dimensions: int | None = None, model: str | None = None) -> VectorStore:
        self.opened.append(
            QdrantVectorStore(self.url, self.key, self.alias, dimensions, model, grpc_port=self.grpc_port)
        )
        return self.opened[-1]

    def wipe(self) -> None:
        headers = {"api-key": self.key} if self.key else None
        client = QdrantClient(url=self.url, headers=headers, check_compatibility=False)
        try:
            for alias in client.get_aliases().aliases:
                if alias.alias_name == self.alias:
                    client.delete_collection(alias.collection_name)
        finally:
            client.close()


@pytest.fixture(params=["edge", "face", "face by gRPC", "server", "server by gRPC"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Folder | Server]:
    kind, _, by_grpc = request.param.partition(" ")
    if kind == "edge":
        here: Folder | Server = Folder(tmp_path / "vectors")
    elif kind == "face":
        face = request.getfixturevalue("qdrant_face")
        here = Server(face.url, None, face.grpc_port if by_grpc else None)
    elif url := os.environ.get("QDRANT_URL"):
        port = int(os.environ.get("KG_QDRANT_GRPC_PORT", "6334"))
        here = Server(url, os.environ.get("QDRANT_API_KEY"), port if by_grpc else None)
    else:
        pytest.skip("QDRANT_URL names no server")
    yield here
    for store in here.opened:
        await store.close()
    if kind == "server":
        here.wipe()
