"""What a run says of months that won't last, from the ledgers of all workspaces whose calls count."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from cli.gathering import tell_of_the_month, workspaces_in
from cli.limits import limits_of
from core_engine.ledger import calls
from core_engine.ledger.ledger import Ledger
from core_engine.settings import Settings
from core_engine.types import LLMCall, Usage
from metrics.account import Account
from metrics.budget import RunBudget

NOW = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC).timestamp()


@pytest.fixture
def heard(tmp_path):
    """`heard(cap, spent…)`: what is told of a month's cap on dollars after a dollar a day in each of two workspaces."""
    settings = Settings(workspace="a", home=str(tmp_path))
    for name in ("a", "b"):
        with Ledger(tmp_path / name / "ledger.sqlite3") as ledger:
            for day in range(1, 11):
                at = dt.datetime(2026, 11, day, 6, tzinfo=dt.UTC).timestamp()
                made = LLMCall(
                    str(day), "run", "extract", "m", "e", 1, 1, "answered", at, usage=Usage(9), cost=Decimal(1)
                )
                ledger.write(calls.begin, calls.Sending(made, 1, [1], "first", Decimal(2)))
                ledger.write(calls.finish, made, reply=None)

    def tell(budget: dict) -> list[tuple[str, float]]:
        from dataclasses import replace

        found = []
        with_budget = replace(settings, budget=budget)
        caps = limits_of(with_budget, "a", [""])
        one = RunBudget(caps=caps, account=Account(tmp_path, "a", None, "run", clock=lambda: NOW), clock=lambda: NOW)
        tell_of_the_month(with_budget, one, lambda name, said: found.append((name, said["projected"])), NOW)
        one.close()
        return found

    return tell


def test_a_cap_that_the_month_will_cross_is_told_once(heard):
    [(name, projected)] = heard({"month_dollars": 50})
    assert name == "quota_projected"
    assert projected == pytest.approx(20 + 2 * 20.5, rel=0.02)
    assert heard({"month_dollars": 50}) == []


def test_a_workspaces_own_cap_counts_its_own_calls_alone(heard):
    assert heard({"workspace": {"a": {"month_dollars": 50}}}) == []
    [(_, projected)] = heard({"workspace": {"a": {"month_dollars": 30}}})
    assert projected == pytest.approx(10 + 20.5, rel=0.02)


def test_what_will_last_and_what_is_used_up_already_is_not_told(heard):
    assert heard({"month_dollars": 100}) == []
    assert heard({"month_dollars": 15}) == []  # that was told as used up
    assert heard({"day_dollars": 1}) == []


def test_what_is_no_workspace_is_passed_over(tmp_path):
    (tmp_path / "x").mkdir()
    assert workspaces_in(str(tmp_path)) == []
    assert workspaces_in(str(tmp_path / "nowhere")) == []
