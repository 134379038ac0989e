"""kg config and kg doctor."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from core_engine.settings import Settings
from tests.kg import Kg
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
    assert shown["timeout"] == {"value": 120.0, "origin": "default"}


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
