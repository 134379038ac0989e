"""A run by the minute, in the report and in a line of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from core_engine.limits.rate_limiter import Lane, RateLimiter
from metrics.minutes import in_words
from tests.core_engine.limits.virtual_time import run
from tests.kg import Kg, write_meetings

CHAT = Lane("chat", "http://host/v1", "m")


def test_the_share_of_each_minute_is_that_of_the_limit_used_most():
    async def main():
        limiter = RateLimiter(rpm=600, tpm=60_000)
        await asyncio.sleep(60 - asyncio.get_running_loop().time() % 60)  # to a full minute
        for _ in range(30):
            (await limiter.reserve(CHAT, 1_000)).settle(1_000)
            await asyncio.sleep(4)
        return limiter.history()

    history = run(main())
    assert [used.share for used in history.minutes.values()][:2] == pytest.approx([0.25, 0.25], abs=0.05)
    assert {used.limit for used in history.minutes.values()} == {"tokens (all)"}


def test_what_was_reserved_too_much_is_taken_out_again():
    async def main():
        limiter = RateLimiter(tpm=60_000, rpm=6_000)
        (await limiter.reserve(CHAT, 30_000)).settle(6_000)
        return max(used.share for used in limiter.history().minutes.values())

    assert run(main()) == pytest.approx(0.1, abs=0.01)


def test_the_report_tells_each_minutes_calls_waits_refusals_and_share(openai_server, tmp_path):
    write_meetings(tmp_path / "t", 2)
    server = openai_server(rpm=600, faults=[{"kind": "http429", "times": 1, "stage": "chat"}])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    report = kg.process("t", "--batch-size", 2, "--rpm", 300)
    rows = report["minutes"]
    assert sum(row["calls"] for row in rows) == report["calls"]["chat"] + report["calls"]["embedding"]
    assert sum(row["tokens"] for row in rows) == sum(report["tokens"][n] for n in ("prompt", "completion", "embedding"))
    assert sum(row["rate_limited"] for row in rows) == 1
    assert 0 < max(row["limit_share"] for row in rows) < 1
    assert rows[0]["limit"] == "requests (all)"
    assert 0 < rows[0]["least_left"] <= 1
    said = in_words(rows)
    assert "of requests (all) used in" in said
    assert "1 x 429" in said
    [page] = (tmp_path / ".kg").glob("*/runs/*/report.md")
    assert said in page.read_text()


def test_without_limits_the_minutes_have_no_share_and_no_line(openai_server, tmp_path):
    write_meetings(tmp_path / "t", 1)
    kg = Kg(tmp_path, OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")
    report = kg.process("t")
    assert {row["limit_share"] for row in report["minutes"]} == {None}
    assert in_words(report["minutes"]) == ""
    assert json.dumps(report["minutes"])


def test_a_run_without_a_model_has_no_minutes(tmp_path):
    write_meetings(tmp_path / "t", 1)
    report = Kg(tmp_path).process("t", "--no-model")
    assert report["minutes"] == []
