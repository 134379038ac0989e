"""The log as lines: what each holds, and what never gets into one."""

from __future__ import annotations

import io
import json
import logging
import re
import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from cli.logs import JsonLines, Short, to_file, to_stderr
from tests.kg import Kg, write_meetings

NAMES = ("kg", "core_engine", "metrics", "cli")


@pytest.fixture(autouse=True)
def _loggers_as_they_were() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (*NAMES, None)]
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def record(message: object, *arguments: object, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("kg.test", level, __file__, 1, message, arguments, None)
    made.__dict__ |= fields
    return made


def as_json(message: object, *arguments: object, secrets: tuple[str, ...] = (), **fields: object) -> dict[str, object]:
    line = JsonLines("run-1", secrets).format(record(message, *arguments, **fields))
    assert "\n" not in line
    return json.loads(line)


def test_a_line_says_when_how_grave_who_what_and_in_which_run():
    said = as_json("%d of %d", 3, 4, call_id="c", batch_id="b", duration_s=0.5, foreign="not ours")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(said.pop("ts")))
    assert said == {
        "level": "info",
        "logger": "kg.test",
        "msg": "3 of 4",
        "run_id": "run-1",
        "call_id": "c",
        "batch_id": "b",
        "duration_s": 0.5,
    }


@pytest.mark.parametrize("secret", ["sk-canary-1234", 'pass"word\\with\tsigns', "geheim-ü-€", "a.b*c[d"])
def test_a_secret_is_replaced_wherever_it_stands(secret):
    text = f"key {secret}, again {secret}"
    line = JsonLines("r", [secret]).format(record("%s", text, path=f"/{secret}/x", chunk_ids=[secret]))
    said = json.loads(line)
    assert said["msg"] == "key (secret), again (secret)"
    assert said["path"] == "/(secret)/x"
    assert said["chunk_ids"] == ["(secret)"]
    assert Short([secret]).format(record("%s", text)).endswith("key (secret), again (secret)")


def test_a_secret_in_a_traceback_is_replaced_too():
    made = record("failed")
    made.exc_info = (ValueError, ValueError("refused: sk-canary-1234"), None)
    line = JsonLines("r", ["sk-canary-1234"]).format(made)
    assert "canary" not in line
    assert "ValueError: refused: (secret)" in json.loads(line)["traceback"]


def test_the_longest_of_several_secrets_is_replaced_first_and_short_ones_never():
    assert as_json("abcd abcdef a", secrets=("abcd", "abcdef", "a"))["msg"] == "(secret) (secret) a"


def test_an_unpaired_surrogate_is_written_as_an_escape():
    assert as_json("half %s of a face", "\ud83d")["msg"] == "half \\ud83d of a face"


@pytest.mark.parametrize("text", ["nul \0 and \x1b[31m red", "two\nlines\r\n\u2028", "{'a': 1}"])
def test_any_text_is_one_line_of_json(text):
    assert as_json("%s", text)["msg"] == text


def test_values_that_json_does_not_know_are_told_in_words():
    said = as_json("x", tokens=Decimal("1.5"), path=Path("/a/b"), duration_s=float("nan"))
    assert (said["tokens"], said["path"], said["duration_s"]) == ("1.5", "/a/b", None)


def test_a_short_line_holds_nothing_that_a_terminal_would_act_on():
    line = Short(()).format(record("%s", "a\x1b]0;title\x07\nb\x9bc \ud83d", level=logging.ERROR))
    assert line.isprintable()
    assert "✗ a\\x1b]0;title\\x07\\x0ab" in line


def test_stderr_gets_json_where_it_is_no_terminal_and_short_lines_where_it_is():
    plain, terminal = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]  # as a terminal's stream says
    for stream in (plain, terminal):
        to_stderr("r", (), quiet=False, verbose=False, stream=stream)
        logging.getLogger("kg.x").info("hello")
        logging.getLogger("kg.x").debug("details")
        logging.getLogger("other.library").warning("noise")
    assert json.loads(plain.getvalue())["msg"] == "hello"
    assert re.fullmatch(r"\d\d:\d\d:\d\d hello\n", terminal.getvalue())


@pytest.mark.parametrize(("how", "heard"), [("quiet", ["e"]), ("verbose", ["d", "i", "e"]), ("", ["i", "e"])])
def test_quiet_and_verbose_decide_what_is_heard(how, heard):
    stream = io.StringIO()
    to_stderr("r", (), quiet=how == "quiet", verbose=how == "verbose", stream=stream)
    log = logging.getLogger("core_engine.limits.x")
    log.debug("d")
    log.info("i")
    log.error("e")
    assert [json.loads(line)["msg"] for line in stream.getvalue().splitlines()] == heard


def test_the_logs_file_is_for_its_owner_alone(tmp_path):
    handler = to_file(tmp_path / "deep" / "run.log", "r", ())
    logging.getLogger("kg.x").error("hello")
    handler.close()
    assert stat.S_IMODE((tmp_path / "deep" / "run.log").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "deep" / "run.log").read_text(encoding="utf-8"))["msg"] == "hello"


def test_a_runs_log_has_every_call_and_no_word_of_what_was_said_or_of_the_key(openai_server, tmp_path):
    server = openai_server(faults=[{"kind": "http500", "times": 1, "stage": "chat"}])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary")
    write_meetings(tmp_path / "t", 1, turns=12)
    report = kg.process("t")
    log = (tmp_path / ".kg" / "default" / "runs" / report["run_id"] / "run.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["run_id"] for line in lines} == {report["run_id"]}
    logged = [line for line in lines if "call_id" in line]
    assert len(logged) == report["calls"]["chat"] + report["calls"]["embedding"]
    assert sum(line["tokens"] for line in logged) == (
        report["tokens"]["prompt"] + report["tokens"]["completion"] + report["tokens"]["embedding"]
    )
    assert "canary" not in log
    assert "Rotterdam" not in log
    assert "Northwind" not in log
