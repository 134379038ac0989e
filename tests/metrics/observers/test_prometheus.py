"""Prometheus: a file that its own parser takes, whatever names and numbers there are, and that is replaced in one step."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core_engine.ledger import calls, runs, tally
from core_engine.ledger.ledger import Ledger
from core_engine.types import LLMCall, Usage
from metrics.observers import prometheus
from metrics.observers.prometheus import NAMES, Snapshot
from tests.kg import Kg, write_meetings

EVIL = 'a "quoted" \\ name\nwith {braces} and ünïcode'


def series(text: bytes) -> dict[str, list[tuple[dict[str, str], float]]]:
    """What Prometheus's own parser makes of it."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "w" / "ledger.sqlite3") as ledger:
        yield ledger


def call(ledger: Ledger, took: float, *, wait: float = 0.0, model: str = "m", number: int = 0) -> None:
    made = LLMCall(
        f"{model}{number}",
        "run",
        "extract",
        model,
        "e",
        1,
        1,
        "answered",
        1e9,
        took,
        wait,
        usage=Usage(10),
        persona="p",
    )
    ledger.write(calls.begin, calls.Sending(made, 1, [1], "first", None))
    ledger.write(calls.finish, made, reply=None)


def snapshot(ledger: Ledger, **more: object) -> dict[str, list[tuple[dict[str, str], float]]]:
    found = Snapshot("1", **more)
    with ledger.reading() as db:
        found.take(db, "w")
    return series(found.text())


def report(ledger: Ledger, said: bytes, exit_code: int = 0, run: str = "run") -> None:
    ledger.write(runs.start, run, "process", 1e9, {})
    ledger.write(runs.finish, run, 1e9 + 5, "done", exit_code, said)


def test_labels_with_quotes_and_line_breaks_come_back_as_they_were(ledger):
    call(ledger, 1.0, model=EVIL)
    found = snapshot(ledger)
    assert {labels["model"] for labels, _ in found["kg_calls_total"]} == {EVIL}


def test_the_histograms_count_each_request_at_its_edge(ledger):
    for number, took in enumerate((0.0625, 0.07, 1.0, 1.01, 5_000.0)):
        call(ledger, took, wait=took / 2, number=number)
    found = snapshot(ledger)
    counts = {float(labels["le"]): value for labels, value in found["kg_call_duration_seconds_bucket"]}
    assert [counts[edge] for edge in (0.0625, 0.125, 0.5, 1.0, 2.0, 1024.0, math.inf)] == [1, 2, 2, 3, 4, 4, 5]
    [(_, total)] = found["kg_call_duration_seconds_sum"]
    assert total == pytest.approx(5_002.1425)
    [(_, waited)] = found["kg_limiter_wait_seconds_count"]
    assert waited == 5


def test_what_is_no_number_or_not_known_is_left_out(ledger):
    said = {"wall_s": None, "cost_usd": {"total": "much"}, "throughput": {"chunks_per_s": -0.0}, "exit_code": 0}
    report(ledger, json.dumps(said).encode())
    found = snapshot(ledger, quotas=[quota(projected=None, used=float("nan"))])
    assert "kg_last_run_duration_seconds" not in found
    assert "kg_last_run_cost_usd" not in found
    assert found["kg_last_run_exit_code"] == [({"workspace": "w"}, 0.0)]
    assert "kg_quota_projected" not in found
    assert "kg_quota_used" not in found
    assert found["kg_quota_limit"][0][1] == 5


def quota(**changed: object) -> dict[str, object]:
    return {"scope": "persona", "name": "ann", "period": "month", "unit": "tokens", "hard": True, "limit": 5.0,
            "used": 1.0, "remaining": 4.0, "projected": 6.0, **changed}  # fmt: skip


def test_counters_grow_from_run_to_run_also_when_calls_were_let_go(ledger):
    call(ledger, 1.0, number=1)
    first = snapshot(ledger)
    ledger.write(tally.fold)
    ledger.write(lambda db: db.execute("DELETE FROM call") and None)
    assert snapshot(ledger) == first
    call(ledger, 1.0, number=2)
    assert snapshot(ledger)["kg_tokens_total"][0][1] == 2 * first["kg_tokens_total"][0][1]


def test_the_last_success_is_that_of_the_last_good_run(ledger):
    report(ledger, b"{}", run="a")
    ledger.write(runs.start, "b", "process", 2e9, {})
    ledger.write(runs.finish, "b", 2e9 + 5, "failed", 5, b'{"exit_code": 5}')
    found = snapshot(ledger)
    assert found["kg_last_success_timestamp_seconds"] == [({"workspace": "w"}, 1e9 + 5)]
    assert found["kg_last_run_timestamp_seconds"] == [({"workspace": "w"}, 2e9 + 5)]
    assert found["kg_last_run_exit_code"] == [({"workspace": "w"}, 5)]


