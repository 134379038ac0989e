"""What holds for every format and any input: offsets are true, turns have words, and only our errors come out."""

import contextlib
import gzip
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_engine.errors import ReadError
from core_engine.readers.captions import transcript as captions
from core_engine.readers.formats import Document
from core_engine.readers.json_file import read as read_json
from core_engine.readers.markdown import read as read_markdown
from core_engine.readers.plain_text import read as read_text
from core_engine.readers.registry import FORMATS, fingerprint, read
from core_engine.types import Transcript
from tests.core_engine.readers.reading import items_of, written

PIECES = st.sampled_from(
    [
        "Ann: ", "Bob: ", "**Ann:** ", "**Bob**: ", "Speaker 1: ", "Ann  0:01", "Ann: 00:00:01", "[00:01:02] ", "(0:05)", "\\[01:02\\] ",
        "00:00:01\tAnn:\t", "00:00:01,000 --> 00:00:02,500", "00:01.000 --> 00:02.000", "-->", "WEBVTT", "NOTE x", "<v Ann>", "</v>",
        "<i>", "&amp;", "1", "# Title", "---", "title: x", "- item", "| a | b |", "word", "Some words.", " ", "\t", "\n", "\n\n", "\r\n",
        "\r", "\0", "\u2028", "\u200b", "\x1b[31m", "<|endoftext|>", "{\\an8}", "\uff1a", ":",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join)


def document(text: str) -> Document:
    return Document(text, "a.txt", "a.txt", forced=True)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_the_text_of_a_turn_stands_at_its_place(text):
    for reader in (read_text, read_markdown):
        try:
            turns = reader(document(text)).turns
        except ReadError:
            continue
        for turn in turns:
            assert turn.text == text[turn.place.start : turn.place.end]
            assert turn.text.strip()
            assert all(turn.text[mark.at :].startswith(text[mark.place.start : mark.place.end]) for mark in turn.marks)
        starts = [turn.place.start for turn in turns]
        assert starts == sorted(starts)
        lines = [text[:start].replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1 for start in starts]
        assert [turn.place.line for turn in turns] == lines


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_every_cues_words_stand_in_its_turn_and_its_file(text):
    for blank_ends_cue in (False, True):
        try:
            turns = captions(document(text), blank_ends_cue=blank_ends_cue).turns
        except ReadError:
            continue
        for turn in turns:
            assert turn.text.strip()
            ends = [mark.at - 1 for mark in turn.marks[1:]] + [len(turn.text)]
            for mark, end in zip(turn.marks, ends, strict=True):
                words = turn.text[mark.at : end]
                assert words.split()[0][0] in text[mark.place.start : mark.place.end] or "&" in text


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["turns", "segments", "text", "speaker", "start", "end", "content", "id", "title", "a"]
                ),
                inner,
            )
        ),
        max_leaves=30,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_or_refused(value):
    try:
        transcript = read_json(document(json.dumps(value)))
    except ReadError:
        return
    assert all(turn.text.strip() for turn in transcript.turns)


SAMPLES = [
    b"Ann: Hi there.\nBob: Hello.\n\nAnn: Bye.\n" * 5,
    b"WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\n<v Ann>Hi <i>there</i></v>\n\n00:00:02.000 --> 00:00:03.000\nBob: Ho &amp; so\n"
    * 3,
    b"1\n00:00:01,000 --> 00:00:02,000\nAnn: Hi\n\n2\n00:00:02,000 --> 00:00:03,000\nthere\n\n" * 3,
    b'{"title": "x", "segments": [{"start": 0, "end": 1.5, "speaker": "A", "text": "Hi \\u00fc"}, {"start": 1.5, "text": "Ho"}]}',
    b'{"id": "a", "turns": [{"speaker": "A", "text": "Hi"}]}\n{"id": "b", "turns": [{"speaker": "B", "text": "Ho"}]}\n',
    b'{"chunk_id": "a#0", "meeting_id": "a", "seq": 0, "speakers": ["A"], "text": "A: Hi\\nB: Ho"}\n' * 3,
    b"---\ntitle: x\nspeakers:\n  - Ann\n---\n# T\n\n**Ann:** Hi.\n\n**Bob:** \\[00:10\\] Ho.\n",
    "Ann: Gr\u00fc\u00dfe.\nBob: \u4f60\u597d\n".encode("utf-16"),
    gzip.compress(b"Ann: Hi there.\nBob: Hello.\n" * 5),
]
NAMES = ["a.txt", "a.md", "a.srt", "a.vtt", "a.json", "a.jsonl", "a.gz", "a"]


