"""The demonstration shows what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.demo import main


def test_the_demo_leaves_traces_metrics_and_reports_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(tmp_path) == 0
    said = capsys.readouterr().out
    for service in ("langsmith", "langfuse", "posthog", "phoenix", "otlp"):
        assert json.loads((tmp_path / "traces" / f"{service}.json").read_text("utf-8"))
        assert f"traces/{service}.json" in said
    assert len(list(tmp_path.glob(".kg/default/runs/*/report.json"))) == 3
    assert "kg_cost_usd_total" in (tmp_path / "kg.prom").read_text("utf-8")
