"""What a run took is the same to the token and the cent wherever one looks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.collectors.fixture import Running
from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import Server

_LOCAL = "local-embedder"


@dataclass(frozen=True)
class Sums:
    """`dollars` to a millionth of a cent; `unpriced` are answered calls whose model has no price."""

    calls: int
    failed: int
    prompt: int
    cached: int
    completion: int
    reasoning: int
    dollars: Decimal
    unpriced: int


def sums(
    calls: Iterable[tuple[bool, int, int, int, int, float | str | None]],
) -> Sums:
    """Of (answered, prompt, cached, completion, reasoning, cost) each."""
    rows = list(calls)
    return Sums(
        calls=len(rows),
        failed=sum(not row[0] for row in rows),
        prompt=sum(row[1] for row in rows),
        cached=sum(row[2] for row in rows),
        completion=sum(row[3] for row in rows),
        reasoning=sum(row[4] for row in rows),
        dollars=round(sum((Decimal(str(row[5])) for row in rows if row[5] is not None), Decimal(0)), 8),
        unpriced=sum(row[0] and row[5] is None for row in rows),
    )


def ledgers(kg: Kg, run: str) -> Sums:
    columns = "status = 'answered', prompt, cached, completion, reasoning, cost"
    return sums(kg.ledger().execute(f"SELECT {columns} FROM call WHERE run = ?", (run,)))


def reports(report: Mapping[str, Any]) -> Sums:
    tokens, calls, cost = report["tokens"], report["calls"], report["cost_usd"]
    return Sums(
        calls=calls["chat"] + calls["embedding"],
        failed=calls["failed"],
        prompt=tokens["prompt"] + tokens["embedding"],
        cached=tokens["cached"],
        completion=tokens["completion"],
        reasoning=tokens["reasoning"],
        dollars=round(Decimal(str(cost["total"])), 8),
        unpriced=cost["unpriced_calls"],
    )


def logs(kg: Kg, run: str) -> tuple[int, int, Decimal]:
    """Calls, tokens and dollars: a line of the log has no more."""
    log = kg.folder / ".kg" / "default" / "runs" / run / "run.log"
    lines = [line for line in map(json.loads, log.read_text("utf-8").splitlines()) if line["logger"] == "kg.calls"]
    dollars = sum((Decimal(str(line["cost_usd"])) for line in lines if line["cost_usd"] is not None), Decimal(0))
    return len(lines), sum(line["tokens"] for line in lines), round(dollars, 8)


def books(server: Server) -> Sums:
    said = server.books()
    entries = [entry for entry in said["log"] if entry["stage"] in {"chat", "embeddings"}]
    tokens = said["tokens"]
    return Sums(
        calls=len(entries),
        failed=sum(entry["status"] != 200 for entry in entries),
        prompt=tokens["prompt"] + tokens["embedding"],
        cached=tokens["cached"],
        completion=tokens["completion"],
        reasoning=tokens["reasoning"],
        dollars=round(Decimal(said["dollars"]), 8),
        unpriced=sum(entry["status"] == 200 and entry["model"] == _LOCAL for entry in entries),
    )


def spans(found: list[dict[str, Any]]) -> Sums:
    calls = [span for span in found if "gen_ai.operation.name" in span["attributes"]]
    return sums(
        (
            span["status"] == 1,
            span["attributes"]["gen_ai.usage.input_tokens"],
            span["attributes"]["gen_ai.usage.cache_read.input_tokens"],
            span["attributes"]["gen_ai.usage.output_tokens"],
            span["attributes"].get("gen_ai.usage.reasoning.output_tokens", 0),
            span["attributes"].get("gen_ai.usage.cost"),
        )
        for span in calls
    )


def langfuses(found: list[dict[str, Any]]) -> tuple[int, Decimal]:
    """Tokens and dollars, by the attributes that Langfuse puts before all others."""
    said = [span["attributes"] for span in found]
    usage = [json.loads(each["langfuse.observation.usage_details"]) for each in said if "gen_ai.system" in each]
    cost = [json.loads(each.get("langfuse.observation.cost_details", '{"total": 0}'))["total"] for each in said]
    assert all(each["total"] == sum(value for name, value in each.items() if name != "total") for each in usage)
    return sum(each["total"] for each in usage), round(sum(map(Decimal, map(str, cost)), Decimal(0)), 8)


def langsmiths(found: list[dict[str, Any]]) -> Sums:
    calls = [record for record in found if record.get("run_type") in {"llm", "embedding"}]
    usages = [(call, call["extra"]["metadata"]["usage_metadata"]) for call in calls]
    return sums(
        (
            "error" not in call,
            usage["input_tokens"],
            usage["input_token_details"]["cache_read"],
            usage["output_tokens"],
            usage["output_token_details"]["reasoning"],
            usage.get("total_cost"),
        )
        for call, usage in usages
    )


def posthogs(found: list[dict[str, Any]]) -> Sums:
    calls = [event["properties"] for event in found if event["event"] in {"$ai_generation", "$ai_embedding"}]
    return sums(
        (
            not said["$ai_is_error"],
            said["$ai_input_tokens"],
            said["$ai_cache_read_input_tokens"],
            said.get("$ai_output_tokens", 0),
            said.get("$ai_reasoning_tokens", 0),
            said.get("$ai_total_cost_usd"),
        )
        for said in calls
    )


def usages(kg: Kg) -> Sums:
    total = json.loads(kg("usage", "--json").out)["total"]
    return Sums(
        calls=total["calls"],
        failed=total["failed"],
        **{name: total["tokens"][name] for name in ("prompt", "cached", "completion", "reasoning")},
        dollars=round(Decimal(str(total["cost_usd"]["paid"])), 8),
        unpriced=total["unpriced_calls"],
    )


def metrics_of(file: Path) -> Sums:
    """The cumulative counters of Prometheus, read by its own parser."""
    totals: dict[str, Decimal] = {}
    for family in text_string_to_metric_families(file.read_text("utf-8")):
        for sample in family.samples:
            kind = sample.labels.get("type") or sample.labels.get("status") or ""
            name = f"{sample.name} {kind}".strip()
            totals[name] = totals.get(name, Decimal(0)) + Decimal(str(sample.value))
    failed = int(totals["kg_calls_total failed"])
    return Sums(
        calls=int(totals["kg_calls_total answered"]) + failed,
        failed=failed,
        **{name: int(totals[f"kg_tokens_total {name}"]) for name in ("prompt", "cached", "completion", "reasoning")},
        dollars=round(totals["kg_cost_usd_total"], 8),
        unpriced=int(totals["kg_calls_unpriced_total"]),
    )


@pytest.fixture
def night(
    openai_server: Callable[..., Server], collectors: Running, tmp_path: Path
) -> tuple[Kg, dict[str, Any], Server, dict[str, list[dict[str, Any]]]]:
    """A run with retries, failures, replies that are billed and useless, cached tokens, and an unpriced model."""
    faults = [
        {"kind": "http500", "times": 3},
        {"kind": "left_out", "times": 2, "stage": "chat"},
        {"kind": "invalid_json", "times": 2, "stage": "chat"},
    ]
    server = openai_server(faults=faults, models=[_LOCAL], completion_tokens=600)
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary", **collectors.env)
    write_meetings(tmp_path / "t", 6, turns=40)
    words = (
        "--embedding-model",
        _LOCAL,
        "--dimensions",
        384,
        "--batch-size",
        4,
        "--persona",
        "ann",
        "--prom-textfile",
        tmp_path / "kg.prom",
    )
    report = kg.process("t", *words)
    return kg, report, server, collectors.got()


def test_ledger_report_server_and_every_service_have_the_same_sums(night):
    kg, report, server, got = night
    truth = ledgers(kg, report["run_id"])
    assert truth.failed >= 3
    assert truth.cached > 0
    assert truth.reasoning > 0
    assert truth.unpriced > 0
    assert truth.dollars > 0
    found = {
        "report": reports(report),
        "server": books(server),
        "usage": usages(kg),
        "Prometheus": metrics_of(kg.folder / "kg.prom"),
        "OTLP": spans(got["otlp"]),
        "Phoenix": spans(got["phoenix"]),
        "Langfuse": spans(got["langfuse"]),
        "LangSmith": langsmiths(got["langsmith"]),
        "PostHog": posthogs(got["posthog"]),
    }
    assert found == dict.fromkeys(found, truth)
    tokens = truth.prompt + truth.completion
    assert logs(kg, report["run_id"]) == (truth.calls, tokens, truth.dollars)
    assert langfuses(got["langfuse"]) == (tokens, truth.dollars)


def test_lines_of_batch_jobs_have_the_same_sums_too(openai_server, collectors: Running, tmp_path: Path):
    server = openai_server()
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test", **collectors.env)
    write_meetings(tmp_path / "t", 3, turns=40)
    report = kg.process("t", "--batch-api", KG_BATCH_POLL="0.05")
    truth, got = ledgers(kg, report["run_id"]), collectors.got()
    assert report["batch"]["requests"] > 0
    found = (reports(report), spans(got["otlp"]), langsmiths(got["langsmith"]), posthogs(got["posthog"]), usages(kg))
    assert found == (truth,) * 5
    assert truth.dollars == books(server).dollars
    lines = [span["attributes"] for span in got["otlp"] if "kg.call_id" in span["attributes"]]
    assert {said["gen_ai.provider.name"] for said in lines} == {"local"}
    assert {said["kg.workspace"] for said in lines} == {"default"}


def test_what_stands_above_the_calls_says_the_same_sums(night):
    _, report, _, got = night
    calls = report["calls"]["chat"] + report["calls"]["embedding"]
    for kind in ("run", "stage", "batch"):
        nodes = [span["attributes"] for span in got["otlp"] if span["attributes"].get("kg.kind") == kind]
        assert sum(node["kg.calls"] for node in nodes) == calls
        assert sum(node["kg.failed_calls"] for node in nodes) == report["calls"]["failed"]
        assert round(sum(node["kg.cost_usd"] for node in nodes), 8) == report["cost_usd"]["total"]
    (trace,) = [event["properties"] for event in got["posthog"] if event["event"] == "$ai_trace"]
    assert (trace["kg_calls"], round(trace["kg_cost_usd"], 8)) == (calls, report["cost_usd"]["total"])


def test_one_id_leads_from_the_ledger_to_every_service(night):
    kg, report, _, got = night
    ids = {row[0] for row in kg.ledger().execute("SELECT id FROM call WHERE run = ?", (report["run_id"],))}
    assert {r["id"].replace("-", "") for r in got["langsmith"] if r.get("run_type") in {"llm", "embedding"}} == ids
    assert {s["attributes"]["kg.call_id"] for s in got["otlp"] if "kg.call_id" in s["attributes"]} == ids
    assert {s["span"] for s in got["otlp"] if "kg.call_id" in s["attributes"]} == {one[:16] for one in ids}
    assert {e["properties"]["$ai_span_id"] for e in got["posthog"] if "$ai_span_id" in e["properties"]} == ids


def test_the_report_says_what_each_service_got(night):
    _, report, _, got = night
    assert {row["service"]: (row["sent"], row["dropped"], row["trouble"]) for row in report["traces"]} == {
        "LangSmith": (len(got["langsmith"]), 0, ""),
        "Langfuse": (len(got["langfuse"]), 0, ""),
        "Langfuse scores": (len(got["scores"]), 0, ""),
        "PostHog": (len(got["posthog"]), 0, ""),
        "Phoenix": (len(got["phoenix"]), 0, ""),
        "OTLP": (len(got["otlp"]), 0, ""),
    }


def test_every_span_hangs_in_one_tree_of_run_stage_batch_and_call(night):
    _, report, _, got = night
    spans = {span["span"]: span for span in got["otlp"]}
    kinds = {span: said["attributes"].get("kg.kind", "call") for span, said in spans.items()}
    above = {kinds[span]: kinds.get(said["parent"], "") for span, said in spans.items()}
    assert above == {"run": "", "stage": "run", "batch": "stage", "call": "batch"}
    assert len({span["trace"] for span in got["otlp"]}) == 1
    assert {span["attributes"]["session.id"] for span in got["otlp"]} == {report["run_id"]}
    assert {span["attributes"]["user.id"] for span in got["otlp"]} == {"ann"}
