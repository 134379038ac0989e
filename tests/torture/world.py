"""What a torture compares: every row and every point that the stores hold after a run, and what was paid for it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core_engine.embeddings.stores.edge import EdgeVectorStore
from tests.kg import Kg, neo4j_graph, write_meetings
from tests.neo4j_server.server import Address

MODEL = "text-embedding-3-small"
SIZE = 1536
WORKSPACE = "default"


class Wrong(AssertionError):
    """A promise was broken."""


def hold(true: bool, what: str) -> None:
    if not true:
        raise Wrong(what)


@dataclass(frozen=True)
class Held:
    """All that both stores hold: rows of the graph by kind, points by id with payload and vectors."""

    graph: dict[str, list[Any]]
    points: dict[str, Any]

    def differs(self, other: Held) -> str:
        """'' where every node, relationship, weight and point is the same; else the first differences."""
        said = []
        for kind in self.graph:
            ours, theirs = _by_id(self.graph[kind]), _by_id(other.graph[kind])
            said += _difference(kind, ours, theirs)
        said += _difference("points", self.points, other.points)
        return "; ".join(said)

    @property
    def size(self) -> str:
        return ", ".join(
            [*(f"{len(rows):,} {kind}" for kind, rows in self.graph.items()), f"{len(self.points):,} points"]
        )


def _by_id(rows: list[Any]) -> dict[str, Any]:
    """Rows by themselves, and how often each is there: a doubled one is a difference."""
    found: dict[str, Any] = {}
    for row in rows:
        key = repr(sorted(row.items()))
        found[key] = found.get(key, 0) + 1
    return found


def _difference(kind: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    missing = [key for key in theirs if key not in ours]
    more = [key for key in ours if key not in theirs]
    other = [key for key in ours if key in theirs and ours[key] != theirs[key]]
    return [
        f"{len(keys)} {kind} {word}, such as {keys[0][:200]}"
        for word, keys in (("missing", missing), ("too many", more), ("different", other))
        if keys
    ]


def edge_points(kg: Kg) -> dict[str, Any]:
    """The points of the embedded vector store, with payload and vectors."""

    async def read() -> dict[str, Any]:
        store = EdgeVectorStore(kg.folder / ".kg" / WORKSPACE / "vectors", SIZE, MODEL)
        hold(await store.look() is not None, "there is no vector store")
        found: dict[str, Any] = {}
        try:
            async for page in store.ids():
                for point in await store.read(page):
                    hold(point.id not in found, f"point {point.id} is there twice")
                    found[point.id] = (dict(point.payload), point.dense, point.sparse)
        finally:
            await store.close()
        return found

    return asyncio.run(read())


def wipe(address: Address) -> None:
    with address.driver() as driver:
        driver.execute_query("MATCH (n:KgNode) DETACH DELETE n", database_=address.database)


def held(kg: Kg, address: Address | None = None) -> Held:
    return Held(neo4j_graph(address, WORKSPACE) if address else kg.graph(WORKSPACE), edge_points(kg))


def fresh(base: Path, name: str, meetings: int, turns: int, **env: str) -> Kg:
    """`kg` in an empty folder with so many meetings in `t`."""
    folder = base / name
    shutil.rmtree(folder, ignore_errors=True)
    write_meetings(folder / "t", meetings, turns=turns)
    return Kg(folder, OPENAI_API_KEY="sk-test-canary", **env)


def one(kg: Kg, query: str) -> list[tuple[Any, ...]]:
    """Rows of the ledger; none where there is no ledger yet, or one without tables."""
    path = kg.folder / ".kg" / WORKSPACE / "ledger.sqlite3"
    if not path.exists():
        return []
    db = sqlite3.connect(path)
    try:
        return db.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        db.close()


def adds_up(report: dict[str, Any]) -> bool:
    chunks = report["chunks"]
    return chunks["total"] == sum(chunks[name] for name in ("written", "reused", "dead", "pending"))


def bought_again(kg: Kg) -> int:
    """Questions that a call asked after another call had answered them."""
    [(count,)] = one(
        kg,
        "SELECT count(*) FROM question q JOIN call first ON first.no = q.call, call later, json_each(later.questions) j "
        "WHERE q.state = 2 AND later.no > first.no AND j.value = q.no",
    )
    return count
