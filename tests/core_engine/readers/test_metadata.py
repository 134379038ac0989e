"""Title, date, language, participants and speakers' names: from side files, the file, its name and its folder."""

import zipfile
from pathlib import Path

import pytest

from core_engine.errors import NotATranscript
from core_engine.readers.metadata import iso_date
from core_engine.readers.registry import Source, discover, fingerprint, read
from core_engine.types import Transcript
from tests.core_engine.readers.reading import said, source_of

TALK = "Speaker 0: Hello there.\nSPEAKER_01: Hi.\nSpeaker 0: Bye.\nSPEAKER_01: Bye then.\n"


def laid(folder: Path, **files: str) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def transcript_at(path: Path, content: str = TALK) -> Transcript:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(content, encoding="utf-8")
    (item,) = read(source_of(path)).items
    assert isinstance(item, Transcript)
    return item


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "metadata", "title"),
    [
        ("2026-03-26_233_transcript.vtt.txt", {"date": "2026-03-26"}, None),
        ("Board meeting 2026-01-12.txt", {"date": "2026-01-12"}, "Board meeting"),
        ("GMT20260112-143000_Recording.transcript.txt", {"date": "2026-01-12"}, None),
        ("board-2025-11-12.txt", {"date": "2025-11-12"}, None),
        ("20261301_not_a_date.txt", {}, None),
        ("2026-02-30 no such day.txt", {}, None),
        ("call 1234567890123.txt", {}, None),
        ("How to sail [dQw4w9WgXcQ].de.txt", {"language": "de"}, "How to sail"),
        ("talk.en-US.txt", {"language": "en"}, None),
        ("notes.v2.txt", {}, None),
        ("m0.txt", {}, None),
    ],
)
def test_a_files_name_tells_date_title_and_language(tmp_path, name, metadata, title):
    transcript = transcript_at(tmp_path / name)
    assert dict(transcript.metadata) == metadata
    assert transcript.title == title


def test_the_folder_tells_the_date_where_the_file_does_not(tmp_path):
    assert transcript_at(tmp_path / "2026-03-26 10.00.00 Weekly" / "a.txt").metadata == {"date": "2026-03-26"}
    assert transcript_at(tmp_path / "2026-03-26 Weekly" / "2026-03-27.txt").metadata == {"date": "2026-03-27"}


@pytest.mark.parametrize(
    ("told", "iso"),
    [
        ("2026-03-26", "2026-03-26"),
        ("20260326", "2026-03-26"),
        ("2026-03-26T10:00:00Z", "2026-03-26T10:00:00+00:00"),
        ("2026-03-26 00:00:00", "2026-03-26"),
        ("March 3, 2026", "2026-03-03"),
        ("3rd March", None),
        ("3 Mar 2026", "2026-03-03"),
        ("03/04/2026", None),
        ("Smarch 3, 2026", None),
        ("2026-02-31", None),
        ("", None),
        ("yesterday", None),
    ],
)
def test_dates_are_iso_or_left_alone(told, iso):
    assert iso_date(told) == iso


# --- the file itself ------------------------------------------------------------------------------------------------


def test_what_the_file_says_is_told_under_its_usual_names(tmp_path):
    front = "---\ntitle: Sails\ndate: March 3, 2026\nspeakers:\n  - Ann Lee\n  - Bob\nlang: German\n---\n\n**Ann Lee:** Hi.\n\n**Bob:** Ho.\n"
    transcript = transcript_at(tmp_path / "2020-01-01 Other.md", front)
    assert transcript.title == "Sails"
    assert {key: transcript.metadata[key] for key in ("date", "participants", "language")} == {
        "date": "2026-03-03",
        "participants": "Ann Lee, Bob",
        "language": "de",
    }


