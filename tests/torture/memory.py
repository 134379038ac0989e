"""Very many chunks with a simulated model and no vector store: does memory grow, does each chunk take as long as the last?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.corpus import made
from tests.benchmarks.running import Ran, kg
from tests.torture.world import hold

FEW = 10_000
MOST_GROWTH_MB = 50
_OPTIONS = ("--max-concurrent", 20, "--batch-size", 10, "--vector-store", "none", "--embedder", "none")


def torture(base: Path, server: Any, chunks: int, *, tell: Callable[[str], Any] = print) -> str:
    """A run over 10,000 chunks and one over `chunks`. What came of it, in words; raises Wrong above the bar."""
    few, many = (_run(base, server, count, tell) for count in (FEW, chunks))
    growth = many.anonymous_mb - few.anonymous_mb
    hold(growth <= MOST_GROWTH_MB, f"anonymous memory grew by {growth:.0f} MB")
    return (
        f"anonymous memory {few.anonymous_mb:.0f} MB at {FEW:,} chunks, {many.anonymous_mb:.0f} MB at {chunks:,}: "
        f"{growth:+.0f} MB (bar: {MOST_GROWTH_MB}); wall {few.wall_s / FEW * 1e3:.2f} and {many.wall_s / chunks * 1e3:.2f} "
        f"ms a chunk, CPU {few.cpu_s / FEW * 1e3:.2f} and {many.cpu_s / chunks * 1e3:.2f} ms a chunk"
    )


def _run(base: Path, server: Any, count: int, tell: Callable[[str], Any]) -> Ran:
    server.reset(tokens="characters")
    corpus = made(base, count)
    ran = kg(
        "process",
        corpus.path,
        *_OPTIONS,
        "-w",
        f"w{count}",
        folder=base,
        OPENAI_BASE_URL=server.url,
        OPENAI_API_KEY="x",
    )
    corpus.path.unlink()
    hold(ran.report["chunks"]["written"] == ran.report["chunks"]["total"], f"not all written: {ran.report['chunks']}")
    tell(f"  {count:,} chunks: {ran.wall_s:.0f} s, {ran.anonymous_mb:.0f} MB")
    return ran
