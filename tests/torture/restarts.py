"""A Neo4j that is killed and started again while a run goes on: the run does not notice, but for a line in its log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.neo4j_server.server import Server
from tests.torture.world import adds_up, fresh, held, hold

MEETINGS, TURNS = 60, 60
WORDS = ("process", "t", "--batch-size", 1, "--max-concurrent", 2)


def torture(
    base: Path, server: Any, neo4j: Server, times: int, *, meetings: int = MEETINGS, tell: Callable[[str], Any] = print
) -> str:
    """Kill the (started) Neo4j `times` times during one run. What came of it, in words."""
    server.reset()
    undisturbed = fresh(base, "undisturbed", meetings, TURNS, OPENAI_BASE_URL=server.url)
    undisturbed.process(*WORDS[1:])
    whole = held(undisturbed)
    server.reset(latency=0.7)  # slow enough for the server to come and go while there is work
    kg = fresh(base, "restarts", meetings, TURNS, OPENAI_BASE_URL=server.url, **neo4j.address.env)
    began = time.monotonic()
    run = kg.started(*WORDS, "--json", "-q")
    try:
        for number in range(times):
            _written_something(neo4j, run)
            neo4j.kill()
            asked = server.books(log=False)["calls"]
            neo4j.start()
            if run.poll() is not None:
                out, err = run.communicate()
                hold(False, f"exit {run.returncode} before restart {number + 1}: {err[-1000:]}{out[-1000:]}")
            hold(server.books(log=False)["calls"] > asked, "extraction stood still while the store was away")
            tell(f"  restart {number + 1} after {time.monotonic() - began:.0f} s")
        out, err = run.communicate(timeout=1200)
    except BaseException:
        run.kill()
        run.communicate()
        raise
    hold(run.returncode == 0, f"exit {run.returncode}: {err[-1000:]}")
    report = json.loads(out)
    hold(adds_up(report), "chunks do not add up")
    hold(report["stages"]["write_graph"]["failed"] >= 1, "no write failed: nothing was tested")
    difference = held(kg, neo4j.address).differs(whole)
    hold(not difference, difference)
    return (
        f"Neo4j killed and started again {times} times in a run of {report['wall_s']:.0f} s over "
        f"{report['chunks']['total']:,} chunks: exit 0, {report['stages']['write_graph']['failed']} writes failed and were "
        f"made again, the graph equals the undisturbed one ({whole.size})"
    )


def _written_something(neo4j: Server, run: Any) -> None:
    """Wait until the store has grown, so that each kill meets one that is at work."""
    enough = _nodes(neo4j) + 10  # the store's mark alone is made before the run begins
    while _nodes(neo4j) < enough and run.poll() is None:
        time.sleep(0.2)


def _nodes(neo4j: Server) -> int:
    with neo4j.address.driver() as driver:
        [record] = driver.execute_query(
            "MATCH (n:KgNode) RETURN count(n) AS n", database_=neo4j.address.database
        ).records
        return int(record["n"])
