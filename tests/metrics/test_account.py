"""The account of a home: what several processes spend together, across crashes, midnights, and a file that is lost."""

from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from core_engine.errors import LedgerError
from core_engine.ledger import calls, runs, tally
from core_engine.ledger.ledger import Ledger
from core_engine.types import LLMCall, Usage
from metrics.account import Account, Amount
from metrics.caps import caps_of
from tests.clock import Clock

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC).timestamp()
HOUR = 3_600
ONE = Amount(Decimal(1), 1_000)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[list[Account]]:
    accounts: list[Account] = []
    yield accounts
    for account in accounts:
        account.close()


@pytest.fixture
def join(tmp_path, clock, opened):
    def join(workspace="w", persona=None, run="run"):
        account = Account(tmp_path, workspace, persona, run, clock=clock)
        opened.append(account)
        return account

    return join


def spend(account: Account, dollars: str, tokens: int = 0) -> None:
    account.settle(Amount(), Amount(Decimal(dollars), tokens))


def left(account: Account, table: dict, workspace="w", persona=None) -> list[Decimal]:
    return [each.left for each in account.standings(caps_of(table, workspace, persona))]


def test_two_runs_share_a_cap_and_what_one_gives_back_the_other_may_take(join):
    caps = caps_of({"day_dollars": 1.5}, "w")
    first, second = join(), join("other")
    assert first.reserve(ONE, caps) is None
    short = second.reserve(ONE, caps)
    assert (short.left, short.others_hold) == (Decimal("0.5"), True)
    first.settle(ONE, Amount(Decimal("0.25"), 10))
    assert second.reserve(ONE, caps) is None
    second.settle(ONE, ONE)
    assert second.reserve(ONE, caps).others_hold is False


def test_workspaces_and_personas_are_added_up_apart(join):
    spend(join("a", "ann"), "1", 10)
    spend(join("a", "bob"), "2", 20)
    spend(join("b", "ann"), "4", 40)
    table = {
        "day_dollars": 10,
        "day_tokens": 100,
        "workspace": {"a": {"day_dollars": 10}},
        "persona": {"ann": {"day_tokens": 100}},
    }
    assert left(join(), table, "a", "ann") == [3, 30, 7, 50]


def test_a_day_and_a_month_begin_anew_when_they_turn(join, clock):
    table = {"day_dollars": 10, "month_dollars": 10}
    account = join()
    spend(account, "4")
    clock.now += 12 * HOUR
    assert left(account, table) == [10, 6]
    clock.now += 10 * 24 * HOUR
    assert left(account, table) == [10, 10]


def test_what_is_out_at_midnight_counts_against_the_new_day(join, clock):
    caps = caps_of({"day_dollars": 1.5}, "w")
    account = join()
    assert account.reserve(ONE, caps) is None
    clock.now += 12 * HOUR
    assert account.reserve(ONE, caps).cap.period == "day"
    account.settle(ONE, ONE)
    assert account.standings(caps)[0].spent == 1


def test_a_run_that_ended_stays_in_the_sums(tmp_path, clock):
    for _ in range(3):
        account = Account(tmp_path, "w", None, "run", clock=clock)
        spend(account, "0.000000000001", 1)
        account.close()
    account = Account(tmp_path, "w", None, "run", clock=clock)
    assert account.standings(caps_of({"day_dollars": 1}, "w"))[0].spent == Decimal("0.000000000003")
    account.close()
    assert list((tmp_path / "_holders").iterdir()) == []


def test_what_nobody_will_settle_any_more_counts_as_spent(join, tmp_path, clock):
    caps = caps_of({"day_dollars": 10}, "w")
    account = Account(tmp_path, "w", None, "run", clock=clock)
    account.reserve(ONE, caps)
    account.close()
    assert join().standings(caps)[0].spent == 1


# --- crashes ---------------------------------------------------------------------------------------------------------

_DIES = """
import os, signal, sys
from decimal import Decimal
from pathlib import Path
from metrics.account import Account, Amount
from metrics.caps import caps_of
account = Account(Path(sys.argv[1]), "w", "ann", "run", clock=lambda: float(sys.argv[2]))
caps = caps_of({"day_dollars": 10}, "w")
for _ in range(3):
    assert account.reserve(Amount(Decimal(1), 1000), caps) is None
account.settle(Amount(Decimal(1), 1000), Amount(Decimal("0.25"), 10))
os.kill(os.getpid(), signal.SIGKILL)
"""


def die(home: Path) -> None:
    """A process that spends 0.25, has 2 reserved, and is killed."""
    ran = subprocess.run([sys.executable, "-c", _DIES, str(home), str(NOON)], cwd=ROOT, check=False)
    assert ran.returncode == -signal.SIGKILL


def test_without_its_ledger_all_that_a_killed_run_had_reserved_counts_as_spent(join, tmp_path):
    die(tmp_path)
    [standing] = join().standings(caps_of({"day_dollars": 10}, "w"))
    assert (standing.spent, standing.held) == (Decimal("2.25"), 0)