def test_every_name_that_there_is_is_listed(ledger):
    call(ledger, 1.0)
    failed = LLMCall("f", "run", "extract", "m", "e", 1, 1, "failed", 1e9, error_kind="timeout")
    ledger.write(calls.begin, calls.Sending(failed, 1, [1], "first", None))
    ledger.write(calls.finish, failed, reply=None)
    whole = {
        "wall_s": 1,
        "exit_code": 0,
        "cost_usd": {"total": 1, "per_chunk": 1},
        "calls": {"error_rate": 0, "rate_limited": 0},
    }
    whole |= {
        "throughput": {"chunks_per_s": 1, "limit_efficiency": 1, "peak_in_flight": 1},
        "documents": {"unreadable": 0},
    }
    report(ledger, json.dumps(whole).encode())
    assert set(snapshot(ledger, quotas=[quota()])) == NAMES


def test_two_workspaces_files_beside_each_other_hold_no_series_twice(ledger):
    """node_exporter refuses a folder in which one series stands twice."""
    call(ledger, 1.0)
    texts = []
    for name in ("a", "b"):
        found = Snapshot("1", name, [quota()])
        with ledger.reading() as db:
            found.take(db, name)
        texts.append({line.rpartition(" ")[0] for line in found.text().decode().splitlines() if line[0] != "#"})
    assert not texts[0] & texts[1]


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_file_is_replaced_in_one_step_and_can_be_read_by_whoever_node_exporter_is(tmp_path):
    file = tmp_path / "kg.prom"
    file.write_text("old")
    with file.open() as reader:
        prometheus.write(file, b"new\n")
        assert reader.read() == "old"  # who has it open still sees the whole of it
    assert file.read_text() == "new\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]


@pytest.fixture
def kg(tmp_path, openai_server):
    write_meetings(tmp_path / "t", 1)
    return Kg(tmp_path, OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="sk-test")


def test_a_folder_that_can_not_be_written_is_told_and_the_run_is_none_the_worse(kg):
    (kg.folder / "textfiles").write_text("a file, where a folder should be")
    ran = kg("process", "t", "--prom-textfile", "textfiles/kg.prom")
    assert ran.code == 0
    assert "metrics for Prometheus were not written" in ran.err
    assert kg("process", "t", "--prom-textfile", "missing/kg.prom").code == 0


def test_a_name_that_node_exporter_would_never_read_is_refused_before_anything_is_made(kg):
    ran = kg("process", "t", "--prom-textfile", "kg.txt")
    assert ran.code == 1
    assert ".prom" in ran.err
    assert not (kg.folder / ".kg").exists()


def test_a_run_writes_its_workspace_and_kg_usage_all_of_them(kg):
    kg.process("t", "--prom-textfile", "one.prom", "--persona", "ann")
    kg.process("t", "-w", "other")
    assert kg("usage", "--prom-textfile", "all.prom").code == 0
    one, everything = (series((kg.folder / name).read_bytes()) for name in ("one.prom", "all.prom"))
    assert {labels["workspace"] for labels, _ in one["kg_calls_total"]} == {"default"}
    assert {labels["workspace"] for labels, _ in everything["kg_calls_total"]} == {"default", "other"}
    assert {labels["persona"] for labels, _ in one["kg_calls_total"]} == {"ann"}


# --- the Pushgateway -------------------------------------------------------------------------------------------------


def test_a_pushgateway_gets_what_the_file_would_hold(kg, collectors):
    kg.process("t", "--pushgateway", f"{collectors.url}/pushgateway", "--prom-textfile", "kg.prom")
    [got] = collectors.got()["pushgateway"]
    assert got["path"] == "metrics/job/kg/instance/default"
    assert got["text"] == (kg.folder / "kg.prom").read_text("utf-8")


@pytest.mark.parametrize("manner", ["hang", "drip", "reset", "500", "401", "closed"])
def test_a_bad_pushgateway_is_told_in_one_line_and_the_run_is_none_the_worse(kg, collectors, manner, monkeypatch):
    monkeypatch.setattr(prometheus, "PUSH_S", 0.5)
    url = "http://127.0.0.1:9" if manner == "closed" else f"{collectors.url}/pushgateway"
    if manner != "closed":
        collectors.be(pushgateway=manner)
    ran = kg("process", "t", "--no-model", "--pushgateway", url)
    assert ran.code == 0
    assert ran.err.count("the Pushgateway") == 1
    assert Path(kg.folder / ".kg" / "default" / "runs").is_dir()
