"""Calls to a Qdrant server: tried again while that may help, put into plain words when it doesn't."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from core_engine.embeddings.stores.failures import FAILURES, failure_of
from core_engine.errors import StoreError

P = ParamSpec("P")
T = TypeVar("T")

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class PatientCalls:
    """Makes calls to the server called `name`. A passing failure is tried again for up to `patience_s` seconds."""

    name: str
    patience_s: float = 60.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def make(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the call returns. Writes must bear being made twice: an answer may be lost on its way."""
        give_up_at = self.clock() + self.patience_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await call(*args, **kwargs)
            except FAILURES as error:
                failure = failure_of(error)
                wait = max(pause, failure.wait_s)
                if not failure.passing or self.clock() + wait > give_up_at:
                    raise StoreError(f"{self.name} {failure.words}") from error
            await self.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
