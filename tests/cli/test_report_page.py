"""docs/report.md says what is in a report: no field less, none more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.kg import ROOT, Kg, write_meetings
from tests.openai_server.fixture import Server

_BY_NAME = {"parts", "settings", "prices", "by_model", "stepped_down", "left_open"}
"""Objects whose keys are names from elsewhere: models, endpoints, reasons, settings."""


@pytest.fixture
def report(kg: Kg, openai_server: Callable[..., Server]) -> dict[str, Any]:
    write_meetings(kg.folder / "meetings", 1, turns=6)
    return kg.process("meetings", OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")


def _fields(report: Mapping[str, Any]) -> Iterator[str]:
    for name, value in report.items():
        if name == "estimate":
            yield name  # empty without a model
        if isinstance(value, dict) and name not in _BY_NAME:
            yield from (f"{name}.{inner}" for inner in value)
        else:
            yield name


def test_every_field_of_a_report_is_documented_and_no_other(report: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8").split("## Exit codes")[0]
    documented = re.findall(r"^\| `([a-z0-9_.]+)` \|", page, re.MULTILINE)
    assert sorted(documented) == sorted(_fields(report))


def test_the_counts_of_chunks_add_up(report: dict[str, Any]) -> None:
    chunks = report["chunks"]
    assert chunks["total"] == chunks["written"] + chunks["reused"] + chunks["dead"] + chunks["pending"] > 0
