"""The log that is turned over daily."""

from __future__ import annotations

import datetime as dt
import logging
import os
import stat
from pathlib import Path

from cli.log_files import Daily
from tests.kg import Kg, write_meetings

TODAY = dt.datetime.now().astimezone().date()


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("kg", logging.INFO, __file__, 1, text, (), None)


def written(path: Path, text: str, days_ago: int) -> Path:
    path.write_text(text, encoding="utf-8")
    at = dt.datetime.combine(TODAY - dt.timedelta(days=days_ago), dt.time(12)).timestamp()
    os.utime(path, (at, at))
    return path


def test_what_was_written_on_an_earlier_day_is_put_aside_under_its_date(tmp_path):
    path = written(tmp_path / "kg.log", "old\n", 2)
    handler = Daily(path)
    handler.emit(record("new"))
    handler.emit(record("newer"))
    handler.close()
    assert path.read_text() == "new\nnewer\n"
    assert (tmp_path / f"kg.log.{TODAY - dt.timedelta(days=2)}").read_text() == "old\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_of_today_goes_on(tmp_path):
    path = tmp_path / "kg.log"
    path.write_text("this morning\n")
    handler = Daily(path)
    handler.emit(record("now"))
    handler.close()
    assert path.read_text() == "this morning\nnow\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_across_midnight_turns_it_over_and_another_process_goes_on_in_the_new_one(tmp_path):
    path = written(tmp_path / "kg.log", "yesterday\n", 1)
    today = [TODAY - dt.timedelta(days=1)]
    handlers = [Daily(path, lambda: today[0]) for _ in range(2)]
    today[0] = TODAY
    for number, handler in enumerate(handlers):
        handler.emit(record(f"by {number}"))
    for handler in handlers:
        handler.close()
    assert path.read_text() == "by 0\nby 1\n"
    assert (tmp_path / f"kg.log.{TODAY - dt.timedelta(days=1)}").read_text() == "yesterday\n"


def test_logs_older_than_thirty_days_go_and_nothing_else(tmp_path):
    path = written(tmp_path / "kg.log", "old\n", 1)
    for days in (5, 30, 31, 400):
        (tmp_path / f"kg.log.{TODAY - dt.timedelta(days=days)}").write_text("x")
    others = {"kg.log.old", "kg.log.2020-99-99", "other.log.2001-01-01"}
    for name in others:
        (tmp_path / name).write_text("x")
    handler = Daily(path)
    handler.emit(record("new"))
    handler.close()
    kept = {f"kg.log.{TODAY - dt.timedelta(days=days)}" for days in (1, 5, 30)}
    assert {file.name for file in tmp_path.iterdir()} == {"kg.log", *kept, *others}


def test_a_log_that_can_not_be_put_aside_goes_on(tmp_path):
    path = written(tmp_path / "kg.log", "old\n", 1)
    (tmp_path / f"kg.log.{TODAY - dt.timedelta(days=1)}").write_text("there already\n")
    handler = Daily(path)
    handler.emit(record("new"))
    handler.close()
    assert path.read_text() == "old\nnew\n"
    assert (tmp_path / f"kg.log.{TODAY - dt.timedelta(days=1)}").read_text() == "there already\n"


def test_a_run_with_a_log_file_turns_it_over_and_kg_logs_finds_its_lines(tmp_path):
    write_meetings(tmp_path / "t", 1, turns=4)
    kg = Kg(tmp_path)
    written(tmp_path / "kg.log", '{"old": 1}\n', 1)
    kg.process("t", "--no-model", "--log-file", "kg.log")
    assert (tmp_path / f"kg.log.{TODAY - dt.timedelta(days=1)}").read_text() == '{"old": 1}\n'
    assert "process default" in kg("logs", "--log-file", "kg.log").out
