"""What the page of a run costs at a run's end, and how large it is.

    python -m tests.benchmarks.bench_page [--calls 10000] [--rounds 5]

First whole runs over the samples, offline, with the page and without it, in turn: the medians of seconds and of CPU. Then the
page of a run of a model to which so many calls were added. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from core_engine.ledger.looking import looking
from metrics.pages.page import page
from metrics.trace import traced
from tests.benchmarks.running import ROOT
from tests.kg import Kg, write_meetings
from tests.metrics.test_page import more_calls
from tests.openai_server.fixture import start

_WITHOUT = "import cli.process\ncli.process.draw = lambda *about: None\n"
_KG = "import kg_batch; kg_batch.main()"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--calls", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    runs: dict[str, list[tuple[float, float]]] = {"with": [], "without": []}
    for _ in range(chosen.rounds):
        for name, before in (("without", _WITHOUT), ("with", "")):
            runs[name].append(_run(before))
    medians = {
        name: {"s": statistics.median(s for s, _ in took), "cpu_s": statistics.median(cpu for _, cpu in took)}
        for name, took in runs.items()
    }
    print(json.dumps({"run": medians, "page": _page(chosen.calls)}, indent=2))


def _run(before: str) -> tuple[float, float]:
    """Seconds and CPU seconds of a run over the samples."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "KG_"))}
    with tempfile.TemporaryDirectory() as home:
        words = ["process", "data/transcripts", "--no-model", "--quiet", "--home", home]
        began, used = time.monotonic(), _children()
        subprocess.run(
            [sys.executable, "-c", before + _KG, *words], cwd=ROOT, env=clean, check=True, stdout=subprocess.DEVNULL
        )
        return time.monotonic() - began, _children() - used


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _page(calls: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, start() as server:
        kg = Kg(Path(folder), OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
        write_meetings(Path(folder) / "t", 6)
        kg.process("t", "--quiet")
        more_calls(kg, calls)
        with looking(Path(folder) / ".kg/default/ledger.sqlite3") as db:
            run, report = db.execute("SELECT id, report FROM run").fetchone()
            began = time.process_time()
            trace = traced(db, run)
            read = time.process_time()
            text = page(orjson.loads(report), trace, log="run.log")
            drawn = time.process_time()
    return {"calls": trace.calls, "read_cpu_s": read - began, "draw_cpu_s": drawn - read, "bytes": len(text)}


if __name__ == "__main__":
    main()
