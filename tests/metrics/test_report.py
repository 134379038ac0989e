"""A run's report against the books of the server that would bill it, for runs in which things went wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.kg import Kg, write_meetings

# Every field that DESIGN names, and that scripts may read.
FIELDS = {
    "documents": "seen new changed removed unreadable skipped",
    "chunks": "total written reused dead pending",
    "calls": "chat embedding failed retried rate_limited reasked error_rate",
    "replies": "valid repaired invalid_by_reason",
    "tokens": "prompt cached completion reasoning embedding reasked",
    "cost_usd": "total chat embedding per_chunk per_document wasted unknown_at_most saved_by_reuse saved_by_cache "
    "unpriced_calls",
    "latency_s": "chat embedding wait_for_limit",
    "throughput": "chunks_per_s tokens_per_min limit_efficiency peak_in_flight",
    "stages": "read plan extract embed resolve write_graph write_vectors",
    "graph": "entities relationships mentions entities_new relationships_new dropped_by_reason",
    "vectors": "points",
    "machine": "peak_rss_mb cpu_s",
}
TOP = (
    "schema run_id workspace command version started_at finished_at wall_s status exit_code settings estimate by_model"
)


@pytest.fixture
def run(openai_server, tmp_path):
    """`run(*words, **server settings)`: the report of a run over three meetings, and the server's books."""

    def of(*words: object, code: int = 0, env: dict[str, str] | None = None, **settings: Any) -> tuple[Any, Any]:
        server = openai_server(**settings)
        write_meetings(tmp_path / "t", 3)
        kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-canary", **(env or {}))
        report = kg.process("t", "--batch-size", 4, *words, code=code)
        return report, server.books()

    return of


def agree(report: dict[str, Any], books: dict[str, Any]) -> None:
    """Calls, tokens and dollars are the server's."""
    billed, tokens = books["tokens"], report["tokens"]
    chat, embedding = books["chat_calls"], books["embedding_calls"]
    assert (report["calls"]["chat"], report["calls"]["embedding"]) == (chat, embedding)
    assert (tokens["prompt"], tokens["cached"]) == (billed["prompt"], billed["cached"])
    assert (tokens["completion"], tokens["reasoning"]) == (billed["completion"], billed["reasoning"])
    assert tokens["embedding"] == billed["embedding"]
    assert report["cost_usd"]["total"] == pytest.approx(float(books["dollars"]), abs=1e-7)
    adds_up(report)


def adds_up(report: dict[str, Any]) -> None:
    chunks, cost, calls = report["chunks"], report["cost_usd"], report["calls"]
    assert chunks["total"] == sum(chunks[name] for name in ("written", "reused", "dead", "pending"))
    assert min(chunks.values()) >= 0
    assert cost["total"] == pytest.approx(cost["chat"] + cost["embedding"], abs=1e-7)
    of_models = report["by_model"].values()
    assert cost["total"] == pytest.approx(sum(model["cost_usd"] for model in of_models), abs=1e-7)
    assert calls["chat"] + calls["embedding"] == sum(model["calls"] for model in of_models)
    assert calls["failed"] == sum(model["failed"] for model in of_models)
    stages = report["stages"]
    assert all(stage["calls"] == stage["ok"] + stage["failed"] for stage in stages.values())
    assert stages["extract"]["calls"] == calls["chat"]
    assert stages["embed"]["calls"] == calls["embedding"]
    replies = report["replies"]
    judged = replies["valid"] + replies["repaired"] + replies["partial"] + sum(replies["invalid_by_reason"].values())
    assert judged == calls["chat"] - stages["extract"]["failed"]


def test_every_field_is_there_whether_or_not_anything_was_done(run, tmp_path):
    report, _ = run()
    again = Kg(tmp_path).process("t", "--no-model", "-w", "offline")
    for one in (report, again):
        assert set(TOP.split()) <= set(one)
        for name, fields in FIELDS.items():
            assert set(fields.split()) <= set(one[name]), name


def test_a_smooth_run_agrees_with_the_books_cached_tokens_too(run):
    report, books = run()
    agree(report, books)
    assert report["tokens"]["cached"] > 0
    assert report["cost_usd"]["saved_by_cache"] > 0
    assert report["cost_usd"]["wasted"] == report["cost_usd"]["unknown_at_most"] == 0
    assert report["cost_usd"]["per_chunk"] == pytest.approx(
        report["cost_usd"]["total"] / report["chunks"]["total"], abs=1e-8
    )


def test_retries_and_refusals_are_counted_and_cost_nothing(run):
    faults = [{"kind": "http503", "times": 2}, {"kind": "http429", "times": 1}, {"kind": "http500", "times": 1}]
    report, books = run(faults=faults)
    agree(report, books)
    calls = report["calls"]
    assert calls["rate_limited"] == 1 + 2  # a 503 that says "slow down" is a limit
    assert calls["failed"] == 4
    assert calls["retried"] == calls["failed"]
    assert calls["error_rate"] == pytest.approx(calls["failed"] / (calls["chat"] + calls["embedding"]), abs=1e-4)
    assert report["cost_usd"]["unknown_at_most"] == 0


@pytest.mark.parametrize(
    "fault", ["invalid_json", "prose", "fenced", "truncated", "wrong_schema", "empty", "left_out", "null"]
)
def test_replies_of_every_sort_agree_with_the_books(run, fault):
    report, books = run(faults=[{"kind": fault, "times": 1}])
    agree(report, books)
    assert report["chunks"]["written"] == report["chunks"]["total"]
    replies = report["replies"]
    assert replies["repaired"] + replies["partial"] + sum(replies["invalid_by_reason"].values()) >= 1


