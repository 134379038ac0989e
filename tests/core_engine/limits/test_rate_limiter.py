import asyncio
import logging
import math
import random

import pytest

from core_engine.errors import RequestTooLarge, SettingsError
from core_engine.limits.charge import Charge, Size
from core_engine.limits.rate_limiter import Lane, RateLimiter
from tests.core_engine.limits.provider import Provider
from tests.core_engine.limits.virtual_time import run

CHAT = Lane("chat", "https://user:secret@models.example/v1", "big")
EMBEDDING = Lane("embedding", "https://user:secret@models.example/v1", "vectors")


def now():
    return asyncio.get_running_loop().time()


async def timed(awaitable):
    began = now()
    await awaitable
    return now() - began


async def drive(provider, limiter, sizes, *, seconds=60.0, workers=20):
    async def work(number):
        turn = number
        while True:
            actual = sizes[turn % len(sizes)]
            turn += 1
            estimate = round(actual * (0.85 + 0.3 * (turn % 7) / 6))
            while not await provider.call(limiter, CHAT, estimate, actual):
                pass

    tasks = [asyncio.create_task(work(number)) for number in range(workers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("rpm", "sizes"), [(600, [400, 600]), (600, [1_500, 2_500]), (600, [500] * 9 + [6_000])])
def test_a_known_limit_is_filled_and_never_crossed(rpm, sizes):
    provider = Provider(rpm, rpm * 1_000)
    run(drive(provider, RateLimiter(rpm=rpm, tpm=rpm * 1_000), sizes))
    assert provider.refused == 0
    assert max(provider.served / rpm, provider.served_tokens / (rpm * 1_000)) >= 0.97


def test_headers_teach_an_unknown_limit_before_it_is_hit():
    provider = Provider(600, 600_000, headers=True)
    run(drive(provider, RateLimiter(), [400, 600]))
    assert provider.refused <= 1
    assert provider.served / 600 >= 0.93


@pytest.mark.parametrize("window_s", [1.0, 60.0])
def test_a_limit_that_nobody_tells_is_felt_out(window_s):
    provider = Provider(600, 600_000, window_s=window_s)
    run(drive(provider, RateLimiter(), [400, 600], seconds=600))
    late = [at for at in provider.served_at if at > 1_120]
    assert len(late) / (480 / 60 * 600) >= 0.85
    assert provider.refused / provider.served < 0.01


@pytest.mark.parametrize("headers", [True, False])
def test_a_second_client_that_takes_half_brings_no_storm(headers):
    provider = Provider(600, 600_000, window_s=60, headers=headers, stolen=0.5)
    run(drive(provider, RateLimiter(), [400, 600], seconds=600))
    assert provider.refused / provider.served < 0.01
    assert provider.served / 3_000 >= 0.85


def test_a_large_request_waits_no_longer_than_the_queue_before_it():
    async def main():
        limiter = RateLimiter(tpm=60_000, rpm=60_000)

        async def small():
            while True:
                await limiter.reserve(CHAT, 500)

        tasks = [asyncio.create_task(small()) for _ in range(20)]
        await asyncio.sleep(5)
        waited = await timed(limiter.reserve(CHAT, 5_000))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return waited

    assert run(main()) <= (20 * 500 + 5_000) / 1_000 + 0.5


def test_requests_are_served_in_the_order_they_came():
    async def main():
        limiter, order = RateLimiter(rpm=600, tpm=60_000), []

        async def ask(number):
            await limiter.reserve(CHAT, 3_000 if number % 3 == 0 else 10)
            order.append(number)

        await asyncio.gather(*(ask(number) for number in range(30)))
        return order

    assert run(main()) == list(range(30))


def test_there_is_no_burst_at_the_start_or_after_a_rest():
    async def main():
        limiter, first = RateLimiter(rpm=6_000, tpm=6e6), []
        for _ in range(2):
            tasks = [asyncio.create_task(limiter.reserve(CHAT, 1)) for _ in range(500)]
            await asyncio.sleep(1)
            first.append(sum(task.done() for task in tasks))
            await asyncio.sleep(60)
        return first

    assert all(count <= 155 for count in run(main()))


def test_over_reserved_tokens_are_credit_and_under_reserved_ones_debt():
    async def main():
        limiter = RateLimiter(tpm=60_000, rpm=1e6)
        waits = []
        for charged in (2_000, 0, 4_000, 2_000, 2_000):
            reservation = await limiter.reserve(CHAT, 2_000)
            waits.append(reservation.waited_s)
            reservation.settle(charged)
            reservation.settle(9_999_999)  # only the first counts
        return waits

    first, full, credited, indebted, last = run(main())
    assert (full, credited) == (pytest.approx(2, abs=0.05), pytest.approx(0, abs=0.05))
    assert (indebted, last) == (pytest.approx(4, abs=0.5), pytest.approx(2, abs=0.05))
    assert first < full


def test_credit_is_never_more_than_a_few_seconds_and_debt_never_more_than_a_minute():
    async def main():
        limiter = RateLimiter(tpm=60_000, rpm=1e6)
        for _ in range(5):
            reservations = [await limiter.reserve(CHAT, 1_000) for _ in range(20)]
            for reservation in reservations:
                reservation.settle(0)
        began = now()
        for _ in range(20):
            await limiter.reserve(CHAT, 1_000)
        credited = 20 - (now() - began)
        (await limiter.reserve(CHAT, 1_000)).settle(10**12)
        return credited, await timed(limiter.reserve(CHAT, 1_000))

    credited, owed = run(main())
    assert credited <= 5.5
    assert owed <= 62


def test_an_unsettled_or_unknown_charge_keeps_the_reservation():
    async def main():
        limiter = RateLimiter(tpm=60_000, rpm=1e6)
        (await limiter.reserve(CHAT, 2_000)).settle(None)
        (await limiter.reserve(CHAT, 2_000)).settle(-5)
        return (await limiter.reserve(CHAT, 2_000)).waited_s

    assert run(main()) == pytest.approx(2, abs=0.05)


def test_cancelled_waits_give_back_what_they_had_taken_and_keep_the_order():
    async def main():
        limiter, order = RateLimiter(rpm=60, tpm=60_000), []

        async def ask(number):
            await limiter.reserve(CHAT, 5_000)
            order.append(number)

        await limiter.reserve(CHAT, 5_000)
        began = now()
        tasks = [asyncio.create_task(ask(number)) for number in range(6)]
        await asyncio.sleep(2)
        for number in (0, 2, 3):
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        states = {state.unit: state for state in limiter.snapshot() if state.bucket == "all"}
        return order, now() - began, states["requests"].waiting, states["requests"].used

    order, seconds, waiting, used = run(main())
    assert order == [1, 4, 5]
    assert seconds == pytest.approx(15, abs=0.5)
    assert (waiting, used) == (0, 4)


def test_a_refusal_holds_back_everybody_and_is_logged_once(caplog):
    async def main():
        limiter = RateLimiter(rpm=6_000, tpm=6e6)
        await limiter.reserve(CHAT, 10)
        with caplog.at_level(logging.WARNING):
            for _ in range(10):
                limiter.pause(CHAT, 7.0, "rate_limit_exceeded")
        paused = max(state.paused_s for state in limiter.snapshot())
        chat, embedding = await asyncio.gather(timed(limiter.reserve(CHAT, 10)), timed(limiter.reserve(EMBEDDING, 10)))
        return paused, chat, embedding

    paused, chat, embedding = run(main())
    assert paused == pytest.approx(7, abs=0.01)
    assert min(chat, embedding) >= 6.99
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_a_pause_that_comes_while_a_request_waits_holds_it_too():
    async def main():
        limiter = RateLimiter(rpm=60, tpm=6e6)
        await limiter.reserve(CHAT, 10)
        waiting = asyncio.create_task(timed(limiter.reserve(CHAT, 10)))
        await asyncio.sleep(0.5)
        limiter.pause(CHAT, 5.0, "slow down")
        return await waiting

    assert run(main()) == pytest.approx(5.5, abs=0.05)


def test_embeddings_share_the_limits_unless_they_have_their_own():
    async def main(**limits):
        limiter = RateLimiter(**limits)
        for _ in range(10):
            await limiter.reserve(CHAT, 10)
        return await timed(limiter.reserve(EMBEDDING, 10))

    assert run(main(rpm=60, tpm=6_000)) == pytest.approx(1, abs=0.05)
    assert run(main(rpm=60, tpm=6_000, embedding_rpm=60, embedding_tpm=6_000)) < 0.05
    assert run(main(rpm=60, tpm=1e6, embedding_tpm=1e6)) == pytest.approx(1, abs=0.05)


def test_headers_teach_only_their_own_bucket_and_never_raise_the_users_limit():
    async def main():
        limiter = RateLimiter(rpm=60)
        limiter.observe(CHAT, {"x-ratelimit-limit-requests": "6000", "x-ratelimit-limit-tokens": "60000"})
        await limiter.reserve(CHAT, 1_000)
        await limiter.reserve(CHAT, 3_000)  # a second's worth now, the rest is owed by the next
        waits = [(await limiter.reserve(CHAT, 1_000)).waited_s]
        waits.append((await limiter.reserve(EMBEDDING, 50_000)).waited_s)
        return waits, limiter.snapshot()

    (chat, embedding), states = run(main())
    assert chat == pytest.approx(3.0, abs=0.05)
    assert embedding == pytest.approx(1, abs=0.5)
    known = {(state.bucket, state.unit): (state.limit, state.learned) for state in states}
    assert known["all", "requests"] == (60, False)
    assert known["chat big at models.example", "tokens"] == (60_000, True)
    assert known["embedding vectors at models.example", "tokens"] == (None, False)


def test_little_left_by_the_headers_slows_down_at_once_and_only_until_the_reset():
    async def main():
        limiter = RateLimiter()
        told = {"x-ratelimit-limit-requests": "600"}
        limiter.observe(CHAT, told)
        for _ in range(5):
            await limiter.reserve(CHAT, 10)
        limiter.observe(CHAT, told | {"x-ratelimit-remaining-requests": "100", "x-ratelimit-reset-requests": "50s"})
        began = now()
        for _ in range(20):
            await limiter.reserve(CHAT, 10)
        slow = now() - began
        await asyncio.sleep(60)
        began = now()
        for _ in range(20):
            await limiter.reserve(CHAT, 10)
        return slow, now() - began

    slow, fast = run(main())
    assert slow == pytest.approx(10, abs=1)  # 100 requests in 50 s are 2 a second
    assert fast == pytest.approx(1.6, abs=0.2)


@pytest.mark.parametrize("value", ["", "abc", "-1", "0", "nan", "inf", "1e400", "10^9", "9" * 5_000, "\x00"])
def test_nonsense_in_headers_is_ignored(value):
    async def main():
        limiter = RateLimiter()
        for unit in ("requests", "tokens"):
            limiter.observe(
                CHAT,
                {
                    f"x-ratelimit-limit-{unit}": value,
                    f"x-ratelimit-remaining-{unit}": value,
                    f"x-ratelimit-reset-{unit}": value,
                },
            )
        return await timed(limiter.reserve(CHAT, 10**6))

    assert run(main()) == 0


def test_a_limit_below_what_the_provider_has_taken_is_not_believed():
    async def main():
        limiter = RateLimiter()
        (await limiter.reserve(CHAT, 8_000)).settle(8_000)
        limiter.observe(CHAT, {"x-ratelimit-limit-tokens": "5"})
        return await timed(limiter.reserve(CHAT, 8_000))

    assert run(main()) == 0


def test_limits_that_change_with_every_reply_let_no_burst_through():
    async def main():
        limiter, passed = RateLimiter(), 0
        await limiter.reserve(CHAT, 10)
        until, turn = now() + 30, 0
        while now() < until:
            turn += 1
            limiter.observe(CHAT, {"x-ratelimit-limit-requests": str(600 + 50 * (turn % 2))})
            await limiter.reserve(CHAT, 10)
            passed += 1
        return passed

    assert run(main()) <= 330


def test_without_any_limit_the_first_goes_alone_until_its_answer_and_then_a_few_one_by_one():
    async def main():
        limiter = RateLimiter()
        first = await limiter.reserve(CHAT, 10)
        others = [asyncio.create_task(limiter.reserve(CHAT, 10)) for _ in range(50)]
        await asyncio.sleep(0.7)
        held = sum(not task.done() for task in others)
        first.settle(10)
        await asyncio.sleep(0.11)
        spaced = sum(task.done() for task in others)
        await asyncio.sleep(0.54)
        free = sum(task.done() for task in others)
        lost = await limiter.reserve(EMBEDDING, 10)  # never answered: the others go on without it
        return held, spaced, free, lost.waited_s, await timed(limiter.reserve(EMBEDDING, 10))

    held, spaced, free, first_wait, second_wait = run(main())
    assert (held, free, first_wait) == (50, 50, 0)
    assert 5 <= spaced <= 7
    assert second_wait == pytest.approx(2, abs=0.01)


def test_requests_to_a_provider_whose_limits_are_known_are_not_spaced():
    async def main():
        limiter = RateLimiter()
        (await limiter.reserve(CHAT, 10)).settle(10)
        limiter.observe(CHAT, {"x-ratelimit-limit-requests": "600000"})
        began = now()
        await asyncio.gather(*(limiter.reserve(CHAT, 10) for _ in range(20)))
        return now() - began

    assert run(main()) < 0.01


def test_the_first_sight_of_a_silent_limit_costs_few_refusals():
    provider = Provider(None, 3_000_000)
    run(drive(provider, RateLimiter(), [14_000], seconds=10))
    assert 0 < provider.refused <= 6


@pytest.mark.parametrize("large", [80_000, 150_000])
def test_requests_of_several_seconds_worth_are_let_through_where_limits_are_counted_by_the_second(large):
    provider = Provider(None, 3_000_000)

    async def main():
        limiter = RateLimiter(tpm=3_000_000)

        async def work(tokens):
            while True:
                await provider.call(limiter, CHAT, tokens, tokens)

        tasks = [asyncio.create_task(work(tokens)) for tokens in [14_000] * 20 + [large]]
        await asyncio.sleep(120)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert provider.refused == 0
    assert provider.served_tokens >= 0.95 * 2 * 3_000_000


@pytest.mark.parametrize("rpm", [30, 60, 66])
def test_a_request_that_was_late_to_leave_does_not_make_the_next_one_too_early(rpm):
    async def main():
        provider, limiter, rng = Provider(rpm, None), RateLimiter(rpm=rpm), random.Random(1)

        async def work():
            while True:
                reservation = await limiter.reserve(CHAT, 10)
                await asyncio.sleep(rng.choice([0, 0.01, 0.4]))  # its row is committed
                await reservation.leave()
                provider.admit(10)
                await asyncio.sleep(0.5)
                reservation.settle(None)

        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await asyncio.sleep(600)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return provider

    provider = run(main())
    assert provider.refused == 0
    assert provider.served >= 0.95 * rpm * 10


def test_a_request_larger_than_a_minute_is_refused_with_a_batch_size_that_fits():
    async def main(chunks):
        await RateLimiter(tpm=10_000).reserve(CHAT, 20_000, chunks=chunks)

    with pytest.raises(RequestTooLarge, match=r"20,000 tokens .* 10,000 tokens a minute .*--batch-size 4 would fit"):
        run(main(10))
    with pytest.raises(RequestTooLarge, match="smaller --batch-size or --chunk-size"):
        run(main(1))


@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan])
def test_limits_that_cannot_be_are_refused_by_name(limit):
    for option in ("rpm", "tpm", "embedding_rpm", "embedding_tpm"):
        with pytest.raises(SettingsError, match="--" + option.replace("_", "-")):
            RateLimiter(**{option: limit})


