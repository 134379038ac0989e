"""The pytest fixture that gives tests a real Neo4j, started only when a test asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.neo4j_server.server import Address, CannotStart, Server, new_server


@pytest.fixture(scope="session")
def neo4j_server() -> Iterator[Address]:
    """One Neo4j for the session: NEO4J_URI's if set, else one of our own. Skipped where there is none.

    With KG_REQUIRE_NEO4J=1 the tests fail instead, so that CI can't be green without them.
    """
    if uri := os.environ.get("NEO4J_URI"):
        user, password = os.environ.get("NEO4J_USERNAME", "neo4j"), os.environ.get("NEO4J_PASSWORD", "")
        yield Address(uri, user, password, os.environ.get("NEO4J_DATABASE", "neo4j"))
        return
    server = _started()
    try:
        yield server.address
    finally:
        server.remove()


def _started() -> Server:
    try:
        server = new_server()
        server.start()
    except CannotStart as reason:
        if os.environ.get("KG_REQUIRE_NEO4J") == "1":
            pytest.fail(f"KG_REQUIRE_NEO4J is set, and there is no Neo4j: {reason}")
        pytest.skip(f"no Neo4j: {reason}")
    return server