@pytest.mark.parametrize(
    "speakers",
    ['{"0": "Ann Lee", "1": "Bob"}', '{"Speaker 0": {"name": "Ann Lee"}, "SPEAKER_01": {"name": "Bob"}}',
     '[{"id": 0, "name": "Ann  Lee"}, {"id": "spk_1", "name": "Bob"}]'],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_the_file_itself_may_name_its_speakers(tmp_path, name, speakers):
    turns = (
        '[{"speaker": 0, "text": "Hi."}, {"speaker": "SPEAKER_01", "text": "Ho."}, {"speaker": "Cleo", "text": "Ha."}]'
    )
    transcript = transcript_at(tmp_path / name, f'{{"id": "m", "speakers": {speakers}, "turns": {turns}}}\n')
    assert [turn.speaker for turn in transcript.turns] == ["Ann Lee", "Bob", "Cleo"]


# --- side files -----------------------------------------------------------------------------------------------------

META = """
title = "Board meeting"
date = 2026-01-12
language = "English"
participants = ["Ann Lee", "Bob Marsh"]
series = "Board"
number = 4

[speakers]
"Speaker 0" = "Ann Lee"
1 = "Bob  Marsh"
"""


@pytest.mark.parametrize("name", ["talk.meta.toml", "talk.txt.meta.toml"])
def test_a_side_file_says_more_than_the_file(tmp_path, name):
    (tmp_path / name).write_text(META)
    transcript = transcript_at(tmp_path / "talk.txt")
    assert transcript.title == "Board meeting"
    assert transcript.metadata == {
        "date": "2026-01-12",
        "language": "en",
        "participants": "Ann Lee, Bob Marsh",
        "series": "Board",
        "number": "4",
    }
    assert {turn.speaker for turn in transcript.turns} == {"Ann Lee", "Bob Marsh"}
    assert transcript.warnings == ()


def test_the_nearest_counts(tmp_path):
    laid(
        tmp_path,
        folder__meta__toml='title = "folder"\ndate = 2020-01-01\nplace = "Rotterdam"\n[speakers]\n0 = "Zoe"\n1 = "Yan"\n',
        speakers__toml='0 = "Xu"\n',
        talk__meta__toml='title = "own"\n',
    )
    transcript = transcript_at(tmp_path / "talk.txt")
    assert transcript.title == "own"
    assert transcript.metadata == {"date": "2020-01-01", "place": "Rotterdam"}
    assert said(transcript)[:2] == [("Xu", "Hello there."), ("Yan", "Hi.")]
    front = transcript_at(
        tmp_path / "b.md", "---\ntitle: file\ndate: 2021-01-01\n---\n\n**Ann:** Hi.\n\n**Bob:** Ho.\n"
    )
    assert (front.title, front.metadata["date"], front.metadata["place"]) == ("file", "2021-01-01", "Rotterdam")


def test_speakers_may_be_told_for_the_folder_and_for_one_file(tmp_path):
    laid(tmp_path, speakers__toml='"Speaker 0" = "Ann"\n["b.txt"]\nspeaker_0 = "Zoe"\n[c]\n0 = "Cleo"\n')
    firsts = [transcript_at(tmp_path / name).turns[0].speaker for name in ("a.txt", "b.txt", "c.txt")]
    assert firsts == ["Ann", "Zoe", "Cleo"]
    assert transcript_at(tmp_path / "a.txt").turns[1].speaker == "SPEAKER_01"


def test_a_folders_side_file_holds_for_that_folder_alone(tmp_path):
    laid(tmp_path, folder__meta__toml='place = "Rotterdam"\n')
    assert transcript_at(tmp_path / "a.txt").metadata == {"place": "Rotterdam"}
    assert transcript_at(tmp_path / "below" / "a.txt").metadata == {}


def test_side_files_are_skipped_with_their_reason(tmp_path):
    laid(tmp_path, talk__meta__toml=META, folder__meta__toml="", speakers__toml="", kg__toml="")
    for source in discover([str(tmp_path)]):
        assert isinstance(source, Source)
        reason = "a settings file" if source.name == "kg.toml" else "a side file"
        with pytest.raises(NotATranscript, match=reason):
            read(source)


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (b'title = "x"\ndate = = 3\n', ":2: broken TOML"),
        (b'title = "x\n', ":1: broken TOML"),
        (b'a = 1\ntitle = "\xff"\n', ":2: not UTF-8"),
        (b'title = "x"\n[other]\na = 1\n', ":2: 'other' is a table"),
        (b'title = "x"\n\n[speakers]\n0 = "Ann"\n1 = 7\n', ":5: the name of '1' is no text"),
        (b"many = [1, {}]\n", ":1: 'many' is no plain value"),
    ],
)
def test_a_broken_side_file_is_a_warning_that_names_file_and_line(tmp_path, content, warning):
    (tmp_path / "talk.meta.toml").write_bytes(content)
    transcript = transcript_at(tmp_path / "talk.txt")
    (told,) = transcript.warnings
    assert told.startswith((str(tmp_path / "talk.meta.toml"), "talk.meta.toml"))
    assert warning in told
    assert len(transcript.turns) == 4


def test_a_changed_side_file_changes_the_fingerprint_and_a_reading_of_the_old_one_still_holds(tmp_path):
    path = tmp_path / "talk.txt"
    transcript_at(path)
    marks = [fingerprint(source_of(path))]
    for name in ("talk.meta.toml", "speakers.toml", "folder.meta.toml"):
        (tmp_path / name).write_text('title = "a"\n')
        marks.append(fingerprint(source_of(path)))
        assert list(read(source_of(path), marks[-1]).items)
        (tmp_path / name).write_text('title = "b"\n')
        marks.append(fingerprint(source_of(path)))
    assert len({mark.sha256 for mark in marks}) == len(marks)
    for name in ("talk.meta.toml", "speakers.toml", "folder.meta.toml"):
        (tmp_path / name).unlink()
    assert fingerprint(source_of(path)) == marks[0]


def test_files_in_an_archive_have_the_side_files_beside_it(tmp_path):
    laid(tmp_path, folder__meta__toml='place = "Rotterdam"\n')
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("in/a.txt", TALK)
    source, _ = discover([str(tmp_path / "t.zip"), str(tmp_path / "folder.meta.toml")])
    (transcript,) = read(source, fingerprint(source)).items
    assert transcript.metadata == {"place": "Rotterdam"}


def test_the_names_of_speakers_in_a_side_file_hold_for_all_records_of_a_file(tmp_path):
    laid(tmp_path, speakers__toml='A = "Ann"\n')
    lines = "".join(f'{{"id": "{n}", "turns": [{{"speaker": "a", "text": "Hi."}}]}}\n' for n in range(3))
    (tmp_path / "a.jsonl").write_text(lines)
    items = list(read(source_of(tmp_path / "a.jsonl")).items)
    assert [item.turns[0].speaker for item in items] == ["Ann"] * 3
