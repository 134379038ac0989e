"""A service that fails for everybody is noticed once: all wait, one request at a time tries, and in the end the run stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

log = logging.getLogger("kg.model")

_BATCHES = 3  # one batch, or two, may fail for what stands in them
_FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class Outage:
    """What one asker knows about whether its service answers anybody.

        async with outage.turn():   # waits, while the service is away, for its turn to try
            ...                     # send
        outage.answered()           # or outage.failed(batch, seconds)

    Failures of three different batches with no answer in between are an outage. It is over with the first answer, and
    `hopeless` when none has come for `patience_s` seconds. A request that failed while others, sent later or at the
    same time, were answered says nothing of the service.
    """

    def __init__(
        self,
        name: str,
        patience_s: float,
        rng: random.Random,
        waiting: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """`waiting` is put around each wait, so that a run which is asked to stop need not see it through."""
        self._name = name
        self._waiting = waiting
        self._patience_s = patience_s
        self._rng = rng
        self._failed: set[str] = set()
        self._first_at = 0.0
        self._answered_at = float("-inf")
        self._tries = 0
        self._away = False
        self._probe = asyncio.Lock()

    @property
    def hopeless(self) -> bool:
        return self._away and self.lasts_s >= self._patience_s

    @property
    def lasts_s(self) -> float:
        """Seconds since the first failure after the last answer."""
        return asyncio.get_running_loop().time() - self._first_at if self._failed else 0.0

    def answered(self) -> None:
        """It answered, be it with a refusal."""
        if self._away:
            log.warning("%s answers again, after %.0f s", self._name, self.lasts_s)
        self._answered_at = asyncio.get_running_loop().time()
        self._failed.clear()
        self._away = False
        self._tries = 0

    def failed(self, batch: str, lasted_s: float = 0.0) -> None:
        """A request of this batch found nobody, or a server's own error, after so many seconds."""
        now = asyncio.get_running_loop().time()
        if now - lasted_s < self._answered_at:
            return
        if not self._failed:
            self._first_at = now
        self._failed.add(batch)
        if not self._away and len(self._failed) >= _BATCHES:
            self._away = True
            log.warning(
                "%s fails for everybody: all requests wait, and one at a time tries, for %.0f s at most",
                self._name,
                self._patience_s,
            )

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Go on at once, or during an outage alone and after a pause that grows."""
        probing = False
        try:
            if self._away:
                async with self._waiting():
                    await self._probe.acquire()
                    probing = True
                    if self._away:
                        await asyncio.sleep(self._pause())
                    else:  # it is over: the others need not wait for this one
                        self._probe.release()
                        probing = False
            yield
        finally:
            if probing:
                self._probe.release()

    def _pause(self) -> float:
        longest = min(LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._tries, 10))
        self._tries += 1
        # Half of it is certain: a probe at once would tell nothing new. The last comes when the patience is over.
        pause = longest / 2 + self._rng.uniform(0, longest / 2)
        return min(pause, max(self._patience_s - self.lasts_s, 0.0))