def test_what_was_billed_and_could_not_be_used_is_told(run):
    report, books = run(faults=[{"kind": "empty", "times": 2}])
    agree(report, books)
    assert report["calls"]["reasked"] >= 2
    assert 0 < report["cost_usd"]["wasted"] < report["cost_usd"]["total"]


def test_money_by_stage_saved_and_wasted_is_the_servers_to_the_cent(run):
    faults = [{"kind": "empty", "times": 2}, {"kind": "wrong_count", "times": 1}, {"kind": "http500", "times": 1}]
    report, books = run(faults=faults)
    agree(report, books)
    cost, by_model = report["cost_usd"], books["by_model"]
    assert cost["chat"] == pytest.approx(float(by_model["gpt-5-mini"]["dollars"]), abs=1e-7)
    assert cost["embedding"] == pytest.approx(float(by_model["text-embedding-3-small"]["dollars"]), abs=1e-7)
    assert cost["saved_by_cache"] == pytest.approx(books["tokens"]["cached"] * (0.25 - 0.025) / 1e6, abs=1e-7)
    useless = [entry for entry in books["log"] if entry["fault"] in {"empty", "wrong_count"}]
    assert len(useless) == 3
    assert cost["wasted"] == pytest.approx(sum(map(_dollars, useless)), abs=1e-7)


def _dollars(entry: dict[str, Any]) -> float:
    """What the entry costs at the list's price of gpt-5-mini and text-embedding-3-small."""
    chat = (entry["prompt"] - entry["cached"]) * 0.25 + entry["cached"] * 0.025 + entry["completion"] * 2
    return (chat + entry["embedding"] * 0.02) / 1e6


@pytest.mark.parametrize("fault", ["wrong_count", "nan", "zeros", "wrong_dimension"])
def test_bad_embeddings_are_billed_and_counted(run, fault):
    report, books = run(faults=[{"kind": fault, "times": 1}])
    agree(report, books)
    assert report["calls"]["failed"] == 1
    assert report["cost_usd"]["wasted"] > 0
    assert report["vectors"]["points"] == report["chunks"]["total"]


def test_calls_that_were_cut_off_are_told_at_what_they_may_cost(run):
    report, books = run(faults=[{"kind": "reset_in_body", "times": 2, "stage": "chat"}])
    adds_up(report)
    cost = report["cost_usd"]
    assert cost["unknown_calls"] == 2
    missing = Decimal(books["dollars"]) - Decimal(str(cost["total"]))
    assert 0 < missing <= Decimal(str(cost["unknown_at_most"]))


def test_an_unpriced_model_is_never_free_in_silence(run):
    report, books = run("--model", "home-grown", "--embedder", "none", any_model=True)
    adds_up(report)
    assert report["cost_usd"]["total"] == 0
    assert report["cost_usd"]["unpriced_calls"] == report["calls"]["chat"] - report["calls"]["failed"] > 0
    assert report["by_model"]["home-grown"]["unpriced_calls"] > 0
    assert report["tokens"]["prompt"] == books["tokens"]["prompt"]


def test_dead_letters_are_named_and_the_rest_is_written(run):
    report, books = run(code=2, faults=[{"kind": "refusal", "match": "point 20,", "per": "chunk"}])
    agree(report, books)
    assert report["chunks"]["dead"] == len(report["dead_letters"]) > 0
    assert {letter["reason"] for letter in report["dead_letters"]} == {"refusal"}
    assert {letter["stage"] for letter in report["dead_letters"]} == {"extract"}
    assert report["exit_code"] == 2


def test_dead_embeddings_are_named_as_such(run):
    report, books = run(code=2, faults=[{"kind": "zeros", "match": "point 20,"}])
    agree(report, books)
    assert {letter["stage"] for letter in report["dead_letters"]} == {"embed"}
    assert report["chunks"]["dead"] == len(report["dead_letters"])
    assert report["vectors"]["points"] == report["chunks"]["total"] - report["chunks"]["dead"]


def test_what_a_passing_failure_left_open_is_pending(run):
    report, books = run("--retries", 0, code=5, faults=[{"kind": "http500", "match": "point 20,", "stage": "chat"}])
    agree(report, books)
    assert report["chunks"]["pending"] == sum(report["left_open"].values()) > 0
    assert report["left_open"] == {"http_500": report["chunks"]["pending"]}


def test_a_rerun_reuses_all_and_says_what_that_is_worth(run, tmp_path):
    report, _ = run()
    kg = Kg(tmp_path, OPENAI_BASE_URL=report["settings"]["base_url"], OPENAI_API_KEY="x")
    again = kg.process("t", "--batch-size", 4)
    adds_up(again)
    assert again["chunks"]["reused"] == again["chunks"]["total"] == report["chunks"]["total"]
    assert again["cost_usd"]["total"] == 0
    assert again["cost_usd"]["saved_by_reuse"] == pytest.approx(report["cost_usd"]["total"], rel=0.01)


def test_a_capped_run_never_spends_more_and_says_so(run):
    report, books = run("--max-cost", "0.012", "--max-concurrent", 1, "--batch-size", 1, code=3)
    agree(report, books)
    assert 0 < report["cost_usd"]["total"] <= 0.012
    assert report["chunks"]["pending"] > 0
    assert report["exit_code"] == 3


def test_the_files_of_the_report_say_what_stdout_says(run, tmp_path):
    report, _ = run()
    folder = tmp_path / ".kg" / "default" / "runs" / report["run_id"]
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == report
    assert f"# kg run {report['run_id']}" in (folder / "report.md").read_text(encoding="utf-8")
    whole = (folder / "report.json").read_text(encoding="utf-8") + (folder / "report.md").read_text(encoding="utf-8")
    assert "canary" not in whole
