"""What the Neo4j store says where there is no Neo4j; needs no server."""

from __future__ import annotations

import socket

import pytest
from neo4j.exceptions import ClientError

from core_engine.errors import StoreError
from core_engine.kg.stores.neo4j import Neo4jGraphStore


def _store(uri: str, **options: float) -> Neo4jGraphStore:
    return Neo4jGraphStore(uri, "ann", "s3cret-canary", "neo4j", "w", **options)


async def test_a_server_that_is_not_there_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreError, match=f"bolt://127.0.0.1:{port} can't be reached.*NEO4J_URI") as told:
        await _store(f"bolt://127.0.0.1:{port}").open()
    assert "canary" not in str(told.value)


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StoreError, match=r"did not answer within 0\.2 s"):
            await _store(f"bolt://127.0.0.1:{port}", timeout_s=0.2).open()


@pytest.mark.parametrize("uri", ["http://localhost:7474", "localhost", "", "bolt://ann:s3cret-canary@localhost"])
async def test_an_address_that_is_none_is_told_without_credentials(uri: str) -> None:
    store = _store(uri)
    with pytest.raises(StoreError, match="NEO4J_URI") as told:
        await store.open()
    assert "canary" not in str(told.value) + store.name + repr(store)


def test_a_missing_right_is_told_with_what_to_do() -> None:
    error = ClientError._hydrate_neo4j(code="Neo.ClientError.Security.Forbidden", message="Ann said: canary")
    told = _store("bolt://host")._message(error)
    assert "administrator" in told
    assert "canary" not in told
