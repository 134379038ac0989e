"""Settings: where each value comes from, and that every error names the place that has to be mended."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cli.sources import load
from core_engine.errors import SettingsError
from core_engine.settings import Settings, without_credentials


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(**flags: Any) -> Settings:
    return load(flags, {}).settings


# --- where from ------------------------------------------------------------------------------------------------------

PLACES = ("default", ".env: KG_BATCH_SIZE", "kg.toml: batch_size", "KG_BATCH_SIZE", "--batch-size")


@pytest.mark.parametrize("best", range(5))
def test_flags_come_before_the_environment_before_kg_toml_before_dot_env_before_defaults(folder, best):
    if best >= 1:
        (folder / ".env").write_text("KG_BATCH_SIZE=1\n", encoding="utf-8")
    if best >= 2:
        (folder / "kg.toml").write_text("batch-size = 2\n", encoding="utf-8")
    environ = {"KG_BATCH_SIZE": "3"} if best >= 3 else {}
    loaded = load({"batch_size": 4} if best >= 4 else {"batch_size": None}, environ)
    assert loaded.settings.batch_size == (10, 1, 2, 3, 4)[best]
    assert loaded.origins["batch_size"] == PLACES[best]


def test_names_that_people_have_already_set_are_known_and_ours_come_before_them():
    environ = {
        "OPENAI_API_KEY": "a",
        "OPENAI_BASE_URL": "http://h/v1",
        "NEO4J_URI": "bolt://h",
        "NEO4J_USERNAME": "u",
        "NEO4J_PASSWORD": "p",
        "NEO4J_DATABASE": "d",
        "QDRANT_URL": "http://h:6333",
        "QDRANT_API_KEY": "q",
        "KG_BASE_URL": "http://ours/v1",
    }
    loaded = load({}, environ)
    got = loaded.settings
    assert (got.api_key, got.base_url) == ("a", "http://ours/v1")
    assert (got.neo4j_uri, got.neo4j_username, got.neo4j_password, got.neo4j_database) == ("bolt://h", "u", "p", "d")
    assert (got.qdrant_url, got.qdrant_api_key) == ("http://h:6333", "q")
    assert loaded.origins["base_url"] == "KG_BASE_URL"
    assert loaded.origins["neo4j_uri"] == "NEO4J_URI"


def test_an_empty_variable_is_not_set():
    loaded = load({}, {"OPENAI_API_KEY": "", "KG_RPM": ""})
    assert loaded.settings.api_key is None
    assert loaded.origins["rpm"] == "default"


def test_every_setting_has_an_origin():
    assert set(load({}, {}).origins) == {item.name for item in dataclasses.fields(Settings)}


def test_a_config_file_may_be_named_by_flag_or_by_variable(folder):
    (folder / "other.toml").write_text("rpm = 5\n[headers]\nX-Title = 'kg'\n", encoding="utf-8")
    assert load({}, {}, config="other.toml").settings.rpm == 5
    loaded = load({}, {"KG_CONFIG": "other.toml"})
    assert loaded.origins["rpm"] == "other.toml: rpm"
    assert loaded.settings.headers == {"X-Title": "kg"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("Yes", True), ("on", True), (" true ", True), ("0", False), ("NO", False), ("off", False)],
)
def test_yes_and_no_are_read_in_the_words_that_people_use(text, value):
    assert load({}, {"KG_CLEAN": text}).settings.clean is value


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("batch-size = ", "kg.toml"),
        ("batch_sise = 3", "'batch_sise' is no setting"),
        ("batch_size = 'many'", "kg.toml: batch_size: 'many' should be a whole number"),
        ("batch_size = true", "should be a whole number"),
        ("batch_size = 2.5", "should be a whole number"),
        ("clean = 'perhaps'", "kg.toml: clean: 'perhaps' should be true or false"),
        ("model = 5", "kg.toml: model: 5 should be a text"),
        ("headers = 'x'", "kg.toml: headers"),
        ("[headers]\nx = 1", "kg.toml: headers"),
        ("batch_size = 99", "kg.toml: batch_size"),
        ("graph_store = 'oracle'", "kg.toml: graph_store"),
        ("base_url = 'nonsense'", "kg.toml: base_url"),
        ("\x00", "kg.toml"),
    ],
)
def test_what_is_wrong_in_kg_toml_is_told_with_its_place(folder, toml, said):
    (folder / "kg.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load({}, {})
    assert said in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("kg.toml", b"model = '\xff\xfe'"), (".env", b"KG_MODEL=\xff\xfe\n")])
def test_a_file_of_settings_in_another_encoding_is_told_by_name(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(SettingsError, match=name):
        load({}, {})


def test_a_config_that_is_not_there_is_told(folder):
    with pytest.raises(SettingsError, match=r"missing\.toml: there is no such file"):
        load({}, {}, config="missing.toml")
    (folder / "a-folder").mkdir()
    with pytest.raises(SettingsError, match="a-folder"):
        load({}, {}, config="a-folder")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"KG_BATCH_SIZE": "ten"}, "KG_BATCH_SIZE"),
        ({"KG_BATCH_SIZE": "21"}, "KG_BATCH_SIZE"),
        ({"KG_TIMEOUT": "nan"}, "KG_TIMEOUT"),
        ({"OPENAI_BASE_URL": "localhost:8000"}, "OPENAI_BASE_URL"),
        ({"NEO4J_URI": "http://localhost:7474"}, "NEO4J_URI"),
        ({"QDRANT_URL": "localhost:6333"}, "QDRANT_URL"),
        ({"KG_WORKSPACE": "a b"}, "KG_WORKSPACE"),
        ({"KG_EXTRACTOR": "magic"}, "KG_EXTRACTOR"),
    ],
)
def test_what_is_wrong_in_the_environment_is_told_by_the_name_of_the_variable(environ, said):
    with pytest.raises(SettingsError) as caught:
        load({}, environ)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"workspace": "../etc"}, "--workspace"),
        ({"workspace": ""}, "--workspace"),
        ({"workspace": "x" * 65}, "--workspace"),
        ({"batch_size": 0}, "--batch-size must be between 1 and 20"),
        ({"max_concurrent": 0}, "--max-concurrent"),
        ({"chunk_size": 5}, "--chunk-size"),
        ({"rpm": 0.0}, "--rpm"),
        ({"temperature": 3.0}, "--temperature"),
        ({"max_cost": -1.0}, "--max-cost"),
        ({"retries": -1}, "--retries"),
        ({"embedder": "word2vec"}, "--embedder 'word2vec': choose one of auto, openai, bm25, none"),
        ({"base_url": "ftp://host/v1"}, "--base-url"),
        ({"base_url": "http://"}, "--base-url"),
        ({"base_url": "http://host:99999/v1"}, "--base-url"),
        ({"base_url": "http://[::1/v1"}, "--base-url"),
        ({"batch_poll": 0.0}, "KG_BATCH_POLL must be between"),
        ({"neo4j_uri": "ftp://host"}, "NEO4J_URI"),
    ],
)
def test_a_value_that_cannot_be_is_told_by_its_option_or_variable(flags, said):
    with pytest.raises(SettingsError) as caught:
        load(flags, {})
    assert said in str(caught.value)


def test_no_error_and_no_repr_and_no_listing_shows_a_secret():
    environ = {
        "OPENAI_API_KEY": "sk-canary",
        "NEO4J_PASSWORD": "pw-canary",
        "QDRANT_URL": "http://u:url-canary@h:6333?k=q-canary",
    }
    got = load({}, environ).settings
    shown = got.shown()
    assert (shown["api_key"], shown["neo4j_password"], shown["qdrant_api_key"]) == ("set", "set", None)
    assert shown["qdrant_url"] == "http://h:6333"
    assert "canary" not in str(shown)
    assert "sk-canary" not in repr(got)
    assert "pw-canary" not in repr(got)
    with pytest.raises(SettingsError) as caught:
        load({}, {"KG_BASE_URL": "htp://me:canary@host/v1"})
    assert "canary" not in str(caught.value)


def test_an_address_is_shown_without_user_password_and_query():
    assert without_credentials("bolt://me:p%40ss@host:7687?x=1") == "bolt://host:7687"


# --- what auto means -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({}, ("rules", "bm25", "embedded", "embedded")),
        ({"api_key": "k"}, ("openai", "openai", "embedded", "embedded")),
        ({"base_url": "http://h"}, ("openai", "openai", "embedded", "embedded")),
        ({"api_key": "k", "no_model": True}, ("rules", "bm25", "embedded", "embedded")),
        ({"api_key": "k", "extractor": "rules"}, ("rules", "openai", "embedded", "embedded")),
        ({"embedding_base_url": "http://h"}, ("rules", "openai", "embedded", "embedded")),
        ({"neo4j_uri": "bolt://h", "qdrant_url": "http://h"}, ("rules", "bm25", "neo4j", "qdrant")),
        ({"embedder": "none"}, ("rules", "none", "embedded", "none")),
        ({"neo4j_uri": "bolt://h", "graph_store": "embedded"}, ("rules", "bm25", "embedded", "embedded")),
        ({"no_model": True, "embedder": "none"}, ("rules", "none", "embedded", "none")),
    ],
)
def test_auto_takes_what_is_there(given, used):
    got = Settings(**given)
    assert (got.extractor_used, got.embedder_used, got.graph_store_used, got.vector_store_used) == used


def test_things_lie_in_the_workspaces_folder_unless_told_otherwise():
    got = settings(home="/h", workspace="w")
    assert got.ledger_path == Path("/h/w/ledger.sqlite3")
    assert got.run_folder("r") == Path("/h/w/runs/r")
    assert settings(output_dir="/out").run_folder("r") == Path("/out/r")
