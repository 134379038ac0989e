"""A service that fails for everybody: noticed once, tried by one, waited for no longer than said, and nothing lost."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from core_engine.llm.outage import Outage
from tests.core_engine.limits.virtual_time import run
from tests.kg import Kg, write_meetings

FAST = ("t", "--embedder", "none", "--batch-size", 1, "--max-concurrent", 6)


def outage(patience_s: float = 180.0) -> Outage:
    return Outage("http://host/v1", patience_s, random.Random(1))


def now() -> float:
    return asyncio.get_running_loop().time()


def test_failures_of_one_batch_are_no_outage_and_hold_nobody_back():
    async def main():
        one = outage(0.0)
        for _ in range(50):
            one.failed("a")
        one.failed("b")
        began = now()
        async with one.turn():
            pass
        return one.hopeless, now() - began

    assert run(main()) == (False, 0)


def test_an_answer_in_between_says_that_the_service_is_there():
    async def main():
        one = outage(0.0)
        for batch in "abcdef":
            one.failed(batch)
            one.answered()
        return one.hopeless

    assert not run(main())


def test_during_an_outage_one_request_at_a_time_tries_with_growing_pauses():
    async def main():
        one, tries, together, most = outage(), [], 0, 0

        async def ask(batch):
            nonlocal together, most
            for _ in range(3):
                async with one.turn():
                    together += 1
                    most = max(most, together)
                    tries.append(now())
                    await asyncio.sleep(0.1)
                    together -= 1
                one.failed(batch)

        for batch in "abc":
            one.failed(batch)
        await asyncio.gather(*map(ask, "abcdefgh"))
        return most, [after - before for before, after in itertools.pairwise(tries)]

    most, pauses = run(main())
    assert most == 1
    assert pauses[0] < 2.2
    assert max(pauses) <= 30.2
    assert pauses[5] > 15


def test_the_first_answer_lets_all_go_on_together_at_once():
    async def main():
        one, went = outage(), []

        async def ask(number):
            async with one.turn():
                went.append((number, now()))
                await asyncio.sleep(1)
            one.answered()

        for batch in "abc":
            one.failed(batch)
        await asyncio.gather(*map(ask, range(10)))
        return went

    (_, first), *others = run(main())
    assert [at for _, at in others] == pytest.approx([first + 1] * 9, abs=1e-3)


def test_it_is_hopeless_when_the_patience_is_over_and_no_later():
    async def main():
        one = outage(60.0)
        began, tries = now(), 0
        while not one.hopeless:
            async with one.turn():
                tries += 1
            one.failed(str(tries))
        return now() - began

    assert run(main()) == pytest.approx(60, abs=1)


def test_a_cancelled_try_leaves_the_turn_to_the_next():
    async def main():
        one = outage()
        for batch in "abc":
            one.failed(batch)

        async def ask():
            async with one.turn():
                await asyncio.sleep(10)

        first = asyncio.create_task(ask())
        second = asyncio.create_task(ask())
        await asyncio.sleep(0.1)
        first.cancel()
        await second

    run(main())


def test_an_outage_in_mid_run_ends_it_after_few_requests_and_the_next_run_goes_on(openai_server, tmp_path):
    write_meetings(tmp_path / "t", 16)
    server = openai_server(faults=[{"kind": "http500", "match": f"In meeting {n}"} for n in range(1, 16)])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    ran = kg("process", *FAST, "--retries", 0, "--json")
    report, chunks = ran.report, ran.report["chunks"]
    assert ran.code == 5
    assert chunks["written"] > 0
    assert chunks["pending"] == chunks["total"] - chunks["written"] > 30
    assert report["calls"]["failed"] <= 20
    assert "no answer to anybody" in report["ended"]
    server.configure(faults=[])
    again = kg.process(*FAST)
    assert again["chunks"]["pending"] == again["chunks"]["dead"] == 0
    assert again["chunks"]["reused"] == chunks["written"]


def test_an_outage_that_passes_costs_a_pause_and_no_chunk(openai_server, tmp_path):
    write_meetings(tmp_path / "t", 4)
    server = openai_server(faults=[{"kind": "http502", "match": "In meeting 1", "times": 9}])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    ran = kg("process", *FAST, "--retries", 5, "--json")
    assert ran.code == 0
    assert ran.report["calls"]["failed"] in {9, 10}  # and perhaps one for the temperature
    assert ran.report["chunks"]["written"] == ran.report["chunks"]["total"]
