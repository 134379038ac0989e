"""kg_batch.observe: other programs' calls, in the same ledger, quotas and traces."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kg_batch import observe
from tests.collectors.fixture import Running
from tests.kg import ROOT, Kg, write_meetings

REPLY = SimpleNamespace(
    id="chatcmpl-1",
    model="gpt-5-mini-2025-08-07",
    usage=SimpleNamespace(
        prompt_tokens=1_000,
        completion_tokens=200,
        prompt_tokens_details=SimpleNamespace(cached_tokens=400),
        completion_tokens_details=SimpleNamespace(reasoning_tokens=50),
    ),
)
COST = 0.00056  # (600 × 0.25 + 400 × 0.025 + 200 × 2) / a million


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("KG_HOME", "KG_WORKSPACE", "KG_PERSONA", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(observe, "_told", threading.Event())
    return tmp_path / ".kg"


def noted(home: Path, workspace: str = "default") -> list[dict[str, Any]]:
    return [json.loads(file.read_text("utf-8")) for file in sorted((home / workspace / "inbox").glob("*.json"))]


def total(kg: Kg, *words: str) -> dict[str, Any]:
    ran = kg("usage", "--json", *words)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_a_call_in_a_with_block_is_noted_with_usage_times_and_names_and_no_content(home):
    with observe.call("summaries", model="gpt-5-mini", persona="ann", prompt_version="sum.v1") as call:
        call.answered(REPLY)
    (said,) = noted(home)
    assert said["id"] == call.id
    assert said["duration_s"] >= 0
    tokens = {name: said[name] for name in ("prompt", "completion", "cached", "reasoning")}
    assert tokens == {"prompt": 1_000, "completion": 200, "cached": 400, "reasoning": 50}
    assert (said["model"], said["model_answered"], said["request_id"]) == ("gpt-5-mini", REPLY.model, "chatcmpl-1")
    assert set(said) == {
        *("v", "id", "name", "model", "endpoint", "persona", "prompt_version", "status", "started_at", "duration_s"),
        *("prompt", "completion", "cached", "reasoning", "model_answered", "request_id"),
    }


def test_the_file_is_for_its_owner_alone(home):
    with observe.call("x", model="m"):
        pass
    (file,) = (home / "default" / "inbox").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_what_the_program_raises_goes_through_and_the_call_is_noted_as_failed(home):
    with pytest.raises(ZeroDivisionError), observe.call("x", model="m"):
        print(1 / 0)
    assert [(said["status"], said["error_kind"]) for said in noted(home)] == [("failed", "ZeroDivisionError")]


def test_a_decorator_takes_plain_and_async_functions_and_gives_their_replies(home):
    @observe.calls("ask", model="gpt-5-mini")
    def ask(text: str) -> Any:
        """Doc."""
        return REPLY if text else None

    @observe.calls("ask", model="gpt-5-mini")
    async def ask_later(text: str) -> Any:
        await asyncio.sleep(0)
        return REPLY

    assert ask("x") is REPLY
    assert ask("") is None
    assert asyncio.run(ask_later("x")) is REPLY
    assert (ask.__name__, ask.__doc__) == ("ask", "Doc.")
    assert [said.get("prompt") for said in noted(home)] == [1_000, None, 1_000]


def test_replies_of_the_responses_api_of_embeddings_and_as_json_are_read(home):
    responses = {"id": "r", "model": "m2", "usage": {"input_tokens": 7, "output_tokens": 3}}
    embeddings = SimpleNamespace(model="e", usage=SimpleNamespace(prompt_tokens=9))
    for reply in (responses, embeddings, "nonsense", None, SimpleNamespace(usage=SimpleNamespace(prompt_tokens="x"))):
        with observe.call("x", model="m") as call:
            call.answered(reply)
    assert [(said.get("prompt"), said.get("completion")) for said in noted(home)] == [
        (7, 3),
        (9, 0),
        (None, None),
        (None, None),
        (None, None),
    ]


def test_many_threads_and_tasks_lose_nothing(home):
    def work() -> None:
        for _ in range(50):
            with observe.call("x", model="m") as call:
                call.used(prompt=1)

    async def tasks() -> None:
        async def one() -> None:
            async with observe.call("x", model="m") as call:
                await asyncio.sleep(0)
                call.used(prompt=1)

        await asyncio.gather(*(one() for _ in range(50)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    said = noted(home)
    assert len({one["id"] for one in said}) == len(said) == 250


@pytest.fixture
def warned() -> Iterator[list[str]]:
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    keep = Keep()
    logging.getLogger("kg_batch.observe").addHandler(keep)
    yield said
    logging.getLogger("kg_batch.observe").removeHandler(keep)


def test_a_folder_that_can_not_be_written_is_said_once_and_harms_nobody(home, warned):
    home.write_text("a file where the home should be")
    for _ in range(3):
        with observe.call("x", model="m"):
            pass
    assert len(warned) == 1
    assert "NotADirectoryError" in warned[0]


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "ä", "a\n"])
def test_a_name_that_can_not_be_is_refused_where_it_stands(home, name):
    with pytest.raises(ValueError, match="can't be a name"):
        observe.call(name, model="m")
    with pytest.raises(ValueError, match="can't be a name"):
        observe.calls("x", model="m", workspace=name or "..")


def test_usage_counts_the_calls_once_prices_them_and_empties_the_inbox(home, tmp_path):
    for _ in range(3):
        with observe.call("summaries", model="gpt-5-mini", persona="ann") as call:
            call.answered(REPLY)
    kg = Kg(tmp_path)
    for _ in range(2):
        said = total(kg, "--by", "stage")
        assert [(group["name"], group["calls"]) for group in said["groups"]] == [("observe.summaries", 3)]
        assert said["total"]["tokens"]["prompt"] == 3_000
        assert said["total"]["cost_usd"]["paid"] == pytest.approx(3 * COST)
        assert said["top_spenders"]["persona"][0]["name"] == "ann"
    assert noted(home) == []


def test_a_run_takes_them_and_its_own_sums_do_not_change(home, tmp_path, openai_server, collectors: Running):
    server = openai_server()
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="k", **collectors.env)
    write_meetings(tmp_path / "t", 1, turns=12)
    with observe.call("summaries", model="gpt-5-mini") as call:
        call.answered(REPLY)
    report = kg.process("t")
    assert report["calls"]["chat"] + report["calls"]["embedding"] == server.books()["calls"]
    assert total(kg, "--by", "stage")["total"]["calls"] == server.books()["calls"] + 1
    traced = [span for span in collectors.got()["otlp"] if span["attributes"].get("kg.call_id") == call.id]
    assert [span["attributes"]["kg.stage"] for span in traced] == ["observe.summaries"]
    assert traced[0]["attributes"]["session.id"].startswith("observed-")
    assert traced[0]["attributes"]["gen_ai.usage.input_tokens"] == 1_000
    assert {span["trace"] for span in collectors.got()["otlp"]} > {traced[0]["trace"]}


def test_quotas_hold_what_other_programs_spent(home, tmp_path, openai_server):
    server = openai_server()
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="k")
    (tmp_path / "kg.toml").write_text("[budget]\nday_dollars = 1\n")
    write_meetings(tmp_path / "t", 1, turns=12)
    kg.process("t", "--yes")
    made = server.books()["calls"]
    with observe.call("summaries", model="gpt-5") as call:
        call.used(prompt=1_000, completion=100_000)
    write_meetings(tmp_path / "t", 2, turns=12)
    ran = kg("process", "t", "--json", "--yes")
    assert ran.code == 3
    assert "day_dollars" in ran.err + ran.out
    assert server.books()["calls"] == made


def test_what_is_no_call_is_put_aside(home, tmp_path):
    inbox = home / "default" / "inbox"
    with observe.call("good", model="m") as call:
        call.used(prompt=5)
    (good,) = noted(home)
    bad = [
        "not json",
        "[]",
        json.dumps({**good, "id": "../../etc/passwd"}),
        json.dumps({**good, "id": "f" * 32, "prompt": -5}),
        json.dumps({**good, "id": "e" * 32, "started_at": "NaN"}),
        json.dumps({**good, "id": "d" * 32, "name": "x" * 100_000}),
    ]
    for number, text in enumerate(bad):
        (inbox / f"9-{number}.json").write_text(text)
    said = total(Kg(tmp_path))
    assert said["total"]["calls"] == 1
    assert len(list((inbox / "bad").iterdir())) == len(bad)


PROGRAM = """
import metrics, cli, core_engine  # somebody's own packages of these names
assert metrics.mine and cli.mine and core_engine.mine
import sys
before = set(sys.modules)
from kg_batch import observe
with observe.call("x", model="m") as call:
    call.used(prompt=3)
new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
assert new <= {"kg_batch"}, new
assert metrics.mine and sys.path == path
"""


def test_a_program_with_packages_of_our_folders_names_keeps_its_own(home, tmp_path):
    for name in ("metrics", "cli", "core_engine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("mine = True\n")
    (tmp_path / "kg_batch").symlink_to(ROOT / "kg_batch")
    program = tmp_path / "program.py"
    program.write_text("import sys\npath = list(sys.path)\n" + PROGRAM)
    subprocess.run([sys.executable, str(program)], cwd=tmp_path, check=True)
    assert [said["prompt"] for said in noted(home)] == [3]
