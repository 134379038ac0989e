"""At the moment of sending: what was held up together does not leave together."""

import asyncio

import pytest

from core_engine.limits.door import Door
from core_engine.limits.rate_limiter import Lane, RateLimiter
from tests.core_engine.limits.provider import Provider
from tests.core_engine.limits.virtual_time import run

CHAT = Lane("chat", "https://models.example/v1", "m")


@pytest.mark.parametrize("held_s", [0.3, 1.0, 5.0])
def test_requests_that_a_busy_machine_held_up_do_not_arrive_in_one_second(held_s):
    async def main():
        provider, limiter = Provider(600, 3_000_000), RateLimiter(rpm=600, tpm=3_000_000)
        free = asyncio.Event()

        async def work():
            while True:
                reservation = await limiter.reserve(CHAT, 14_000)
                await free.wait()  # the commit of its row
                await reservation.leave()
                provider.admit(14_000)
                reservation.settle(None)

        tasks = [asyncio.create_task(work()) for _ in range(40)]
        for _ in range(10):
            free.set()
            await asyncio.sleep(5)
            free.clear()
            await asyncio.sleep(held_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return provider

    provider = run(main())
    assert provider.refused == 0
    assert provider.served_tokens >= 0.9 * 10 * 5 * 50_000


def test_what_comes_at_its_pace_does_not_wait():
    door = Door()
    door.enter(10, 50, 0.0)
    assert [door.enter(10, 50, 1.0 + turn * 0.2) for turn in range(100)] == [0.0] * 100


def test_a_request_that_takes_all_the_room_leaves_when_the_one_before_has_dripped_away():
    door = Door()
    door.enter(50, 50, 0.0)
    assert door.enter(50, 50, 0.0) == pytest.approx(1.52)  # the first may be half a second late
    door.put_off(50, 50, 2.0)
    assert door.enter(50, 50, 2.0) == pytest.approx(1.02)
    assert door.enter(10, 50, 2.0) == pytest.approx(0.4)


def test_what_was_charged_in_the_end_is_what_counts():
    door = Door()
    door.enter(100, 50, 10.0)
    door.settle(-100)
    assert door.enter(50, 50, 10.6) == 0
