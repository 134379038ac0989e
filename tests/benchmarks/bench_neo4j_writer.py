"""Our Neo4j writer against a bare UNWIND … MERGE loop of the same rows in the same server, by turns.

    python -m tests.benchmarks.bench_neo4j_writer [--entities 20000] [--relationships 60000] [--rounds 4]

Each round writes into workspaces of its own, so that both write new nodes; the first round warms the server up and is
not counted. Uses NEO4J_URI if set, else a server of its own. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from neo4j import AsyncGraphDatabase

from core_engine.kg.stores.cypher import entity_row, relationship_row
from core_engine.kg.stores.neo4j import Neo4jGraphStore
from core_engine.types import GraphChanges
from tests.core_engine.kg.stores.sample import Size, graph, in_steps
from tests.neo4j_server.server import Address, new_server

STEP = 5000  # rows of a change, as the projector makes them
SLICE = 2000  # rows of a bare query


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--entities", type=int, default=20_000)
    options.add_argument("--relationships", type=int, default=60_000)
    options.add_argument("--rounds", type=int, default=4)
    chosen = options.parse_args()
    size = Size(1, 1, chosen.entities, 0, chosen.relationships, 0)
    with _server() as address:
        json.dump(asyncio.run(_compare(address, size, chosen.rounds)), sys.stdout, indent=2)
    print()


async def _compare(address: Address, size: Size, rounds: int) -> dict[str, Any]:
    ours, bare, again, changed = [], [], [], []
    for n in range(rounds + 1):
        print(f"round {n} of {rounds}", file=sys.stderr)
        workspace = f"bench-{uuid.uuid4().hex[:8]}"
        rows = replace(graph(workspace, size), documents=(), chunks=())
        theirs = replace(graph(f"{workspace}-bare", size), documents=(), chunks=())
        turns = [(ours, _ours, rows), (bare, _bare, theirs)]
        for figures, write, what in turns if n % 2 else reversed(turns):
            figures.append(await write(address, workspace, what))
        again.append(await _ours(address, workspace, rows))
        changed.append(await _one_percent(address, workspace, rows))
        await _forget(address, workspace)
    total = size.entities + size.relationships
    seconds, floor = statistics.median(ours[1:]), statistics.median(bare[1:])
    return {
        "rows": total,
        "ours_rows_per_s": round(total / seconds),
        "bare_rows_per_s": round(total / floor),
        "ratio_of_bare_rate": round(floor / seconds, 2),
        "ratios": [round(b / o, 2) for o, b in zip(ours[1:], bare[1:], strict=True)],
        "same_rows_again_s": round(statistics.median(again[1:]), 2),
        "one_percent_s": round(statistics.median(changed[1:]), 2),
        "rerun_that_writes_nothing": await _rerun(address),
    }


async def _ours(address: Address, workspace: str, changes: GraphChanges) -> float:
    store = _store(address, workspace)
    await store.open()
    started = time.perf_counter()
    for step in in_steps(changes, STEP):
        await store.apply(step)
    seconds = time.perf_counter() - started
    await store.close()
    return seconds


async def _bare(address: Address, workspace: str, changes: GraphChanges) -> float:
    """The least that writes these rows: one label, a constraint, and a query a slice; no index, no check, no order."""
    nodes = [{"id": row["id"], **row["values"]} for row in map(entity_row, changes.entities)]
    edges = defaultdict(list)
    for r in changes.relationships:
        row = relationship_row(r)
        edges[r.type].append({"id": row["id"], "s": row["source"], "t": row["target"], "p": row["values"]})
    async with AsyncGraphDatabase.driver(address.uri, auth=(address.user, address.password)) as driver:

        async def run(query: Any, **parameters: Any) -> None:
            await driver.execute_query(query, parameters, database_=address.database)

        await run("CREATE CONSTRAINT IF NOT EXISTS FOR (n:BareNode) REQUIRE n.id IS UNIQUE")
        started = time.perf_counter()
        for start in range(0, len(nodes), SLICE):
            await run(
                "UNWIND $rows AS row MERGE (n:BareNode {id: row.id}) SET n += row, n.workspace = $w",
                rows=nodes[start : start + SLICE],
                w=workspace,
            )
        for kind, rows in edges.items():
            for start in range(0, len(rows), SLICE):
                await run(
                    "UNWIND $rows AS row MATCH (s:BareNode {id: row.s}), (t:BareNode {id: row.t}) "
                    f"MERGE (s)-[r:BARE_{kind} {{id: row.id}}]->(t) SET r += row.p, r.workspace = $w",
                    rows=rows[start : start + SLICE],
                    w=workspace,
                )
        return time.perf_counter() - started


async def _one_percent(address: Address, workspace: str, changes: GraphChanges) -> float:
    """A hundredth of the rows, with another weight."""
    few = GraphChanges(
        entities=tuple(replace(e, weight=99) for e in changes.entities[::100]),
        relationships=tuple(replace(r, weight=99) for r in changes.relationships[::100]),
    )
    return await _ours(address, workspace, few)


async def _rerun(address: Address) -> dict[str, Any]:
    """What a caller that finds nothing changed costs the server: how many transactions are committed."""
    store = _store(address, "bench-rerun")
    await store.open()
    before = await _last_transaction(address)
    await store.open()
    await store.apply(GraphChanges())
    after = await _last_transaction(address)
    await store.close()
    await _forget(address, "bench-rerun")
    return {"transactions_committed": 0 if before == after else "some"}


async def _last_transaction(address: Address) -> frozenset[str]:
    async with (
        AsyncGraphDatabase.driver(address.uri, auth=(address.user, address.password)) as driver,
        driver.session(database=address.database) as session,
    ):
        await (await session.run("RETURN 1")).consume()
        return (await session.last_bookmarks()).raw_values


async def _forget(address: Address, workspace: str) -> None:
    query = """
        MATCH (n:KgNode|BareNode {workspace: $w})
        CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS"""
    async with (
        AsyncGraphDatabase.driver(address.uri, auth=(address.user, address.password)) as driver,
        driver.session(database=address.database) as session,
    ):
        await (await session.run(query, w=workspace)).consume()


def _store(address: Address, workspace: str) -> Neo4jGraphStore:
    return Neo4jGraphStore(address.uri, address.user, address.password, address.database, workspace)


@contextlib.contextmanager
def _server() -> Iterator[Address]:
    if uri := os.environ.get("NEO4J_URI"):
        yield Address(uri, os.environ.get("NEO4J_USERNAME", "neo4j"), os.environ.get("NEO4J_PASSWORD", ""))
        return
    server = new_server()
    try:
        server.start()
        yield server.address
    finally:
        server.remove()


if __name__ == "__main__":
    main()
