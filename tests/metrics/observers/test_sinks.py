"""The observer of all services: what it is told, however odd, arrives or harms nobody."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from cli.tracing import sinks_of
from core_engine.settings import Settings
from core_engine.types import Usage
from metrics.observers.sinks import Sinks
from tests.benchmarks.bench_sinks import settings_for
from tests.collectors.fixture import Running
from tests.metrics.observers.test_tree import CALL, call

SERVICES = ("langsmith", "langfuse", "posthog", "phoenix", "otlp")


@pytest.fixture
def sinks(collectors: Running) -> Sinks:
    made = sinks_of(settings_for(collectors.env), "run-1", "process", 99.0)
    assert made
    return made


def calls_in(got: dict[str, list[dict[str, Any]]]) -> list[int]:
    """How many calls each service got."""
    return [
        sum(r.get("run_type") in {"llm", "embedding"} for r in got["langsmith"]),
        *(sum("kg.call_id" in s["attributes"] for s in got[name]) for name in ("langfuse", "phoenix", "otlp")),
        sum(e["event"] in {"$ai_generation", "$ai_embedding"} for e in got["posthog"]),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"asked": "half \ud83d of a face", "replied": 'a "quote"\nand \0 \x1b[31m\u2028'},
        {"model": "half \ud83d", "model_answered": "\ud83d", "endpoint": "http://\ud83d"},
        {"duration_s": 0.0, "started_at": 0.001},
        {"usage": Usage(10**9, 10**9, 10**9, 10**9), "tokens_left": 10**12},
        {"status": "failed", "error_kind": "", "http_status": 0, "cost": None},
        {"batch_id": ""},
        {"tags": {"a b": "c\nd", "x" * 64: "ü" * 200}},
        {"chunks": tuple(map(str, range(5_000)))},
    ],
    ids="-".join,
)
def test_odd_calls_arrive_everywhere(sinks: Sinks, collectors: Running, changes: dict[str, Any]):
    sinks.call_finished(replace(call("b1"), **changes))
    sinks.run_finished(200.0, {}, {}, "")
    states = sinks.close()
    assert [(state.service, state.dropped, state.trouble) for state in states if state.trouble] == []
    assert calls_in(collectors.got()) == [1, 1, 1, 1, 1]


def test_odd_fields_of_events_arrive(sinks: Sinks, collectors: Running):
    sinks.event(
        "quota_warned", {"none": None, "nan": float("nan"), "object": CALL.cost, "list": [1, "x"], "big": 2**60}
    )
    sinks.run_finished(200.0, {}, {}, "")
    sinks.close()
    got = collectors.got()
    (event,) = [event for event in got["posthog"] if event["event"] == "kg quota warned"]
    assert (event["properties"]["none"], event["properties"]["object"]) == (None, "0.001")
    (root,) = [span for span in got["otlp"] if not span["parent"]]
    assert root["events"][0]["name"] == "kg.quota_warned"


def test_a_mistake_of_ours_ends_the_traces_and_not_the_run(sinks: Sinks):
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("kg.sinks").addHandler(handler)
    for _ in range(3):
        sinks.call_finished(None)  # type: ignore[arg-type]
    sinks.event("x", {})
    sinks.run_finished(1.0, {}, {}, "")
    sinks.close()
    logging.getLogger("kg.sinks").removeHandler(handler)
    assert said == ["traces end here: AttributeError: the run goes on without"]


def test_without_a_service_there_is_no_observer():
    assert sinks_of(Settings(), "run-1", "process", 1.0) is None


def test_the_persona_of_a_stage_is_the_user_of_its_calls(sinks: Sinks, collectors: Running):
    sinks.call_finished(call("b1", persona="ann"))
    sinks.call_finished(call("b1"))
    sinks.close()
    got = collectors.got()
    users = {s["attributes"]["user.id"] for s in got["otlp"] if "kg.call_id" in s["attributes"]}
    assert users == {"ann", "default"}
    assert {e["distinct_id"] for e in got["posthog"]} == {"ann", "default"}
    assert json.dumps(got["langsmith"]).count('"user_id": "ann"') == 1
