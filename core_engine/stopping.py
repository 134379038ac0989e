"""How a run is asked to stop: once, and it finishes what it has begun; twice, or when its time is up, and it stops at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from core_engine.errors import Stopped


def _nothing() -> None:
    pass


class Stop:
    """A run's wish to go on, or not. All of it on the thread of the event loop.

    Once asked, whoever waits for leave to send is let go, and nobody gets leave any more: what was sent is all there
    is to wait for. `grace_s` later, or when asked again, what is still under way is given up.
    """

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self.asked = 0
        self._waits: set[asyncio.Timeout] = set()
        self._soon: Callable[[], None] = _nothing
        self._now: Callable[[], None] = _nothing
        self._over: asyncio.TimerHandle | None = None

    def when_asked(self, soon: Callable[[], None], now: Callable[[], None]) -> None:
        """What stopping means from here on; a run has several stages. One that was asked for before is told at once."""
        self._soon, self._now = soon, now
        if self.asked:
            soon()
        if self.asked > 1:
            now()

    def ask(self) -> None:
        self.asked += 1
        if self.asked > 1:
            self._now()
            return
        self._over = asyncio.get_running_loop().call_later(self.grace_s, self.ask)
        for wait in self._waits:
            wait.reschedule(0)
        self._soon()

    def settled(self) -> None:
        """Nothing is left to be stopped."""
        self._soon = self._now = _nothing
        if self._over:
            self._over.cancel()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Around a wait for leave to send. Raises Stopped where the run was asked to stop, before or meanwhile."""
        if self.asked:
            raise Stopped("not sent: the run was asked to stop")
        try:
            # A timeout that only ever expires by being told to.
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError as error:
            if not wait.expired():
                raise
            raise Stopped("not sent: the run was asked to stop") from error
