"""Both graph stores behind one fixture, each with workspaces of its own for the test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from core_engine.kg.stores.embedded import EmbeddedGraphStore
from core_engine.kg.stores.neo4j import Neo4jGraphStore
from tests.neo4j_server.server import Address

Store: TypeAlias = EmbeddedGraphStore | Neo4jGraphStore
Opener: TypeAlias = Callable[[str], Awaitable[Store]]


def make_embedded(path: Path) -> Callable[[str], Store]:
    return lambda workspace: EmbeddedGraphStore(path / workspace / "graph.sqlite3", workspace)


def make_neo4j(address: Address) -> Callable[[str], Store]:
    return lambda workspace: Neo4jGraphStore(address.uri, address.user, address.password, address.database, workspace)


@pytest.fixture
def workspace() -> str:
    """A name that no earlier test, or anyone else's run in the same database, has used."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens a store of a workspace; all are closed after the test, and what they held in Neo4j is taken out."""
    if request.param == "embedded":
        make = make_embedded(tmp_path)
    else:
        address = request.getfixturevalue("neo4j_server")
        make = make_neo4j(address)
    opened: list[Store] = []

    async def open_it(workspace: str) -> Store:
        store = make(workspace)
        opened.append(store)
        await store.open()
        return store

    yield open_it
    for store in opened:
        await store.close()
    if request.param == "neo4j":
        forget(address, {store.workspace for store in opened})


def forget(address: Address, workspaces: set[str]) -> None:
    with address.driver() as driver:
        driver.execute_query(
            "MATCH (n:KgNode) WHERE n.workspace IN $workspaces DETACH DELETE n",
            workspaces=list(workspaces),
            database_=address.database,
        )


def last_transaction(address: Address) -> frozenset[str]:
    """Which transaction was the last to be committed: a bookmark names it, and what only reads makes none."""
    with address.driver() as driver, driver.session(database=address.database) as session:
        session.run("RETURN 1").consume()
        return frozenset(session.last_bookmarks().raw_values)