def test_the_snapshot_tells_use_share_and_who_waits():
    async def main():
        limiter = RateLimiter(rpm=60, tpm=6_000)
        for _ in range(12):
            await limiter.reserve(CHAT, 50)
        tasks = [asyncio.create_task(limiter.reserve(CHAT, 50)) for _ in range(3)]
        await asyncio.sleep(0)
        states = {(state.bucket, state.unit): state for state in limiter.snapshot()}
        await asyncio.gather(*tasks)
        await asyncio.sleep(61)
        later = {(state.bucket, state.unit): state for state in limiter.snapshot()}
        return states, later

    states, later = run(main())
    assert states["all", "requests"].used == 12
    assert states["all", "requests"].share == pytest.approx(0.2)
    assert states["all", "tokens"].used == 600
    assert states["all", "requests"].waiting == 1  # the others wait behind it, at their own bucket
    assert later["all", "requests"].used == 0


def test_a_snapshot_before_the_first_request_is_fine():
    assert [state.bucket for state in RateLimiter(rpm=5, tpm=10).snapshot()] == ["all", "all"]
    assert RateLimiter().snapshot() == []


@pytest.mark.parametrize("seed", range(50))
def test_any_mix_of_limits_headers_and_refusals_lets_every_request_through_in_the_end(seed):
    async def main():
        rng = random.Random(seed)
        limiter = RateLimiter(rpm=rng.choice([None, rng.uniform(30, 3_000)]), tpm=rng.choice([None, 1e5]))

        async def ask():
            reservation = await limiter.reserve(CHAT, rng.randint(0, 9_000))
            await asyncio.sleep(rng.uniform(0, 2))
            if rng.random() < 0.2:
                limiter.pause(CHAT, rng.choice([0, -1, 0.3, 4, math.nan]), "429")
            limiter.observe(
                CHAT,
                {
                    "x-ratelimit-limit-tokens": str(rng.randint(90_000, 200_000)),
                    "x-ratelimit-remaining-tokens": str(rng.randint(0, 90_000)),
                    "x-ratelimit-reset-tokens": f"{rng.randint(0, 60)}s",
                },
            )
            reservation.settle(rng.choice([None, 0, 500, 20_000]))

        await asyncio.wait_for(asyncio.gather(*(ask() for _ in range(100))), 24 * 3_600)

    run(main())


