"""What goes to LangSmith is what its own library writes; the library itself sends nothing, and nothing else decides."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest
import requests

from metrics.observers.courier import Couriers
from metrics.observers.langsmith import LangSmith
from metrics.observers.records import About, Node, Score
from tests.collectors.fixture import Running
from tests.kg import ROOT, Kg, write_meetings

_ID = "0123456789abcdef0123456789abcdef"
_BEGUN = Node(_ID, "run", "kg process", None, 1_796_000_000.0)
_ENDED = Node(_ID, "run", "kg process", None, 1_796_000_000.0, ended_at=1_796_000_009.0, told=True)
_SCORE = Score(_ID[::-1], _ID, "grounded", 0.5, "1 of 2 findings")


def langsmith(**given: Any) -> LangSmith:
    about = About("20261130-101500-abcdef", "process", "default", "ann", {}, "0")
    return LangSmith(
        about, **{"key": "lsv2-canary-key", "endpoint": "http://127.0.0.1:1/langsmith", "project": "nights", **given}
    )


@pytest.fixture
def sent(openai_server, collectors: Running, tmp_path) -> list[dict[str, Any]]:
    """A run's records."""
    server = openai_server(faults=[{"kind": "http500", "times": 1, "stage": "chat"}])
    write_meetings(tmp_path / "t", 2, turns=20)
    Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test", **collectors.env).process("t")
    return collectors.got()["langsmith"]


def test_each_record_is_a_run_by_the_librarys_own_schema(sent):
    from langsmith.schemas import FeedbackCreate, Run

    runs = [Run(**record) for record in sent if record["verb"] == "post"]
    feedback = [FeedbackCreate(**record) for record in sent if record["verb"] == "feedback"]
    assert {run.run_type for run in runs} == {"chain", "llm", "embedding"}
    assert {one.key for one in feedback} == {"valid_replies", "grounded"}
    assert {one.trace_id for one in feedback} == {run.trace_id for run in runs}


def test_a_failed_attempt_and_the_one_after_it_are_two_runs_with_their_errors(sent):
    calls = [record for record in sent if record.get("run_type") == "llm"]
    assert [(call.get("error"), call["extra"]["metadata"]["kg_attempt"]) for call in calls[:2]] == [
        ("http_500", 1),
        (None, 2),
    ]
    metadata = calls[1]["extra"]["metadata"]
    assert metadata["ls_model_name"] == "gpt-5-mini"
    assert metadata["kg_prompt_version"].startswith("extract.")
    assert metadata["usage_metadata"]["total_tokens"] > 0
    assert metadata["usage_metadata"]["total_cost"] > 0
    assert metadata["kg_chunk_ids"]


def test_the_run_is_there_from_its_beginning_and_is_ended_once(sent):
    first = sent[0]
    assert (first["verb"], first["run_type"], first["parent_run_id"]) == ("post", "chain", None)
    assert "end_time" not in first
    (end,) = [record for record in sent if record["id"] == first["id"] and record["verb"] == "patch"]
    assert end["end_time"]
    assert end["outputs"]["status"] == "done"


# --- the library ------------------------------------------------------------------------------------------------------


def test_each_request_says_how_many_of_the_records_it_carries_in_their_order():
    written = langsmith().requests([_BEGUN, _BEGUN, _ENDED, _SCORE, _SCORE, _BEGUN])
    assert [request.records for request in written] == [2, 1, 2, 1]
    assert {request.url for request in written} == {"http://127.0.0.1:1/langsmith/runs/multipart"}
    assert {request.headers["x-api-key"] for request in written} == {"lsv2-canary-key"}
    assert [f'"post.{_BEGUN.id[:8]}'.encode() in request.content for request in written] == [True, False, False, True]


def test_a_key_of_several_workspaces_says_which_one():
    written = langsmith(workspace_id="of-mine").requests([_BEGUN, _SCORE])
    assert [request.headers["X-Tenant-Id"] for request in written] == ["of-mine", "of-mine"]
    assert all("X-Tenant-Id" not in request.headers for request in langsmith().requests([_BEGUN, _SCORE]))


_ALONE = """
import json, os, sys, threading
events = []
watched = ("socket.connect", "socket.get", "socket.send", "subprocess.", "os.system", "os.exec", "os.fork",
           "os.posix_spawn", "_thread.start_new_thread")
sys.addaudithook(lambda name, args: events.append([name, repr(args)]) if name.startswith(watched) else None)
from cli.tracing import services_of
from core_engine.settings import Settings
from tests.metrics.observers.test_langsmith import _BEGUN, _ENDED, _SCORE, langsmith
settings = Settings(langsmith_api_key="k", langsmith_endpoint="http://127.0.0.1:1", langsmith_project="nights")
(service,) = services_of(settings, langsmith()._about, ["langsmith"])
before = "langsmith" in sys.modules
del events[:]  # of what is imported for the test itself
written = service.requests([_BEGUN, _ENDED, _SCORE])
print(json.dumps({
    "before": before,
    "events": events,
    "threads": threading.active_count(),
    "written": [
        [one.url, {k: v.split("boundary=")[0] for k, v in one.headers.items()},
         one.content.replace(one.headers.get("Content-Type", "").split("boundary=")[1].encode(), b"-").decode()]
        for one in written
    ],
}))
"""


