import datetime as dt
import random
from decimal import Decimal

import pytest

from metrics.account import Account
from metrics.budget import RunBudget
from metrics.caps import caps_of


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
    cap = Decimal(rng.randint(1, 500)) / 100
    budget = RunBudget(cap)
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
    assert bill == budget.spent <= cap
    assert cap - bill < ceiling


def test_tokens_are_capped_like_dollars_and_an_unpriced_call_passes_only_the_dollars():
    budget = RunBudget(caps=caps_of({"run_tokens": 1_000, "run_dollars": 1}, "w"))
    assert budget.reserve(None, 800)
    assert not budget.reserve(None, 300)
    budget.settle(None, None, 800, 100)
    assert budget.reserve(Decimal("0.5"), 900)
    assert not budget.reserve(None, 1)
    assert "1,000 tokens" in budget.refusal()


def test_a_refusal_says_what_is_needed_what_is_left_and_when_it_turns(tmp_path):
    noon = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC).timestamp()
    caps = caps_of({"day_dollars": 2, "time_zone": "Europe/Berlin"}, "w")
    account = Account(tmp_path, "w", None, "run", clock=lambda: noon)
    budget = RunBudget(caps=caps, account=account, clock=lambda: noon)
    assert budget.reserve(Decimal("1.5"))
    budget.settle(Decimal("1.5"), Decimal("1.25"))
    assert not budget.reserve(Decimal(1))
    said = budget.refusal()
    assert "the day's cap of $2.00 (kg.toml: day_dollars)" in said
    assert "$0.75 left, and the next request may take $1.00" in said
    assert "2026-11-22 00:00 CET, in 11 h 00 min" in said
    assert budget.refused()["needed"] == 1
    assert budget.state() == [{k: v for k, v in budget.refused().items() if k != "needed"}]
    budget.close()
