"""The concurrency at which a server gets no faster is found, at little cost, and left alone where there is none."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics

import pytest

from core_engine.limits.knee import Knee
from tests.core_engine.limits.local_server import LocalServer
from tests.core_engine.limits.virtual_time import run
from tests.kg import Kg, write_meetings


def with_knee(server: LocalServer, most: int, requests: int = 800) -> float:
    async def main():
        return await server.serve(Knee("host", most), most, requests)

    return run(main())


def without(server: LocalServer, most: int, requests: int = 800) -> float:
    return run(server.serve(None, most, requests))


@pytest.mark.parametrize("parallel", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("most", [20, 50])
def test_a_server_that_works_on_so_many_at_once_is_given_about_so_many(parallel, most):
    server, plain = LocalServer(parallel), LocalServer(parallel)
    took, ideal = with_knee(server, most), without(plain, most)
    usual = statistics.mode(server.levels[400:])
    assert parallel <= usual <= max(1.25 * parallel, parallel + 1)
    assert took / ideal <= 1.06
    assert max(server.levels) == most


@pytest.mark.parametrize("parallel", [4])
def test_uneven_replies_do_not_lead_it_astray(parallel):
    server, plain = LocalServer(parallel, spread=0.3), LocalServer(parallel, spread=0.3)
    took, ideal = with_knee(server, 20), without(plain, 20)
    assert parallel <= statistics.mode(server.levels[400:]) <= 2 * parallel
    assert took / ideal <= 1.06


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_where_replies_take_as_long_however_many_ask_nothing_is_held_back(spread):
    server = LocalServer(1_000, seconds=4, spread=spread)
    with_knee(server, 50)
    assert set(server.levels) == {50}


def test_a_server_that_answers_within_a_second_is_left_alone():
    server = LocalServer(1, seconds=0.01)
    with_knee(server, 20)
    assert set(server.levels) == {20}


def test_a_server_that_only_slows_down_a_little_keeps_its_throughput():
    server, plain = LocalServer(50, soft=0.05), LocalServer(50, soft=0.05)
    assert with_knee(server, 20, 2_000) / without(plain, 20, 2_000) <= 1.08


def test_a_machine_that_slept_for_a_minute_holds_nothing_back():
    async def main():
        knee, number = Knee("host", 15), 0

        async def work():
            nonlocal number
            for _ in range(20):
                async with knee.place():
                    await asyncio.sleep(2)
                    number += 1
                    knee.answered(62 if 80 <= number < 95 else 2, 1, bound=False)

        await asyncio.gather(*(work() for _ in range(15)))
        return knee.limit

    assert run(main()) == 15


async def healthy(knee, most, requests, seconds_and_work):
    """A server that is no faster with fewer: the seconds that all took, and the levels."""
    loop, random_, numbers, levels = asyncio.get_running_loop(), random.Random(1), iter(range(requests)), []
    began = loop.time()

    async def ask(number):
        async with knee.place() if knee else contextlib.nullcontext():
            seconds, work = seconds_and_work(number, random_, loop.time() - began)
            await asyncio.sleep(seconds)
            if knee:
                knee.answered(seconds, work, bound=False)
                levels.append(knee.limit)

    async def work():
        for number in numbers:
            await ask(number)

    await ask(next(numbers))
    await asyncio.gather(*(work() for _ in range(most)))
    return loop.time() - began, levels


def lognormal(sigma):
    return lambda _number, rng, _at: (2 * rng.lognormvariate(0, sigma), 1)


def stopped_for_20_s(_number, rng, at):
    seconds = 2 * rng.lognormvariate(0, 0.2)
    return seconds + (20 if at < 20 < at + seconds else 0), 1


def one_slow_reply(number, rng, _at):
    return 60 if number == 100 else 2 * rng.lognormvariate(0, 0.2), 1


def a_small_request_first(number, rng, _at):
    size = 0.2 if number == 0 else 1
    return 4 * size * rng.lognormvariate(0, 0.2), size


def larger_prompts_for_a_while(number, rng, _at):
    size = 3 if 200 <= number < 500 else 1
    return 2 * size * rng.lognormvariate(0, 0.2), size


def a_slow_minute(_number, rng, at):
    return (6 if 60 < at < 120 else 2) * rng.lognormvariate(0, 0.2), 1


@pytest.mark.parametrize("most", [20, 50])
@pytest.mark.parametrize(
    "server",
    [
        *map(lognormal, (0.3, 0.5, 0.7, 1.0)),
        stopped_for_20_s,
        one_slow_reply,
        a_small_request_first,
        larger_prompts_for_a_while,
        a_slow_minute,
    ],
)
def test_a_healthy_server_is_not_held_back_by_slow_or_uneven_replies(server, most):
    took, levels = run(healthy(Knee("host", most), most, 1_500, server))
    ideal, _ = run(healthy(None, most, 1_500, server))
    assert took / ideal <= 1.05
    assert sum(level < most for level in levels) <= 0.1 * len(levels)
    assert levels[-1] == most


def test_a_server_that_gets_room_for_more_is_given_more():
    async def main():
        server, knee = LocalServer(4), Knee("host", 20)
        await server.serve(knee, 20, 500)
        before = knee.limit
        server.parallel = 12
        await server.serve(knee, 20, 1_500)
        return before, knee.limit

    before, after = run(main())
    assert before <= 5
    assert after >= 10


def test_a_known_limit_goes_before():
    async def main():
        server, knee = LocalServer(2), Knee("host", 20)

        async def work():
            for _ in range(20):
                async with knee.place():
                    knee.answered(await server.answer(), 1, bound=True)

        await asyncio.gather(*(work() for _ in range(20)))
        return knee.limit

    assert run(main()) == 20


@pytest.mark.parametrize(("bound", "after"), [(False, 10), (True, 20)])
def test_replies_that_do_not_come_in_time_halve_it_once_for_all_of_them_where_there_are_no_limits(bound, after):
    async def main():
        knee = Knee("host", 20)
        knee._window.skip = 0

        async def ask():
            async with knee.place():
                await asyncio.sleep(120)
            knee.timed_out(bound=bound)

        await asyncio.gather(*(ask() for _ in range(20)))
        return knee.limit

    assert run(main()) == after


def test_those_who_wait_go_first_come_first_served_and_a_cancelled_one_gives_its_place_on():
    async def main():
        knee, went = Knee("host", 1), []

        async def ask(number):
            async with knee.place():
                went.append(number)
                await asyncio.sleep(1)

        tasks = [asyncio.create_task(ask(number)) for number in range(6)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.sleep(0)
        tasks[1].cancel()  # whose place has just been given
        await asyncio.gather(*tasks, return_exceptions=True)
        return went

    assert [number for number in run(main()) if number > 2] == [3, 4, 5]


def test_a_local_server_that_is_asked_too_much_loses_nothing(openai_server, tmp_path):
    write_meetings(tmp_path / "t", 8)
    server = openai_server(parallel=2, latency=0.25)
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    report = kg.process("t", "--embedder", "none", "--batch-size", 1, "--max-concurrent", 16, "--timeout", 1.2)
    assert report["chunks"]["written"] == report["chunks"]["total"]
