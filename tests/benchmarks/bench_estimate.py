"""Estimates against the server's bill for 8,834 chunks, with replies of lengths that nobody told us.

    python tests/benchmarks/bench_estimate.py [--quick] [--seed N] [first] [later] [names] [fit]

first   the very first estimate, from the text alone, where replies are as long as the answers that they hold
later   the estimate after an earlier run over a ninth of the corpus, with heavy-tailed lengths drawn from the seed
names   how the doubtful pairs of names grow with the corpus: the power in metrics/estimate.py
fit     how long a reply is by what names and speakers a chunk holds: the figures of metrics/estimate.py
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from core_engine.ledger import documents
from core_engine.llm.tokens import TokenCounter
from metrics import estimate
from tests.benchmarks.corpus import Corpus, chunks, vocabulary
from tests.benchmarks.running import ROOT, Table, kg, surroundings
from tests.kg import Kg
from tests.openai_server.fixture import Server, start

_QUICK = 1_800
_STORES = ("--graph-store", "none", "--vector-store", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them where none is named")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK:,} chunks")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if cache := vocabulary():
        os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)  # for the server, which counts as OpenAI does
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder, start() as server:
        corpus = chunks(Path(folder), _QUICK if chosen.quick else None)
        print(f"{corpus.name}: {corpus.chunks:,} chunks; {surroundings()}")
        for name in chosen.parts or PARTS:
            PARTS[name](Path(folder), corpus, server, chosen.seed)


def first(folder: Path, corpus: Corpus, server: Server, _seed: int) -> None:
    for title, cache in (("counted by tiktoken", vocabulary()), ("counted by characters", None)):
        if title.endswith("tiktoken") and cache is None:
            continue
        server.reset()
        env = _env(server, TIKTOKEN_CACHE_DIR=str(cache or ""))
        workspace = ("-w", title.rpartition(" ")[2], "--home", title.rpartition(" ")[2])
        said = kg("estimate", corpus.path, *workspace, folder=folder, **env).report
        report = kg("process", corpus.path, *workspace, *_STORES, folder=folder, **env).report
        _compared(f"The very first estimate, {title}", said, report, _bill(server), 15)


def later(folder: Path, corpus: Corpus, server: Server, seed: int) -> None:
    rng = random.Random(seed)
    for trial in range(2):
        lengths = f"lognormal:{rng.randint(40, 400)}:{rng.uniform(0.6, 1.2):.2f}"
        server.reset(completion_tokens=lengths, seed=rng.randrange(10_000))
        env = _env(server)
        workspace = ("-w", f"later{trial}", "--home", f"later{trial}")
        some = corpus.chunks // 9
        kg("process", corpus.path, "--limit", some, *workspace, *_STORES, folder=folder, **env)
        said = kg("estimate", corpus.path, *workspace, folder=folder, **env).report
        before = _bill(server)
        report = kg("process", corpus.path, *workspace, *_STORES, folder=folder, **env).report
        bill = tuple(after - earlier for after, earlier in zip(_bill(server), before, strict=True))
        _compared(f"After an earlier run over {some:,} chunks, lengths {lengths}", said, report, bill, 5)


def _compared(title: str, said: dict[str, Any], report: dict[str, Any], bill: tuple[float, ...], bar: float) -> None:
    dollars, tokens = bill
    tokens_said = sum(said["tokens"][name] for name in ("prompt", "completion", "embedding"))
    cost = said["cost_usd"]
    table = Table(title)
    table.at_most("dollars of the bill", dollars)
    table.at_most("dollars estimated", cost["middle"], note=f"{cost['low']:.3g} to {cost['high']:.3g}")
    table.at_most("off by, dollars", abs(cost["middle"] / dollars - 1) * 100, bar, "%")
    table.at_most("off by, tokens", abs(tokens_said / tokens - 1) * 100, bar, "%")
    table.fact("the bill lies in the range", cost["low"] <= dollars <= cost["high"])
    ours = report["estimate"]["cost_usd"]["middle"]
    table.at_most("the run's own estimate, off by, dollars", abs(ours / dollars - 1) * 100, bar, "%")
    table.at_most("report's cost against the bill, dollars", abs(report["cost_usd"]["total"] - dollars), 1e-6)
    table.show()


def fit(folder: Path, _corpus: Corpus, server: Server, _seed: int) -> None:
    """Least squares over the samples' chunks, whose hand-made answers the server gives."""
    server.reset(gold=ROOT / "data" / "gold" / "conversations.jsonl")
    env = _env(server)
    ran = Kg(folder, **env)
    ran.process(ROOT / "data" / "transcripts", "-w", "fit", "--embedder", "none", *_STORES)
    rows, lengths = _replies(ran)
    weights, *_ = np.linalg.lstsq(rows, lengths, rcond=None)
    left = lengths - rows @ weights
    table = Table(f"Tokens of a reply to a chunk, over {len(lengths)} chunks")
    for name, weight, used in zip(("form", "a name", "a speaker"), weights, estimate.REPLY_BY_FORM, strict=True):
        table.at_most(name, float(weight), note=f"used: {used}")
    table.at_most("explained", 1 - float((left**2).sum() / ((lengths - lengths.mean()) ** 2).sum()))
    table.show()


def names(folder: Path, corpus: Corpus, server: Server, _seed: int) -> None:
    server.reset()
    table = Table("Pairs of names that a model was asked about")
    found = []
    for count in (corpus.chunks // 16, corpus.chunks // 4, corpus.chunks):
        home = folder / f"names{count}"
        kg("process", corpus.path, "--limit", count, "--home", home, *_STORES, folder=folder, **_env(server))
        pairs, calls, prompt, completion = (
            sqlite3.connect(home / "default" / "ledger.sqlite3")
            .execute(
                "SELECT sum(json_array_length(questions)), count(*), sum(prompt), sum(completion) FROM call "
                "WHERE stage = 'resolve'"
            )
            .fetchone()
        )
        found.append((count, pairs))
        each = f"{calls / pairs:.3f} calls, {prompt / pairs:.0f} + {completion / pairs:.1f} tokens each"
        table.at_most(f"at {count:,} chunks", pairs, note=each)
    (few, some), (many, most) = found[0], found[-1]
    table.at_most("power", math.log(most / some) / math.log(many / few), note=f"used: {estimate.PAIRS_GROW}")
    table.show()


def _replies(ran: Kg) -> tuple[Any, Any]:
    count = TokenCounter("gpt-5-mini", exact=True).count
    rows, lengths = [], []
    db = ran.ledger("fit")
    for asked, reply in db.execute("SELECT questions, reply FROM call WHERE stage = 'extract' AND status = 'answered'"):
        questions = orjson.loads(asked)
        for answer in orjson.loads(reply)["chunks"]:
            (no,) = db.execute("SELECT no FROM chunk WHERE extract = ?", (questions[answer["c"] - 1],)).fetchone()
            chunk = documents.load_chunks(db, [no])[no]
            rows.append((1.0, *estimate.named(chunk)))
            lengths.append(count(orjson.dumps(answer).decode()) + 1)
    return np.array(rows), np.array(lengths, float)


def _bill(server: Server) -> tuple[float, float]:
    books = server.books(log=False)
    return float(books["dollars"]), float(sum(books["tokens"][name] for name in ("prompt", "completion", "embedding")))


def _env(server: Server, **more: str) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x", **more}


PARTS = {"first": first, "later": later, "names": names, "fit": fit}

if __name__ == "__main__":
    main()
