"""The two formats that make a Neo4j: each ends with the graph that our own writer makes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from typing import Any

import neo4j
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_engine.exports.cypher_script import literal
from tests.core_engine.exports.conftest import exported
from tests.core_engine.kg.stores.conftest import forget
from tests.kg import Kg, neo4j_graph
from tests.neo4j_server.server import Address, CannotStart, Server, new_server

pytestmark = pytest.mark.neo4j


@pytest.fixture(scope="session")
def written(whole: Kg, neo4j_server: Address) -> Iterator[dict[str, list[Any]]]:
    """What our writer makes in Neo4j of the workspace."""
    forget(neo4j_server, {"default"})
    ran = whole("rebuild", "--vector-store", "none", **neo4j_server.env)
    assert ran.code == 0, ran.err
    yield neo4j_graph(neo4j_server, "default")
    forget(neo4j_server, {"default"})


def _run(address: Address, script: bytes) -> None:
    with address.driver() as driver, driver.session(database=address.database) as session:
        for statement in script.decode().removesuffix("\n").split("\n"):
            assert statement.endswith(";")
            session.run(statement.removesuffix(";")).consume()


def test_the_cypher_script_makes_what_our_writer_makes_and_again_the_same(
    ledger: sqlite3.Connection, written: dict[str, list[Any]], neo4j_server: Address
) -> None:
    forget(neo4j_server, {"default"})
    script = exported(ledger, "cypher")[""]
    _run(neo4j_server, script)
    assert neo4j_graph(neo4j_server, "default") == written
    _run(neo4j_server, script)
    assert neo4j_graph(neo4j_server, "default") == written


_PARTS = st.text("\\'\"u0027`;{}[]/*$\n\r\t\x00\x0b\u2028 x", max_size=12) | st.text(max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(_PARTS, min_size=1, max_size=40), number=st.integers(-(2**63), 2**63 - 1), real=st.floats(-1e9, 1e9)
)
def test_no_text_breaks_out_of_its_literal(texts: list[str], number: int, real: float, driver: neo4j.Driver) -> None:
    held = {"a": texts, "b": number, "c": real, "d": None, "e": {"f": texts[0]}}
    told = literal(held)
    assert "\n" not in told
    (record,) = driver.execute_query(f"RETURN {told} AS back", database_="neo4j").records
    assert record["back"] == held


@pytest.fixture(scope="session")
def driver(neo4j_server: Address) -> Iterator[neo4j.Driver]:
    with neo4j_server.driver() as connected:
        yield connected


@pytest.fixture
def imported(ledger: sqlite3.Connection, neo4j_server: Address) -> Iterator[Address]:
    """A Neo4j of its own whose database neo4j-admin made from an export."""
    try:
        server = new_server(killable=True)
    except CannotStart as reason:
        pytest.skip(f"no neo4j-admin: {reason}")
    try:
        _import(server, exported(ledger, "neo4j-admin"))
        server.start()
        yield server.address
    finally:
        server.remove()


def _import(server: Server, files: dict[str, bytes]) -> None:
    folder = server.home / "import"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    java, jars = shutil.which("java"), server.command[server.command.index("-cp") + 1]
    opens = [word for word in server.command if word.startswith("--add-opens")]
    admin = [java, "-Xmx1g", *opens, "-cp", jars, "org.neo4j.cli.AdminTool"]
    done = subprocess.run(
        [*admin, "database", "import", "full", "@import.args", "neo4j"],
        cwd=folder,
        env={**os.environ, "NEO4J_HOME": str(server.home), "NEO4J_CONF": str(server.home / "conf")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_neo4j_admin_imports_what_our_writer_makes(
    ledger: sqlite3.Connection, written: dict[str, list[Any]], imported: Address
) -> None:
    _run(imported, exported(ledger, "neo4j-admin")["after.cypher"])
    # A list's texts can't hold the character that separates them.
    assert neo4j_graph(imported, "default") == _without_separator(written)
    with imported.driver() as connected:
        labels = connected.execute_query("MATCH (n:KgNode:Person) RETURN labels(n) AS found LIMIT 1").records[0]
        assert set(labels["found"]) == {"KgNode", "Entity", "__Entity__", "Person"}


def _without_separator(graph: dict[str, list[Any]]) -> dict[str, list[Any]]:
    def plain(value: Any) -> Any:
        return [item.replace("\x1f", " ") if isinstance(item, str) else item for item in value]

    return {
        kind: [{k: plain(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
        for kind, rows in graph.items()
    }
