"""The tally: the same sums in whatever order and however many steps they are made, and after old calls are let go."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core_engine.ledger import calls, overview, questions, retention, runs, spending, tally
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.tally import SLOT_S, Key, Sums
from core_engine.types import LLMCall, Usage
from metrics.caps import caps_of

DAY = 86_400
START = dt.datetime(2026, 10, 1, tzinfo=dt.UTC).timestamp()
CANARY = "Imogen told us about the ferry"


class Halved:
    """A Pricer by whom cached tokens cost nothing, and all others a thousandth of a dollar."""

    def price(self, model: str, usage: Usage, stage: str, processing: str = "standard") -> Decimal | None:
        return Decimal(usage.total - usage.cached) / 1_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield ledger


def fill(ledger: Ledger, count: int, seed: int = 1, days: float = 120) -> None:
    """Calls of all kinds: answered, failed, unknown, unpriced, without usage, sent again, asked again, under way."""
    rng = random.Random(seed)

    def work(db):
        for number in range(count):
            stage = rng.choice(("extract", "extract", "embed", "resolve"))
            call = LLMCall(
                f"{seed}-{number}", f"run{rng.randrange(4)}", stage, rng.choice(("m1", "m2")), "here", 3, 1, "sent",
                START + rng.random() * days * DAY, wait_s=rng.choice((0.0, rng.random())), batch_id="b",
                persona=rng.choice(("", "ann", "bob")),
            )  # fmt: skip
            ceiling = rng.choice((None, Decimal("0.5")))
            purpose = rng.choice(("first", "first", "again", "reask"))
            calls.begin(db, calls.Sending(call, 1, [1, 2, 3], purpose, ceiling, 9_000))
            outcome = rng.random()
            if outcome < 0.05:
                continue  # still under way
            prompt = rng.randrange(100, 5_000)
            usage = Usage(prompt, rng.randrange(prompt), rng.randrange(900), 0)
            cost = None if ceiling is None else Decimal(rng.randrange(10**9)) / 10**12
            done = replace(
                call, status="answered", duration_s=rng.lognormvariate(1, 1), usage=usage, cost=cost, model_answered="m"
            )
            if outcome < 0.15:
                done = replace(
                    done, status="failed", usage=Usage(), cost=rng.choice((None, Decimal(0))), error_kind="x"
                )
            elif outcome < 0.2:
                done = replace(done, usage=Usage(), cost=None)
            calls.finish(db, done, reply=CANARY.encode(), error=CANARY)

    ledger.write(work)


def everything(ledger: Ledger) -> dict[Key, Sums]:
    found: dict[Key, Sums] = {}
    with ledger.reading() as db:
        for key, sums in tally.read(db, Halved()):
            found.setdefault(key, Sums()).add(sums)
    return found


def by_days(found: dict[Key, Sums], midnight) -> dict[Key, Sums]:
    days: dict[Key, Sums] = {}
    for key, sums in found.items():
        days.setdefault(key._replace(slot=int(midnight(key.slot * SLOT_S) // SLOT_S)), Sums()).add(sums)
    return days


def test_what_is_folded_is_what_is_read_from_the_calls_and_folding_again_changes_nothing(ledger):
    fill(ledger, 600)
    raw = everything(ledger)
    assert sum(sums.calls for sums in raw.values()) > 500
    assert ledger.write(tally.fold, Halved()) == sum(sums.calls for sums in raw.values())
    assert everything(ledger) == raw
    assert ledger.write(tally.fold, Halved()) == 0
    assert everything(ledger) == raw


@pytest.mark.parametrize("seed", range(5))
def test_in_however_many_steps_the_sums_are_the_same(ledger, tmp_path, seed):
    rng = random.Random(seed)
    with Ledger(tmp_path / "once" / "ledger.sqlite3") as once:
        for part in range(5):
            fill(ledger, 100, seed=part)
            fill(once, 100, seed=part)
            if rng.random() < 0.6:
                ledger.write(tally.fold, Halved())
        assert everything(ledger) == everything(once)


def test_a_call_under_way_is_in_no_sum_until_it_has_ended(ledger):
    call = LLMCall("1", "run", "extract", "m", "e", 1, 1, "sent", START)
    ledger.write(calls.begin, calls.Sending(call, 1, [1], "first", Decimal(1), 10))
    assert ledger.write(tally.fold) == 0
    with ledger.reading() as db:
        assert tally.total(db).calls == 0
        assert overview.spending(db).unknown_at_most == 1
    ledger.write(calls.abandon_sent)
    assert ledger.write(tally.fold) == 1
    with ledger.reading() as db:
        total = tally.total(db)
    assert (total.unknown, total.counted_cost, total.counted_tokens) == (1, tally.PICO, 10)


def test_money_is_exact_where_floats_are_not(ledger):
    for number in range(1_000):
        call = LLMCall(str(number), "run", "extract", "m", "e", 1, 1, "answered", START, cost=Decimal("0.0000001"))
        ledger.write(calls.begin, calls.Sending(call, 1, [1], "first", Decimal(1)))
        ledger.write(calls.finish, call, reply=None)
    ledger.write(tally.fold)
    with ledger.reading() as db:
        assert tally.dollars(tally.total(db).cost) == Decimal("0.0001")


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_within_three_per_cent_of_the_exact_one(share):
    rng = random.Random(7)
    times = sorted(rng.lognormvariate(1, 1) for _ in range(5_000))
    counts: dict[int, int] = {}
    for time in times:
        step = tally.step_of(time)
        counts[step] = counts.get(step, 0) + 1
    exact = times[round(share * len(times)) - 1]
    assert tally.quantile(counts, share) == pytest.approx(exact, rel=0.03)


def test_a_step_ends_at_each_power_of_two():
    assert tally.step_of(8.0) == 3 * tally.STEPS
    assert tally.step_of(8.0001) == 3 * tally.STEPS + 1
    assert tally.step_of(0.0) == tally.step_of(1e-9)


# --- letting go ------------------------------------------------------------------------------------------------------


def roll(ledger: Ledger, before: float, archive: Path | None = None) -> tuple[int, int]:
    gone = kept = 0
    while (step := ledger.write(retention.roll_up, before, archive)) != retention.RolledUp():
        gone, kept = gone + step.gone, kept + step.kept
    return gone, kept


def test_no_sum_changes_when_old_calls_go_and_again_nothing_happens(ledger):
    fill(ledger, 600)
    ledger.write(tally.fold, Halved())
    before = START + 60 * DAY
    raw = everything(ledger)
    with ledger.reading() as db:
        spent, by_run = overview.spending(db), overview.costs_by_run(db)
    gone, kept = roll(ledger, before)
    assert gone > 200
    assert kept == 0
    assert everything(ledger) == raw
    midnight = lambda moment: caps_of({}, "w").span("day", moment)[0]  # noqa: E731
    fewer = ledger.write(retention.by_days, before, midnight)
    assert fewer > 0
    assert by_days(everything(ledger), midnight) == by_days(raw, midnight)
    with ledger.reading() as db:
        assert overview.spending(db) == spent
        assert overview.costs_by_run(db) == by_run
        left = [row[0] for row in db.execute("SELECT started_at FROM call WHERE tallied != 0")]
    assert sum(at < before for at in left) <= 1  # the newest call, if it is one of these
    assert roll(ledger, before) == (0, 0)
    assert ledger.write(retention.by_days, before, midnight) == 0


def test_days_stay_where_they_are_whoever_counts_them(ledger):
    fill(ledger, 300)
    ledger.write(tally.fold, Halved())
    before = START + 60 * DAY
    ours, theirs = (caps_of({"time_zone": zone}, "w") for zone in ("Europe/Berlin", "UTC"))
    ledger.write(retention.by_days, before, lambda moment: ours.span("day", moment)[0])
    once = by_days(everything(ledger), lambda moment: theirs.span("day", moment)[0])
    for caps in (theirs, ours, theirs, ours):
        ledger.write(retention.by_days, before, lambda moment, caps=caps: caps.span("day", moment)[0])
        assert by_days(everything(ledger), lambda moment: theirs.span("day", moment)[0]) == once


def test_days_turn_in_the_time_zone_also_when_the_clocks_change(ledger):
    zone = ZoneInfo("Europe/Berlin")
    caps = caps_of({"time_zone": "Europe/Berlin"}, "w")
    # 25 October 2026 has 25 hours in Berlin: both calls are of that day.
    for number, hour in enumerate((0, 23)):
        at = dt.datetime(2026, 10, 25, hour, 30, tzinfo=zone).timestamp()
        call = LLMCall(str(number), "run", "extract", "m", "e", 1, 1, "answered", at, usage=Usage(10))
        ledger.write(calls.begin, calls.Sending(call, 1, [1], "first", None))
        ledger.write(calls.finish, call, reply=None)
    ledger.write(tally.fold)
    ledger.write(retention.by_days, START + 200 * DAY, lambda moment: caps.span("day", moment)[0])
    [(key, sums)] = everything(ledger).items()
    assert key.slot * SLOT_S == dt.datetime(2026, 10, 25, tzinfo=zone).timestamp() + DAY / 2
    assert sums.prompt == 20


def test_calls_that_answers_or_dead_letters_came_from_stay_and_so_does_the_newest(ledger):
    numbers = {}

    def work(db):
        for name in ("answered", "dead", "reasked", "newest"):
            call = LLMCall(name, "run", "extract", "m", "e", 1, 1, "answered", START, usage=Usage(10), cost=Decimal(1))
            question = db.execute(
                "INSERT INTO question (key, spec, state) VALUES (?, 1, 1) RETURNING no", (name.encode(),)
            ).fetchone()[0]
            calls.begin(db, calls.Sending(call, 1, [question], "first", None))
            calls.finish(db, call, reply=b"{}")
            numbers[name] = question
        questions.answer_extractions(db, "answered", [(numbers["answered"], b"x")])
        questions.bury(db, numbers["dead"], "left_out", "dead")

    ledger.write(work)
    ledger.write(tally.fold)
    assert roll(ledger, START + DAY) == (1, 2)
    with ledger.reading() as db:
        left = {row[0] for row in db.execute("SELECT id FROM call")}
        assert tally.total(db).calls == 4
    assert left == {"answered", "dead", "newest"}


def test_the_calls_of_a_run_that_is_going_on_stay_for_its_report(ledger):
    fill(ledger, 50)
    ledger.write(tally.fold)
    for number in range(4):
        ledger.write(runs.start, f"run{number}", "process", START, {})
    assert roll(ledger, START + 200 * DAY) == (0, 0)
    ledger.write(runs.mark_killed)
    assert roll(ledger, START + 200 * DAY)[0] > 0


def test_a_reply_that_nobody_has_read_stays_and_so_does_a_call_that_is_not_added_up(ledger):
    call = LLMCall("unread", "run", "extract", "m", "e", 1, 1, "answered", START)
    for each in (call, replace(call, id="newest")):
        ledger.write(calls.begin, calls.Sending(each, 1, [1], "first", None))
        ledger.write(calls.finish, each, reply=b"{}", parsed=False)
    assert roll(ledger, START + DAY) == (0, 0)  # not added up
    ledger.write(tally.fold)
    assert roll(ledger, START + DAY) == (0, 0)


def test_what_goes_is_in_the_archive_without_a_word_of_content(ledger, tmp_path):
    fill(ledger, 200)
    ledger.write(tally.fold)
    with ledger.reading() as db:
        old = {row[0]: row[1] for row in db.execute("SELECT id, cost FROM call WHERE tallied = 1")}
    archive = tmp_path / "archive" / "calls.jsonl.gz"
    gone, _ = roll(ledger, START + 200 * DAY, archive)
    text = gzip.decompress(archive.read_bytes()).decode()
    kept = [json.loads(line) for line in text.splitlines()]
    assert len(kept) == gone
    assert {each["id"]: each["cost"] for each in kept}.items() <= old.items()
    assert CANARY not in text
    assert archive.stat().st_mode & 0o077 == 0


def test_an_archive_that_can_not_be_written_keeps_the_calls(ledger, tmp_path):
    fill(ledger, 50)
    ledger.write(tally.fold)
    (tmp_path / "archive").write_text("a file, not a folder")
    with pytest.raises(OSError):
        roll(ledger, START + 200 * DAY, tmp_path / "archive" / "calls.jsonl.gz")
    with ledger.reading() as db:
        assert db.execute("SELECT count(*) FROM call").fetchone()[0] == 50


def test_an_account_is_made_anew_from_what_was_let_go_too(ledger, tmp_path):
    fill(ledger, 300, days=20)
    path = tmp_path / "ledger.sqlite3"

    def sums():
        found = spending.of_all(path, START - DAY)
        return sum(each.dollars for each in found), sum(each.tokens for each in found), sum(e.chunks for e in found)

    raw = sums()
    ledger.write(tally.fold)
    roll(ledger, START + 200 * DAY)
    assert sums() == raw
    assert raw[2] > 0
