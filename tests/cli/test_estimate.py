"""`kg estimate` and `kg process --dry-run`: what a run would take, with nothing sent and nothing written."""

from __future__ import annotations

import pytest

from tests.kg import Kg, write_meetings


@pytest.fixture
def server(openai_server):
    return openai_server(tokens="characters")


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 3)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test")


def test_nothing_is_sent_and_nothing_stays(kg, server, tmp_path):
    said = kg("estimate", "t", "--json").report
    assert said["chunks"] == said["total_chunks"] > 10
    assert said["calls"]["chat"] == -(-said["chunks"] // 10)
    assert server.books(log=False)["calls"] == 0
    assert not (tmp_path / ".kg" / "default" / "ledger.sqlite3").exists()


def test_a_dry_run_says_the_same_and_leaves_the_ledger_as_it_was(kg, server):
    kg.process("t/m0.txt")
    before = "\n".join(kg.ledger().iterdump())
    said = kg("process", "t", "--dry-run", "--json").report
    assert said == kg("estimate", "t", "--json").report
    assert said["reused"] > 0
    assert "\n".join(kg.ledger().iterdump()) == before


def test_what_the_ledger_has_is_taken_off(kg):
    kg.process("t")
    said = kg("estimate", "t", "--json").report
    assert said["chunks"] == 0
    assert said["cost_usd"]["middle"] == 0


def test_with_an_earlier_run_the_estimate_is_near_the_bill(kg, server, tmp_path):
    kg.process("t/m0.txt")
    said = kg("estimate", "t", "--json").report
    before = float(server.books(log=False)["dollars"])
    kg.process("t")
    bill = float(server.books(log=False)["dollars"]) - before
    assert said["from_replies"] > 0
    assert said["cost_usd"]["middle"] == pytest.approx(bill, rel=0.25)


def test_offline_costs_nothing(kg):
    said = kg("estimate", "t", "--no-model", "--json").report
    assert said["cost_usd"]["middle"] == 0
    assert said["calls"] == {"chat": 0, "embedding": 0}


def test_an_unpriced_model_has_no_price_and_not_a_price_of_nothing(kg):
    said = kg("estimate", "t", "--model", "my-own-model", "--json").report
    assert said["cost_usd"]["middle"] is None
    assert "unpriced" in kg("estimate", "t", "--model", "my-own-model").out