@pytest.mark.parametrize("sample", range(len(SAMPLES)))
def test_mutated_files_give_only_our_errors(tmp_path, sample):
    dice = random.Random(sample)
    for _ in range(60):
        data = bytearray(SAMPLES[sample])
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data) + 1)
            match dice.randrange(4):
                case 0:
                    data[at : at + dice.randint(1, 20)] = b""
                case 1:
                    data[at:at] = dice.choice(
                        [b"\0", b"\xff", b"{", b"]", b'"', b"\n", b"\\ud800", b"-->", b"::", b"<v ", b"9" * 30]
                    )
                case 2:
                    data[at:at] = data[: dice.randint(1, 200)]
                case _:
                    data[at : at + 1] = bytes([dice.randrange(256)])
        source = written(tmp_path, dice.choice(NAMES), bytes(data))
        with contextlib.suppress(ReadError):
            for item in read(source, fingerprint(source), dice.choice([None, None, *(f.name for f in FORMATS)])).items:
                assert not isinstance(item, Transcript) or item.turns


LONG = 1_000_000
LONG_LINES = {
    "words": "word " * (LONG // 5),
    "blanks": " " * LONG + "x",
    "colons": "a:" * (LONG // 2),
    "brackets": "[00:01" * (LONG // 6),
    "voices": "WEBVTT\n\n00:01.000 --> 00:02.000\n" + "<v a" * (LONG // 4),
    "tags": "1\n00:00:01,000 --> 00:00:02,000\n" + "<b " * (LONG // 3),
    "entities": "1\n00:00:01,000 --> 00:00:02,000\n" + "&amp" * (LONG // 4),
    "bold": "**a" * (LONG // 3),
    "cue lines": "1\n00:00:01,000 --> 00:00:02,000\n" + "x\n" * (LONG // 2),
    "spaced names": ("a" + " " * 200 + ":x\n") * (LONG // 400),
    "times": "00:00:01,000 --> 00:00:02,000\n" * (LONG // 60),
    "speakers": "".join(f"Speaker {i}: Hi.\n" for i in range(20_000)),
    "a long name": "A" * 5000 + ": Hi.\nBob: Ho.\n",
    "json": '{"speaker": "A", "text": "' + "word " * (LONG // 5) + '"}\n',
}


CAPTIONS = {"voices", "tags", "entities", "cue lines", "times"}
LONG_FILES = [
    (kind, name)
    for kind in LONG_LINES
    for name in (["a"] if kind in CAPTIONS else ["a.txt", "a.md", "a.vtt", "a.jsonl"])
]


@pytest.mark.parametrize(("kind", "name"), LONG_FILES)
def test_long_and_repetitive_input_takes_linear_time(tmp_path, kind, name):
    source = written(tmp_path, name, LONG_LINES[kind])
    before = time.process_time()
    with contextlib.suppress(ReadError):
        list(read(source).items)
    assert time.process_time() - before < 10


def test_a_line_of_50_mb_is_read_in_parts_that_leave_out_nothing_but_blanks(tmp_path):
    line = "All in one line without an end, it seems: and more. " * 1_000_000
    at = 0
    for number, transcript in enumerate(items_of(tmp_path, "a.txt", line), 1):
        assert transcript.record == f"part {number}"
        for turn in transcript.turns:
            assert not line[at : turn.place.start].strip()
            assert turn.text == line[turn.place.start : turn.place.end]
            at = turn.place.end
    assert not line[at:].strip()


def test_a_json_line_of_50_mb_is_read(tmp_path):
    line = json.dumps({"speaker": "A", "text": "word " * 10_000_000}) + "\n"
    found = items_of(tmp_path, "a.jsonl", line + '{"speaker": "B", "text": "Ho."}\n')
    assert [(item.record, len(turn.text)) for item in found for turn in item.turns] == [
        ("part 1", 50_000_000),
        ("part 2", 3),
    ]
