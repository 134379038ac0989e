"""docs/observability.md and deploy/posthog name what arrives, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.logs import _FIELDS
from tests.collectors.fixture import Running
from tests.kg import ROOT, Kg, write_meetings
from tests.openai_server.fixture import Server

PAGE = (ROOT / "docs" / "observability.md").read_text("utf-8")


def section(title: str) -> str:
    found = re.search(rf"^(##+) {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[2]


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.fixture
def got(
    openai_server: Callable[..., Server], collectors: Running, tmp_path: Path
) -> tuple[Kg, dict[str, list[dict[str, Any]]]]:
    """All that a run with content, a persona, a tag, a failure and a dead letter sends."""
    faults = [
        {"kind": "http500", "times": 1, "stage": "chat"},
        {"kind": "refusal", "match": "point 0,", "stage": "chat"},
    ]
    server = openai_server(faults=faults)
    write_meetings(tmp_path / "t", 1, turns=20)
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test", **collectors.env)
    kg.process("t", "--persona", "ann", "--tag", "NAME=x", "--trace-content", "both", code=2)
    return kg, collectors.got()


def test_all_that_arrives_is_named_on_the_page(got):
    _, found = got
    figures = named(section("Events"))
    spans = named(section("What spans hold"))
    seen = {name for span in found["otlp"] for name in span["attributes"]}
    assert {name for name in seen if name not in spans and name.removeprefix("kg.") not in figures} == set()
    smith = named(section("LangSmith"))
    metadata = {name for record in found["langsmith"] for name in record.get("extra", {}).get("metadata", {})}
    assert metadata - smith == set()
    hog = named(section("PostHog"))
    events = {event["event"] for event in found["posthog"]}
    assert events - hog == set()
    properties = {name for event in found["posthog"] for name in event["properties"]}
    ours = {name for name in properties if not name.startswith(("$lib", "$process", "$geoip"))}
    assert {n for n in ours if n not in hog and n.removeprefix("kg_") not in figures} == set()


def test_all_that_the_page_names_arrives(got):
    _, found = got
    attributes = {name for span in found["otlp"] for name in span["attributes"]}
    spans = {name for name in named(section("What spans hold")) if re.fullmatch(r"[a-z_]+(\.[A-Za-z_]+)+", name)}
    assert spans - attributes == set()
    hog = {name for name in named(section("PostHog")) if name.startswith(("$ai_", "kg_"))}
    said = {name for event in found["posthog"] for name in (*event["properties"], event["event"])}
    assert hog - said == set()
    smith = {name for name in named(section("LangSmith")) if name.startswith(("kg_", "ls_"))}
    metadata = {name for record in found["langsmith"] for name in record.get("extra", {}).get("metadata", {})}
    assert smith - metadata == set()


def test_the_logs_schema_is_the_one_on_the_page(got):
    kg, _ = got
    table = re.findall(r"^\| `(\w+)` \|", section("Logs"), re.MULTILINE)
    assert set(table) == {"ts", "level", "logger", "msg", "run_id", *_FIELDS, "traceback"}
    lines = [json.loads(line) for log in kg.folder.rglob("run.log") for line in log.read_text("utf-8").splitlines()]
    assert {name for line in lines for name in line} <= set(table)
    calls = [line for line in lines if line["logger"] == "kg.calls"]
    always = set(table) - {"path", "event", "fields", "traceback"}
    assert all(line.keys() == always for line in calls)
    events = {line["event"] for line in lines if line["logger"] == "kg.events"}
    assert events == {"run_started", "dead_letter", "run_finished"}
    assert all(line["fields"].keys() <= named(section("Events")) for line in lines if "event" in line)


def test_the_dashboards_ask_only_for_events_and_properties_that_exist():
    file = ROOT / "deploy" / "posthog" / "dashboard.json"
    known = named(section("PostHog")) | named(section("Events"))
    asked = set()
    for dashboard in json.loads(file.read_text("utf-8"))["dashboards"]:
        for tile in dashboard["tiles"]:
            query = tile["query"]["source"]
            for node in query["series"]:
                asked |= {node["event"], node.get("math_property"), *(p["key"] for p in node.get("properties", ()))}
            asked.add(query.get("breakdownFilter", {}).get("breakdown"))
    assert asked - {None} - known == set()


def test_the_program_that_makes_the_dashboards_shows_them():
    program = ROOT / "deploy" / "posthog" / "make.py"
    shown = subprocess.run([sys.executable, str(program), "--print"], check=True, capture_output=True, text=True)
    assert len(json.loads(shown.stdout)["dashboards"]) == 2
