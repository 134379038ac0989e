"""`kg inspect` shows what is understood of a file, writes nothing, and asks nobody."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.kg import Kg

VTT = """WEBVTT

00:00:01.000 --> 00:00:04.000
<v Ann Lee>So, um, we will ship the Falcon project to Rotterdam in May.</v>

00:01:05.000 --> 00:01:09.500
<v Bob Marsh>And that is what the board agreed on, is it not?</v>
"""


def talk(kg: Kg, name: str, content: str | bytes = VTT) -> Path:
    path = kg.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_transcript_is_told_in_words(kg):
    talk(kg, "board-2026-01-12.vtt")
    ran = kg("inspect", "board-2026-01-12.vtt")
    assert ran.code == 0
    rows = {line[2:16].strip(): line[16:] for line in ran.out.splitlines()[1:]}
    assert ran.out.splitlines()[0] == "board-2026-01-12.vtt"
    assert rows == {
        "format": "webvtt (named .vtt, and begins with WEBVTT)",
        "encoding": "utf-8",
        "date": "2026-01-12",
        "language": "English in Latin script",
        "turns": "2",
        "speakers": "2: Ann Lee (1), Bob Marsh (1)",
        "times": "0:00:01 to 0:01:09",
        "chunks": "1",
        "cleaning": rows["cleaning"],
    }
    assert rows["cleaning"].startswith("takes out 4% of the characters: about ")


def test_the_same_as_json(kg):
    talk(kg, "a.vtt")
    (told,) = kg("inspect", "a.vtt", "--json").report
    assert (told["status"], told["format"], told["turns"], told["chunks"]) == ("read", "webvtt", 2, 1)
    assert told["speakers"] == {"Ann Lee": 1, "Bob Marsh": 1}
    assert (told["first"], told["last"]) == (1.0, 69.5)
    assert told["language"] == {"code": "en", "name": "English", "script": "Latin", "names_by_rules": True}
    assert told["characters_cleaned"] < told["characters"]
    assert told["tokens_cleaned"] < told["tokens"]


def test_nothing_is_written(kg):
    talk(kg, "a.vtt")
    kg("inspect", "a.vtt")
    assert [path.name for path in kg.folder.iterdir()] == ["a.vtt"]


def test_the_format_may_be_given(kg):
    talk(kg, "a.txt")
    assert "webvtt" in kg("inspect", "a.txt").out
    (told,) = kg("inspect", "a.txt", "--format", "text", "--json").report
    assert (told["format"], told["reason"]) == ("text", "as asked for")
    ran = kg("inspect", "a.txt", "--format", "mp3")
    assert ran.code == 1
    assert "no such format" in ran.err


def test_what_is_skipped_is_no_fault_and_what_is_unreadable_is(kg):
    talk(kg, "in/README.md", "# Hello\n")
    talk(kg, "in/a.vtt")
    ran = kg("inspect", "in")
    assert ran.code == 0
    assert "skipped     by its name a readme, not a transcript" in ran.out
    talk(kg, "in/b.txt", b"")
    ran = kg("inspect", "in")
    assert ran.code == 2
    assert "unreadable  empty file" in ran.out
    assert "no such file or folder" in kg("inspect", "gone").out


def test_bad_lines_are_named_and_the_rest_is_counted(kg):
    good = '{"speaker": "Ann", "text": "Hi there."}\n'
    talk(kg, "a.jsonl", good + "{oops\n" + good + "[1]\n" + good + '{"speaker": \n')
    ran = kg("inspect", "a.jsonl", "--json")
    (told,) = ran.report
    assert ran.code == 2
    assert told["turns"] == 3
    assert [warning.split(":")[1] for warning in told["warnings"]] == ["2", "4", "6"]


def test_a_guess_at_the_encoding_is_a_warning(kg):
    talk(kg, "a.txt", "Ann: Wir prüfen die Verträge.\nBob: Schön, müssen wir auch.\n".encode("cp1252"))
    out = kg("inspect", "a.txt").out
    assert "Windows-1252 (a guess)" in out
    assert "warning" in out


def test_a_script_without_capitals_is_told(kg):
    talk(kg, "a.txt", "王伟：大家好，我们现在开始开会。\n李娜：好的，资料都准备好了。\n王伟：那就开始吧。\n")
    assert "Chinese: names can't be told by rules here" in kg("inspect", "a.txt").out


def test_each_file_of_an_archive_is_told(kg):
    with zipfile.ZipFile(kg.folder / "a.zip", "w") as archive:
        archive.writestr("one.vtt", VTT)
        archive.writestr("two.vtt", VTT)
    told = kg("inspect", "a.zip", "--json").report
    assert [(Path(one["file"]).as_posix(), one["turns"]) for one in told] == [
        ("a.zip/one.vtt", 2),
        ("a.zip/two.vtt", 2),
    ]


def test_a_name_that_a_terminal_would_act_on_is_shown_as_text(kg):
    talk(kg, "a.txt", "Ann: Hi.\n\x1b[31mBob\x1b[0m: Ho.\n" * 5)
    assert "\x1b" not in kg("inspect", "a.txt").out
