"""What `kg --help` takes beside a bare Typer app with two commands: python -m tests.benchmarks.bench_help [RUNS].

Each is a process of its own, run in turn, so that a busy machine slows both; held to at most 1.3 times the bare one.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

_BARE = """
import typer
app = typer.Typer(add_completion=False)

@app.command()
def one() -> None:
    "The first."

@app.command()
def two() -> None:
    "The second."

app()
"""
_KG = "import sys; sys.argv[0] = 'kg'; from kg_batch import main; main()"


def seconds(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(runs: int) -> float:
    seconds(_BARE), seconds(_KG)  # the first reads from the disk
    pairs = [(seconds(_BARE), seconds(_KG)) for _ in range(runs)]
    bare, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"bare {bare:.3f} s, kg {ours:.3f} s, {ours / bare:.2f} times (medians of {runs})")
    return ours / bare


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
