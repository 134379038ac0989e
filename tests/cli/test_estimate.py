"""`kg estimate` and `kg process --dry-run`: what a run would take, with nothing sent and nothing written."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from metrics.told import told_by
from tests.kg import ROOT, Kg, wait_until, write_meetings


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
    assert said["calls"]["chat"] == -(-said["chunks"] // 10) + 1, "one about names"
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


def billed(server):
    books = server.books(log=False)
    tokens = books["tokens"]
    return float(books["dollars"]), tokens["prompt"] + tokens["completion"] + tokens["embedding"]


def expected(said):
    tokens = said["tokens"]
    return said["cost_usd"]["middle"], tokens["prompt"] + tokens["completion"] + tokens["embedding"]


@pytest.mark.parametrize("lengths", ["lognormal:60:0.8", "lognormal:700:0.8"])
def test_with_an_earlier_run_the_estimate_is_near_the_bill_however_long_replies_are(kg, server, lengths):
    server.configure(completion_tokens=lengths)
    write_meetings(kg.folder / "t", 12)
    kg.process(*(f"t/m{number}.txt" for number in range(6)))
    before = billed(server)
    said = kg("estimate", "t", "--json").report
    report = kg.process("t")
    dollars, tokens = (after - first for after, first in zip(billed(server), before, strict=True))
    assert said["from_replies"] > 0
    assert expected(said)[0] == pytest.approx(dollars, rel=0.15)
    assert expected(said)[1] == pytest.approx(tokens, rel=0.1)
    assert said["cost_usd"]["low"] < dollars < said["cost_usd"]["high"]
    assert report["estimate"]["whole"]
    assert report["estimate"]["off_by"]["cost"] == pytest.approx(
        dollars / expected(report["estimate"])[0] - 1, abs=1e-3
    )


def test_another_workspace_of_the_home_teaches_as_well(kg, server):
    server.configure(completion_tokens=300)
    kg.process("t/m0.txt", "-w", "other")
    said = kg("estimate", "t", "--json").report
    assert said["from_replies"] > 0
    assert said["tokens"]["completion"] == pytest.approx(300 * said["chunks"], rel=0.01)


def test_repeated_requests_are_part_of_what_earlier_runs_teach(kg, server):
    server.configure(completion_tokens=300, faults=[{"kind": "empty", "times": 8}])
    ran = kg("process", "t/m0.txt", "t/m1.txt", "-w", "other", "--batch-size", 1)
    assert ran.code in {0, 2}, ran.err  # a chunk whose two replies were both empty is dead
    said = kg("estimate", "t", "--json", "--batch-size", 1).report
    assert said["tokens"]["completion"] > 1.2 * 300 * said["chunks"]


def test_calls_that_a_killed_run_never_heard_of_tell_nothing(kg, server):
    kg.process("t/m0.txt", "--resolve", "rules")
    before = kg("estimate", "t", "--json", "--resolve", "rules").report
    server.configure(latency=60)
    run = kg.started("process", "t", "--resolve", "rules")
    wait_until(lambda: server.books(log=False)["in_flight"] > 0)
    run.kill()
    run.communicate()
    server.configure(latency=0)
    kg.process("t/m0.txt", "--resolve", "rules")  # names them as unknown
    after = kg("estimate", "t", "--json", "--resolve", "rules").report
    assert after["chunks"] == before["chunks"] > 0
    assert after["tokens"] == before["tokens"]


def test_questions_about_names_are_part_of_it(kg):
    def chat_calls(*words):
        return kg("estimate", *words, "--json").report["calls"]["chat"]

    assert chat_calls("t") == chat_calls("t", "--resolve", "rules") + 1


def test_what_earlier_questions_about_names_took_tells_of_the_next(kg, server, tmp_path):
    kg.process(ROOT / "data" / "transcripts", "--embedder", "none", "--resolve", "rules")
    before = server.books(log=False)["tokens"]
    kg.process(ROOT / "data" / "transcripts", "--embedder", "none")
    after = server.books(log=False)["tokens"]
    told = told_by(tmp_path / ".kg" / "default" / "ledger.sqlite3", "gpt-5-mini", None, "").resolving
    (pairs,) = kg.ledger().execute("SELECT count(*) FROM pair").fetchone()
    assert told.pairs == pairs > 20
    assert told.pairs * told.prompt == pytest.approx(after["prompt"] - before["prompt"])
    assert told.pairs * told.completion == pytest.approx(after["completion"] - before["completion"])
    assert told.before == told.chunks > 0


def test_the_first_estimate_has_a_wide_range_and_says_that_it_is_a_guess(kg):
    said = kg("estimate", "t", "--json").report
    assert said["from_replies"] == 0
    assert said["cost_usd"]["low"] < said["cost_usd"]["middle"] < said["cost_usd"]["high"]
    assert "a guess" in kg("estimate", "t").out


def test_the_report_shows_what_was_expected_beside_the_bill(kg):
    ran = kg("process", "t")
    assert "was expected; the bill is" in ran.out
    assert "was expected" not in kg("process", "t").out


def test_offline_costs_nothing(kg):
    said = kg("estimate", "t", "--no-model", "--json").report
    assert said["cost_usd"]["middle"] == 0
    assert said["calls"] == {"chat": 0, "embedding": 0}


def test_an_unpriced_model_has_no_price_and_not_a_price_of_nothing(kg):
    said = kg("estimate", "t", "--model", "my-own-model", "--json").report
    assert said["cost_usd"]["middle"] is None
    assert "unpriced" in kg("estimate", "t", "--model", "my-own-model").out


def test_a_damaged_ledger_beside_it_stops_neither_an_estimate_nor_a_run(kg):
    kg.process("t", "-w", "old")
    old = kg.folder / ".kg/old/ledger.sqlite3"
    with contextlib.closing(sqlite3.connect(old)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'call'").fetchone()
    held = bytearray(old.read_bytes())
    held[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096  # all else is whole
    old.write_bytes(held)
    assert kg("estimate", "t", "-w", "new").code == 0
    assert kg.process("t", "-w", "new")["chunks"]["pending"] == 0
