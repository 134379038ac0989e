"""What is reserved of a limit of tokens: by the provider's way of counting, told by its host, its headers or its refusals."""

import pytest

from core_engine.limits.charge import Charge, Size

SIZE = Size(characters=12_000, prompt=3_000, expected=2_000, ceiling=14_000)


def gone(tokens: float, limit: int = 200_000) -> dict[str, str]:
    return {
        "x-ratelimit-limit-tokens": str(limit),
        "x-ratelimit-remaining-tokens": str(int(limit - tokens)),
        "x-ratelimit-reset-tokens": f"{tokens / limit * 60:.3f}s",
    }


@pytest.mark.parametrize("endpoint", ["https://api.openai.com/v1", "https://mine.openai.azure.com/openai/v1"])
def test_openai_is_known_to_count_the_ceiling_whatever_its_headers_say(endpoint):
    charge = Charge(endpoint)
    charge.replied(gone(5_000), SIZE)
    assert charge.amount(SIZE) == 14_000
    assert charge.to_settle(4_000) is None


def test_while_nothing_is_known_the_larger_is_reserved():
    charge = Charge("http://host/v1")
    assert charge.amount(SIZE) == 14_000
    assert charge.amount(Size(80_000, 20_000, 2_000, 14_000)) == 22_000
    assert charge.amount(Size(80_000, 3_000, 2_000, 14_000)) == 20_000


def test_a_reply_that_leaves_more_than_the_ceiling_would_settles_it():
    charge = Charge("http://host/v1")
    charge.replied(gone(14_000), SIZE)
    assert charge.amount(SIZE) == 14_000
    charge.replied(gone(5_000), SIZE)
    assert charge.amount(SIZE) == 5_000
    assert charge.to_settle(4_000) == 4_000


def test_a_server_that_says_nothing_counts_what_was_used_until_a_refusal_says_otherwise():
    charge = Charge("http://host/v1")
    charge.replied({}, SIZE)
    assert charge.amount(SIZE) == 5_000
    charge.refused("Rate limit reached: Limit 200000, Used 199000, Requested 5000.", SIZE)
    assert charge.amount(SIZE) == 5_000
    charge.refused("Rate limit reached: Limit 200000, Used 199000, Requested 14000.", SIZE)
    assert charge.amount(SIZE) == 14_000
    charge.replied({}, SIZE)
    assert charge.amount(SIZE) == 14_000


def test_a_bucket_of_one_second_looks_empty_and_is_not():
    charge = Charge("http://host/v1")
    headers = gone(5_000) | {"x-ratelimit-remaining-tokens": "0"}
    charge.replied(headers, SIZE)
    assert charge.amount(SIZE) == 5_000


def test_a_window_that_ends_in_a_minute_looks_spent_and_is_not():
    charge = Charge("http://host/v1")
    charge.replied(gone(5_000) | {"x-ratelimit-reset-tokens": "60s"}, SIZE)
    assert charge.amount(SIZE) == 5_000


@pytest.mark.parametrize("value", ["", "abc", "-1", "nan", "1e400"])
def test_nonsense_in_headers_or_refusals_changes_nothing_for_the_worse(value):
    charge = Charge("http://host/v1")
    charge.refused(f"Requested {value}", SIZE)
    charge.replied({"x-ratelimit-limit-tokens": value, "x-ratelimit-reset-tokens": value}, SIZE)
    assert charge.amount(SIZE) in {5_000, 14_000}


def test_a_request_refused_for_what_it_says_took_no_tokens_unless_the_headers_say_so():
    charge = Charge("https://api.openai.com/v1")
    assert charge.unheard({}, SIZE) == 0
    assert charge.unheard(gone(0), SIZE) == 0
    assert charge.unheard(gone(14_000), SIZE) is None
