"""`kg eval` scores what a workspace holds, and sets models, runs and workspaces side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kg import ROOT, Kg

GOLD = ROOT / "data" / "gold" / "conversations.jsonl"
SAMPLES = ROOT / "data" / "transcripts"


@pytest.fixture
def kg(openai_server, tmp_path: Path) -> tuple[Kg, object]:
    server = openai_server(gold=[str(GOLD)])
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x"), server


def test_the_samples_score_as_the_server_answers(kg):
    run, _ = kg
    run.process(SAMPLES, "--embedder", "none", "--graph-store", "none")
    report = run("eval", GOLD, "--same", GOLD.parent / "same.tsv", "--json").report
    [side] = report["sides"]
    assert (side["documents"], side["documents_missing"]) == (14, [])
    assert side["entities"]["typed"]["f1"] >= 0.98
    assert side["relationships"]["exact"]["recall"] >= 0.97
    assert side["grounding"]["evidence"]["right"] > 250
    assert {each["position"] for each in side["by_position"]} == set(range(1, 11))
    assert side["pairs"]["pairs"] == 435
    assert 0 < len(side["misses"]) < 30
    page = run("eval", GOLD)
    assert page.code == 0
    assert "| entities exact |" in page.out


def test_models_runs_and_workspaces_are_compared(kg):
    run, server = kg
    one, two = SAMPLES / "standup-2025-09-08.txt", SAMPLES / "pilot-2025-10-21.srt"
    words = ("--embedder", "none", "--graph-store", "none")
    first = run.process(one, two, *words, "--model", "gpt-5-mini")
    server.reset()  # answers by rule from here on
    run.process(one, two, *words, "--model", "gpt-5-nano")
    run.process(one, *words, "-w", "other", "--batch-size", 1)
    calls = server.books()["chat_calls"]
    ran = run(
        "eval", GOLD, "--json", "--of", "model=gpt-5-mini",
        "--compare", "model=gpt-5-nano", "--compare", f"run={first['run_id']}", "--compare", "workspace=other",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    mini, nano, again, other = ran.report["sides"]
    assert mini["entities"]["exact"]["f1"] > nano["entities"]["exact"]["f1"]
    assert again["entities"] == mini["entities"]
    assert [side["documents"] for side in (mini, nano, again, other)] == [2, 2, 2, 1]
    worse, same, _ = ran.report["comparisons"]
    assert worse["differences"]["entities exact"]["verdict"] == "worse"
    assert same["differences"]["entities exact"]["difference"] == 0
    # What the graph holds is what the model that was asked last said.
    assert run("eval", GOLD, "--json").report["sides"][0]["entities"] == nano["entities"]
    assert server.books()["chat_calls"] == calls


def test_what_the_rules_found_is_scored_too(tmp_path):
    run = Kg(tmp_path)
    run.process(SAMPLES, "--no-model", "--embedder", "none")
    side = run("eval", GOLD, "--json").report["sides"][0]
    assert 0.3 < side["entities"]["exact"]["f1"] < 1
    assert {each["position"] for each in side["by_position"]} == {0}


def test_what_cannot_be_scored_is_told(kg, tmp_path):
    run, _ = kg
    (tmp_path / "talk.txt").write_text("Ann: hello there, everybody\n")
    run.process("talk.txt", "--embedder", "none")
    assert "none of the gold's documents" in run("eval", GOLD).err
    assert "no answers of gpt-9" in run("eval", GOLD, "--of", "model=gpt-9").err
    assert "no such workspace" in run("eval", GOLD, "--compare", "workspace=none").err
    assert run("eval", "none.jsonl").code == 1
    assert run("eval", GOLD, "-w", "none").code == 1
