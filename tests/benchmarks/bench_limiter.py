"""How near to a provider's limits kg runs, what a server without limits is given, and what the limiter itself costs.

    python -m tests.benchmarks.bench_limiter [--only told|headers|silent|shared|knee|overhead|real|real_tokens ...]

All but the last two run the limiter against the test server's own limits on a simulated clock, so that ten minutes take
seconds. Those run `kg process` for a minute each time against the test server, as a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from core_engine.limits.charge import Charge, Size
from core_engine.limits.knee import Knee
from core_engine.limits.rate_limiter import Lane, RateLimiter
from tests.benchmarks.corpus import made
from tests.benchmarks.running import Table, kg, surroundings
from tests.core_engine.limits.local_server import LocalServer
from tests.core_engine.limits.provider import Provider
from tests.core_engine.limits.virtual_time import run
from tests.openai_server.fixture import Server, start

CHAT = Lane("chat", "https://models.example/v1", "m")
EMBEDDING = Lane("embedding", "https://models.example/v1", "e")
_BEGIN = 1_000.0  # of the simulated clock

Shapes = Callable[[], tuple[Size, int]]


def batches(chunks: Callable[[], int]) -> Shapes:
    """Requests as kg makes them: of so many chunks each, and the tokens of the reply to come, which vary."""
    rng = random.Random(3)

    def one() -> tuple[Size, int]:
        count = chunks()
        prompt = 1_200 + 290 * count
        completion = round(270 * count * rng.lognormvariate(0, 0.25))
        return Size(4 * prompt, round(prompt * rng.uniform(0.95, 1.05)), 280 * count, 1_200 * count + 2_000), completion

    return one


def even() -> Shapes:
    return batches(lambda: 10)


def uneven() -> Shapes:
    """Single chunks and full batches, mixed."""
    turn = itertools.count()
    return batches(lambda: 15 if next(turn) % 10 == 0 else 1 + next(turn) % 4)


async def drive(
    provider: Provider, limiter: RateLimiter, shapes: Shapes, seconds: float, workers: int, *, embed: bool = False
) -> list[float]:
    """Keep the workers busy for so long; how long requests waited at the limiter. Refused ones are sent again."""
    loop = asyncio.get_running_loop()
    end, waits, charge, vectors = loop.time() + seconds, [], Charge(CHAT.endpoint), Charge(CHAT.endpoint, replies=False)

    async def work() -> None:
        while loop.time() < end:
            size, completion = shapes()
            before = loop.time()
            while not await provider.ask(limiter, CHAT, charge, size, completion):
                before = loop.time()
            waits.append(max(loop.time() - before - provider.latency_s, 0))

    async def work_on_embeddings() -> None:
        while loop.time() < end:
            while not await provider.ask(limiter, EMBEDDING, vectors, Size(80_000, 20_000), 0):
                pass

    await provider.ask(limiter, CHAT, charge, *shapes())  # the first goes alone, as the asker's does
    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    if embed:
        tasks += [asyncio.create_task(work_on_embeddings()) for _ in range(2)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return waits


def score(
    table: Table,
    name: str,
    provider: Provider,
    limiter: RateLimiter,
    shapes: Shapes,
    *,
    bar: float,
    most_429: float,
    seconds: float = 60.0,
    since: float = 0.0,
    workers: int = 40,
    embed: bool = False,
) -> None:
    """A row: the share of the ideal that was served, refusals (a share of the calls where below 1), p99 against p50."""
    waits = sorted(run(drive(provider, limiter, shapes, seconds, workers, embed=embed))) or [0.0]
    counted = sum(at >= _BEGIN + since for at in provider.served_at)
    minutes = (seconds - since) / 60 * (1 - provider.stolen)
    part = counted / max(provider.served, 1) / minutes
    if provider.embedding_rpm:  # both have enough to do: each at its own limits
        vectors = provider.served - provider.chat, provider.served_tokens - provider.chat_tokens
        share = min(
            _share(provider.chat, provider.chat_tokens, provider.rpm, provider.tpm),
            _share(*vectors, provider.embedding_rpm, provider.embedding_tpm),
        )
    else:
        share = _share(provider.served, provider.served_tokens, provider.rpm, provider.tpm)
    share *= part
    total = provider.served + provider.refused
    refused = provider.refused / total if most_429 < 1 else float(provider.refused)
    p50, p99 = statistics.median(waits), waits[int(len(waits) * 0.99)]
    note = f"{total} calls, {provider.refused} x 429, wait p50 {p50:.2f} s p99 {p99:.2f} s"
    table.at_least(name, share, bar, note=note)
    if refused > most_429:
        table.fact(f"{name}: 429s at most {most_429:g}", holds=False, note=f"{refused:g}")
    interval = 60 * minutes / max(counted, 1)
    if bar >= 0.97 and p99 > max(2 * p50, interval * workers):
        table.fact(f"{name}: p99 wait at most twice p50", holds=False)


def _share(requests: int, tokens: int, rpm: float | None, tpm: float | None) -> float:
    """Of the limit that is used most."""
    return max(requests / (rpm or math.inf), tokens / (tpm or math.inf))


def told() -> None:
    table = Table("limits told with --rpm and --tpm, 60 s, enforced by the second and by the minute")
    for window, charge in itertools.product((1.0, 60.0), ("max", "actual")):
        how = f"by the {'second' if window == 1 else 'minute'}, {charge}"
        for bound, limits, shapes in (
            ("requests", {"rpm": 600, "tpm": 600 * 30_000}, even()),
            ("tokens", {"rpm": 6_000, "tpm": 3_000_000}, even()),
            ("both, uneven batches", {"rpm": 600, "tpm": 4_000_000 if charge == "max" else 2_000_000}, uneven()),
        ):
            provider = Provider(**limits, window_s=window, charge=charge, headers=True)
            score(table, f"{bound}; {how}", provider, RateLimiter(**limits), shapes, bar=0.97, most_429=0)
        apart = Provider(600, 4e6, window_s=window, charge=charge, headers=True, embedding_rpm=100, embedding_tpm=1e6)
        limiter = RateLimiter(rpm=600, tpm=4e6, embedding_rpm=100, embedding_tpm=1e6)
        score(table, f"embeddings apart; {how}", apart, limiter, even(), bar=0.97, most_429=0, embed=True)
        shared = Provider(600, 4e6, window_s=window, charge=charge, headers=True)
        limiter = RateLimiter(rpm=600, tpm=4e6)
        score(table, f"embeddings shared; {how}", shared, limiter, even(), bar=0.97, most_429=0, embed=True)
        small = Provider(500, 30_000, window_s=window, charge=charge, headers=True)
        limiter = RateLimiter(rpm=500, tpm=30_000)
        name = f"a request is half a minute's, an hour; {how}"
        score(table, name, small, limiter, even(), bar=0.97, most_429=0, seconds=3_600)
    table.show()


def headers() -> None:
    table = Table("limits learned from the replies' headers, 60 s; at most one 429")
    for window, charge in itertools.product((1.0, 60.0), ("max", "actual")):
        how = f"by the {'second' if window == 1 else 'minute'}, {charge}"
        for bound, tpm, shapes in (
            ("requests", 18e6, even()),
            ("tokens", 3e6, even()),
            ("both, uneven", 4e6, uneven()),
        ):
            provider = Provider(600, tpm, window_s=window, charge=charge, headers=True)
            score(table, f"{bound}; {how}", provider, RateLimiter(), shapes, bar=0.93, most_429=1)
        for counted, own, seconds in (
            ("shared", {}, 60),
            ("apart", {"embedding_rpm": 100, "embedding_tpm": 1e6}, 60),
            # It takes some seconds until it shows that the same limits are not one.
            ("apart with the same limits, five minutes", {"embedding_rpm": 600, "embedding_tpm": 4e6}, 300),
        ):
            provider = Provider(600, 4e6, window_s=window, charge=charge, headers=True, **own)
            row = f"embeddings {counted}; {how}"
            score(table, row, provider, RateLimiter(), even(), bar=0.93, most_429=1, seconds=seconds, embed=True)
    table.show()


def silent() -> None:
    table = Table("nobody tells the limits: ten minutes, the 3rd to the 10th scored; 429s below 1 % of the calls")
    for window, charge in itertools.product((1.0, 60.0), ("max", "actual")):
        how = f"by the {'second' if window == 1 else 'minute'}, {charge}"
        for bound, tpm, shapes in (
            ("requests", 18e6, even()),
            ("tokens", 3e6, even()),
            ("both, uneven", 4e6, uneven()),
        ):
            provider = Provider(600, tpm, window_s=window, charge=charge)
            score(
                table,
                f"{bound}; {how}",
                provider,
                RateLimiter(),
                shapes,
                bar=0.85,
                most_429=0.01,
                seconds=600,
                since=120,
                workers=20,
            )
    table.show()


def shared() -> None:
    table = Table("a second client takes half, ten minutes; 429s below 1 %, share of the other half")
    for window, told_by in itertools.product((1.0, 60.0), ("headers", "flags and headers", "flags", "nobody")):
        limits = {"rpm": 600, "tpm": 18e6}
        provider = Provider(**limits, window_s=window, headers="headers" in told_by, stolen=0.5)
        limiter = RateLimiter(**(limits if "flags" in told_by else {}))
        how = f"by the {'second' if window == 1 else 'minute'}, told by {told_by}"
        score(table, how, provider, limiter, even(), bar=0.85, most_429=0.01, seconds=600, workers=20)
    table.show()


def knee() -> None:
    table = Table("a server without limits that works on K requests of 4 s at once; 800 requests")
    for most, parallel, spread in itertools.product((20, 50), (2, 4, 8, 16), (0.0, 0.3)):
        server, plain = LocalServer(parallel, spread=spread), LocalServer(parallel, spread=spread)
        took = run(_with_knee(server, most))
        ideal = run(plain.serve(None, most, 800))
        level = statistics.mode(server.levels[400:])
        waits = (
            f"a reply takes {statistics.median(server.took[400:]):.0f} s for {statistics.median(plain.took[400:]):.0f}"
        )
        name = f"K {parallel}, at most {most}, spread {spread:g}: time against all at once"
        table.at_most(name, took / ideal, 1.06, note=f"{level} at once, {waits}")
    steady = LocalServer(1_000)
    run(_with_knee(steady, 50))
    table.fact("where a reply always takes as long, all 50 are used all the time", set(steady.levels) == {50})
    table.show()


async def _with_knee(server: LocalServer, most: int) -> float:
    return await server.serve(Knee("host", most), most, 800)


def overhead() -> None:
    table = Table("the limiter's own cost, best of 15")
    for name, limits in (("no limits", {}), ("requests and tokens limited", {"rpm": 1e9, "tpm": 1e12})):
        best, lock = (min(asyncio.run(cost(5_000, **limits)) for _ in range(15)) for cost in (_overhead, _bare_lock))
        note = f"{best / lock:.0f} times a bare asyncio.Lock's {lock:.2f} us"
        table.at_most(f"a reservation, its leaving and its settling, {name}", best, 10, "us", note=note)
    table.show()


async def _overhead(count: int, **limits: float) -> float:
    limiter = RateLimiter(**limits)
    for _ in range(40):  # the first to an unknown provider are spaced
        (await limiter.reserve(CHAT, 4_000)).settle(3_900)
    began = time.perf_counter()
    for _ in range(count):
        reservation = await limiter.reserve(CHAT, 4_000)
        await reservation.leave()
        reservation.settle(3_900)
    return (time.perf_counter() - began) / count * 1e6


async def _bare_lock(count: int, **_limits: float) -> float:
    lock = asyncio.Lock()
    began = time.perf_counter()
    for _ in range(count):
        async with lock:
            pass
    return (time.perf_counter() - began) / count * 1e6


def real() -> None:
    """`kg process` itself: the server's bill over the time from the first request to the last."""
    table = Table("kg process against the test server, bound by requests, about a minute each")
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder, start(tokens="characters") as server:
        _real(table, Path(folder), server, "max", per_second=True)
        _real(table, Path(folder), server, "actual", per_second=False)
        _real(table, Path(folder), server, "max", per_second=False, flags=False)
    table.show()


