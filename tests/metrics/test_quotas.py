"""`[quota]` in kg.toml: which tiers hold for whom, and what is refused, with its line."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core_engine.errors import SettingsError
from metrics.account import Account
from metrics.budget import RunBudget
from metrics.caps import Caps
from metrics.quotas import checked, quotas_of, warn_at
from tests.clock import Clock

TABLE = {
    "tier": {
        "free": {"month_tokens": 10_000, "day_chunks": 5},
        "premium": {"month_tokens": "unlimited", "day_dollars": 2.5},
        "watched": {"day_chunks": 5, "hard": False},
    },
    "workspace": {"acme": "premium"},
    "persona": {"ann": "watched", "*": "free"},
}


def said(caps):
    return {(cap.scope, cap.name, cap.period, cap.unit): (cap.amount, cap.hard) for cap in caps}


def test_a_workspace_and_its_personas_have_the_caps_of_their_tiers():
    assert said(quotas_of(TABLE, "acme", ["ann", "bob", ""])) == {
        ("workspace", "acme", "day", "dollars"): (Decimal("2.5"), True),
        ("persona", "ann", "day", "chunks"): (5, False),
        ("persona", "bob", "month", "tokens"): (10_000, True),
        ("persona", "bob", "day", "chunks"): (5, True),
    }


def test_without_a_tier_nothing_is_capped():
    assert quotas_of(TABLE, "other", [""]) == ()
    assert quotas_of({}, "acme", ["ann"]) == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            '[quota.persona]\nann = "fre"\n[quota.tier.free]\nday_tokens = 1',
            2,
            "no tier 'fre' for persona 'ann': there are free",
        ),
        ('[quota.workspace]\nacme = "gold"', 2, "there are none yet"),
        ("[quota.tier.free]\nmonth_token = 1", 2, "did you mean month_tokens"),
        ("[quota.tier.free]\nmonth_tokens = 0", 2, "above 0"),
        ("[quota.tier.free]\nmonth_tokens = 1.5", 2, "a whole number"),
        ("[quota.tier.free]\nday_dollars = nan", 2, "an amount in dollars"),
        ('[quota.tier.free]\nhard = "no"', 2, "true or false"),
        ("[quota]\nwarn_at = [0, 50]", 2, "per cents"),
        ("[quota]\nwarn_at = 80", 2, "per cents"),
        ("[quota]\nteir = 1", 2, "no setting of a quota"),
        ("[quota]\ntier = 1", 2, "[quota.tier.NAME]"),
        ("[quota.tier]\nfree = 1", 2, "[quota.tier.free]"),
    ],
)
def test_what_a_quota_cannot_mean_is_said_with_its_line(tmp_path, text, line, words):
    import tomllib

    file = tmp_path / "kg.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        checked(tomllib.loads(text)["quota"], str(file))
    assert f"kg.toml:{line}: " in str(caught.value)
    assert words in str(caught.value)


def test_warnings_come_at_the_levels_that_are_set():
    assert warn_at({}) == (50, 80, 100)
    assert warn_at({"warn_at": [90, 10]}) == (10, 90)


# --- in a budget -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock(1_796_000_000.0)


@pytest.fixture
def budget_of(tmp_path, clock):
    opened = []

    def make(persona="bob", also=(), heard=None, table=TABLE):
        caps = Caps(quotas_of(table, "w", [persona, *also]), warn_at=warn_at(table))
        account = Account(tmp_path, "w", persona, "run", clock=clock)
        tell = None if heard is None else lambda name, fields: heard.append((name, fields["unit"], fields["percent"]))
        budget = RunBudget(caps=caps, account=account, persona=persona, warned=tell, clock=clock)
        opened.append(budget)
        return budget

    yield make
    for budget in opened:
        budget.close()


def test_a_chunk_over_a_hard_quota_is_refused_with_what_is_needed_and_left(budget_of):
    budget = budget_of()
    assert budget.reserve(Decimal(1), 10, 3)
    budget.settle(Decimal(1), Decimal(0), 10, 5, 3, 3)
    assert not budget.reserve(Decimal(1), 10, 3)
    assert "2 chunks left, and the next request may take 3 chunks" in budget.refusal()
    assert "tier 'free'" in budget.refusal()
    assert budget.reserve(Decimal(1), 10, 2)


def test_a_request_that_was_refused_by_the_provider_gives_its_chunks_back(budget_of):
    budget = budget_of()
    assert budget.reserve(None, 10, 5)
    budget.settle(None, Decimal(0), 10, 0, 5, 0)
    assert budget.reserve(None, 10, 5)


def test_a_soft_quota_only_warns(budget_of, clock):
    heard = []
    budget = budget_of("ann", heard=heard)
    for _ in range(3):
        clock.now += 2
        assert budget.reserve(None, 10, 3)
        budget.settle(None, Decimal(0), 10, 0, 3, 3)
    assert heard == [("quota_warned", "chunks", 50), ("quota_warned", "chunks", 100)]


def test_each_level_is_told_once_a_period_also_by_later_runs(budget_of, clock):
    heard = []
    for _ in range(3):
        budget = budget_of(heard=heard)
        assert budget.reserve(None, 10, 1)
        budget.settle(None, Decimal(0), 10, 0, 1, 1)
        budget.close()
    assert heard == [("quota_warned", "chunks", 50)]
    clock.now += 86_400
    budget = budget_of(heard=heard)
    assert budget.reserve(None, 10, 4)
    budget.settle(None, Decimal(0), 10, 0, 4, 4)
    budget.close()
    assert heard[1:] == [("quota_warned", "chunks", 80)]


def test_a_quota_that_is_lower_than_what_is_used_refuses_and_has_nothing_left(budget_of):
    budget = budget_of()
    assert budget.reserve(None, 9_000)
    budget.settle(None, Decimal(0), 9_000, 9_000)
    budget.close()
    lower = budget_of(table={"tier": {"free": {"month_tokens": 100}}, "persona": {"*": "free"}})
    assert not lower.reserve(None, 1)
    [standing] = lower.state()
    assert (standing["spent"], standing["left"]) == (9_000, 0)


def test_a_stages_persona_pays_by_itself(budget_of):
    budget = budget_of("bob", also=["ann"])
    assert budget.reserve(None, 10_000, persona="bob")
    assert not budget.reserve(None, 1, persona="bob")
    assert budget.reserve(None, 50_000, persona="ann")
    budget.settle(None, Decimal(0), 50_000, 50_000, persona="ann")
    assert {(one["name"], one["unit"]): one["spent"] for one in budget.state()}[("bob", "tokens")] == 0


def test_a_months_end_begins_the_quota_anew(budget_of, clock):
    budget = budget_of()
    assert budget.reserve(None, 10_000)
    budget.settle(None, Decimal(0), 10_000, 10_000)
    assert not budget.reserve(None, 1)
    clock.now += 32 * 86_400
    assert budget.reserve(None, 10_000)
