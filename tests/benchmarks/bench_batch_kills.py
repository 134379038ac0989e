"""Kills runs by the Batch API at thirty random moments: nothing submitted twice, nothing lost, half the price.

The server answers requests about files and jobs late, and its lists later still, so that kills between a request and
its answer are frequent.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.running import Table, surroundings
from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import Server, start

_MEETINGS = 6
_KILLS_A_WORKSPACE = 3
_SLOW = {"batch_duration": 1.2, "batch_latency": 0.15, "batch_list_lag": 0.2, "prompt_cache": False}


@dataclass(slots=True)
class _Seen:
    """The sums over all workspaces, by the server's books and by kg's reports."""

    kills: int = 0
    workspaces: int = 0
    submitted_again: int = 0
    missing: int = 0
    pending: int = 0
    unequal: int = 0
    lines_at: float = 0.0  # dollars of lines by the server
    reported: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(surroundings())
    dice = random.Random(given.seed)
    seen = _Seen()
    with start(**_SLOW) as server, tempfile.TemporaryDirectory() as folder:
        usual = _workspace(Path(folder) / "usual", server)
        usual.process("t")
        bill = server.books(log=False)
        texts, chunks_cost = bill["questions"], float(bill["dollars"])
        graph = usual.graph()
        while seen.kills < given.kills:
            server.reset(**_SLOW)
            kg = _workspace(Path(folder) / str(seen.workspaces), server)
            for _ in range(min(_KILLS_A_WORKSPACE, given.kills - seen.kills)):
                seen.kills += _killed(kg, dice.uniform(0.6, 3.5))
            _count(seen, kg, server, texts, graph)
    table = Table(f"{seen.kills} kills of runs by the Batch API, {seen.workspaces} workspaces")
    table.at_most("texts submitted twice, by the server's books", seen.submitted_again, 0)
    table.at_most("texts never submitted", seen.missing, 0)
    table.at_most("chunks neither written nor dead", seen.pending, 0)
    table.at_most("graphs unlike the run's by requests", seen.unequal, 0)
    share = seen.lines_at / (chunks_cost * seen.workspaces)
    table.at_most("lines' bill as a share of the bill by requests", share, 0.501)
    table.at_most(
        "reported cost of lines, away from the bill", abs(seen.reported - seen.lines_at) / seen.lines_at, 1e-6
    )
    table.show()


def _workspace(folder: Path, server: Server) -> Kg:
    write_meetings(folder / "t", _MEETINGS, turns=14)
    return Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x", KG_BATCH_POLL="0.3")


def _killed(kg: Kg, after_s: float) -> bool:
    """Start a run and kill it; False where it was quicker."""
    run = kg.started("process", "t", "--batch-api")
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.communicate(timeout=after_s)
        return False
    run.kill()
    run.communicate()
    return True


def _count(seen: _Seen, kg: Kg, server: Server, texts: int, graph: dict[str, list[object]]) -> None:
    kg.process("t", "--batch-api")
    books = server.books()
    seen.workspaces += 1
    seen.submitted_again += books["batch"]["submitted_again"]
    seen.missing += texts - books["batch"]["texts"]
    seen.unequal += kg.graph() != graph
    lines = [entry for entry in books["log"] if entry["batch"]]
    seen.lines_at += sum(_dollars(line) for line in lines)
    ledger = kg.ledger()
    try:
        costs = ledger.execute("SELECT total(cost) FROM call WHERE job IS NOT NULL").fetchone()
        waiting = "SELECT count(*) FROM chunk WHERE want_extract IS NOT NULL OR want_embed IS NOT NULL"
        seen.reported += costs[0]
        seen.pending += ledger.execute(waiting).fetchone()[0]
    finally:
        ledger.close()


def _dollars(line: dict[str, int]) -> float:
    """Half of what OpenAI asks for the tokens: gpt-5-mini, text-embedding-3-small."""
    return (line["prompt"] * 0.25 + line["completion"] * 2 + line["embedding"] * 0.02) / 2e6


if __name__ == "__main__":
    main()
