"""`--service-tier`: what is asked for, what a provider makes of it, and what that costs."""

from __future__ import annotations

import json

import pytest

from tests.kg import Kg, write_meetings

FLEX = ("--service-tier", "flex")


@pytest.fixture
def server(openai_server):
    return openai_server(tokens="characters", keep_requests=1_000)


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 3)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test")


def asked(server) -> dict[str, set[str | None]]:
    """The tiers that were asked for, by endpoint."""
    found: dict[str, set[str | None]] = {}
    for request in server.requests():
        found.setdefault(request["path"].rsplit("/", 1)[-1], set()).add(request["body"].get("service_tier"))
    return found


def dollars(server) -> float:
    return float(server.books(log=False)["dollars"])


def test_flex_is_asked_for_and_billed_at_half(kg, server):
    usual = kg.process("t", "-w", "usual")
    assert asked(server) == {"completions": {None}, "embeddings": {None}}
    assert usual["calls"]["by_tier"] == {"default": usual["calls"]["chat"]}
    before = dollars(server)
    flex = kg.process("t", "-w", "flex", *FLEX)
    assert "flex" in asked(server)["completions"]
    assert asked(server)["embeddings"] == {None}
    assert flex["calls"]["by_tier"] == {"flex": flex["calls"]["chat"]}
    cost = flex["cost_usd"]
    assert cost["total"] == pytest.approx(dollars(server) - before, abs=1e-6)
    assert cost["saved_by_flex"] == pytest.approx(cost["chat"], rel=0.01)
    assert flex["warnings"] == []
    assert "the flex tier saved" in kg("report", "-w", "flex").out
    assert kg("usage", "-w", "flex", "--json").report["total"]["cost_usd"]["paid"] == pytest.approx(
        cost["total"], abs=1e-6
    )


def test_an_estimate_reckons_with_it(kg):
    usual, flex = (kg("estimate", "t", "--json", *more).report["cost_usd"]["middle"] for more in ((), FLEX))
    assert usual / 2 <= flex < usual * 0.55  # embeddings cost what they cost


def test_where_the_provider_takes_another_tier_the_bill_is_that_tiers_and_it_is_told(kg, server):
    server.configure(tier="default")
    report = kg.process("t", *FLEX)
    assert report["cost_usd"]["total"] == pytest.approx(dollars(server), abs=1e-6)
    assert report["cost_usd"]["saved_by_flex"] == 0
    [warning] = report["warnings"]
    assert "not processed as --service-tier flex (default:" in warning


def test_a_cap_holds_though_the_provider_takes_a_dearer_tier(kg, server):
    server.configure(tier="default", completion_tokens="lognormal:2000:0.5")
    cap = 0.03
    ran = kg("process", "t", "--json", "--batch-size", 1, "--max-cost", cap, *FLEX)
    assert ran.code == 3, ran.err
    assert 0 < dollars(server) <= cap


def test_a_model_without_it_ends_the_run_before_more_is_sent(kg, server):
    ran = kg("process", "t", "--model", "gpt-4o-mini", "--embedder", "none", *FLEX)
    assert ran.code == 5
    assert "leave out --service-tier, or choose a model that offers it" in ran.out
    assert server.books(log=False)["chat_calls"] < 4  # the first, and what it is stepped down to
    assert dollars(server) == 0


def test_a_bad_reply_is_priced_by_the_tier_that_it_names(kg, server):
    server.configure(faults=["null:1:chat"])
    ran = kg("process", "t/m0.txt", "--json", "--embedder", "none", "--batch-size", 1, *FLEX)
    assert ran.code == 2, ran.err
    assert json.loads(ran.out)["cost_usd"]["total"] == pytest.approx(dollars(server), abs=1e-6)


@pytest.mark.parametrize("status", [429, 498])
def test_a_tier_that_has_no_room_is_asked_again(kg, server, status):
    server.configure(faults=[f"http{status}:0.5:chat"])
    report = kg.process("t", "--batch-size", 2, *FLEX)
    assert report["calls"]["rate_limited"] > 0
    assert report["chunks"]["written"] == report["chunks"]["total"]
    assert report["chunks"]["dead"] == 0


def test_it_and_the_batch_api_exclude_each_other(kg, server):
    ran = kg("process", "t", "--batch-api", *FLEX)
    assert ran.code == 1
    assert "--service-tier" in ran.err
    assert server.books(log=False)["calls"] == 0


def test_flex_is_waited_for_longer(kg):
    from cli.sources import load

    assert [load({"service_tier": tier}).settings.timeout_used for tier in ("auto", "flex")] == [120, 900]
    assert load({"service_tier": "flex", "timeout": 30.0}).settings.timeout_used == 30
