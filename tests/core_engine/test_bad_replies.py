"""Bad replies, refusals and broken connections, by the real command against the test server: nothing good is lost."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.kg import Kg, meeting, write_meetings
from tests.openai_server.faults import ANY_KINDS, CHAT_KINDS, EMBEDDING_KINDS

POISON = "meeting 0 point 20,"
FAST = ("t", "--batch-size", 8, "--max-concurrent", 4, "--retries", 0)
CHUNKS_A_BATCH = 8

# What becomes of the one chunk that a fault is about. Everything else is harmless: repaired, dropped, or taken as it is.
DEAD = {
    "chat": {
        "wrong_schema": "wrong_schema",
        "empty": "empty",
        "null": "empty",
        "refusal": "refusal",
        "content_filter": "content_filter",
        "content_filter_400": "content_filter",
        "left_out": "left_out",
        "many_entities": "truncated",  # by the ceiling on the output
        "huge_string": "truncated",
        "http400": "http_400",
        "http413": "too_large",
        "http422": "http_422",
    },
    "embeddings": {
        "wrong_count": "wrong_count",
        "wrong_dimension": "wrong_dimension",
        "nan": "not_a_number",
        "zeros": "all_zeros",
        "http400": "http_400",
        "http413": "too_large",
        "http422": "http_422",
    },
}
OPEN = {
    "wrong_encoding": {"broken"},
    "html200": {"html"},
    "cut_body": {"reset", "broken"},
    "reset_before": {"reset"},
    "reset_in_body": {"reset", "broken"},
    "drip": {"timeout"},
    "endless_chunked": {"timeout"},
    "hang": {"timeout"},
    "http408": {"http_408"},
    "http409": {"http_409"},
    "quotes": {"http_500"},
    "http500": {"http_500"},
    "http502": {"http_502"},
}
ENDS = {"redirect", "insufficient_quota", "http401", "http402", "http403", "http404"}
# Plausible answers under each other's numbers: the checks can't know all of them.
ANSWERED_OTHERWISE = {"swapped", "dictated", "smuggled"}
KINDS = [(kind, "chat") for kind in CHAT_KINDS] + [(kind, "embeddings") for kind in EMBEDDING_KINDS]
KINDS += [(kind, stage) for stage in DEAD for kind in ANY_KINDS if kind != "httpNNN"]
KINDS += [(f"http{n}", s) for s in DEAD for n in (400, 401, 402, 403, 404, 408, 409, 413, 422, 500, 502)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, openai_server_pool) -> dict[str, Any]:
    """The graph of the same files from a server without faults."""
    from tests.openai_server.fixture import start

    folder = tmp_path_factory.mktemp("undisturbed")
    write_meetings(folder / "t", 2, turns=60)
    server = openai_server_pool.pop() if openai_server_pool else start()
    server.reset()
    kg = Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary")
    kg.process(*FAST)
    openai_server_pool.append(server)
    return kg.graph()


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 2, turns=60)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary")


def adds_up(report: dict[str, Any]) -> bool:
    chunks = report["chunks"]
    return chunks["total"] == sum(chunks[name] for name in ("written", "reused", "dead", "pending"))


def bought_again(kg: Kg) -> int:
    """Questions that a call asked after another call had answered them."""
    db = kg.ledger()
    [(count,)] = db.execute(
        "SELECT count(*) FROM question q JOIN call first ON first.no = q.call, call later, json_each(later.questions) j "
        "WHERE q.state = 2 AND later.no > first.no AND j.value = q.no"
    )
    db.close()
    return count


# --- every fault there is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "stage"), KINDS)
def test_a_fault_about_one_chunk_costs_that_chunk_alone(kg, server, undisturbed, kind, stage):
    server.configure(faults=[{"kind": kind, "stage": stage, "match": POISON}])
    slow = kind in {"drip", "endless_chunked", "hang"}
    ran = kg("process", *FAST, "--json", *(("--timeout", 1.5) if slow else ()))
    report = ran.report
    chunks = report["chunks"]
    assert adds_up(report)
    assert chunks["total"] == 20
    assert bought_again(kg) == 0
    assert 0 < report["cost_usd"]["total"] < 1
    column = "extract" if stage == "chat" else "embed"
    if kind in ENDS:
        assert ran.code == 5
        assert report["ended"]
        assert not report["dead_letters"]
    elif kind in OPEN:
        assert ran.code == 5
        assert (chunks["written"], chunks["dead"], chunks["pending"]) == (19, 0, 1)
        assert sum(report["left_open"].values()) == 1
        assert report["left_open"].keys() <= OPEN[kind]
    elif reason := DEAD[stage].get(kind):
        assert ran.code == 2
        assert (chunks["written"], chunks["dead"], chunks["pending"]) == (19, 1, 0)
        assert [(letter["stage"], letter["reason"]) for letter in report["dead_letters"]] == [(column, reason)]
    else:
        assert ran.code == 0
        assert chunks["written"] == chunks["total"]
    if stage == "chat" and kind not in ENDS:
        assert report["calls"]["reasked"] <= 2 * math.ceil(math.log2(CHUNKS_A_BATCH)) + 1
    server.configure(faults=[])
    command = ("retry", "--retries", 0) if report["dead_letters"] else ("process", *FAST)
    healed = kg(*command, "--json")
    assert healed.code == 0, healed.err
    assert adds_up(healed.report)
    assert bought_again(kg) == 0
    assert kind in ANSWERED_OTHERWISE or kg.graph() == undisturbed
    assert kg.process(*FAST)["chunks"] == {
        "total": 20,
        "written": 0,
        "reused": 20,
        "dead": 0,
        "pending": 0,
        "bought": 0,
    }


@pytest.mark.parametrize("kind", ["http400", "wrong_schema", "left_out", "http500"])
@pytest.mark.parametrize("points", [(3,), (3, 50), (3, 20, 50)])
def test_k_poison_chunks_in_a_batch_of_n_take_at_most_so_many_further_calls(kg, server, tmp_path, kind, points):
    lines = [f"{line} Zanzibar." if at in points else line for at, line in enumerate(meeting(0, 60))]
    (tmp_path / "t" / "m0.txt").write_text("\n".join(lines), encoding="utf-8")
    server.configure(faults=[{"kind": kind, "stage": "chat", "match": "Zanzibar", "per": "chunk"}])
    ran = kg("process", "t/m0.txt", "--batch-size", 10, "--retries", 0, "--embedder", "none", "--json")
    report = ran.report
    total, poison = report["chunks"]["total"], len(points)
    assert total == 10
    assert report["chunks"]["written"] == total - poison
    assert report["chunks"]["dead" if kind != "http500" else "pending"] == poison
    assert report["calls"]["reasked"] <= poison * (2 * math.ceil(math.log2(total)) + 1)
    assert bought_again(kg) == 0


def test_what_came_is_counted_by_what_it_was_worth(kg, server):
    server.configure(
        faults=[
            {"kind": "fenced", "match": "meeting 1 point 3,"},
            {"kind": "wrong_schema", "match": POISON},
        ]
    )
    report = kg.process(*FAST, code=2)
    replies, calls = report["replies"], report["calls"]
    assert replies["repaired"] == 1
    assert replies["invalid_by_reason"] == {"wrong_schema": calls["reasked"] // 2 + 2}
    assert replies["valid"] + replies["repaired"] + sum(replies["invalid_by_reason"].values()) == calls["chat"]
    assert 0 < report["cost_usd"]["wasted"] < report["cost_usd"]["total"]
    assert report["cost_usd"]["unknown_calls"] == 0


def test_a_reply_that_never_came_is_told_with_what_it_may_cost_at_most(kg, server):
    server.configure(faults=[{"kind": "cut_body", "stage": "chat", "times": 1}])
    report = kg.process(*FAST[:-1], 2)
    assert report["chunks"]["written"] == report["chunks"]["total"]
    cost = report["cost_usd"]
    assert (report["calls"]["retried"] >= 1, cost["unknown_calls"]) == (True, 1)
    billed = float(server.books(log=False)["dollars"])
    assert cost["total"] < billed <= cost["total"] + cost["unknown_at_most"]


@pytest.mark.parametrize("kind", ["no_usage", "zero_usage", "absurd_usage"])
def test_a_reply_without_believable_usage_is_counted_at_its_ceiling_and_never_free(kg, server, kind):
    server.configure(faults=[{"kind": kind}])
    report = kg.process(*FAST, "--max-cost", 100)
    answered = report["calls"]["chat"] + report["calls"]["embedding"] - report["calls"]["failed"]
    cost = report["cost_usd"]
    assert (cost["unknown_calls"], cost["unpriced_calls"], cost["total"]) == (answered, 0, 0)
    assert answered > 0
    assert float(server.books(log=False)["dollars"]) < cost["unknown_at_most"]
    assert report["budget"]["caps"][0]["spent"] == pytest.approx(cost["unknown_at_most"], abs=1e-7)


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_wrong_key_ends_the_run_after_exactly_one_call(kg, server):
    server.configure(require_key="sk-another")
    report = kg.process(*FAST, "--embedder", "none", code=5)
    assert server.books(log=False)["calls"] == report["calls"]["chat"] == 1
    assert "401" in report["ended"]
    assert "OPENAI_API_KEY" in report["ended"]
    assert report["chunks"]["pending"] == report["chunks"]["total"]


def test_a_spent_quota_ends_the_run_and_the_next_one_goes_on(kg, server, undisturbed):
    server.configure(quota=0.001)
    report = kg.process("t", "--batch-size", 2, "--max-concurrent", 1, code=5)
    assert "quota" in report["ended"]
    assert report["chunks"]["pending"] > 0
    assert adds_up(report)
    bought = server.books(log=False)["by_model"]["gpt-5-mini"]["questions"]
    server.configure(quota=None)
    report = kg.process("t", "--batch-size", 2)
    assert report["chunks"]["pending"] == report["chunks"]["dead"] == 0
    assert bought_again(kg) == 0
    refused = 2  # questions of the request that met the spent quota
    assert server.books(log=False)["by_model"]["gpt-5-mini"]["questions"] <= 20 + refused
    assert bought >= 2
    assert kg.graph() == undisturbed


def test_a_chat_only_server_is_told_with_the_way_out_and_that_way_works(kg, server, undisturbed):
    server.configure(refuse=["embeddings"])
    report = kg.process(*FAST, code=5)
    assert "--embedder none" in report["ended"]
    report = kg.process(*FAST, "--embedder", "none")
    assert report["chunks"]["pending"] == 0
    assert bought_again(kg) == 0
    assert kg.graph() == undisturbed


def test_a_server_that_only_fails_ends_the_run_soon(kg, server):
    server.configure(faults=[{"kind": "http500", "stage": "chat"}])
    report = kg.process("t", "--batch-size", 1, "--retries", 0, "--embedder", "none", code=5)
    assert report["calls"]["chat"] <= 4
    assert "500" in report["ended"]
    assert report["chunks"]["pending"] == report["chunks"]["total"]


def test_a_server_that_is_not_there_ends_the_run(kg, server):
    report = kg.process(*FAST, OPENAI_BASE_URL="http://127.0.0.1:1/v1", code=5)
    assert report["chunks"]["pending"] == report["chunks"]["total"]
    assert server.books(log=False)["calls"] == 0


def test_vectors_of_another_size_than_asked_for_are_refused_before_they_are_kept(kg, server):
    report = kg.process(*FAST, "--dimensions", 99, OPENAI_BASE_URL=server.url, code=0)
    assert report["vectors"]["points"] == 20
    server.configure(faults=[{"kind": "wrong_dimension", "per": "chunk"}])
    report = kg.process(*FAST, "-w", "other", code=5)
    assert "instead of 1536" in report["ended"]
    server.configure(faults=[])
    assert kg.process(*FAST, "-w", "other")["vectors"]["points"] == 20


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"rpm": 400}, {"tpm": 400_000}, {"rpm": 600, "tpm": 600_000, "per_second": True}])
def test_a_small_limit_costs_time_and_nothing_else(kg, server, undisturbed, limits):
    server.configure(**limits)
    report = kg.process("t", "--batch-size", 1, "--max-concurrent", 20)
    assert report["chunks"]["written"] == report["chunks"]["total"]
    assert bought_again(kg) == 0
    assert kg.graph() == undisturbed


def test_retry_after_is_waited_out(kg, server):
    server.configure(faults=[{"kind": "http429", "stage": "chat", "times": 2}], keep_requests=1000)
    report = kg.process("t", "--batch-size", 4, "--embedder", "none")
    assert report["chunks"]["written"] == report["chunks"]["total"]
    assert report["calls"]["rate_limited"] == 2
    log = server.books()["log"]
    refused = [entry["at"] for entry in log if entry["status"] == 429]
    for at in refused:
        assert not [entry for entry in log if at < entry["at"] < at + 0.05]


def test_a_server_that_asks_for_patience_gets_it(kg, server):
    server.configure(faults=[{"kind": "http503", "stage": "chat", "times": 3}])
    report = kg.process(*FAST, "--embedder", "none")
    assert report["chunks"]["written"] == report["chunks"]["total"]
    assert report["calls"]["failed"] >= 3
