"""A provider with rate limits, simulated on the event loop's clock."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from core_engine.limits.rate_limiter import Lane, RateLimiter


@dataclass
class Level:
    """A bucket that holds `capacity` and refills at `per_minute`."""

    per_minute: float
    capacity: float
    left: float = -1.0
    at: float = 0.0

    stolen: float = 0.0

    def refill(self, now: float) -> None:
        if self.left < 0 and self.at == 0:
            self.left, self.at = self.capacity, now
        self.left = min(self.capacity, self.left + (now - self.at) * self.per_minute * (1 - self.stolen) / 60)
        self.at = now

    @property
    def reset_s(self) -> float:
        return (self.capacity - self.left) * 60 / self.per_minute


@dataclass
class Provider:
    """Refuses what its limits don't hold.

    `window_s`: over how many seconds it counts a minute's limit. `stolen`: the share that another client takes all the
    time, of what there is.
    """

    rpm: float
    tpm: float
    window_s: float = 1.0
    headers: bool = False
    latency_s: float = 0.5
    jitter_s: float = 0.01
    stolen: float = 0.0
    seed: int = 1
    served: int = 0
    served_tokens: int = 0
    refused: int = 0
    served_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.requests = Level(self.rpm, max(self.rpm * self.window_s / 60, 1), stolen=self.stolen)
        self.tokens = Level(self.tpm, self.tpm * self.window_s / 60, stolen=self.stolen)

    def admit(self, tokens: int) -> bool:
        """A request larger than the window passes when the window is (nearly) full, and leaves a debt."""
        now = asyncio.get_running_loop().time()
        self.requests.refill(now)
        self.tokens.refill(now)
        if self.requests.left < 1 or self.tokens.left < min(tokens, self.tokens.capacity * 0.95):
            self.refused += 1
            self.refused_at.append(now)
            return False
        self.requests.left -= 1
        self.tokens.left -= tokens
        self.served += 1
        self.served_tokens += tokens
        self.served_at.append(now)
        return True

    def told(self) -> dict[str, str]:
        if not self.headers:
            return {}
        told = {}
        for unit, level in (("requests", self.requests), ("tokens", self.tokens)):
            told[f"x-ratelimit-limit-{unit}"] = f"{level.per_minute:.0f}"
            told[f"x-ratelimit-remaining-{unit}"] = f"{max(level.left, 0):.0f}"
            told[f"x-ratelimit-reset-{unit}"] = f"{level.reset_s:.3f}s"
        return told

    async def call(self, limiter: RateLimiter, lane: Lane, estimate: int, actual: int) -> bool:
        """One request through the limiter, as a client makes it; False when it was refused."""
        reservation = await limiter.reserve(lane, estimate)
        await asyncio.sleep(self.random.uniform(0, self.jitter_s))
        admitted, told = self.admit(actual), self.told()
        await asyncio.sleep(self.latency_s * self.random.uniform(0.5, 1.5) if admitted else 0.02)
        limiter.observe(lane, told)
        if not admitted:
            limiter.pause(lane, 1.0, "429")
        reservation.settle(actual if admitted else None)
        return admitted
