"""The settings of docs/tuning.md by speed: kg process against the test server with a provider's latency and limits.

    python -m tests.benchmarks.bench_tuning [--chunks 2000] [--latency lognormal:4:0.3] [--rpm 600] [--tpm 6000000]

Limits are counted by the second and at the longest reply, as OpenAI may, and told by the replies' headers alone. The
server takes as long for a large batch as for a small one; a real model takes longer the more it has to write.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.corpus import chunks
from tests.benchmarks.running import kg, surroundings
from tests.openai_server.fixture import Server, start

SETTINGS = (("careful", 15, 10), ("usual", 20, 10), ("usual", 30, 12), ("fastest", 50, 15))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=2_000)
    parser.add_argument("--latency", default="lognormal:4:0.3")
    parser.add_argument("--rpm", type=float, default=600)
    parser.add_argument("--tpm", type=float, default=6_000_000)
    said = parser.parse_args()
    print(surroundings())
    print(
        f"{'runs':8} {'--max-concurrent x --batch-size':32} {'s':>5} {'chunks/s':>8} {'limit':>6} {'calls':>6} {'429':>4} tokens"
    )
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder, start(tokens="characters") as server:
        for name, concurrent, batch in SETTINGS:
            _row(server, Path(folder), said, name, concurrent, batch)


def _row(server: Server, folder: Path, said: argparse.Namespace, name: str, concurrent: int, batch: int) -> None:
    server.reset(
        tokens="characters",
        latency=said.latency,
        embedding_latency=0.5,
        completion_tokens="lognormal:250:0.4",
        rpm=said.rpm,
        tpm=said.tpm,
        per_second=True,
    )
    home = folder / f"{concurrent}-{batch}"
    home.mkdir()
    corpus = chunks(home, said.chunks)
    words = ("--max-concurrent", concurrent, "--batch-size", batch)
    ran = kg("process", corpus.path, *words, folder=home, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    books, through = server.books(log=False), ran.report["throughput"]
    busy = through["first_request_to_last_commit_s"]
    tokens = sum(books["tokens"][kind] for kind in ("prompt", "completion", "embedding"))
    print(
        f"{name:8} {f'{concurrent} x {batch}':32} {busy:5.0f} {corpus.chunks / busy:8.1f} "
        f"{through['limit_efficiency'] or 0:6.2f} {books['calls']:6} {books['rate_limited']:4} {tokens:,}",
        flush=True,
    )


if __name__ == "__main__":
    main()
