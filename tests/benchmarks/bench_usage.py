"""How long `kg usage` takes with a million calls, and whether rolled-up usage equals raw usage to the last digit.

uv run python -m tests.benchmarks.bench_usage [--calls 1000000] [--runs 400] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from core_engine.ledger import tally
from core_engine.ledger.ledger import Ledger
from metrics.prices import Prices

YEAR_S = 365 * 86_400
RUN_S = 7_200
COLUMNS = (
    "id", "run", "batch", "stage", "endpoint", "model", "spec", "questions", "attempt", "purpose", "ceiling", "started_at",
    "wait_s", "status", "duration_s", "prompt", "cached", "completion", "cost", "error_kind", "persona", "reply",
)  # fmt: skip


def fill(path: Path, calls: int, runs: int) -> None:
    """A year of nightly runs for three personas and two teams, with failures, cached tokens and replies."""
    with Ledger(path):
        pass
    rng = random.Random(1)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    now = time.time()
    for number in range(runs):
        run, start, persona = f"r{number:05}", now - YEAR_S + number * YEAR_S / runs, ("", "ann", "bob")[number % 3]
        db.execute(
            "INSERT INTO run (id, command, started_at, ended_at, status, exit_code, settings, persona, tags, reuse_saved) "
            "VALUES (?, 'process', ?, ?, 'done', 0, '{}', ?, ?, '0.5')",
            (run, start, start + RUN_S, persona, json.dumps({"team": "ab"[number % 2]})),
        )
        share = calls // runs
        rows = (row(rng, run, persona, n, start + n * RUN_S / share) for n in range(share))
        db.executemany(f"INSERT INTO call ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    db.execute("COMMIT")
    db.close()


def row(rng: random.Random, run: str, persona: str, number: int, at: float) -> tuple[Any, ...]:
    embed, good = number % 10 == 0, rng.random() > 0.02
    prompt = rng.randrange(2_000, 5_000) if good else 0
    cached, out = rng.randrange(prompt // 2 + 1), 0 if embed or not good else rng.randrange(200, 900)
    stage, model = ("embed", "text-embedding-3-small") if embed else ("extract", "gpt-5-mini")
    cost = f"{prompt * 2.5e-7 + out * 2e-6:.10f}"
    return (
        f"{run}-{number}", run, "b", stage, "api.openai.com", model, 1, b"[1,2,3]", 1, "first", "0.01", at, rng.random(),
        "answered" if good else "failed", rng.lognormvariate(1, 0.5), prompt, cached, out, cost, "" if good else "timeout",
        persona, b"x" * 600 if good else None,
    )  # fmt: skip


def kg(folder: Path, *words: str) -> tuple[float, dict[str, Any]]:
    """Seconds of CPU and what it said: on a machine that others use too, seconds on the clock say little."""
    command = [sys.executable, "-c", "import kg_batch; kg_batch.main()", "usage", "--all", "--json", *words]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(ran.stdout)
    del said["this_month"]["projected_usd"]  # of this very moment
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        path = folder / ".kg" / "default" / "ledger.sqlite3"
        fill(path, given.calls, given.runs)
        print(f"{given.calls:,} calls in {given.runs} runs, {path.stat().st_size / 1e6:,.0f} MB")
        with Ledger(path) as ledger:
            began = time.perf_counter()
            raw = sums(ledger)
            print(f"read call by call: {time.perf_counter() - began:.1f} s")
            began = time.perf_counter()
            while ledger.write(tally.fold, Prices()):
                pass
            print(f"added up, once for each call: {(time.perf_counter() - began) / given.calls * 1e6:.0f} µs a call")
            print(f"added up, the same: {sums(ledger) == raw}")
        before = {by: kg(folder, "--by", by) for by in ("day", "month", "model", "persona", "stage", "tag")}
        print("kg usage, CPU: " + ", ".join(f"--by {by} {took:.2f} s" for by, (took, _) in before.items()))
        began = time.perf_counter()
        kg(folder, "--roll-up")
        print(f"rolled up: {time.perf_counter() - began:.1f} s")
        after = {by: kg(folder, "--by", by) for by in before}
        same = all(
            before[by][1][part] == after[by][1][part] for by in before for part in ("groups", "total", "this_month")
        )
        print(f"rolled up, the same to the last digit: {same}")
        print("kg usage, CPU: " + ", ".join(f"--by {by} {took:.2f} s" for by, (took, _) in after.items()))


def sums(ledger: Ledger) -> dict[tally.Key, tally.Sums]:
    found: dict[tally.Key, tally.Sums] = {}
    with ledger.reading() as db:
        for key, each in tally.read(db, Prices()):
            found.setdefault(key, tally.Sums()).add(each)
    return found


if __name__ == "__main__":
    main()