def alone(**env: str) -> dict[str, Any]:
    """What LangSmith's first requests take in a process that has only these variables."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LANG", "OTEL_"))}
    ran = subprocess.run(
        [sys.executable, "-c", _ALONE], cwd=ROOT, env=environ | env, check=True, capture_output=True, text=True
    )
    assert ran.stderr == ""
    return json.loads(ran.stdout)


def test_the_library_is_loaded_at_the_first_record_and_starts_no_connection_thread_or_process():
    told = alone()
    assert (told["before"], told["events"], told["threads"]) == (False, [], 1)
    assert len(told["written"]) == 3


def test_no_variable_of_the_librarys_own_changes_what_is_sent(tmp_path):
    (tmp_path / "profiles.json").write_text(
        json.dumps(
            {
                "current_profile": "p",
                "profiles": {"p": {"api_key_cmd": "false", "api_url": "http://theirs", "oauth": "of another shape"}},
            }
        )
    )
    theirs = {
        "LANGSMITH_ENDPOINT": "http://theirs",
        "LANGSMITH_RUNS_ENDPOINTS": '{"http://theirs": "key", "http://others": "key"}',
        "LANGSMITH_API_KEY": "theirs",
        "LANGSMITH_WORKSPACE_ID": "theirs",
        "LANGSMITH_PROJECT": "theirs",
        "LANGSMITH_AGENT_ID": "an-agent",
        "LANGSMITH_AGENT_ENVIRONMENT": "theirs",
        "LANGSMITH_CONFIG_FILE": str(tmp_path / "profiles.json"),
        "LANGSMITH_TRACING": "false",
        "LANGSMITH_TRACING_MODE": "otel",
        "LANGSMITH_TRACING_SAMPLING_RATE": "0",
        "LANGSMITH_HIDE_INPUTS": "true",
        "LANGSMITH_HIDE_OUTPUTS": "true",
        "LANGSMITH_HIDE_METADATA": "true",
        "LANGSMITH_USE_PYO3_CLIENT": "1",
        "LANGSMITH_FAILED_TRACES_DIR": str(tmp_path / "failed"),
        "LANGSMITH_FAILED_TRACES_MAX_MB": "many",
        "LANGSMITH_ANYTHING": "theirs",
        "OTEL_ENABLED": "true",
    }
    assert alone(**theirs) == alone()
    assert not (tmp_path / "failed").exists()


def test_a_request_that_nobody_wanted_is_an_error_and_not_sent():
    service = langsmith()
    service.requests([_BEGUN])
    client = service._library._client
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        client.session.get(client.api_url)
    with pytest.raises(RuntimeError, match="GET would have been sent"):
        client.session.send(requests.Request("GET", client.api_url).prepare())
    client.request_with_retries("GET", "/info", data=b"")
    with pytest.raises(RuntimeError, match="2 requests"):
        service.requests([_BEGUN])


def test_an_address_that_the_library_does_not_take_is_said_at_once_and_counted(caplog: pytest.LogCaptureFixture):
    couriers = Couriers([langsmith(endpoint="api.smith.langchain.com")])
    with caplog.at_level(logging.DEBUG):
        couriers.tell(_BEGUN)
        (state,) = couriers.close()
    assert (state.sent, state.dropped) == (0, 1)
    assert "LANGSMITH_ENDPOINT" in state.trouble
    assert {record.name for record in caplog.records if record.levelno >= logging.INFO} == {"kg.sinks"}


def test_what_is_to_be_hidden_from_langsmith_is_hidden_from_it_alone(openai_server, collectors: Running, tmp_path):
    write_meetings(tmp_path / "t", 1, turns=20)
    kg = Kg(tmp_path, OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="sk-test", **collectors.env)
    hide = {"LANGSMITH_HIDE_INPUTS": "true", "LANGCHAIN_HIDE_OUTPUTS": "true"}
    kg.process("t", "--trace-content", "both", **hide)
    got = collectors.got()
    told = [record for record in got["langsmith"] if record["verb"] != "feedback"]
    assert [record for record in told if record.get("inputs") or record.get("outputs")] == []
    assert all(record["extra"]["metadata"]["kg_run"] for record in told)
    assert any("input.value" in span["attributes"] for span in got["otlp"])
    collectors.reset()
    kg.process("t", LANGSMITH_HIDE_METADATA="true")
    runs = [record for record in collectors.got()["langsmith"] if record["verb"] == "post"]
    assert [record["extra"]["metadata"] for record in runs] == [{}] * len(runs) != []
