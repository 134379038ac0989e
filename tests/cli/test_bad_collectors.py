"""Services that are away, hang, refuse or answer nonsense: the run is as it would be without them."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.collectors.fixture import Running, environment
from tests.kg import Kg, Ran, write_meetings
from tests.openai_server.fixture import Server

SERVICES = {"LangSmith", "Langfuse", "PostHog", "Phoenix", "OTLP"}


@pytest.fixture
def kg(openai_server: Callable[..., Server], tmp_path: Path) -> Kg:
    server = openai_server(faults=[{"kind": "http500", "times": 1, "stage": "chat"}])
    write_meetings(tmp_path / "t", 2, turns=30)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test")


def outcome(report: dict[str, Any]) -> dict[str, Any]:
    """What came of a run, whatever its time and its id."""
    graph = {name: report["graph"][name] for name in ("entities", "relationships", "mentions", "statements")}
    return {
        "graph": graph,
        **{name: report[name] for name in ("status", "exit_code", "chunks", "vectors", "dead_letters")},
    }


def warnings(ran: Ran) -> Counter[str]:
    """How many lines there are about each service."""
    lines = [json.loads(line) for line in ran.err.splitlines()]
    about = [line["msg"] for line in lines if line["logger"] == "kg.sinks"]
    return Counter(
        next(name for name in (*SERVICES, "Langfuse scores") if text.startswith(f"{name} (")) for text in about
    )


@pytest.mark.parametrize("manner", ["closed", "hang", "401", "500", "429", "html", "reset", "drip", "422"])
def test_with_all_services_bad_a_run_is_as_without_them(kg: Kg, collectors: Running, manner: str):
    plain = kg.process("t", "--workspace", "plain")
    env = collectors.env
    if manner == "closed":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            env = environment(f"http://127.0.0.1:{listener.getsockname()[1]}")
    else:
        collectors.be(all_of_them=manner)
    ran = kg("process", "t", "--json", "--workspace", "watched", **env)
    assert outcome(ran.report) == outcome(plain)
    said = warnings(ran)
    assert set(said) - {"Langfuse scores"} == SERVICES
    assert set(said.values()) == {1}
    rows = {row["service"]: row for row in ran.report["traces"]}
    assert all(row["sent"] == 0 and row["dropped"] > 0 and row["trouble"] for row in rows.values())
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("kg-")] == []


def test_a_run_that_is_stopped_or_fails_tells_how_it_ended(kg: Kg, collectors: Running, tmp_path: Path):
    ran = kg("process", "t", "--json", "--max-cost", "0.0001", "--yes", **collectors.env)
    assert ran.code == 3
    (root,) = [s for s in collectors.got()["otlp"] if s["attributes"].get("kg.kind") == "run"]
    assert (root["status"], root["message"], root["attributes"]["kg.exit_code"]) == (2, "budget", 3)


def test_a_process_with_services_that_hang_ends(kg: Kg, collectors: Running):
    collectors.be(all_of_them="hang")
    process = kg.started("process", "t", "--json", **collectors.env)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert len(json.loads(out)["traces"]) == 6


@pytest.mark.parametrize(
    "env",
    [
        {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": ""},
        {"LANGSMITH_TRACING": "false", "LANGSMITH_API_KEY": "k"},
        {"LANGSMITH_API_KEY": "k"},
        {"LANGFUSE_PUBLIC_KEY": "k", "LANGFUSE_SECRET_KEY": ""},
        {"POSTHOG_API_KEY": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_a_service_without_a_key_or_that_is_switched_off_is_not_told(kg: Kg, env: dict[str, str]):
    ran = kg("process", "t", "--json", **env)
    assert ran.report["traces"] == []
    assert "kg.sinks" not in ran.err


def test_the_older_names_of_langsmiths_variables_do(kg: Kg, collectors: Running):
    older = {
        "LANGCHAIN_TRACING_V2": "true",
        "LANGCHAIN_API_KEY": "k",
        "LANGCHAIN_ENDPOINT": f"{collectors.url}/langsmith",
        "LANGCHAIN_PROJECT": "old",
    }
    kg.process("t", **older)
    assert {record["session_name"] for record in collectors.got()["langsmith"] if "session_name" in record} == {"old"}


def test_a_share_of_batches_can_be_told_while_the_sums_are_of_all(kg: Kg, collectors: Running):
    report = kg.process("t", "--batch-size", 1, "--trace-sample", "0.3", **collectors.env)
    got = collectors.got()["otlp"]
    calls = [span for span in got if "kg.call_id" in span["attributes"]]
    (root,) = [span["attributes"] for span in got if span["attributes"].get("kg.kind") == "run"]
    made = report["calls"]["chat"] + report["calls"]["embedding"]
    assert 0 < len(calls) < made == root["kg.calls"]


def test_otlp_by_grpc_is_said_and_left_out(kg: Kg, collectors: Running):
    words = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    ran = kg("process", "t", "--json", **words)
    assert ran.code == 0
    assert "OTLP by gRPC is not spoken" in ran.err
    assert ran.report["traces"] == []


def test_a_run_by_rules_is_traced_too(kg: Kg, collectors: Running):
    report = kg.process("t", "--no-model", **collectors.env)
    assert report["calls"]["chat"] == 0
    (root,) = [span for span in collectors.got()["otlp"] if not span["parent"]]
    assert root["attributes"]["kg.chunks_written"] == report["chunks"]["written"]
