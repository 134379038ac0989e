"""How much more memory ten times as many chunks take: python tests/benchmarks/bench_memory.py [--quick].

Two runs with a model at zero latency and without a vector store (Qdrant Edge keeps its vectors in memory). What is
compared is the anonymous memory at its highest, without the files that are mapped.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.corpus import made
from tests.benchmarks.running import Ran, Table, kg, surroundings
from tests.openai_server.fixture import start

_OPTIONS = ("--max-concurrent", 20, "--batch-size", 10, "--vector-store", "none")
_TIMES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="from 1,000 to 10,000 chunks")
    few = 1_000 if parser.parse_args().quick else 10_000
    print(surroundings(), flush=True)
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder, start(tokens="characters") as server:
        ran = {}
        for count in (few, few * _TIMES):
            corpus = made(Path(folder), count)
            env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
            ran[count] = kg("process", corpus.path, *_OPTIONS, "-w", f"w{count}", folder=Path(folder), **env)
            corpus.path.unlink()
    _show(ran)


def _show(ran: dict[int, Ran]) -> None:
    few, many = sorted(ran)
    table = Table(f"Memory at {few:,} and {many:,} chunks, no vector store")
    for count, each in ran.items():
        table.at_most(f"anonymous memory at {count:,} chunks", each.anonymous_mb, unit="MB")
        table.at_most(f"peak memory at {count:,} chunks", each.peak_mb, unit="MB")
        table.at_most(f"CPU a chunk at {count:,} chunks", each.cpu_s / count * 1e3, unit="ms")
    table.at_most("growth of anonymous memory", ran[many].anonymous_mb - ran[few].anonymous_mb, 20, "MB")
    table.show()
    print("  anonymous memory, by tenths of the long run:", ", ".join(f"{mb:.0f}" for mb in _tenths(ran[many])))


def _tenths(ran: Ran) -> list[float]:
    samples = ran.anonymous
    return [samples[min(len(samples) - 1, len(samples) * tenth // 10)][1] for tenth in range(1, 11)] if samples else []


if __name__ == "__main__":
    main()