def test_a_clock_that_jumps_an_hour_ahead_lets_no_burst_through_a_felt_out_limit():
    async def main():
        limiter = RateLimiter()
        for _ in range(100):
            (await limiter.reserve(CHAT, 10)).settle(10)
            await asyncio.sleep(0.1)
        limiter.pause(CHAT, 1.0, "429")
        await limiter.reserve(CHAT, 10)
        await asyncio.sleep(3_600)
        began = now()
        for _ in range(100):
            await limiter.reserve(CHAT, 10)
        return now() - began

    assert run(main()) >= 8


def test_a_limit_in_headers_above_the_users_changes_nothing_and_one_below_holds():
    async def main(told):
        limiter = RateLimiter(rpm=600)
        limiter.observe(CHAT, {"x-ratelimit-limit-requests": told})
        await limiter.reserve(CHAT, 10)
        began = now()
        for _ in range(20):
            await limiter.reserve(CHAT, 10)
        return now() - began

    assert run(main("1000000")) == pytest.approx(1.5, abs=0.6)
    assert run(main("60")) == pytest.approx(20, abs=1.5)


def test_a_server_that_refuses_below_the_limit_it_tells_is_believed_by_its_refusals():
    provider = Provider(300, 600_000, window_s=1)

    async def lied_to():
        limiter = RateLimiter(rpm=3_000, tpm=1e9)
        await drive(provider, limiter, [500], seconds=300)

    run(lied_to())
    assert provider.refused / provider.served < 0.05
    assert provider.served / 1_500 >= 0.85


