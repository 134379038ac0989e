"""A local model server, simulated on the event loop's clock: it has no limits, and gets no faster beyond some concurrency."""

from __future__ import annotations

import asyncio
import heapq
import random
from dataclasses import dataclass, field

from core_engine.limits.knee import Knee


@dataclass
class LocalServer:
    """Works on `parallel` requests at once, the others wait their turn. `soft` of r: each takes 1 + r * n times as long
    among n others, as batches on one GPU do. `spread` is the sigma of a lognormal.
    """

    parallel: int
    seconds: float = 4.0
    spread: float = 0.0
    soft: float = 0.0
    seed: int = 1
    levels: list[int] = field(default_factory=list)
    served_at: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    in_flight: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._done_at: list[float] = []

    async def answer(self) -> float:
        """One request; how long it took."""
        began = asyncio.get_running_loop().time()
        self.in_flight += 1
        slower = 1 + self.soft * (min(self.in_flight, self.parallel) - 1)
        seconds = self.seconds * self.random.lognormvariate(0, self.spread) * slower
        free = len(self._done_at) < self.parallel
        begin = began if free else max(heapq.heappop(self._done_at), began)
        heapq.heappush(self._done_at, begin + seconds)
        await asyncio.sleep(begin + seconds - began)
        self.in_flight -= 1
        now = asyncio.get_running_loop().time()
        self.served_at.append(now)
        self.took.append(now - began)
        return now - began

    async def serve(self, knee: Knee | None, workers: int, requests: int) -> float:
        """Seconds for so many requests from so many workers: one first, then all together."""
        began = asyncio.get_running_loop().time()
        left = iter(range(requests))

        async def ask() -> None:
            if knee is None:
                await self.answer()
                return
            async with knee.place():
                knee.answered(await self.answer(), 1, bound=False)
                self.levels.append(knee.limit)

        async def work() -> None:
            for _ in left:
                await ask()

        await ask()
        await asyncio.gather(*(work() for _ in range(workers)))
        return asyncio.get_running_loop().time() - began
