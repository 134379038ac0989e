"""A Neo4j that is slow, cut off, locked by others, deadlocked or read-only: said in words, and written once."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from neo4j.exceptions import TransientError

from core_engine import projector
from core_engine.errors import StoreError
from core_engine.kg.stores.neo4j import Neo4jGraphStore
from tests.core_engine.kg.stores.sample import Size
from tests.core_engine.kg.stores.sample import graph as sample
from tests.kg import Kg, neo4j_graph, wait_until, write_meetings
from tests.neo4j_server.server import Address, CannotStart, Server, new_server
from tests.proxy import Proxy

pytestmark = pytest.mark.neo4j

WORDS = ("process", "t", "--no-model", "--vector-store", "none", "--json")


@pytest.fixture
def kg(tmp_path: Path) -> Kg:
    write_meetings(tmp_path / "t", 6)
    return Kg(tmp_path)


@pytest.fixture
def network(neo4j_server: Address) -> Iterator[Proxy]:
    where = urlsplit(neo4j_server.uri)
    assert where.hostname
    assert where.port
    with Proxy(where.hostname, where.port) as proxy:
        yield proxy


def through(address: Address, network: Proxy) -> Address:
    return replace(address, uri=f"bolt://127.0.0.1:{network.port}")


def store_of(address: Address, workspace: str, **options: float) -> Neo4jGraphStore:
    return Neo4jGraphStore(address.uri, address.user, address.password, address.database, workspace, **options)


def embedded(tmp_path: Path, workspace: str) -> dict[str, list[Any]]:
    """The graph of the same meetings that nobody disturbs."""
    kg = Kg(tmp_path / "undisturbed")
    write_meetings(kg.folder / "t", 6)
    assert kg(*WORDS, "-w", workspace, "--graph-store", "embedded").code == 0
    return kg.graph(workspace)


def blocked(address: Address) -> Callable[[], bool]:
    """Is there somebody who waits for a lock?"""

    def look() -> bool:
        with address.driver() as driver:
            found = driver.execute_query("SHOW TRANSACTIONS YIELD status RETURN status").records
        return any(record["status"].startswith("Blocked") for record in found)

    return look


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_connection_that_is_cut_in_a_transaction_is_made_again_and_the_graph_written_once(
    kg, network, neo4j_server, workspace, tmp_path, share
):
    address = through(neo4j_server, network)
    assert kg(*WORDS, "-w", f"{workspace}-first", **address.env).code == 0
    network.cut_after = int(network.sent * share)
    ran = kg(*WORDS, "-w", workspace, **address.env)
    assert ran.code == 0, ran.err
    assert network.cuts == 1
    assert neo4j_graph(neo4j_server, workspace) == embedded(tmp_path, workspace)


def test_a_slow_server_is_waited_for(kg, network, neo4j_server, workspace, tmp_path):
    network.delay_s = 0.2
    ran = kg(*WORDS, "-w", workspace, **through(neo4j_server, network).env)
    assert ran.code == 0, ran.err
    assert neo4j_graph(neo4j_server, workspace) == embedded(tmp_path, workspace)


def test_a_server_that_falls_silent_is_given_up_in_words_and_the_next_run_writes_what_is_missing(
    kg, network, neo4j_server, workspace, tmp_path, monkeypatch
):
    monkeypatch.setattr(projector, "_GIVE_UP_AFTER_S", 0.0)
    address = through(neo4j_server, network)
    assert kg(*WORDS, "-w", workspace, "--limit", 1, **address.env).code == 0
    network.cut_after = 5_000

    def dead() -> None:
        wait_until(lambda: network.cuts > 0)
        network.hold()

    watching = threading.Thread(target=dead)
    watching.start()
    monkeypatch.setattr(Neo4jGraphStore.__init__, "__kwdefaults__", {"timeout_s": 3})
    ran = kg(*WORDS, "-w", workspace, **address.env)
    watching.join()
    assert ran.code == 5
    [error] = ran.report["store_errors"]
    assert "did not answer within 3 s" in error or "can't be reached" in error
    assert "the next run" in error
    assert neo4j_server.password not in ran.out + ran.err
    again = kg(*WORDS, "-w", workspace, **neo4j_server.env)
    assert again.code == 0, again.err
    assert neo4j_graph(neo4j_server, workspace) == embedded(tmp_path, workspace)


def test_a_lock_that_another_client_holds_is_waited_for(kg, neo4j_server, workspace, tmp_path):
    assert kg(*WORDS, "-w", workspace, "--limit", 1, **neo4j_server.env).code == 0
    with neo4j_server.driver() as driver, driver.session(database=neo4j_server.database) as session:
        tx = session.begin_transaction()
        tx.run("MATCH (n:KgNode {workspace: $workspace}) SET n.held = true", workspace=workspace).consume()
        run = kg.started(*WORDS, "-w", workspace, **neo4j_server.env)
        wait_until(blocked(neo4j_server))
        tx.rollback()
        out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert json.loads(out)["store_errors"] == []
    assert neo4j_graph(neo4j_server, workspace) == embedded(tmp_path, workspace)


async def test_a_lock_that_is_never_let_go_is_given_up_and_leaves_nothing_half_written(neo4j_server, workspace):
    store = store_of(neo4j_server, workspace, timeout_s=60)
    mark = await store.open()
    try:
        with neo4j_server.driver() as driver, driver.session(database=neo4j_server.database) as session:
            tx = session.begin_transaction()
            tx.run("MATCH (n:KgNode {workspace: $workspace}) SET n.held = true", workspace=workspace).consume()
            store._timeout_s = 1
            with pytest.raises(StoreError, match="did not answer within 1 s"):
                await store.begin(mark.generation + 1)
            tx.rollback()
        store._timeout_s = 60
        await store.begin(mark.generation + 2)
        await store.apply(sample(workspace, Size()))
        assert (await store.counts()).entities > 0
    finally:
        await store.close()


async def test_a_deadlock_is_tried_again_and_written_once(neo4j_server, workspace, caplog):
    """Ours holds the documents and waits for an entity; its holder then wants a document."""
    store = store_of(neo4j_server, workspace)
    await store.open()
    changes = sample(workspace, Size())
    document, entity = changes.documents[0].id, changes.entities[0].id
    caplog.set_level(logging.DEBUG, logger="neo4j")
    await store.apply(changes)
    before = await store.dump()
    hold = "MATCH (n:KgNode {id: $id}) SET n.held = true"
    undone = 0
    try:
        with neo4j_server.driver() as driver, driver.session(database=neo4j_server.database) as session:
            tx = session.begin_transaction()
            tx.run(hold, id=entity).consume()
            applying = asyncio.create_task(store.apply(changes))
            await asyncio.to_thread(wait_until, blocked(neo4j_server))

            def close_the_circle() -> int:
                try:
                    tx.run(hold, id=document).consume()
                    tx.rollback()
                except TransientError:  # either may be the one that is undone
                    tx.close()
                    return 1
                return 0

            undone += await asyncio.to_thread(close_the_circle)
            await applying
        ours = any("Deadlock" in record.getMessage() for record in caplog.records)
        assert ours or undone
        assert await store.dump() == before
    finally:
        await store.close()


@pytest.fixture
def own_server() -> Iterator[Server]:
    try:
        server = new_server(killable=True)
        server.start()
    except CannotStart as reason:
        pytest.skip(f"no Neo4j of our own: {reason}")
    try:
        yield server
    finally:
        server.remove()


def test_a_database_that_may_only_be_read_is_told_and_written_when_it_may_be(
    kg, own_server, workspace, tmp_path, monkeypatch
):
    monkeypatch.setattr(projector, "_GIVE_UP_AFTER_S", 0.0)
    address, command = own_server.address, list(own_server.command)
    assert kg(*WORDS, "-w", workspace, "--limit", 1, **address.env).code == 0
    own_server.stop()
    own_server.command = [*command, "-c", f"server.databases.read_only={address.database}"]
    own_server.start()
    ran = kg(*WORDS, "-w", workspace, **address.env)
    # Before anything was asked or planned.
    assert (ran.code, ran.out) == (5, "")
    assert "may only be read" in ran.err
    assert "NEO4J_DATABASE" in ran.err
    own_server.stop()
    own_server.command = command
    own_server.start()
    again = kg(*WORDS, "-w", workspace, **address.env)
    assert again.code == 0, again.err
    assert neo4j_graph(address, workspace) == embedded(tmp_path, workspace)