@pytest.mark.parametrize("window_s", [1.0, 60.0])
def test_a_large_request_waits_for_the_users_limit_and_the_providers_at_the_same_time(window_s):
    provider = Provider(500, 30_000, window_s=window_s, headers=True)

    async def main():
        limiter = RateLimiter(rpm=500, tpm=30_000)

        async def work():
            while True:
                await provider.call(limiter, CHAT, 14_000, 14_000)

        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await asyncio.sleep(1_200)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert provider.refused == 0
    assert provider.served_tokens >= 0.95 * 20 * 30_000


def test_a_debt_is_paid_while_nobody_asks():
    async def main():
        limiter = RateLimiter(tpm=60_000, rpm=1e6)
        (await limiter.reserve(CHAT, 1_000)).settle(31_000)
        await asyncio.sleep(40)
        return await timed(limiter.reserve(CHAT, 1_000))

    assert run(main()) < 0.6


def test_what_was_refused_and_not_charged_does_not_hold_up_the_next():
    async def main():
        limiter = RateLimiter(tpm=20_000, rpm=1e6)
        (await limiter.reserve(CHAT, 14_000)).settle(0)
        return await timed(limiter.reserve(CHAT, 14_000))

    assert run(main()) < 1


def test_an_amount_that_is_learnt_while_one_waits_is_the_one_that_passes():
    async def main():
        limiter, amount = RateLimiter(tpm=60_000, rpm=1e6), 1_000
        await limiter.reserve(CHAT, 5_000)
        waiting = [asyncio.create_task(limiter.reserve(CHAT, lambda: amount)) for _ in range(3)]
        await asyncio.sleep(0.1)
        amount = 4_000
        return [(await each).tokens for each in waiting]

    assert run(main()) == [1_000, 4_000, 4_000]


def test_a_server_that_counts_the_longest_reply_and_only_says_so_when_it_refuses_costs_one_refusal():
    provider = Provider(600, 3e6, window_s=1, charge="max")
    charge, size = Charge(CHAT.endpoint), Size(16_000, 4_000, 2_500, 14_000)

    async def main():
        limiter = RateLimiter(rpm=600, tpm=3e6)

        async def work():
            while True:
                await provider.ask(limiter, CHAT, charge, size, 2_500)

        await provider.ask(limiter, CHAT, charge, size, 2_500)
        tasks = [asyncio.create_task(work()) for _ in range(40)]
        await asyncio.sleep(120)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert provider.refused <= 2
    assert provider.served_tokens >= 0.95 * 2 * 3e6
