"""kg batches: what it lists, refreshes and cancels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kg import Kg, write_meetings


@pytest.fixture
def server(openai_server):
    return openai_server(batch_duration=6.0)


@pytest.fixture
def kg(tmp_path: Path, server) -> Kg:
    write_meetings(tmp_path / "t", 2, turns=14)
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x", KG_BATCH_POLL="0.1")
    kg.process("t", "--batch-api", "--no-wait")
    return kg


def listed(kg: Kg, *words: str) -> list[dict]:
    return json.loads(kg("batches", *words, "--json").out)


def test_pending_jobs_are_listed_with_what_they_may_cost(kg):
    jobs = listed(kg)
    assert {job["stage"] for job in jobs} == {"extract", "embed"}
    assert all(job["status"] in {"validating", "in_progress"} for job in jobs)
    assert all(job["cost_at_most"] > 0 for job in jobs)
    out = kg("batches").out
    assert all(job["job"] in out for job in jobs)


def test_refreshing_asks_the_provider(kg, server):
    server.configure(batch_duration=60.0)
    before = listed(kg)
    after = listed(kg, "--refresh")
    assert all(now["seen_at"] >= then["seen_at"] for now, then in zip(after, before, strict=True))
    assert {job["status"] for job in after} <= {"validating", "in_progress"}


def test_a_cancelled_job_is_collected_and_the_rest_asked_again(kg, server):
    job = listed(kg)[0]
    ran = kg("batches", "cancel", job["job"][:8])
    assert ran.code == 0
    assert "cancelling" in ran.out
    assert "cancelling" in kg("batches", "cancel", "--all").out
    server.configure(batch_duration=0.2)
    while any(job["status"] == "cancelling" for job in listed(kg, "--refresh")):
        pass
    report = kg.process("t", "--batch-api")
    assert report["chunks"]["written"] == report["chunks"]["total"]
    assert server.books(log=False)["batch"]["by_status"] == {"cancelled": 2, "completed": 2}


def test_jobs_that_are_over_are_listed_on_demand(kg, server, tmp_path):
    other = tmp_path / "other"
    write_meetings(other / "t", 1, turns=14)
    quick = Kg(other, **kg.env)
    server.configure(batch_duration=0.1)
    quick.process("t", "--batch-api")
    assert listed(quick) == []
    assert "no Batch jobs are pending" in quick("batches").out
    assert {job["status"] for job in listed(quick, "--all")} == {"completed"}


def test_a_job_that_this_key_does_not_see_is_left_alone_until_it_is_forgotten(kg, server):
    server.reset(batch_duration=0.1)  # another account, which knows none of the jobs
    report = kg.process("t", "--batch-api", code=5)
    assert report["chunks"]["pending"] == report["chunks"]["total"]
    assert report["left_open"]["batch_unknown"] > 0
    assert server.books(log=False)["batch"]["jobs"] == 0

    ran = kg("batches", "forget", *(job["job"] for job in listed(kg)))
    assert ran.code == 0
    assert listed(kg) == []
    report = kg.process("t", "--batch-api")
    assert report["chunks"]["written"] == report["chunks"]["total"]


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "--all"), (("nope",), "no pending Batch job is called 'nope'")],
)
def test_what_to_cancel_has_to_be_named(kg, words, said):
    ran = kg("batches", "cancel", *words)
    assert ran.code == 1
    assert said in ran.err


def test_a_job_at_another_server_is_not_asked_there(kg):
    ran = kg("batches", "--refresh", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert ran.code == 1
    assert "went to" in ran.err
