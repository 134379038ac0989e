"""How near to a provider's limits the limiter runs, and what it costs: python -m tests.benchmarks.bench_limiter.

The provider is simulated on a virtual clock, so that ten minutes take seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import statistics
import time
from collections.abc import Callable

from core_engine.limits.rate_limiter import Lane, RateLimiter
from tests.core_engine.limits.provider import Provider
from tests.core_engine.limits.virtual_time import run

LANE = Lane("chat", "https://models.example/v1", "m")


async def drive(
    provider: Provider, limiter: RateLimiter, sizes: Callable[[], int], seconds: float, workers: int, error: float = 0.2
) -> list[float]:
    """Keep the workers busy for so long; the waits at the limiter. Refused requests are sent again."""
    loop = asyncio.get_running_loop()
    end, waits = loop.time() + seconds, []
    rng = random.Random(7)

    async def work() -> None:
        while loop.time() < end:
            actual = sizes()
            before = loop.time()
            while not await provider.call(limiter, LANE, round(actual * rng.uniform(1 - error, 1 + error)), actual):
                before = loop.time()
            waits.append(max(loop.time() - before - provider.latency_s, 0))

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return waits


def score(name: str, provider: Provider, limiter: RateLimiter, sizes: Callable[[], int], **options: float) -> None:
    seconds = options.get("seconds", 60.0)
    since = options.get("since", 0.0)
    began = time.process_time()
    waits = run(drive(provider, limiter, sizes, seconds, int(options.get("workers", 20)), options.get("error", 0.2)))
    cpu = time.process_time() - began
    counted = [at for at in provider.served_at if at >= 1_000 + since]
    ideal = (seconds - since) / 60
    share = max(
        len(counted) / (provider.rpm * ideal),
        provider.served_tokens * len(counted) / max(provider.served, 1) / (provider.tpm * ideal),
    )
    late = [at for at in provider.refused_at if at >= 1_000 + since]
    total = provider.served + provider.refused
    waits = sorted(waits) or [0.0]
    print(
        f"{name:44} {share:5.3f} of the limit, {provider.refused:4} x 429 of {total:5} ({len(late)} late), wait p50"
        f" {statistics.median(waits):6.2f} s p99 {waits[int(len(waits) * 0.99)]:6.2f} s, {cpu / total * 1e6:5.0f} us CPU a call, simulation included"
    )


def sizes(low: int, high: int) -> Callable[[], int]:
    rng = random.Random(3)
    return lambda: rng.randint(low, high)


def uneven() -> Callable[[], int]:
    """Nine small ones and a large one."""
    small, large = sizes(300, 900), sizes(5_000, 7_000)
    turn = itertools.count()
    return lambda: large() if next(turn) % 10 == 0 else small()


async def overhead(count: int, **limits: float) -> float:
    limiter = RateLimiter(**limits)
    began = time.perf_counter()
    for _ in range(count):
        (await limiter.reserve(LANE, 4_000)).settle(3_900)
    return (time.perf_counter() - began) / count * 1e6


def main() -> None:
    logging.disable()
    for rpm in (100, 600, 6_000):
        # enough workers that latency doesn't bind
        workers = 20 if rpm < 1_000 else 120
        limits = {"rpm": rpm, "tpm": rpm * 1_000}
        score(
            f"told, {rpm} rpm, requests bind",
            Provider(**limits),
            RateLimiter(**limits),
            sizes(300, 700),
            workers=workers,
        )
        score(
            f"told, {rpm} rpm, tokens bind",
            Provider(**limits),
            RateLimiter(**limits),
            sizes(1_500, 2_500),
            workers=workers,
        )
        score(
            f"told, {rpm} rpm, uneven, both bind", Provider(**limits), RateLimiter(**limits), uneven(), workers=workers
        )
    for window in (1.0, 60.0):
        for name, make in (("requests", sizes(300, 700)), ("tokens", sizes(1_500, 2_500)), ("uneven", uneven())):
            told = Provider(600, 600_000, window_s=window, headers=True)
            score(f"headers only, bucket of {window:g} s, {name}", told, RateLimiter(), make)
            silent = Provider(600, 600_000, window_s=window)
            score(
                f"silent, bucket of {window:g} s, {name}, min 3-10", silent, RateLimiter(), make, seconds=600, since=120
            )
        for headers in (True, False):
            shared = Provider(600, 600_000, window_s=window, headers=headers, stolen=0.5)
            said = "headers" if headers else "silent"
            score(f"{said}, half stolen, bucket of {window:g} s", shared, RateLimiter(), sizes(300, 700), seconds=600)
    for name, limits in (("no limits", {}), ("requests and tokens limited", {"rpm": 1e9, "tpm": 1e12})):
        best = min(asyncio.run(overhead(5_000, **limits)) for _ in range(9))
        print(f"{name:44} {best:.1f} us a reservation and its settling")


if __name__ == "__main__":
    main()
