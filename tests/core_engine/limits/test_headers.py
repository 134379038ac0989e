import pytest

from core_engine.limits.headers import Told, duration, told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360),
        ("12ms", 0.012),
        ("1.5s", 1.5),
        ("1h2m3s", 3_723),
        ("1d", 86_400),
        ("2m59.56s", 179.56),
        (" 30 ", 30),
        ("0s", 0),
        ("", None),
        (None, None),
        ("soon", None),
        ("-5s", None),
        ("6m0", None),
        ("1e9", None),
        ("5s later", None),
    ],
)
def test_resets_are_read_as_providers_write_them(text, seconds):
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


def test_each_unit_has_its_own_headers():
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "200000",
    }
    assert told(headers, "requests") == Told(500, 499, 0.12)
    assert told(headers, "tokens") == Told(200_000, None, None)
    assert told({}, "tokens") == Told()
