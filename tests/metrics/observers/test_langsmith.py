"""What goes to LangSmith is what its own library would take and send."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from urllib3.util import Retry

from tests.collectors.fixture import Running
from tests.kg import Kg, write_meetings


@pytest.fixture
def sent(openai_server, collectors: Running, tmp_path) -> list[dict[str, Any]]:
    """A run's records."""
    server = openai_server(faults=[{"kind": "http500", "times": 1, "stage": "chat"}])
    write_meetings(tmp_path / "t", 2, turns=20)
    Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test", **collectors.env).process("t")
    return collectors.got()["langsmith"]


def test_the_collector_takes_what_langsmiths_library_sends(collectors: Running):
    from langsmith import Client
    from langsmith.schemas import LangSmithInfo

    client = Client(
        api_url=f"{collectors.url}/langsmith",
        api_key="k",
        auto_batch_tracing=False,
        info=LangSmithInfo(version="test"),
        retry_config=Retry(total=0),
    )
    run, child = uuid.uuid4(), uuid.uuid4()
    now = dt.datetime.now(dt.UTC)
    stamp = now.strftime("%Y%m%dT%H%M%S%fZ")
    whole = {"session_name": "s", "inputs": {"a": 1}, "start_time": now, "trace_id": run}
    client.multipart_ingest(
        create=[
            {**whole, "id": run, "name": "one", "run_type": "chain", "dotted_order": f"{stamp}{run}"},
            {
                **whole,
                "id": child,
                "name": "two",
                "run_type": "llm",
                "parent_run_id": run,
                "dotted_order": f"{stamp}{run}.{stamp}{child}",
            },
        ]
    )
    client.close(timeout=1)
    got = collectors.got()["langsmith"]
    assert [record["name"] for record in got] == ["one", "two"]
    assert got[0]["inputs"] == {"a": 1}


def test_each_record_is_a_run_by_the_librarys_own_schema(sent):
    from langsmith.schemas import FeedbackCreate, Run

    runs = [Run(**record) for record in sent if record["verb"] == "post"]
    feedback = [FeedbackCreate(**record) for record in sent if record["verb"] == "feedback"]
    assert {run.run_type for run in runs} == {"chain", "llm", "embedding"}
    assert {one.key for one in feedback} == {"valid_replies", "grounded"}
    assert {one.trace_id for one in feedback} == {run.trace_id for run in runs}


def test_a_failed_attempt_and_the_one_after_it_are_two_runs_with_their_errors(sent):
    calls = [record for record in sent if record.get("run_type") == "llm"]
    assert [(call["error"], call["extra"]["metadata"]["kg_attempt"]) for call in calls[:2]] == [
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