def real_tokens() -> None:
    """The same where tokens bind, counted by the second: embeddings of several seconds' worth stand in between."""
    table = Table("kg process against the test server, bound by tokens, about a minute each")
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder, start(tokens="characters") as server:
        for flags in (True, False):
            _real(table, Path(folder), server, "max", per_second=True, flags=flags, tpm=3_000_000, chunks=2_000)
    table.show()


def _real(
    table: Table,
    folder: Path,
    server: Server,
    charge: str,
    *,
    per_second: bool,
    flags: bool = True,
    tpm: int = 9_000_000,
    chunks: int = 3_000,
) -> None:
    rpm = 300  # requests bind at 9 M tokens: batches of 10 take 14,000 tokens at their ceiling
    # What is in the bucket at the start is served at once, by the minute: the run is long enough to tell it apart.
    server.reset(tokens="characters", latency=1, rpm=rpm, tpm=tpm, per_second=per_second, charge=charge)
    corpus = made(folder, chunks)
    home = folder / f"{charge}-{per_second}-{flags}"
    home.mkdir()
    words = ("--rpm", rpm, "--tpm", tpm) if flags else ()
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    ran = kg("process", corpus.path, "--max-concurrent", 40, "--resolve", "rules", *words, folder=home, **env)
    books, busy = server.books(), ran.report["throughput"]["first_request_to_last_commit_s"]
    tokens = sum(1_200 * call["questions"] + 2_000 if call["stage"] == "chat" else call["embedding"] for call in books["log"] if call["status"] == 200)  # fmt: skip
    share = max(books["calls"] / (rpm * busy / 60), tokens / (tpm * busy / 60) if charge == "max" else 0.0)
    how = f"{charge}, by the {'second' if per_second else 'minute'}, {'--rpm and --tpm' if flags else 'headers alone'}"
    table.at_least(how, share, 0.97 if flags else 0.93, note=f"{books['calls']} calls in {busy:.0f} s")
    table.at_most(f"{how}: 429s", books["rate_limited"], 0 if flags else 1)
    table.fact(f"{how}: nothing lost", ran.report["chunks"]["written"] == ran.report["chunks"]["total"])


PARTS = {f.__name__: f for f in (told, headers, silent, shared, knee, overhead, real, real_tokens)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", choices=list(PARTS), help="all of them where none is named")
    chosen = parser.parse_args().only or list(PARTS)
    print(surroundings())
    logging.disable()
    for name in chosen:
        PARTS[name]()


if __name__ == "__main__":
    main()