def test_a_killed_run_is_settled_by_its_ledger_sent_calls_at_their_ceiling(join, tmp_path):
    join()
    with Ledger(tmp_path / "w" / "ledger.sqlite3") as ledger:
        ledger.write(runs.start, "run", "process", NOON, {"persona": "ann"})
        enter(ledger, "answered", NOON, cost="0.25", tokens=10)
        enter(ledger, "sent", NOON)
        enter(ledger, "answered", NOON - 3 * HOUR, cost="5", tokens=10)  # before it held anything: another's
    die(tmp_path)
    account = join()
    dollars, tokens = account.standings(caps_of({"day_dollars": 10, "day_tokens": 10_000}, "w"))
    assert (dollars.spent, dollars.held, tokens.spent) == (Decimal("1.25"), 0, 10 + 1_000)


def test_who_waits_for_a_run_that_was_killed_gets_what_it_had_reserved(tmp_path, clock, join):
    """The one who asks was there before the other died."""
    with Ledger(tmp_path / "w" / "ledger.sqlite3") as ledger:
        ledger.write(runs.start, "run", "process", NOON, {})
    account = join("other")
    die(tmp_path)
    caps = caps_of({"day_dollars": 3}, "w")
    big = Amount(Decimal("2.9"))
    assert account.reserve(big, caps).others_hold
    account.settle_for_the_dead()
    assert account.reserve(big, caps) is None
    account.settle(big, Amount())


def enter(ledger: Ledger, status: str, at: float, *, cost: str | None = None, tokens: int = 0, persona="") -> None:
    call = LLMCall(f"{status}{at}", "run", "extract", "m", "e", 1, 1, status, at, persona=persona)
    ledger.write(calls.begin, calls.Sending(call, 1, [1], "first", Decimal(1), 1_000))
    if status == "answered":
        done = replace(call, usage=Usage(tokens), cost=Decimal(cost or 0))
        ledger.write(calls.finish, done, reply=None)


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_new_account_begins_with_what_the_homes_ledgers_know(join, tmp_path):
    for workspace, cost in (("a", "1.5"), ("b", "2")):
        with Ledger(tmp_path / workspace / "ledger.sqlite3") as ledger:
            ledger.write(runs.start, "run", "process", NOON, {})
            persona = "ann" if workspace == "a" else ""
            enter(ledger, "answered", NOON - HOUR, cost=cost, tokens=7, persona=persona)
            enter(ledger, "answered", NOON - 24 * HOUR, cost="0.25", tokens=1, persona=persona)
            if workspace == "b":
                ledger.write(tally.fold)
    table = {"day_dollars": 10, "month_dollars": 10, "persona": {"ann": {"month_tokens": 100}}}
    assert left(join(), table, "a", "ann") == [Decimal("6.5"), 6, 92]


def test_a_damaged_account_is_named_and_told_how_to_mend(tmp_path):
    (tmp_path / "_account.sqlite3").write_bytes(b"no database at all, and long enough to be looked at\n" * 100)
    with pytest.raises(LedgerError, match=r"_account\.sqlite3.*made from the ledgers"):
        Account(tmp_path, "w", None, "run")


# --- two processes at once -------------------------------------------------------------------------------------------

_SPENDS = """
import json, random, sys
from decimal import Decimal
from pathlib import Path
from metrics.account import Account
from metrics.budget import RunBudget
from metrics.caps import caps_of
home, seed = Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
caps = caps_of({"month_dollars": 5, "time_zone": "Asia/Kathmandu"}, f"w{seed}")
budget = RunBudget(caps=caps, account=Account(home, f"w{seed}", None, f"run{seed}"))
print("ready", flush=True)
sys.stdin.readline()
bill, out, most = Decimal(0), [], Decimal(0)
ceiling = Decimal("0.01")
while True:
    if len(out) < 10 and budget.reserve(ceiling, 100):
        out.append(ceiling * rng.randint(0, 100) / 100)
    elif out:
        cost = out.pop(rng.randrange(len(out)))
        bill += cost
        budget.settle(ceiling, cost, 100, 10)
        standing = budget._account.standings(caps)[0]
        most = max(most, standing.spent + standing.held)
    elif not budget.others_hold:
        break
budget.close()
print(json.dumps({"bill": str(bill), "most": str(most)}))
"""


def test_processes_at_once_never_spend_more_than_their_cap_and_leave_no_room_unused(tmp_path, join):
    command = [sys.executable, "-c", _SPENDS, str(tmp_path)]
    started = [
        subprocess.Popen([*command, str(seed)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for seed in range(3)
    ]
    assert [process.stdout.readline() for process in started] == [b"ready\n"] * 3
    for process in started:
        process.stdin.write(b"\n")
        process.stdin.flush()
    ended = [json.loads(process.communicate()[0]) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    bill = sum(Decimal(each["bill"]) for each in ended)
    assert 5 - Decimal("0.01") < bill <= 5
    assert all(Decimal(each["most"]) <= 5 for each in ended)
    assert sum(Decimal(each["bill"]) > 0 for each in ended) >= 2
