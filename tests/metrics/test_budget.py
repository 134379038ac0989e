import random
from decimal import Decimal

import pytest

from core_engine.errors import SettingsError
from metrics.budget import RunBudget


def test_twenty_calls_in_flight_cannot_jump_over_the_cap_together():
    budget = RunBudget(Decimal(1))
    taken = [budget.reserve(Decimal("0.09")) for _ in range(20)]
    assert sum(taken) == 11
    assert budget.left == Decimal("0.01")


def test_what_a_call_did_not_cost_can_be_spent_again():
    budget = RunBudget(Decimal(1))
    assert budget.reserve(Decimal("0.9"))
    assert not budget.reserve(Decimal("0.2"))
    budget.settle(Decimal("0.9"), Decimal("0.3"))
    assert (budget.spent, budget.reserved) == (Decimal("0.3"), 0)
    assert budget.reserve(Decimal("0.7"))


def test_a_call_whose_cost_nobody_knows_counts_at_its_ceiling():
    budget = RunBudget(Decimal(1))
    budget.reserve(Decimal("0.4"))
    budget.settle(Decimal("0.4"), None)
    assert budget.spent == Decimal("0.4")


def test_without_a_cap_everything_passes_and_is_counted():
    budget = RunBudget()
    assert budget.left is None
    for _ in range(3):
        assert budget.reserve(Decimal(100))
        budget.settle(Decimal(100), Decimal(70))
    assert budget.spent == 210


def test_unpriced_calls_pass_and_are_counted_apart():
    budget = RunBudget(Decimal("0.01"))
    assert budget.reserve(None)
    budget.settle(None, None)
    assert (budget.spent, budget.unpriced) == (0, 1)


@pytest.mark.parametrize("seed", range(200))
def test_the_cap_holds_exactly_and_no_room_for_a_call_is_left_unused(seed):
    rng = random.Random(seed)
    budget = RunBudget(Decimal(rng.randint(1, 500)) / 100)
    ceiling = Decimal(rng.randint(1, 90)) / 1_000
    bill, flying = Decimal(0), 0
    while True:
        if flying < 20 and budget.reserve(ceiling):
            flying += 1
        elif flying:
            flying -= 1
            cost = ceiling * rng.randint(0, 100) / 100
            bill += cost
            budget.settle(ceiling, cost)
        else:
            break
    assert bill == budget.spent <= budget.cap
    assert budget.cap - bill < ceiling


@pytest.mark.parametrize("cap", ["0", "-1", "NaN", "Infinity"])
def test_a_cap_that_cannot_be_is_refused(cap):
    with pytest.raises(SettingsError, match="--max-cost"):
        RunBudget(Decimal(cap))
