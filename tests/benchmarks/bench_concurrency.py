"""How close to the model's own speed a run comes, and what concurrency and batches gain.

    python tests/benchmarks/bench_concurrency.py [--quick] [ideal] [speedup]

The model answers after 0.5 s, however many ask. One chunk after the other would take over an hour for 8,834 chunks:
that one is timed on the first 300, its time on all of them is worked out from the time of one chunk, and its graph is
made with a model that answers at once.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.corpus import Corpus, chunks, made
from tests.benchmarks.running import Ran, Table, graph_digest, kg, surroundings
from tests.openai_server.fixture import Server, start

_LATENCY = 0.5
_SEQUENTIAL = 300
_WAYS = ((1, 10), (20, 1), (50, 1), (20, 10), (50, 10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them where none is named")
    parser.add_argument("--quick", action="store_true", help="fewer chunks")
    chosen = parser.parse_args()
    print(surroundings(), flush=True)
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder, start(tokens="characters") as server:
        for name in chosen.parts or PARTS:
            PARTS[name](Path(folder), server, quick=chosen.quick)


def ideal(folder: Path, server: Server, *, quick: bool) -> None:
    corpus = made(folder, 2_000 if quick else 10_000)
    server.reset(tokens="characters", latency=_LATENCY)
    for resolve, bar in (("rules", 1.1), ("model", None)):
        ran = _run(folder / resolve, server, corpus, 20, 10, "--resolve", resolve)
        least = ran.report["calls"]["chat"] * _LATENCY / 20
        about = "" if resolve == "rules" else ", and then about pairs of names"
        table = Table(f"{corpus.chunks:,} chunks at {_LATENCY} s latency, 20 concurrent, batch 10{about}")
        table.at_most("first request to last commit / (chat calls x latency / 20)", _busy(ran) / least, bar)
        table.at_most("first request to last commit", _busy(ran), unit="s")
        table.at_most("wall, start to exit", ran.wall_s, unit="s")
        table.at_most("CPU", ran.cpu_s, unit="s")
        table.show()


def speedup(folder: Path, server: Server, *, quick: bool) -> None:
    corpus = chunks(folder, 600 if quick else None)
    few = chunks(folder, 60 if quick else _SEQUENTIAL)
    server.reset(tokens="characters", latency=_LATENCY)
    sequential = _run(folder / "few", server, few, 1, 1)
    one = _busy(sequential) / few.chunks
    server.reset(tokens="characters")
    _run(folder / "sequential", server, corpus, 1, 1)
    graphs = {graph_digest(folder / "sequential")}
    server.reset(tokens="characters", latency=_LATENCY)
    table = Table(f"{corpus.chunks:,} chunks at {_LATENCY} s latency against one chunk after the other")
    table.at_most(f"1 at a time, 1 a call, on {few.chunks} chunks", _busy(sequential), unit="s")
    table.at_most(f"the same on {corpus.chunks:,}, worked out", one * corpus.chunks, unit="s")
    for concurrent, batch in _WAYS:
        home = folder / f"{concurrent}-{batch}"
        ran = _run(home, server, corpus, concurrent, batch)
        graphs.add(graph_digest(home))
        name = f"{concurrent} at a time, {batch} a call"
        table.at_most(f"{name}: first request to last commit", _busy(ran), unit="s")
        table.at_most(f"{name}: speed-up", one * corpus.chunks / _busy(ran), unit="x")
        print(f"  {name}: {_busy(ran):.1f} s, load {surroundings()}", flush=True)
    rows = next(iter(graphs)).split()[1]
    table.fact("the graph is the same in all of them", len(graphs) == 1, f"{int(rows):,} rows")
    table.show()


def _run(home: Path, server: Server, corpus: Corpus, concurrent: int, batch: int, *more: object) -> Ran:
    home.mkdir(exist_ok=True)
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    words = ("process", corpus.path, "--max-concurrent", concurrent, "--batch-size", batch, *more)
    return kg(*words, folder=home, **env)


def _busy(ran: Ran) -> float:
    return float(ran.report["throughput"]["first_request_to_last_commit_s"])


PARTS = {"ideal": ideal, "speedup": speedup}

if __name__ == "__main__":
    main()
