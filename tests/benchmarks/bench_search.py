"""How soon the embedded stores answer: the ten best of many chunks, by words and by meaning.

    python -m tests.benchmarks.bench_search [--chunks 100000] [--dimensions 512 1536] [--queries 200]

Vectors are drawn at random, which is the hardest case for a search by meaning; texts are `corpus.py`'s. The store is
opened, asked once for each kind of question, and then measured. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core_engine.embeddings.bm25 import Bm25Encoder
from core_engine.embeddings.stores.edge import EdgeVectorStore
from core_engine.types import Point, SparseVector
from tests.benchmarks.corpus import made, raw_texts

_BATCH = 500
_WORDS = {
    "remote",
    "budget",
    "button",
    "market",
    "customer",
    "signal",
    "schedule",
    "version",
    "group",
    "design",
}  # in many


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--chunks", type=int, default=100_000)
    options.add_argument("--dimensions", type=int, nargs="+", default=[512, 1536])
    options.add_argument("--queries", type=int, default=200)
    chosen = options.parse_args()
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        corpus = made(Path(folder), min(chosen.chunks, 10_000))
        texts = list(raw_texts(corpus))
        for dimensions in chosen.dimensions:
            told[f"{dimensions} dimensions"] = asyncio.run(
                _measured(Path(folder), texts, chosen.chunks, dimensions, chosen.queries)
            )
    json.dump({"chunks": chosen.chunks, "bar_ms_at_512": 50, **told}, sys.stdout, indent=2)
    print()


async def _measured(folder: Path, texts: list[str], chunks: int, dimensions: int, queries: int) -> dict[str, Any]:
    encoder, draw = Bm25Encoder(), np.random.default_rng(1)
    store = EdgeVectorStore(folder, dimensions, "bench")
    await store.open()
    began = time.perf_counter()
    for points in _batches(texts, chunks, dimensions, encoder, draw):
        await store.upsert(points)
    await store.flush()
    written = time.perf_counter() - began
    await store.close()
    began = time.perf_counter()
    await store.open()
    opened = time.perf_counter() - began
    words = random.Random(2)
    asked = [
        (
            encoder.query(" ".join(words.sample(sorted(_WORDS), 3)) + " " + words.choice(texts)[-80:]),
            _vector(draw, dimensions).tolist(),
        )
        for _ in range(queries)
    ]
    told: dict[str, Any] = {"written_s": round(written, 1), "opened_s": round(opened, 2)}
    for name, ask in (
        ("hybrid", lambda sparse, dense: store.search(sparse, dense, 10)),
        ("words", lambda sparse, _: store.search(sparse, None, 10)),
        ("meaning", lambda _, dense: store.search(SparseVector((), ()), dense, 10)),
    ):
        told[f"{name}_ms"] = await _times(ask, asked)
    await store.close()
    return told


def _batches(
    texts: list[str], chunks: int, dimensions: int, encoder: Bm25Encoder, draw: np.random.Generator
) -> Iterator[list[Point]]:
    for first in range(0, chunks, _BATCH):
        points = []
        for number in range(first, min(first + _BATCH, chunks)):
            text = f"{texts[number % len(texts)]} point {number}"
            dense = _vector(draw, dimensions).tobytes()
            payload = {"id": str(number), "text": text, "workspace": "bench", "document_id": str(number // 45)}
            points.append(Point(str(uuid.UUID(int=number)), encoder.document(text), dense, payload))
        yield points


def _vector(draw: np.random.Generator, dimensions: int) -> Any:
    return draw.standard_normal(dimensions, np.float32)


async def _times(
    ask: Callable[[SparseVector, list[float]], Awaitable[Any]], asked: list[tuple[SparseVector, list[float]]]
) -> dict[str, float]:
    times = []
    await ask(*asked[0])
    for sparse, dense in asked:
        began = time.perf_counter()
        found = await ask(sparse, dense)
        times.append((time.perf_counter() - began) * 1000)
        assert found
    times.sort()
    return {"median": round(statistics.median(times), 1), "p95": round(times[int(len(times) * 0.95)], 1)}


if __name__ == "__main__":
    main()
