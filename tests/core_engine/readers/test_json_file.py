import json

import pytest

from core_engine.errors import NotATranscript, SettingsError, Unreadable
from core_engine.readers.registry import formats, read
from tests.core_engine.readers.reading import said, timed, transcript_of, written

TURNS = [{"speaker": "Ann", "text": "Hi."}, {"speaker": "Bob", "text": "Ho."}]
SAID = [("Ann", "Hi."), ("Bob", "Ho.")]


@pytest.mark.parametrize(
    "value",
    [
        TURNS,
        {"turns": TURNS},
        {"whatever": TURNS},
        {"result": {"id": 3, "segments": TURNS}},
        {"tags": ["x"], "files": [{"name": "y"}], "a": {"b": TURNS}},
        {"meeting_transcripts": [{"speaker": "Ann", "content": "Hi."}, {"speaker": "Bob", "content": "Ho."}]},
        {"segments": [{"speaker": "Ann", "body": "Hi."}, {"speaker": "Bob", "body": "Ho."}]},
        [{"role": "Ann", "content": "Hi."}, {"role": "Bob", "content": "Ho."}],
        [{"speaker": {"name": "Ann"}, "text": "Hi."}, {"speaker": {"id": "Bob"}, "text": "Ho."}],
    ],
)
def test_the_list_of_turns_is_found_wherever_it_is(tmp_path, value):
    assert said(transcript_of(tmp_path, "a.json", json.dumps(value))) == SAID


def test_a_place_is_a_json_pointer(tmp_path):
    transcript = transcript_of(tmp_path, "a.json", json.dumps({"a/b~c": TURNS}))
    assert [turn.place.pointer for turn in transcript.turns] == ["/a~1b~0c/0/text", "/a~1b~0c/1/text"]
    assert {(turn.place.start, turn.place.end, turn.place.line) for turn in transcript.turns} == {(None, None, None)}


def test_whispers_segments_are_joined_and_keep_their_times(tmp_path):
    value = {"text": " Hi there.", "language": "en", "segments": [
        {"id": 0, "start": 0.0, "end": 1.5, "text": " Hi"},
        {"id": 1, "start": 1.5, "end": 2.0, "text": " there."},
    ]}  # fmt: skip
    transcript = transcript_of(tmp_path, "a.json", json.dumps(value))
    assert timed(transcript) == [(None, 0.0, 2.0)]
    assert said(transcript) == [(None, "Hi there.")]
    assert [(m.at, m.start, m.end, m.place.pointer) for m in transcript.turns[0].marks] == [
        (0, 0.0, 1.5, "/segments/0/text"),
        (3, 1.5, 2.0, "/segments/1/text"),
    ]
    assert transcript.metadata == {"language": "en"}


def test_times_come_as_numbers_as_clock_and_as_text(tmp_path):
    value = [
        {"speaker": "A", "text": "x", "startTime": 0.5, "endTime": "2.75"},
        {"speaker": "B", "text": "y", "start": "00:01:02,5", "end": "1:05"},
        {"speaker": "A", "text": "z", "start": -1, "end": True},
    ]
    assert timed(transcript_of(tmp_path, "a.json", json.dumps(value))) == [
        ("A", 0.5, 2.75),
        ("B", 62.5, 65.0),
        ("A", None, None),
    ]


def test_milliseconds_are_noticed(tmp_path):
    value = [{"speaker": "A", "text": "Some words here.", "start": 1000 * i, "end": 1000 * i + 900} for i in range(9)]
    transcript = transcript_of(tmp_path, "a.json", json.dumps(value))
    assert transcript.turns[-1].end == 8.9
    assert transcript.warnings == ("times were read as milliseconds",)


def test_a_numbered_speaker_gets_a_name(tmp_path):
    value = [{"speaker": 0, "text": "x"}, {"speaker": 1, "text": "y"}, {"speaker": None, "text": "z"}]
    assert [speaker for speaker, _ in said(transcript_of(tmp_path, "a.json", json.dumps(value)))] == [
        "Speaker 0",
        "Speaker 1",
        None,
    ]


def test_a_transcript_that_is_one_text_is_read_as_text(tmp_path):
    text = "Ann: Hi there.\nBob: Ho."
    transcript = transcript_of(tmp_path, "a.json", json.dumps({"title": "Talk", "transcript": text}))
    assert transcript.title == "Talk"
    assert said(transcript) == [("Ann", "Hi there."), ("Bob", "Ho.")]
    assert [text[turn.place.start : turn.place.end] for turn in transcript.turns] == ["Hi there.", "Ho."]
    assert {turn.place.pointer for turn in transcript.turns} == {"/transcript"}


def test_what_json_can_hold_is_kept_as_it_is(tmp_path):
    file = '{"turns": [{"speaker": "Ann", "text": "x\\ud800y\\u0000z\\n<|endoftext|>", "n": NaN}, {"speaker": "Bob", "text": " \\n "}]}'
    assert said(transcript_of(tmp_path, "a.json", file)) == [("Ann", "x\ud800y\0z\n<|endoftext|>")]


@pytest.mark.parametrize(
    ("file", "reason", "place"),
    [
        ('{"a": [1,\n  2,,3]}', "broken JSON: Expecting value", (2, 5)),
        ('{"turns": [{"speaker": "A"', "broken JSON", (1, 27)),
        ('{"a": "tab\there"}', "Invalid control character", (1, 11)),
        ('{"a": 1}\n\n[]', "more than one JSON value", (3, 1)),
        ("just words", "broken JSON", (1, 1)),
        ("[" * 200_000, "nested too deeply", (None, None)),
        ('{"a": ' + "9" * 5000 + "}", "broken JSON", (None, None)),
        ('{"segments": []}', "nothing is said", (None, None)),
        ('{"turns": [{"speaker": "A", "text": " "}]}', "nothing is said", (None, None)),
    ],
)
def test_broken_json_names_line_and_column(tmp_path, file, reason, place):
    with pytest.raises(Unreadable, match=reason) as caught:
        read(written(tmp_path, "a.json", file))
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize(
    "value",
    [
        {"name": "x", "version": "1.0", "scripts": {"a": "b"}, "keywords": ["y"]},
        {"compilerOptions": {"paths": [{"a": 1}]}},
        [1, 2, 3],
        [{"name": "Ann", "email": "a@b.c"}],
        {"releases": [{"name": "v1", "body": "fixes"}]},
        "text",
    ],
)
def test_other_json_is_no_transcript(tmp_path, value):
    with pytest.raises(NotATranscript, match="without a list of turns"):
        read(written(tmp_path, "a.json", json.dumps(value)))


def test_a_line_of_text_that_begins_with_a_bracket_is_not_json(tmp_path):
    assert said(transcript_of(tmp_path, "a.txt", "[00:01] Ann: Hi.\n[00:05] Bob: Ho.\n")) == SAID


def test_the_formats_have_names_and_others_are_refused(tmp_path):
    assert set(formats()) == {
        "webvtt", "srt", "sbv", "ttml", "html", "json", "jsonl", "nlp", "csv", "markdown", "docx", "xml", "text"
    }  # fmt: skip
    with pytest.raises(SettingsError, match="no such format: pdf"):
        read(written(tmp_path, "a.txt", "x"), format="pdf")
