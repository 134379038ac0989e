"""Settings as `kg` itself reads them: the same places for every command, and exit 1 before anything is made."""

from __future__ import annotations

import pytest

from tests.kg import Kg, write_meetings


@pytest.fixture
def kg(tmp_path) -> Kg:
    write_meetings(tmp_path / "t", 1, turns=4)
    return Kg(tmp_path)


def test_a_run_takes_its_settings_from_all_places_and_notes_them_in_its_report(kg, tmp_path):
    (tmp_path / "kg.toml").write_text("workspace = 'night'\nchunk-size = 600\nbatch_size = 3\n", encoding="utf-8")
    (tmp_path / ".env").write_text("KG_CHUNK_SIZE=500\nKG_MAX_CONCURRENT=7\n", encoding="utf-8")
    report = kg.process("t", "--batch-size", 4, KG_RETRIES="2")
    used = report["settings"]
    names = ("workspace", "chunk_size", "batch_size", "max_concurrent", "retries")
    assert [used[name] for name in names] == ["night", 600, 4, 7, 2]
    assert (tmp_path / ".kg" / "night" / "ledger.sqlite3").exists()


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        (("--batch-size", "ten"), {}, "--batch-size"),
        (("--batch-size", 21), {}, "--batch-size must be between 1 and 20"),
        (("--no-such-option",), {}, "--no-such-option"),
        (("--workspace", "../up"), {}, "--workspace"),
        (("--base-url", "nonsense"), {}, "--base-url"),
        (("--config", "missing.toml"), {}, "missing.toml"),
        (("--ontology", "missing.toml"), {}, "missing.toml"),
        (("--prices", "missing.toml"), {}, "missing.toml"),
        (("--graph-store", "neo4j"), {}, "NEO4J_URI"),
        (("--vector-store", "qdrant"), {}, "QDRANT_URL"),
        ((), {"KG_RPM": "fast"}, "KG_RPM"),
        (("--max-cost", "0"), {}, "--max-cost"),
    ],
)
def test_what_is_wrong_is_said_with_exit_1_and_no_call_is_made(kg, openai_server, words, env, said):
    server = openai_server()
    ran = kg("process", "t", *words, **{"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary", **env})
    assert ran.code == 1, ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert "canary" not in ran.err + ran.out
    assert server.books(log=False)["calls"] == 0


def test_nothing_to_read_is_said_before_anything_is_made(kg, tmp_path):
    (tmp_path / "empty").mkdir()
    for paths in (("empty",), ("missing",), ("t/*.nothing",), ()):
        ran = kg("process", *paths, "--quiet")
        assert ran.code == 1
        assert not (tmp_path / ".kg").exists()
