"""Whether two models are counted together: told by the same limits, and contradicted by what is said to be gone."""

import asyncio

import pytest

from core_engine.limits.charge import Charge, Size
from core_engine.limits.rate_limiter import Lane, RateLimiter
from core_engine.limits.together import Level, Witness
from tests.core_engine.limits.provider import Provider
from tests.core_engine.limits.virtual_time import run

CHAT = Lane("chat", "https://models.example/v1", "m")
EMBEDDING = Lane("embedding", "https://models.example/v1", "e")
ELSEWHERE = Lane("embedding", "https://other.example/v1", "e")
ASKED = Size(characters=16_400, prompt=4_100, expected=2_800, ceiling=14_000)
TOLD = {"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "4000000"}
OTHER = {"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "1000000"}
ALL = "all models at models.example"


def shared(limiter):
    return any(state.bucket == ALL for state in limiter.snapshot())


async def both_busy(provider, limiter, seconds):
    """Chat and embeddings have more to do than the limits hold."""
    charge, vectors = Charge(CHAT.endpoint), Charge(EMBEDDING.endpoint, replies=False)

    async def chat():
        while True:
            await provider.ask(limiter, CHAT, charge, ASKED, 2_900)

    async def embed():
        while True:
            await provider.ask(limiter, EMBEDDING, vectors, Size(80_000, 20_000), 0)

    await provider.ask(limiter, CHAT, charge, ASKED, 2_900)
    tasks = [asyncio.create_task(chat()) for _ in range(40)] + [asyncio.create_task(embed()) for _ in range(2)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("charge", ["max", "actual"])
@pytest.mark.parametrize("window_s", [1.0, 60.0])
def test_a_limit_that_counts_both_together_is_not_crossed_though_headers_alone_tell_it(window_s, charge):
    provider = Provider(600, 4e6, window_s=window_s, charge=charge, headers=True)
    run(both_busy(provider, RateLimiter(), 60))
    assert provider.refused <= 1
    assert provider.served_tokens >= 0.93 * 4e6


@pytest.mark.parametrize("charge", ["max", "actual"])
def test_the_same_limits_counted_apart_are_noticed_and_then_filled_apart(charge):
    provider = Provider(600, 4e6, charge=charge, headers=True, embedding_rpm=600, embedding_tpm=4e6)
    run(both_busy(provider, RateLimiter(), 120))
    assert provider.refused <= 1
    assert provider.chat_tokens >= 0.9 * 8e6
    assert provider.served_tokens - provider.chat_tokens >= 0.8 * 8e6


async def _told(limiter, *heard):
    for lane, headers in heard:
        await limiter.reserve(lane, 10)
        limiter.observe(lane, headers)
    return shared(limiter)


def test_only_models_of_one_endpoint_that_tell_the_same_limits_share_them():
    assert run(_told(RateLimiter(), (CHAT, TOLD), (EMBEDDING, TOLD)))
    assert not run(_told(RateLimiter(), (CHAT, TOLD), (EMBEDDING, OTHER)))
    assert not run(_told(RateLimiter(), (CHAT, TOLD), (ELSEWHERE, TOLD)))
    assert not run(_told(RateLimiter(), (CHAT, TOLD), (EMBEDDING, {})))


def test_whom_the_user_has_parted_nothing_joins():
    assert not run(_told(RateLimiter(embedding_rpm=600), (CHAT, TOLD), (EMBEDDING, TOLD)))


def test_limits_that_change_part_and_a_refusal_joins_again():
    async def main():
        limiter = RateLimiter()
        await _told(limiter, (CHAT, TOLD), (EMBEDDING, TOLD), (CHAT, OTHER), (EMBEDDING, OTHER))
        for _ in range(20):  # each in its own: no debt of the other's
            await limiter.reserve(EMBEDDING, 10_000)
        began = asyncio.get_running_loop().time()
        await limiter.reserve(CHAT, 10)
        apart = asyncio.get_running_loop().time() - began
        limiter.pause(CHAT, 0.1, "429")
        for _ in range(20):
            await limiter.reserve(EMBEDDING, 10_000)
        before = {state.unit: state.used for state in limiter.snapshot() if state.bucket == ALL}
        return apart, before["tokens"]

    apart, together = run(main())
    assert apart < 0.6
    assert together >= 200_000


def test_requests_that_stood_in_the_queue_when_their_bucket_was_joined_count_in_the_new_one():
    async def main():
        limiter = RateLimiter()
        await _told(limiter, (CHAT, TOLD))
        queue = [asyncio.create_task(limiter.reserve(CHAT, 14_000)) for _ in range(40)]
        await asyncio.sleep(1)
        await _told(limiter, (EMBEDDING, TOLD))
        await asyncio.gather(*queue)
        return next(state.used for state in limiter.snapshot() if (state.bucket, state.unit) == (ALL, "tokens"))

    assert run(main()) >= 30 * 14_000


def test_a_witness_needs_several_replies_in_a_row_and_one_that_fits_silences_it():
    together = Level(60_000)
    witness = Witness(60_000, together)
    for _ in range(50):
        witness.settled(1_000, None)  # estimates are exact
    together.add(10_000, 0.0)
    expected = witness.sent(1_000, 0.0)
    assert expected == (pytest.approx(1_000, rel=0.01), pytest.approx(11_000, rel=0.01))
    assert not any(witness.contradicts(expected, 1_000) for _ in range(4))
    assert not witness.contradicts(expected, 11_000)
    assert not any(witness.contradicts(expected, gone) for gone in [1_000] * 4 + [None] * 9)
    assert witness.contradicts(expected, 1_000)


def test_more_gone_than_both_have_sent_is_somebody_elses_doing_and_proves_nothing():
    together = Level(60_000)
    witness = Witness(60_000, together)
    together.add(10_000, 0.0)
    expected = witness.sent(1_000, 0.0)
    assert not any(witness.contradicts(expected, 50_000) for _ in range(20))


def test_where_the_others_have_sent_next_to_nothing_a_reply_tells_nothing():
    witness = Witness(60_000, Level(60_000))
    expected = witness.sent(1_000, 0.0)
    assert not any(witness.contradicts(expected, 0) for _ in range(20))
