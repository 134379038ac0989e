"""A provider with rate limits on the event loop's clock: the test server's own limits, without the server."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from functools import partial

from core_engine.limits.charge import Charge, Size
from core_engine.limits.rate_limiter import Lane, RateLimiter
from tests.openai_server.errors import ApiError
from tests.openai_server.limits import Limits
from tests.openai_server.settings import Settings


@dataclass
class Provider:
    """Refuses what its limits don't hold.

    `window_s`: whether a minute's limit is enforced by the second (1) or by the minute (60). `stolen`: the share that
    another client takes all the time. `charge`: `max` takes a request's output ceiling when it comes, `actual` its
    prompt then and its reply when that is written.
    """

    rpm: float | None
    tpm: float | None
    window_s: float = 1.0
    headers: bool = False
    latency_s: float = 0.5
    jitter_s: float = 0.01  # on the way
    commit_s: float = 0.05  # between its turn and its leaving
    stolen: float = 0.0
    charge: str = "max"
    embedding_rpm: float | None = None
    embedding_tpm: float | None = None
    seed: int = 1
    served: int = 0
    served_tokens: int = 0
    chat: int = 0
    chat_tokens: int = 0
    refused: int = 0
    served_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._settings = Settings(
            rpm=self.rpm,
            tpm=self.tpm,
            embedding_rpm=self.embedding_rpm,
            embedding_tpm=self.embedding_tpm,
            per_second=self.window_s == 1,
            steal=self.stolen,
            ratelimit_headers=self.headers,
        )
        self._limits: Limits | None = None

    def admit(self, tokens: int, stage: str = "chat") -> ApiError | None:
        """The refusal, if it is one."""
        now = asyncio.get_running_loop().time()
        self._limits = self._limits or Limits(self._settings, now)
        try:
            self._limits.admit(stage, "m", tokens, now)
        except ApiError as refusal:
            self.refused += 1
            self.refused_at.append(now)
            return refusal
        self.served_at.append(now)
        self.served += 1
        self.chat += stage == "chat"
        self._used(tokens, stage)
        return None

    def _used(self, tokens: int, stage: str) -> None:
        self.served_tokens += tokens
        self.chat_tokens += tokens if stage == "chat" else 0

    def told(self, stage: str = "chat") -> dict[str, str]:
        return dict(self._limits.headers(stage)) if self._limits else {}

    async def call(self, limiter: RateLimiter, lane: Lane, estimate: int, actual: int) -> bool:
        """One request through the limiter, whose tokens it has to guess; False when it was refused."""
        reservation = await limiter.reserve(lane, estimate)
        await reservation.leave()
        await asyncio.sleep(self.random.uniform(0, self.jitter_s))
        refusal, told = self.admit(actual), self.told()
        await self._reply(refusal)
        limiter.observe(lane, told)
        if refusal:
            limiter.pause(lane, 1.0, "429")
        reservation.settle(None if refusal else actual)
        return refusal is None

    async def ask(self, limiter: RateLimiter, lane: Lane, charge: Charge, size: Size, completion: int) -> bool:
        """One request as the asker makes it, which has to find out how this provider counts; False when refused."""
        stage = "chat" if lane.stage == "chat" else "embeddings"
        reservation = await limiter.reserve(lane, partial(charge.amount, size))
        await asyncio.sleep(self.random.uniform(0, self.commit_s))
        await reservation.leave()
        await asyncio.sleep(self.random.uniform(0, self.jitter_s))
        whole = self.charge == "max" and size.ceiling
        refusal = self.admit(size.at_ceiling if whole else size.prompt, stage)
        if not refusal and not whole and self._limits:
            self._limits.settle(stage, completion)
            self._used(completion, stage)
        told = self.told(stage)
        await self._reply(refusal)
        limiter.observe(lane, told, None if refusal else reservation)
        if refusal:
            charge.refused(refusal.message, size)
            limiter.pause(lane, float(dict(refusal.headers).get("retry-after-ms", "1000")) / 1000, "429")
        else:
            charge.replied(told, size)
        reservation.settle(None if refusal else charge.to_settle(size.prompt + completion))
        return refusal is None

    async def _reply(self, refusal: ApiError | None) -> None:
        await asyncio.sleep(0.02 if refusal else self.latency_s * self.random.uniform(0.5, 1.5))
