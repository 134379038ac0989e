"""The budget as the requests in flight see it: who finds it reserved waits for a settlement, who finds it spent stops."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from core_engine.errors import OverBudget
from core_engine.ports import Budget


class Purse:
    """One per run, on one event loop."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._out = 0
        self._settled = asyncio.Event()

    async def reserve(self, ceiling: Decimal | None) -> None:
        """Reserve a call's ceiling. Ceilings are high: while calls are out, their settling may yet make room.

        Raises OverBudget when nothing is out and there is no room still.
        """
        while not self._budget.reserve(ceiling):
            if not self._out:
                raise OverBudget("the budget has no room for one more call at its ceiling")
            self._settled.clear()
            await self._settled.wait()
        self._out += 1

    def settle(self, ceiling: Decimal | None, cost: Decimal | None) -> None:
        """Turn a reservation into what the call cost; None: nobody knows, so the whole ceiling."""
        self._budget.settle(ceiling, cost)
        self._out -= 1
        self._settled.set()
