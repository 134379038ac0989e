"""What `kg process` takes for 8,834 chunks, offline and with a model that answers at once: time, memory, calls, tokens.

    python tests/benchmarks/bench_process.py [--quick] [offline] [model] [tokens]

Each command is a process of its own, measured from outside. Memory in megabytes of 10^6 bytes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.benchmarks.corpus import Corpus, chunks, counter, raw_texts, vocabulary
from tests.benchmarks.running import Ran, Table, import_mb, kg, surroundings
from tests.openai_server.fixture import Server, start

_QUICK = 1_000
_MODEL = ("--max-concurrent", 20, "--batch-size", 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them where none is named")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK:,} chunks")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        corpus = chunks(Path(folder), _QUICK if chosen.quick else None)
        print(f"{corpus.name}: {corpus.chunks:,} chunks; {surroundings()}")
        for name in chosen.parts or PARTS:
            PARTS[name](Path(folder), corpus)


def offline(folder: Path, corpus: Corpus) -> None:
    first = kg("process", corpus.path, "--no-model", "-w", "offline", folder=folder)
    again = kg("process", corpus.path, "--no-model", "-w", "offline", folder=folder)
    table = Table("Offline: rules, BM25, embedded stores")
    table.at_most("wall, start to exit", first.wall_s, 30, "s")
    table.at_most("CPU", first.cpu_s, unit="s")
    table.at_most("peak memory", first.peak_mb, 300, "MB")
    table.fact("every chunk written", first.report["chunks"]["written"] == corpus.chunks)
    _rerun(table, again)
    table.show()


def model(folder: Path, corpus: Corpus) -> None:
    with start(tokens="characters") as server:
        env = _env(server)
        for workspace in ("warm", "start-up"):
            started = kg("process", corpus.path, *_MODEL, "--limit", 1, "-w", workspace, folder=folder, **env)
        first = kg("process", corpus.path, *_MODEL, "-w", "model", folder=folder, **env)
        again = kg("process", corpus.path, *_MODEL, "-w", "model", folder=folder, **env)
    table = Table("A model at zero latency, batch 10, 20 concurrent, embedded stores")
    table.at_most("CPU a chunk beyond start-up", (first.cpu_s - started.cpu_s) / corpus.chunks * 1e3, 4, "ms", "goal 2")
    table.at_most("CPU of start-up: the same command with one chunk", started.cpu_s, unit="s")
    table.at_most("wall, start to exit", first.wall_s, unit="s")
    table.at_most("peak memory of its processes together", first.together_mb, 320, "MB")
    table.at_most("the peaks of each, added up", first.peak_mb, unit="MB")
    table.at_most("peak memory with one chunk", started.peak_mb, unit="MB")
    table.at_most("peak memory of the imports alone", import_mb(), unit="MB")
    table.at_most("anonymous memory at most", first.anonymous_mb, unit="MB")
    extracting = first.report["stages"]["extract"]["calls"]
    table.at_most("chat calls a chunk for extraction", extracting / corpus.chunks, 0.11)
    table.at_most("and about pairs of names", (first.report["calls"]["chat"] - extracting) / corpus.chunks)
    table.at_most("embedding calls a chunk", first.report["calls"]["embedding"] / corpus.chunks, 0.01)
    table.fact("every chunk written", first.report["chunks"]["written"] == corpus.chunks)
    _rerun(table, again)
    table.show()


def tokens(folder: Path, corpus: Corpus) -> None:
    cache = vocabulary()
    if cache:
        os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    with start(tokens="tiktoken" if cache else "characters", keep_requests=100) as server:
        words = ("process", corpus.path, *_MODEL, "-w", "tokens", "--vector-store", "none")
        ran = kg(*words, "--resolve", "rules", folder=folder, **_env(server))
        bodies = [each["body"] for each in server.requests() if "chat" in each["path"]]
        names = kg(*words, folder=folder, **_env(server)).report["tokens"]
    count = counter(cache)
    raw = sum(map(count, raw_texts(corpus)))
    said = ran.report["tokens"]
    static = {str(body["messages"][0]["content"]) for body in bodies}
    table = Table("Tokens, cleaning on, " + ("by tiktoken's o200k_base" if cache else "by characters / 4"))
    table.at_most("prompt tokens / tokens of the raw chunks", said["prompt"] / raw, 1.45)
    table.at_most("prompt tokens", said["prompt"])
    table.at_most("of them billed as cached", said["cached"])
    table.at_most("tokens of the raw chunks", raw)
    table.at_most("completion tokens", said["completion"])
    table.at_most("and about pairs of names: prompt tokens", names["prompt"])
    table.at_most("completion tokens", names["completion"])
    table.fact("the same static part first in the last requests", len(static) == 1, f"{len(bodies)} looked at")
    table.at_most("tokens of the static message", count(next(iter(static))))
    table.show()


def _rerun(table: Table, again: Ran) -> None:
    report = again.report
    written = report["graph"]["units_written"] + report["graph"]["units_deleted"]
    written += sum(report["vectors"][kind] for kind in ("new", "changed", "deleted"))
    table.at_most("rerun: wall, start to exit", again.wall_s, 2, "s")
    table.at_most("rerun: CPU", again.cpu_s, unit="s")
    table.at_most("rerun: peak memory", again.peak_mb, unit="MB")
    table.at_most("rerun: calls", report["calls"]["chat"] + report["calls"]["embedding"], 0)
    table.at_most("rerun: writes to the stores", written, 0)


def _env(server: Server) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}


PARTS = {"offline": offline, "model": model, "tokens": tokens}

if __name__ == "__main__":
    main()
