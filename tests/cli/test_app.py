"""What holds for every command: what is loaded when, what reaches the terminal, and how mistakes end."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from cli.app import COMMANDS, printable
from core_engine.settings import Settings, flag
from tests.kg import ROOT, Kg

_HEAVY = ["genai_prices", "grpc", "langsmith", "neo4j", "numpy", "openai", "qdrant_client", "qdrant_edge", "tiktoken"]


def _loaded_by(*words: str) -> list[str]:
    code = (
        "import atexit, json, sys; heavy = sys.argv.pop(1).split()\n"
        "atexit.register(lambda: json.dump([m for m in heavy if m in sys.modules], sys.stderr))\n"
        "import kg_batch; kg_batch.main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, " ".join(_HEAVY), *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["process", "--help"],
        ["estimate", "--help"],
        ["search", "--help"],
        ["rebuild", "--help"],
        ["doctor", "--help"],
        ["config"],
    ],
)
def test_help_and_settings_load_no_heavy_library(words: list[str]) -> None:
    assert _loaded_by(*words) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(kg: Kg, command: str) -> None:
    ran = kg(command, "--help")
    assert ran.code == 0
    assert f"Usage: kg {command}" in ran.out


def test_the_list_of_commands_says_what_each_is_for(kg: Kg) -> None:
    said = " ".join(kg("--help", COLUMNS="200").out.split())
    assert [summary for _, summary in COMMANDS.values() if summary not in said] == []


def test_a_slip_in_a_command_is_met_with_the_command_that_was_meant(kg: Kg) -> None:
    ran = kg("proces")
    assert ran.code == 1
    assert "Did you mean 'process'?" in ran.err


@pytest.mark.parametrize(
    ("words", "env", "told"),
    [
        (["--extractor", "gpt"], {}, "--extractor 'gpt': choose one of auto, openai, rules"),
        (["--batch-size", "0"], {}, "--batch-size must be between 1 and 20"),
        (["--max-concurrent", "many"], {}, "Invalid value for '--max-concurrent'"),
        (["--workspace", "../up"], {}, "can't be a name"),
        (["--base-url", "localhost:8000"], {}, "--base-url"),
        ([], {"NEO4J_URI": "http://host"}, "NEO4J_URI"),
        ([], {"QDRANT_URL": "qdrant"}, "QDRANT_URL"),
        ([], {"KG_MAX_CONCURRENT": "many"}, "KG_MAX_CONCURRENT: 'many' should be a whole number"),
        (["--config", "none.toml"], {}, "there is no such file"),
    ],
)
def test_a_wrong_setting_ends_with_1_before_anything_is_made(
    kg: Kg, words: list[str], env: dict[str, str], told: str
) -> None:
    (kg.folder / "talk.txt").write_text("Ann: Good morning, Bob.\n", encoding="utf-8")
    ran = kg("process", "talk.txt", *words, **env)
    assert (ran.code, ran.out) == (1, "")
    assert told in ran.err
    assert not (kg.folder / ".kg").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("rpm = ", "kg.toml"),
        ("colour = 1", "'colour' is no setting"),
        ("rpm = 'fast'", "kg.toml: rpm: 'fast' should be a number"),
        ("batch_size = 0", "batch_size) must be between"),
    ],
)
def test_a_broken_kg_toml_ends_with_1_and_names_the_place(kg: Kg, content: str, told: str) -> None:
    (kg.folder / "kg.toml").write_text(content, encoding="utf-8")
    ran = kg("config")
    assert (ran.code, ran.out) == (1, "")
    assert told in ran.err


_WITHOUT = {"process", "estimate", "inspect", "ontology", "config", "doctor", "prompts"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in _WITHOUT])
def test_a_workspace_that_is_not_there_is_said_and_not_made(kg: Kg, command: str) -> None:
    argument = ["words"] if command in {"search", "backup", "forget", "eval"} else []
    ran = kg(command, *argument, "--workspace", "nobody")
    assert (ran.code, ran.out) == (1, "")
    assert "nobody" in ran.err
    assert not (kg.folder / ".kg").exists()


def test_a_password_in_an_address_is_never_shown(kg: Kg) -> None:
    ran = kg("process", "x", QDRANT_URL="ftp://me:hunter2@host")
    assert ran.code == 1
    assert "hunter2" not in ran.err


def test_what_a_transcript_says_to_the_terminal_does_not_reach_it(kg: Kg) -> None:
    evil = "\x1b]0;owned\x07\x1b[31mRed\u202e\x9b2J"
    path = kg.folder / "m\x1b[31mn.json"
    said = [{"speaker": f"Ann{evil} Lee", "text": f"The Falcon{evil} Project of Northwind{evil} Mills is late."}]
    path.write_text(json.dumps(said), encoding="utf-8")
    assert kg.process(path.name)["chunks"]["written"] == 1
    for words in (["report"], ["report", "--markdown"], ["status"], ["search", "Falcon"], ["runs"], ["dead-letters"]):
        ran = kg(*words)
        assert ran.code == 0, ran.err
        assert not {c for c in ran.out if not c.isprintable() and c != "\n"}, words
    assert "Falcon" in kg("search", "Falcon").out


def test_line_breaks_are_all_that_passes_of_what_cannot_be_printed() -> None:
    assert printable("a\tb\x00\x1b[1m\u2028\ud800é\nb") == "a\\x09b\\x00\\x1b[1m\\x2028\\xd800é\nb"


def test_a_terminal_that_knows_ascii_alone_gets_escapes_and_no_crash(made: Kg) -> None:
    (made.folder / "x.txt").write_text("Zoë Łukasz: Das Ergebnis von Müller 株式会社 ist da.\n", encoding="utf-8")
    made.process("x.txt")
    done = made.started("search", "Ergebnis", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    assert "M\\xfcller" in out


def test_a_reader_that_goes_away_early_is_no_error(made: Kg) -> None:
    done = made.started("export")
    assert done.stdout
    assert done.stderr
    done.stdout.readline()
    done.stdout.close()
    assert done.stderr.read() == ""
    assert done.wait(60) == 0
    done.stderr.close()


def test_no_command_writes_anything_but_its_result_to_stdout(made: Kg) -> None:
    for words in (["status"], ["runs"], ["report"], ["config"], ["doctor"], ["dead-letters"], ["search", "Falcon"]):
        ran = made(*words, "--json")
        json.loads(ran.out)
        assert ran.err == ""


def test_the_help_is_the_same_wherever_it_is_asked_for(kg: Kg, tmp_path: Path) -> None:
    (tmp_path / "kg.toml").write_text("nonsense", encoding="utf-8")
    assert kg("--help").code == 0


def test_an_error_names_no_option_that_is_not_there() -> None:
    there: set[str] = set()
    for name, (module, _) in COMMANDS.items():
        group = typer.main.get_group(importlib.import_module(module).app)
        command = group.commands[name]
        parts = [command, *getattr(command, "commands", {}).values()]
        options = [option for part in parts for option in part.params]
        there |= {spelt for option in options for spelt in (*option.opts, *option.secondary_opts)}
    named = {flag(setting.name) for setting in fields(Settings)}
    assert {name for name in named if name.startswith("--")} <= there
