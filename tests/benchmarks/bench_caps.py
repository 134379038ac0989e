"""Caps under torture: runs with random caps, prices, latencies and faults, alone, killed, or two at once.

    python tests/benchmarks/bench_caps.py [--runs 200] [--seed 1]

After each, the server's bill, with what it billed for calls that were cut off, is held against the cap; and where the
cap stopped a run, what was left of it against what the next request needed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.benchmarks.running import Table, surroundings
from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import Server, start

_MODELS = ("gpt-5-mini", "text-embedding-3-small")
_WAYS = ("alone", "alone", "alone", "two at once", "killed and again")
_FAULTS = (
    "reset_in_body",
    "reset_before",
    "hang",
    "cut_body",
    "no_usage",
    "zero_usage",
    "absurd_usage",
    "empty",
    "http500",
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What one trial draws."""

    way: str
    unit: str
    cap: Decimal
    prices: tuple[tuple[str, str, str], ...]
    latency: str
    faults: tuple[dict[str, Any], ...]
    lengths: str
    words: tuple[object, ...]

    @classmethod
    def drawn(cls, rng: random.Random) -> Trial:
        out = 10 ** rng.uniform(-1, 1.5)  # dollars a million tokens of replies
        chat = (f"{out * rng.uniform(0.05, 0.3):.4f}", f"{out * 0.01:.4f}", f"{out:.4f}")
        embedding = f"{out * rng.uniform(0.001, 0.05):.5f}"
        unit = rng.choice(("dollars", "dollars", "tokens"))
        cap = (
            Decimal(f"{out * 10 ** rng.uniform(-2.7, -1.5):.6f}")
            if unit == "dollars"
            else Decimal(rng.randint(8_000, 80_000))
        )
        return cls(
            rng.choice(_WAYS),
            unit,
            cap,
            (chat, (embedding, embedding, "0")),
            f"uniform:0:{rng.choice((0, 0.05, 0.3))}",
            tuple({"kind": kind, "rate": rng.uniform(0, 0.15)} for kind in rng.sample(_FAULTS, rng.randint(0, 3))),
            f"lognormal:{rng.randint(50, 400)}:{rng.uniform(0.3, 1.2):.2f}",
            (
                "--batch-size",
                rng.randint(1, 12),
                "--max-concurrent",
                rng.choice((1, 3, 20)),
                "--timeout",
                1,
                "--retries",
                2,
            ),
        )


@dataclass(frozen=True, slots=True)
class Came:
    """What came of it: the server's bill, and the reports of the runs that lived to write one."""

    bill: Decimal
    reports: tuple[dict[str, Any], ...]


def tried(trial: Trial, folder: Path, server: Server, rng: random.Random) -> Came:
    """Run it against the server, in an empty folder."""
    server.reset(
        latency=trial.latency,
        faults=list(trial.faults),
        completion_tokens=trial.lengths,
        prices=[f"{model}={','.join(price)}" for model, price in zip(_MODELS, trial.prices, strict=True)],
    )
    write_meetings(folder / "t", 3, turns=60)
    tables = [
        f'[[price]]\nmodel = "{model}"\ninput = {price[0]}\ncached = {price[1]}\noutput = {price[2]}\n'
        for model, price in zip(_MODELS, trial.prices, strict=True)
    ]
    (folder / "prices.toml").write_text("\n".join(tables), encoding="utf-8")
    (folder / "kg.toml").write_text(f"[budget]\nmonth_{trial.unit} = {trial.cap}\n", encoding="utf-8")
    kg = Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x", KG_PRICES="prices.toml", KG_GRAPH_STORE="none")
    words = ("process", "t", *trial.words, "--vector-store", "none", "--json")
    reports = []
    if trial.way == "two at once":
        pair = [kg.started(*words, "-w", name) for name in ("a", "b")]
        for process in pair:
            out, err = process.communicate()
            reports.append(_report(out, err))
    else:
        if trial.way == "killed and again":
            process = kg.started(*words)
            wanted = rng.randint(1, 15)
            while process.poll() is None and server.books(log=False)["calls"] < wanted:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        ran = kg(*words)
        reports.append(_report(ran.out, ran.err))
    return Came(_billed(server, trial.unit), tuple(reports))


def _report(out: str, err: str) -> dict[str, Any]:
    if not out:
        raise RuntimeError(f"kg gave no report: {err[-2000:]}")
    report: dict[str, Any] = json.loads(out)
    return report


def _billed(server: Server, unit: str) -> Decimal:
    while (books := server.books(log=False))["in_flight"]:
        time.sleep(0.05)  # what is cut off is billed all the same
    tokens = books["tokens"]
    whole = tokens["prompt"] + tokens["completion"] + tokens["embedding"]
    return Decimal(books["dollars"]) if unit == "dollars" else Decimal(whole)


def faults_of(trial: Trial, came: Came) -> list[str]:
    """What should not have been, in words."""
    found = []
    if came.bill > trial.cap:
        found.append(f"billed {came.bill}, above the cap of {trial.cap}")
    for report in came.reports:
        [cap], refused = report["budget"]["caps"], report["budget"]["refused"]
        if report["exit_code"] == 3 and (refused is None or refused["needed"] <= refused["left"]):
            found.append(f"stopped with room: {refused}")
        if report["exit_code"] == 3 and cap["left"] >= refused["needed"] and trial.way == "alone":
            found.append(f"room was left at the end: {cap} for {refused['needed']}")
        if report["exit_code"] not in {0, 2, 3, 5}:
            found.append(f"exit {report['exit_code']}: {report['ended']}")
    spent = Decimal(str(came.reports[-1]["budget"]["caps"][0]["spent"]))
    if trial.way == "alone" and spent + Decimal("0.00000001") < came.bill:
        found.append(f"the account says {spent}, the bill {came.bill}")
    return found


def torture(runs: int, seed: int, server: Server) -> tuple[Counter[str], list[str]]:
    """How often each way and each exit came, and all that should not have been."""
    counts: Counter[str] = Counter()
    wrong = []
    for number in range(runs):
        rng = random.Random(seed * 100_003 + number)
        trial = Trial.drawn(rng)
        with tempfile.TemporaryDirectory(prefix="kg-caps-") as folder:
            came = tried(trial, Path(folder), server, rng)
        counts[trial.way] += 1
        counts.update(f"exit {report['exit_code']}" for report in came.reports)
        wrong += [f"trial {number}: {fault}\n  {trial}" for fault in faults_of(trial, came)]
    return counts, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print(surroundings())
    with start() as server:
        counts, wrong = torture(chosen.runs, chosen.seed, server)
    for fault in wrong:
        print(fault)
    table = Table(f"{chosen.runs} trials, seed {chosen.seed}")
    for name, count in sorted(counts.items()):
        table.at_most(name, count)
    table.fact("the bill never above the cap, and never stopped with room for one more call", not wrong)
    table.show()


if __name__ == "__main__":
    main()
