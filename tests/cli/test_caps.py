"""Caps as a user meets them: exit 3, which cap, what is left, when it turns, and how it goes on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.kg import Kg, write_meetings


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 3)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test")


def budget(kg: Kg, *lines: str) -> None:
    (kg.folder / "kg.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def dollars(server) -> Decimal:
    return Decimal(server.books(log=False)["dollars"])


def test_a_days_cap_holds_over_several_runs_and_workspaces(kg, server):
    budget(kg, "[budget]", "day_dollars = 0.012", 'time_zone = "Europe/Berlin"')
    first = kg("process", "t", "--batch-size", 2)
    assert first.code == 3
    assert "the day's cap of $0.012 (kg.toml: day_dollars)" in first.out
    assert "the next request may take $0.0" in first.out
    assert "00:00 CE" in first.out
    second = kg("process", "t", "--batch-size", 2, "-w", "other")
    assert second.code == 3
    assert Decimal("0.003") < dollars(server) <= Decimal("0.012")
    budget(kg, "[budget]", "day_dollars = 10")
    assert kg.process("t", "--batch-size", 2)["chunks"]["pending"] == 0
    [cap] = kg.process("t", "--batch-size", 2)["budget"]["caps"]
    assert (cap["period"], cap["unit"], cap["scope"], cap["cap"]) == ("day", "dollars", "home", 10)
    assert cap["spent"] == pytest.approx(float(dollars(server)), abs=1e-7)


def test_a_persona_has_its_own_tokens_and_others_go_on(kg, server):
    budget(kg, '[budget.persona."*"]', "month_tokens = 25_000")
    report = kg.process("t", "--batch-size", 1, code=3, KG_PERSONA="ann")
    assert report["budget"]["refused"]["needed"] > report["budget"]["refused"]["left"]
    assert report["settings"]["persona"] == "ann"
    used = server.books(log=False)["tokens"]
    assert used["prompt"] + used["completion"] + used["embedding"] <= 25_000
    assert kg.process("t", "--batch-size", 1, code=3, KG_PERSONA="bob")["chunks"]["written"] > 0
    assert kg.process("t", "--batch-size", 1)["chunks"]["pending"] == 0


def test_a_cap_below_the_smallest_request_says_so_before_anything_is_sent(kg, server):
    ran = kg("process", "t", "--max-cost", "0.005")
    assert ran.code == 3
    assert "the run's cap of $0.005 (--max-cost): $0.005 left, and the next request may take $0.00" in ran.out
    assert server.books(log=False)["calls"] == 0


def test_near_the_cap_requests_get_smaller_until_not_even_one_chunk_has_room(kg, server):
    report = kg.process("t", "--max-cost", "0.012", code=3)
    refused = report["budget"]["refused"]
    assert 0.005 < refused["needed"] < 0.0095  # one chunk, by gpt-5-mini's price: 3,200 tokens out, 8,000 bytes in
    assert refused["left"] < refused["needed"]
    assert Decimal("0.003") < dollars(server) <= Decimal("0.012")
    assert report["chunks"]["written"] > 0


def test_a_run_without_caps_is_in_the_account_all_the_same(kg, server):
    kg.process("t/m0.txt", "-w", "a")
    budget(kg, "[budget]", "month_dollars = 100")
    [cap] = kg.process("t/m1.txt", "-w", "b")["budget"]["caps"]
    assert cap["spent"] == pytest.approx(float(dollars(server)), abs=1e-7)


def test_offline_nothing_can_be_spent_and_no_account_is_made(kg):
    budget(kg, "[budget]", "day_dollars = 0.01")
    assert kg.process("t", "--no-model")["budget"] == {"caps": [], "refused": None}
    assert not (kg.folder / ".kg" / "_account.sqlite3").exists()
