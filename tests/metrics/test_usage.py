"""Usage put together: by what it can be grouped, when days and months turn, what a month will probably come to."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from core_engine.ledger.tally import PICO, SLOT_S, Key, Sums
from metrics.caps import Cap, caps_of
from metrics.usage import Entry, Reused, Usage, Wanted, rows

NOW = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC).timestamp()


def moment(*when: int) -> float:
    return dt.datetime(*when, tzinfo=dt.UTC).timestamp()


def entry(at: float, dollars: float, *, workspace="w", persona="", stage="extract", model="m", **tags: str) -> Entry:
    cost = int(Decimal(str(dollars)) * PICO)
    sums = Sums(calls=2, answered=1, prompt=100, cost=cost, counted_cost=cost, counted_tokens=100, chunks=3)
    return Entry(workspace, Key("run", int(at // SLOT_S), persona, stage, "e", model), tags, sums)


def usage(*entries: Entry, zone: str = "UTC", now: float = NOW) -> Usage:
    return Usage(caps_of({"time_zone": zone}, "w"), now, list(entries))


def paid(groups):
    return {group.name: float(group.paid) for group in groups}


def test_it_is_grouped_by_whatever_one_asks_for_and_every_way_has_the_same_total():
    found = usage(
        entry(NOW, 1, persona="ann", model="m1", team="a"),
        entry(NOW, 2, workspace="v", stage="embed", model="m2", team="a", job="night"),
        entry(NOW - 40 * 86_400, 4),
    )
    assert paid(found.by("persona")) == {"(none)": 6, "ann": 1}
    assert paid(found.by("model")) == {"m": 4, "m2": 2, "m1": 1}
    assert paid(found.by("workspace")) == {"w": 5, "v": 2}
    assert paid(found.by("stage")) == {"extract": 5, "embed": 2}
    assert paid(found.by("month")) == {"2026-10": 4, "2026-11": 3}
    assert paid(found.by("day")) == {"2026-10-01": 4, "2026-11-10": 3}
    assert paid(found.by("tag")) == {"(none)": 4, "team=a": 3, "job=night": 2}
    for by in ("persona", "model", "workspace", "stage", "month", "day"):
        assert sum(paid(found.by(by)).values()) == float(found.total().paid) == 7


def test_only_what_is_wanted_counts():
    found = usage(entry(NOW, 1, persona="ann", team="a"), entry(NOW, 2, persona="ann"), entry(NOW, 4, team="a"))
    assert found.of(Wanted("ann")).total().paid == 3
    assert found.of(Wanted(None, {"team": "a"})).total().paid == 5
    assert found.of(Wanted("ann", {"team": "a"})).total().paid == 1
    assert found.of(Wanted("nobody")).total().sums.calls == 0


@pytest.mark.parametrize(
    ("zone", "day"), [("UTC", "2026-10-31"), ("Europe/Berlin", "2026-11-01"), ("Asia/Kathmandu", "2026-11-01")]
)
def test_a_run_across_midnight_and_a_months_end_is_divided_in_the_time_zone(zone, day):
    late, later = moment(2026, 10, 31, 23, 15), moment(2026, 11, 1, 0, 15)
    found = usage(entry(late, 1), entry(later, 2), zone=zone)
    expected = {day: 3} if day == "2026-11-01" else {"2026-10-31": 1, "2026-11-01": 2}
    assert paid(found.by("day")) == expected
    assert set(paid(found.by("month"))) == {name[:7] for name in expected}


def test_a_day_on_which_the_clocks_change_is_one_day():
    found = usage(
        entry(moment(2026, 10, 24, 22), 1),  # midnight in Berlin
        entry(moment(2026, 10, 25, 1), 1),  # the hour that comes twice
        entry(moment(2026, 10, 25, 22, 45), 1),  # a quarter to the next midnight
        zone="Europe/Berlin",
    )
    assert paid(found.by("day")) == {"2026-10-25": 3}


def test_what_runs_saved_by_reuse_goes_with_days_and_personas_but_not_with_models():
    found = usage(entry(NOW, 1))
    found.reuse.append(Reused("w", "ann", {"team": "a"}, NOW, Decimal("0.5")))
    assert found.total().saved == Decimal("0.5")
    assert {one.name: one.reused for one in found.by("persona")} == {"(none)": 0, "ann": Decimal("0.5")}
    assert [one.reused for one in found.by("model")] == [None]


def test_a_month_is_projected_by_its_last_seven_days():
    month = Cap("month", "dollars", Decimal(100))
    # A dollar a day since the first; twenty days and a half are to come.
    found = usage(*(entry(moment(2026, 11, day, 6), 1) for day in range(1, 11)))
    assert found.spent(month) == 10
    assert float(found.projected(month)) == pytest.approx(10 + 20.5, rel=0.02)
    assert usage().projected(month) == 0
    first = usage(entry(NOW - 3_600, 2))
    assert float(first.projected(month)) == pytest.approx(2 + 2 * 20.5, rel=0.01)


def test_a_cap_counts_what_is_its_own():
    found = usage(entry(NOW, 1, persona="ann"), entry(NOW, 2, workspace="v", persona="ann"), entry(NOW - 86_400, 4))
    assert found.spent(Cap("day", "dollars", Decimal(9))) == 3
    assert found.spent(Cap("month", "dollars", Decimal(9))) == 7
    assert found.spent(Cap("day", "dollars", Decimal(9), "workspace", "v")) == 2
    assert found.spent(Cap("day", "tokens", Decimal(9), "persona", "ann")) == 200
    assert found.spent(Cap("day", "chunks", Decimal(9), "persona", "bob")) == 0


def test_a_group_without_calls_divides_by_nothing():
    said = usage().total().in_numbers()
    assert (said["error_rate"], said["latency_s"]["mean"], said["tokens"]["per_call"]) == (0, 0, 0)
    assert len(list(rows([usage().total()]))) == 1
