"""The purse: who finds the budget reserved waits, who finds it spent stops."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from core_engine.errors import OverBudget
from core_engine.llm.purse import Purse
from metrics.budget import RunBudget

ONE = Decimal(1)


async def test_a_call_waits_for_one_that_is_out_and_goes_when_it_cost_less_than_its_ceiling() -> None:
    purse = Purse(RunBudget(Decimal("1.5")))
    await purse.reserve(ONE)
    second = asyncio.create_task(purse.reserve(ONE))
    await asyncio.sleep(0)
    assert not second.done()
    purse.budget.settle(ONE, Decimal("0.2"))
    purse.settled()
    await second


async def test_all_who_wait_are_told_when_the_budget_is_spent() -> None:
    purse = Purse(RunBudget(ONE))
    await purse.reserve(ONE)
    waiting = [asyncio.create_task(purse.reserve(ONE)) for _ in range(5)]
    await asyncio.sleep(0)
    purse.budget.settle(ONE, ONE)
    purse.settled()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ended] == [OverBudget] * 5


async def test_never_more_than_the_cap_is_out_together() -> None:
    budget = RunBudget(Decimal(3))
    purse = Purse(budget)
    most = Decimal(0)

    async def call() -> None:
        nonlocal most
        await purse.reserve(ONE)
        most = max(most, budget.spent + budget.reserved)
        await asyncio.sleep(0)
        purse.budget.settle(ONE, Decimal("0.1"))
        purse.settled()

    await asyncio.gather(*(call() for _ in range(20)))
    assert most <= 3
    assert budget.spent == 2


async def test_with_nothing_out_and_no_room_there_is_nothing_to_wait_for() -> None:
    with pytest.raises(OverBudget):
        await Purse(RunBudget(Decimal("0.5"))).reserve(ONE)
