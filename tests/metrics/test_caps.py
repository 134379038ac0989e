"""`[budget]` in kg.toml: which caps hold for whom, when a day turns, and what is refused, with its line."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from metrics.caps import caps_of
from tests.kg import Kg, write_meetings

TABLE = {
    "time_zone": "Europe/Berlin",
    "month_dollars": 100,
    "workspace": {"acme": {"day_tokens": 2_000}, "*": {"day_dollars": 0.25}},
    "persona": {"guest": {"run_tokens": 10}},
}


def said(caps):
    return {(cap.scope, cap.name, cap.period, cap.unit): cap.amount for cap in caps.caps}


def test_the_homes_caps_and_those_of_the_workspace_and_the_persona_hold_together():
    assert said(caps_of(TABLE, "acme", "guest", max_cost=5)) == {
        ("", "", "month", "dollars"): 100,
        ("workspace", "acme", "day", "tokens"): 2_000,
        ("persona", "guest", "run", "tokens"): 10,
        ("", "", "run", "dollars"): 5,
    }


def test_a_star_holds_for_each_that_has_no_table_of_its_own():
    caps = said(caps_of(TABLE, "other", "nobody"))
    assert caps[("workspace", "other", "day", "dollars")] == Decimal("0.25")
    assert not any(scope == "persona" for scope, *_ in caps)


def test_a_day_turns_at_midnight_of_its_time_zone():
    caps = caps_of(TABLE, "acme")
    now = dt.datetime(2026, 11, 30, 23, 30, tzinfo=dt.UTC).timestamp()  # half past midnight of 1 December in Berlin
    first, after = caps.span("month", now)
    assert dt.datetime.fromtimestamp(first, dt.UTC) == dt.datetime(2026, 11, 30, 23, tzinfo=dt.UTC)
    assert dt.datetime.fromtimestamp(after, dt.UTC) == dt.datetime(2026, 12, 31, 23, tzinfo=dt.UTC)


def test_a_day_on_which_the_clocks_change_has_25_hours():
    caps = caps_of(TABLE, "acme")
    first, after = caps.span("day", dt.datetime(2026, 10, 25, 12, tzinfo=dt.UTC).timestamp())
    assert after - first == 25 * 3_600


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[budget]\n\nday_dolars = 3", 3, "did you mean day_dollars"),
        ("[budget]\nday_dollars = -3", 2, "above 0"),
        ("[budget]\nday_dollars = 0", 2, "above 0"),
        ("[budget]\nday_dollars = true", 2, "an amount in dollars"),
        ("[budget]\nday_dollars = nan", 2, "an amount in dollars"),
        ("[budget]\nmonth_tokens = 1.5", 2, "a whole number"),
        ("[budget]\nmonth_dollars = '5'", 2, "an amount in dollars"),
        ("[budget]\ntime_zone = 'Mars/Olympus'", 2, "Mars/Olympus"),
        ("[budget]\ntime_zone = '../../etc/passwd'", 2, "no time zone"),
        ("[budget]\ntime_zone = 5", 2, "no time zone"),
        ("[budget]\nworkspace = 5", 2, "[budget.workspace.NAME]"),
        ('model = "m"\n[budget.persona."a b"]\nday_dollars = 1\nweek_dollars = 5', 4, "week_dollars"),
        ("budget = 5", 0, "must be a table"),
    ],
)
def test_what_a_budget_cannot_mean_is_said_with_its_line(tmp_path, text, line, words):
    write_meetings(tmp_path / "t", 1)
    (tmp_path / "kg.toml").write_text(text + "\n", encoding="utf-8")
    ran = Kg(tmp_path)("process", "t")
    assert ran.code == 1
    assert (f"kg.toml:{line}: " if line else "kg.toml: ") in ran.err
    assert words in ran.err
    assert not (tmp_path / ".kg").exists()


@pytest.mark.parametrize("cost", ["0", "-1", "nan", "inf"])
def test_a_cap_that_cannot_be_is_refused(tmp_path, cost):
    write_meetings(tmp_path / "t", 1)
    ran = Kg(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:9/v1")("process", "t", "--max-cost", cost)
    assert ran.code == 1
    assert "--max-cost" in ran.err


def test_dollars_cannot_cap_a_model_without_a_price_and_the_line_is_named(tmp_path):
    write_meetings(tmp_path / "t", 1)
    (tmp_path / "kg.toml").write_text("[budget]\nmonth_dollars = 5\n", encoding="utf-8")
    ran = Kg(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:9/v1")("process", "t", "--model", "home-grown")
    assert ran.code == 1
    assert "month_dollars" in ran.err
    assert "home-grown" in ran.err


def test_a_persona_is_named_like_a_workspace(tmp_path):
    ran = Kg(tmp_path)("process", ".", "--persona", "../x")
    assert ran.code == 1
    assert "--persona" in ran.err
