"""The budget as the requests in flight see it: who finds it reserved waits for a settlement, who finds it spent stops."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal

from core_engine.errors import OverBudget
from core_engine.ports import Budget

_LOOK_S = 0.25  # how often we look whether another process has settled


class Purse:
    """One per run, on one event loop."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._out = 0
        self._settled = asyncio.Event()
        self._lent = False
        self._over: OverBudget | None = None

    async def reserve(
        self,
        ceiling: Decimal | None,
        tokens: int = 0,
        chunks: int = 0,
        *,
        persona: str | None = None,
        smallest: bool = False,
    ) -> None:
        """Reserve a call's ceiling. Ceilings are high: while calls are out, their settling may yet make room.

        Raises OverBudget when nothing is out, here or in other processes, and there is no room still: a smaller
        request may have. Where that holds for the first, and it is the `smallest`, nothing is lent to anybody: a run
        that can't ask about one chunk need not buy embeddings.
        """
        while True:
            if self._over:
                raise OverBudget(str(self._over))
            if self.budget.reserve(ceiling, tokens, chunks, persona=persona):
                break
            if not self._out and not self.budget.others_hold:
                over = OverBudget(self.budget.refusal())
                self._over = over if smallest and not self._lent else None
                raise over
            self._settled.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S if self.budget.others_hold else None):
                    await self._settled.wait()
        self._out += 1
        self._lent = True

    def settled(self) -> None:
        """A reservation was settled at the budget: whoever waits may have room now."""
        self._out -= 1
        self._settled.set()
