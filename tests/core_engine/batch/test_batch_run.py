"""kg process --batch-api against a server that keeps books: half the price, nothing twice, nothing lost."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from tests.kg import Kg, write_meetings

CHUNKS = 7
QUICK = {"KG_BATCH_POLL": "0.1"}


@pytest.fixture
def server(openai_server):
    return openai_server(batch_duration=0.3)


@pytest.fixture
def kg(tmp_path: Path, server) -> Kg:
    write_meetings(tmp_path / "t", 3, turns=14)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-canary", **QUICK)


def batch(kg: Kg, *words: str, code: int = 0, **env: str) -> dict:
    return kg.process("t", "--batch-api", *words, code=code, **env)


def test_the_graph_is_that_of_a_run_by_requests_and_the_bill_is_half(kg, server, tmp_path):
    report = batch(kg)
    books = server.books()
    lines = [entry for entry in books["log"] if entry["batch"]]
    assert report["chunks"] == {
        "total": CHUNKS,
        "written": CHUNKS,
        "reused": 0,
        "dead": 0,
        "pending": 0,
        "bought": CHUNKS,
    }
    assert report["cost_usd"]["total"] == pytest.approx(float(books["dollars"]), abs=1e-8)
    assert report["batch"]["requests"] == len(lines) == 2
    assert books["batch"]["submitted_again"] == 0

    again = tmp_path / "again"
    write_meetings(again / "t", 3, turns=14)
    other = Kg(again, **kg.env)
    server.reset(prompt_cache=False)
    usual = other.process("t")
    assert kg.graph() == other.graph()
    # The lines' tokens at the usual price: what was paid, and what the report says was saved.
    full = sum(_full_price(line) for line in lines)
    saved = report["cost_usd"]["saved_by_batch"]
    assert saved == pytest.approx(float(full / 2), abs=1e-8)
    assert usual["cost_usd"]["saved_by_batch"] == 0


def _full_price(line: dict) -> Decimal:
    if line["stage"] == "embeddings":
        return line["embedding"] * Decimal("0.02") / 10**6
    fresh = line["prompt"] - line["cached"]
    return (fresh * Decimal("0.25") + line["cached"] * Decimal("0.025") + line["completion"] * 2) / 10**6


def test_the_same_command_again_submits_nothing(kg, server):
    batch(kg)
    before = server.books(log=False)
    report = batch(kg)
    assert report["chunks"]["reused"] == CHUNKS
    assert server.books(log=False)["batch"] == before["batch"]
    assert server.books(log=False)["dollars"] == before["dollars"]


def test_without_waiting_the_jobs_are_left_to_a_later_run(kg, server):
    server.configure(batch_duration=1.0)
    report = batch(kg, "--no-wait")
    assert report["status"] == "pending"
    assert report["exit_code"] == 0
    assert report["chunks"]["pending"] == CHUNKS
    assert report["calls"]["chat"] == 1  # the first look
    assert report["batch"]["pending"] == 2
    assert report["batch"]["pending_at_most"] > 0

    report = batch(kg)
    assert report["chunks"]["written"] == CHUNKS
    assert report["batch"] | {"requests": 2, "pending": 0, "submitted": 0} == report["batch"]
    assert server.books(log=False)["batch"]["jobs"] == 2


def test_a_run_by_requests_leaves_alone_what_a_job_holds(kg, server):
    server.configure(batch_duration=60.0)
    batch(kg, "--no-wait")
    report = kg.process("t")
    assert report["chunks"]["pending"] == CHUNKS
    assert report["calls"]["chat"] == report["calls"]["embedding"] == 0
    ran = kg("process", "t")
    assert "2 Batch jobs pending" in ran.out


def test_an_expired_job_is_submitted_again_for_what_is_missing_alone(kg, server):
    server.configure(faults=[{"kind": "batch_expire", "times": 1}])
    report = batch(kg, "--batch-size", "2")
    books = server.books()
    assert report["chunks"]["written"] == CHUNKS
    assert report["calls"]["failed"] == 2  # the lines that did not run
    ran = [entry for entry in books["log"] if entry["batch"]]
    assert sum(entry["questions"] for entry in ran) == 2 * CHUNKS
    assert report["cost_usd"]["total"] == pytest.approx(float(books["dollars"]), abs=1e-8)
    assert report["cost_usd"]["wasted"] == 0


def test_a_line_that_fails_has_its_chunks_asked_alone_in_the_next_job(kg, server):
    server.configure(faults=[{"kind": "http500", "stage": "chat", "match": "point 3", "times": 1}])
    report = batch(kg)
    assert report["chunks"]["written"] == CHUNKS
    assert report["calls"]["reasked"] == CHUNKS
    assert report["dead_letters"] == []


def test_a_chunk_without_a_usable_answer_is_asked_alone_and_then_dead(kg, server):
    server.configure(faults=[{"kind": "left_out", "match": "In meeting 1 point 3"}])
    report = batch(kg, code=2)
    assert report["chunks"] | {"written": CHUNKS - 1, "dead": 1} == report["chunks"]
    assert [letter["reason"] for letter in report["dead_letters"]] == ["left_out"]
    assert server.books(log=False)["batch"]["jobs"] == 3

    server.configure(faults=[])
    report = kg("retry", "--json").report
    assert report["chunks"]["written"] == 1


def test_a_bad_text_costs_its_neighbours_one_more_request_and_no_more(kg, server):
    server.configure(faults=[{"kind": "nan", "match": "In meeting 2 point 1,"}])
    report = batch(kg, code=2)
    assert report["chunks"]["written"] == CHUNKS - 1
    assert [letter["stage"] for letter in report["dead_letters"]] == ["embed"]


def test_a_job_that_always_fails_in_passing_is_left_open(kg, server):
    server.configure(faults=[{"kind": "http500", "stage": "chat", "match": "In meeting 1 point 3"}])
    report = batch(kg, code=5)
    assert report["chunks"] | {"written": CHUNKS - 1, "pending": 1} == report["chunks"]
    assert report["left_open"] == {"http_500": 1}
    server.configure(faults=[])
    assert batch(kg)["chunks"]["written"] == 1


@pytest.mark.parametrize("fault", ["upload_cut", "upload_lost", "create_lost", "content_cut"])
def test_a_way_that_is_cut_off_is_gone_again_and_nothing_is_submitted_twice(kg, server, fault):
    server.configure(faults=[{"kind": fault, "times": 1}], batch_list_lag=0.1)
    report = batch(kg)
    books = server.books(log=False)
    assert report["chunks"]["written"] == CHUNKS
    assert books["batch"]["jobs"] == 2
    assert books["batch"]["uploads"] <= 3  # a file that the list does not show yet may go up again: that costs nothing
    assert books["batch"]["submitted_again"] == 0
    assert report["cost_usd"]["total"] == pytest.approx(float(books["dollars"]), abs=1e-8)


def test_a_job_that_fails_at_the_provider_is_submitted_again(kg, server):
    server.configure(faults=[{"kind": "batch_fail", "times": 1}])
    report = batch(kg)
    assert report["chunks"]["written"] == CHUNKS
    assert server.books(log=False)["batch"]["by_status"] == {"failed": 1, "completed": 2}


def test_a_job_larger_than_the_queue_is_split(kg, server):
    server.configure(batch_queue_tokens=6_000)
    report = batch(kg, "--batch-size", "2")
    assert report["chunks"]["written"] == CHUNKS
    status = server.books(log=False)["batch"]["by_status"]
    assert status["failed"] == 1
    assert status["completed"] > 2


def test_a_full_queue_is_waited_for(kg, server, tmp_path):
    server.configure(batch_queue_tokens=12_000, batch_duration=1.5)
    other = tmp_path / "other"
    write_meetings(other / "t", 3, turns=14)
    batch(Kg(other, **kg.env), "--no-wait", "--batch-size", "2", "--embedder", "none")
    report = batch(kg, "--batch-size", "2", "--embedder", "none")
    assert report["chunks"]["written"] == CHUNKS
    books = server.books(log=False)["batch"]
    assert books["by_status"]["completed"] == 2
    assert books["uploads"] == 2  # the refused job's file is used again


def test_no_job_is_submitted_that_could_cross_the_cap(kg, server):
    report = batch(kg, "--max-cost", "0.0095", code=3)
    assert report["chunks"]["pending"] == CHUNKS
    assert server.books(log=False)["batch"]["jobs"] == 0
    # Room for two requests at their ceilings: the others follow when these have turned out cheaper.
    report = batch(kg, "--max-cost", "0.015", "--batch-size", "2")
    assert report["chunks"]["written"] == CHUNKS
    assert report["batch"]["submitted"] > 2
    assert report["cost_usd"]["total"] <= 0.015


def test_a_server_without_a_batch_api_is_named(kg, server):
    server.configure(refuse=["batches"])
    ran = kg("process", "t", "--batch-api")
    assert ran.code == 5
    assert "leave out --batch-api" in ran.out


@pytest.mark.parametrize("first", [True, False])
def test_a_job_that_is_refused_takes_nothing_from_the_months_cap(kg, server, first):
    (kg.folder / "kg.toml").write_text("[budget]\nmonth_dollars = 100\n", encoding="utf-8")
    if not first:  # another run has prepared and reserved it
        server.configure(faults=[{"kind": "upload_cut"}])
        batch(kg, "--embedder", "none", "--retries", "0", "--no-wait", code=5)
    server.configure(faults=[{"kind": "create_refused"}])
    report = batch(kg, "--embedder", "none", code=5)
    assert "can't be asked in batches" in report["ended"]
    [cap] = report["budget"]["caps"]
    assert cap["spent"] == pytest.approx(float(server.books(log=False)["dollars"]), abs=1e-8)
    server.configure(faults=[])
    [cap] = batch(kg, "--embedder", "none")["budget"]["caps"]
    assert cap["spent"] == pytest.approx(float(server.books(log=False)["dollars"]), abs=1e-8)


def test_what_the_provider_refuses_ends_the_run_with_its_words(kg):
    report = batch(kg, "--embedding-model", "no-such-embedding", "--dimensions", "8", code=5)
    assert "no-such-embedding" in report["ended"]


def test_a_wrong_key_is_met_before_a_job_is_made(kg, server):
    server.configure(require_key="sk-right")
    ran = kg("process", "t", "--batch-api")
    assert ran.code == 5
    assert server.books(log=False)["batch"]["uploads"] == 0
    assert "sk-canary" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--batch-api", "--no-model"), "--batch-api needs a model"),
        (("--no-wait",), "--batch-api too"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(kg, words, said):
    ran = kg("process", "t", *words)
    assert ran.code == 1
    assert said in ran.err


def test_ctrl_c_while_waiting_leaves_the_jobs_and_says_how_to_go_on(kg, server):
    server.configure(batch_duration=60.0)
    run = kg.started("process", "t", "--batch-api")
    assert run.stderr
    for line in run.stderr:
        if "0 of 1 requests done" in line:
            break
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "they go on at the provider" in out
    assert len(json.loads(kg("batches", "--json").out)) == 2


def test_killed_at_random_moments_nothing_is_submitted_twice_or_lost(kg, server, tmp_path):
    """Six kills; `tests/benchmarks/bench_batch_kills.py` does thirty."""
    server.configure(batch_duration=1.0, batch_list_lag=0.15, batch_latency=0.1)
    for seed in range(2):
        folder = tmp_path / str(seed)
        write_meetings(folder / "t", 3, turns=14)
        each = Kg(folder, **{**kg.env, "KG_BATCH_POLL": "0.2"})
        dice = random.Random(seed)
        server.reset(batch_duration=1.0, batch_list_lag=0.15, batch_latency=0.1)
        for _ in range(3):
            run = each.started("process", "t", "--batch-api")
            try:
                run.communicate(timeout=dice.uniform(0.7, 2.5))
            except subprocess.TimeoutExpired:
                run.kill()
                run.communicate()
        report = batch(each)
        books = server.books(log=False)
        assert books["batch"]["submitted_again"] == 0
        assert books["batch"]["texts"] == 2 * CHUNKS
        assert report["chunks"]["pending"] == report["chunks"]["dead"] == 0
