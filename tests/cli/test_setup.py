"""kg config and kg doctor."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from core_engine.settings import Settings
from tests.kg import Kg, write_meetings
from tests.neo4j_server.server import Address
from tests.openai_server.fixture import Server
from tests.qdrant_face.fixture import RunningFace


def _checks(kg: Kg, *words: str, code: int = 0, **env: str) -> dict[str, dict[str, Any]]:
    ran = kg("doctor", *words, "--json", **env)
    assert ran.code == code, ran.out
    assert ran.report["ok"] is (code == 0)
    return {check["name"]: check for check in ran.report["checks"]}


# --- kg config -------------------------------------------------------------------------------------------------------


def test_every_setting_is_shown_with_where_it_came_from(kg: Kg) -> None:
    (kg.folder / "kg.toml").write_text("rpm = 500\nbatch-size = 5\nmodel = 'from-toml'\n", encoding="utf-8")
    (kg.folder / ".env").write_text("KG_TPM=9000\nKG_RPM=1\nOPENAI_API_KEY=sk-canary\n", encoding="utf-8")
    shown = kg("config", "--workspace", "mine", "--json", KG_MODEL="from-env").report["settings"]
    assert list(shown) == [field.name for field in fields(Settings)]
    assert shown["workspace"] == {"value": "mine", "origin": "--workspace"}
    assert shown["model"] == {"value": "from-env", "origin": "KG_MODEL"}
    assert shown["rpm"] == {"value": 500.0, "origin": "kg.toml: rpm"}
    assert shown["tpm"] == {"value": 9000.0, "origin": ".env: KG_TPM"}
    assert shown["api_key"] == {"value": "set", "origin": ".env: OPENAI_API_KEY"}
    assert shown["retries"] == {"value": 6, "origin": "default"}


def test_no_secret_is_shown(kg: Kg) -> None:
    secrets = {
        "OPENAI_API_KEY": "sk-canary",
        "KG_EMBEDDING_API_KEY": "sk-canary",
        "NEO4J_PASSWORD": "canary",
        "QDRANT_API_KEY": "canary",
        "QDRANT_URL": "http://me:canary@host:6333",
        "OPENAI_BASE_URL": "http://me:canary@host/v1?key=canary",
    }
    for words in (["config"], ["config", "--json"]):
        ran = kg(*words, **secrets)
        assert ran.code == 0
        assert "canary" not in ran.out + ran.err


def test_what_auto_comes_to_is_said(kg: Kg) -> None:
    assert kg("config", "--json").report["used"] == {
        "extractor": "rules",
        "embedder": "bm25",
        "graph_store": "embedded",
        "vector_store": "embedded",
    }
    assert "extractor openai" in kg("config", OPENAI_API_KEY="x").out


# --- kg doctor -------------------------------------------------------------------------------------------------------


def test_a_fresh_folder_without_a_key_is_well_and_stays_empty(kg: Kg) -> None:
    checks = _checks(kg)
    assert {check["state"] for check in checks.values()} == {"ok"}
    assert "is new" in checks["ledger"]["detail"]
    assert list(kg.folder.iterdir()) == []
    assert kg("doctor").out.endswith("all is well\n")


def test_a_workspace_is_counted_and_found_whole(made: Kg) -> None:
    checks = _checks(made)
    assert "2 documents" in checks["ledger"]["detail"]
    assert "entities" in checks["graph store"]["detail"]
    assert "points" in checks["vector store"]["detail"]


def test_key_endpoint_and_models_are_checked_without_a_paid_call(kg: Kg, openai_server: Callable[..., Server]) -> None:
    server = openai_server(require_key="sk-right-0123456789")
    right = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-right-0123456789"}
    checks = _checks(kg, **right)
    assert "lists gpt-5-mini" in checks["extraction"]["detail"]
    assert "lists text-embedding-3-small" in checks["embedding"]["detail"]
    assert checks["prices"]["state"] == "ok"
    wrong = _checks(kg, code=1, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-canary-0123456789")
    assert wrong["extraction"]["state"] == wrong["embedding"]["state"] == "problem"
    assert "sk-canary-0123456789" not in str(wrong)
    unknown = _checks(kg, "--model", "gpt-99", code=1, **right)
    assert "does not list 'gpt-99'" in unknown["extraction"]["detail"]
    assert server.books(log=False)["calls"] == 0


def test_what_a_server_did_not_take_is_remembered(made: Kg, openai_server: Callable[..., Server]) -> None:
    server = openai_server(refuse=["json_schema", "temperature"])
    model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    made.process("meetings", **model)
    said = _checks(made, **model)["extraction replies"]["detail"]
    assert "json_object" in said
    assert "temperature" in said


def test_a_model_without_a_price_is_a_note_and_with_a_cap_a_problem(
    kg: Kg, openai_server: Callable[..., Server]
) -> None:
    model = {"OPENAI_BASE_URL": openai_server(any_model=True, models=["mine"]).url, "OPENAI_API_KEY": "x"}
    words = ("--model", "mine", "--embedder", "bm25")
    assert _checks(kg, *words, **model)["prices"]["state"] == "note"
    assert "can't hold it" in _checks(kg, *words, "--max-cost", "5", code=1, **model)["prices"]["detail"]


def test_servers_that_are_not_there_are_problems_with_what_to_do(kg: Kg) -> None:
    nowhere = "127.0.0.1:9"
    checks = _checks(
        kg,
        "--timeout",
        "2",
        code=1,
        OPENAI_BASE_URL=f"http://{nowhere}/v1",
        NEO4J_URI=f"bolt://{nowhere}",
        QDRANT_URL=f"http://{nowhere}",
    )
    bad = {name for name, check in checks.items() if check["state"] == "problem"}
    assert bad == {"extraction", "embedding", "graph store", "vector store"}
    assert "--base-url" in checks["extraction"]["advice"]
    assert "NEO4J_URI" in checks["graph store"]["detail"]
    assert "QDRANT_URL" in checks["vector store"]["detail"]


def test_a_qdrant_that_answers_is_well(kg: Kg, qdrant_face: RunningFace) -> None:
    assert "0 points" in _checks(kg, "-w", "doctors", QDRANT_URL=qdrant_face.url)["vector store"]["detail"]


def test_no_key_for_a_remote_endpoint_is_told_before_it_is_asked(kg: Kg) -> None:
    checks = _checks(kg, "--extractor", "openai", code=1)
    assert checks["extraction"]["advice"] == "set OPENAI_API_KEY, or use --no-model"


def test_a_damaged_ledger_is_a_problem(made: Kg) -> None:
    ledger = made.folder / ".kg/default/ledger.sqlite3"
    ledger.write_bytes(b"no database at all" * 1000)
    assert _checks(made, code=1)["ledger"]["state"] == "problem"
    for command in (["report"], ["status"], ["export"], ["search", "x"], ["rebuild"]):
        ran = made(*command)
        assert ran.code == 5, command
        assert "Traceback" not in ran.err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_problem(kg: Kg) -> None:
    kg.folder.chmod(0o500)
    try:
        assert _checks(kg, code=1)["home"]["state"] == "problem"
    finally:
        kg.folder.chmod(0o700)


def test_files_that_settings_name_must_be_there(kg: Kg) -> None:
    checks = _checks(kg, "--ontology", "none.toml", "--prices", "none.toml", code=1)
    assert checks["ontology"]["state"] == checks["prices file"]["state"] == "problem"


# --- what a model is like, before a night's run ----------------------------------------------------------------------


def test_one_call_is_made_when_it_is_asked_for_and_is_named_beforehand(
    kg: Kg, openai_server: Callable[..., Server]
) -> None:
    server = openai_server(refuse=["temperature"], rpm=500, tpm=200_000, ratelimit_headers=True)
    model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    before = _checks(kg, **model)
    assert "one call" not in before
    assert before["extraction replies"]["advice"] == "`kg doctor --ask` does"
    assert list(kg.folder.iterdir()) == []
    ran = kg("doctor", "--ask", "--json", **model)
    names = [check["name"] for check in ran.report["checks"]]
    assert names.index("one call") < names.index("reply")
    checks = {check["name"]: check for check in ran.report["checks"]}
    assert "asks gpt-5-mini about one sentence: at most " in checks["one call"]["detail"]
    assert checks["reply"]["state"] == "ok"
    assert "json_schema" in checks["reply"]["detail"]
    assert "without temperature" in checks["reply"]["detail"]
    assert "500 requests a minute" in checks["told limits"]["detail"]
    books = server.books()
    billed = [call for call in books["log"] if call["status"] == 200]
    assert len(billed) == 1
    spent = kg("status", "--json").report["spent_usd"]
    assert spent["total"] == pytest.approx(float(books["dollars"]), abs=1e-7)
    again = _checks(kg, **model)
    assert "without temperature" in again["extraction replies"]["detail"]
    at_most = float(checks["one call"]["detail"].rpartition("$")[2])
    assert float(books["dollars"]) <= at_most


def test_a_run_after_the_call_is_none_the_wiser_for_it(kg: Kg, openai_server: Callable[..., Server]) -> None:
    kg.env |= {"OPENAI_BASE_URL": openai_server().url, "OPENAI_API_KEY": "x"}
    assert kg("doctor", "--ask").code == 0
    write_meetings(kg.folder / "t", 1)
    report = kg.process("t")
    assert report["recovered"] == {"killed_runs": 0, "unknown_calls": 0, "unknown_at_most": 0, "answers": 0}
    assert report["chunks"]["written"] == report["chunks"]["total"]


@pytest.mark.parametrize(
    ("fault", "said"), [("invalid_json", "of no use (invalid_json)"), ("null", "of no use (empty)"), ("http403", "403")]
)
def test_what_a_model_cannot_do_is_a_problem(
    kg: Kg, openai_server: Callable[..., Server], fault: str, said: str
) -> None:
    server = openai_server(faults=[{"kind": fault, "rate": 1.0}])
    ran = kg("doctor", "--ask", "--json", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="canary-0123456789")
    assert ran.code == 1
    (reply,) = [check for check in ran.report["checks"] if check["name"] == "reply"]
    assert reply["state"] == "problem"
    assert said in reply["detail"]
    assert "canary-0123456789" not in ran.out + ran.err


def test_without_a_model_there_is_nothing_to_ask(kg: Kg) -> None:
    assert _checks(kg, "--ask")["one call"]["state"] == "ok"
    assert list(kg.folder.iterdir()) == []


def test_a_clock_that_is_off_is_noted(kg: Kg, openai_server: Callable[..., Server]) -> None:
    server = openai_server()
    model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    assert _checks(kg, **model)["clock"]["detail"] == "agrees with the server's"
    server.configure(headers={"date": "Sat, 01 Jan 2028 00:00:00 GMT"})
    off = _checks(kg, **model)["clock"]
    assert (off["state"], off["detail"].split(" s ")[1]) == ("note", "behind the server's")
    server.configure(headers={"date": "the day before"})
    assert "clock" not in _checks(kg, **model)


def test_limits_are_those_given_or_those_that_a_run_was_told(kg: Kg, openai_server: Callable[..., Server]) -> None:
    kg.env |= {"OPENAI_BASE_URL": openai_server(rpm=500, ratelimit_headers=True).url, "OPENAI_API_KEY": "x"}
    assert "a run learns them" in _checks(kg)["limits"]["detail"]
    write_meetings(kg.folder / "t", 1)
    kg.process("t")
    assert "500 requests/min" in _checks(kg)["limits"]["detail"]
    assert _checks(kg, KG_RPM="60")["limits"]["detail"] == "given: --rpm 60"


def test_collectors_are_looked_for(kg: Kg, openai_server: Callable[..., Server]) -> None:
    there = openai_server().url.removesuffix("/v1")
    checks = _checks(kg, OTEL_EXPORTER_OTLP_ENDPOINT=there, POSTHOG_API_KEY="canary", POSTHOG_HOST="http://127.0.0.1:9")
    assert checks["otlp"]["state"] == "ok"
    assert checks["posthog"]["state"] == "note"
    assert "nobody answers at http://127.0.0.1:9" in checks["posthog"]["detail"]
    assert "canary" not in str(checks)


def test_a_prompt_without_its_placeholder_is_a_problem(kg: Kg, openai_server: Callable[..., Server]) -> None:
    kg.env |= {"OPENAI_BASE_URL": openai_server().url, "OPENAI_API_KEY": "x"}
    (kg.folder / "mine.md").write_text("Find the names.\n", encoding="utf-8")
    assert "<<ONTOLOGY>> once" in _checks(kg, "--prompt", "mine.md", code=1)["prompt"]["detail"]
    assert _checks(kg, "--prompt", "extract.v1")["prompt"]["detail"].startswith("extract.v1 (")


@pytest.mark.neo4j
def test_stores_tell_their_versions(made: Kg, neo4j_server: Address, qdrant_face: RunningFace) -> None:
    checks = _checks(made)
    assert "(SQLite 3." in checks["graph store"]["detail"]
    assert "(Qdrant Edge 0." in checks["vector store"]["detail"]
    servers = {
        "NEO4J_URI": neo4j_server.uri,
        "NEO4J_USERNAME": neo4j_server.user,
        "NEO4J_PASSWORD": neo4j_server.password,
        "QDRANT_URL": qdrant_face.url,
    }
    checks = _checks(made, "--workspace", "versions", **servers)
    assert re.search(
        r"\(Neo4j \d+\.\d+.*, constraint and indexes are there\), may be written", checks["graph store"]["detail"]
    )
    assert re.search(r"\(Qdrant \d+\.\d+.*, indexes of ", checks["vector store"]["detail"])
