import pytest

from core_engine.errors import Unreadable
from core_engine.readers.registry import read
from tests.core_engine.readers.reading import items_of, reading_of, said, transcript_of, written

TALK = "Ann: Grüße, 你好.\r\nBob: Hi.\r\n"


@pytest.mark.parametrize(
    ("codec", "shown"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8 with byte order mark"),
        ("utf-16", "utf-16-le with byte order mark"),
        ("utf-32", "utf-32-le with byte order mark"),
    ],
)
def test_utf8_and_utf16_are_read_by_their_marks(tmp_path, codec, shown):
    reading = reading_of(tmp_path, "a.txt", TALK.encode(codec))
    (transcript,) = reading.items
    assert reading.encoding == shown
    assert said(transcript) == [("Ann", "Grüße, 你好."), ("Bob", "Hi.")]


@pytest.mark.parametrize("codec", ["utf-16", "utf-8-sig"])
def test_json_lines_are_read_in_other_encodings_too(tmp_path, codec):
    lines = '{"speaker": "Ann", "text": "Grüße."}\n{"speaker": "Bob", "text": "你好"}\n'
    assert said(transcript_of(tmp_path, "a.jsonl", lines.encode(codec))) == [("Ann", "Grüße."), ("Bob", "你好")]


def test_a_fault_in_utf8_names_line_and_byte(tmp_path):
    with pytest.raises(Unreadable, match="byte 0xE9 at 21 is not UTF-8") as caught:
        read(written(tmp_path, "a.txt", "Ann: Grüße, ü.\nCaf".encode() + b"\xe9\n"))
    assert (caught.value.line, caught.value.column) == (2, 4)


def test_broken_utf16_names_its_line(tmp_path):
    broken = "Ann: Hi.\nBob: Ho.".encode("utf-16") + b"\x00\xd8\n\x00"
    with pytest.raises(Unreadable, match="wrong encoding") as caught:
        read(written(tmp_path, "a.txt", broken))
    assert caught.value.line == 2


def test_a_json_line_in_a_wrong_encoding_is_a_problem_and_the_rest_is_read(tmp_path):
    lines = b'{"speaker": "Ann", "text": "H\xc3\xad \xc3\xa9."}\n{"speaker": "Bob", "text": "Caf\xe9"}\n{"speaker": "Bob", "text": "Ho."}\n'
    problem, transcript = items_of(tmp_path, "a.jsonl", lines)
    assert (problem.reason, problem.line, problem.column) == ("byte 0xE9 is not UTF-8", 2, 32)
    assert len(transcript.turns) == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b" \r\n\t\n", "empty file"),
        (b"\xef\xbb\xbf", "empty file"),
        (bytes(range(256)) * 8, "binary file"),
        (b"\0" * 1000, "binary file"),
        (b"%PDF-1.7\nhello", r"binary file \(PDF\)"),
        (b"PK\x03\x04\xff\xfe\x00", r"binary file \(ZIP"),
    ],
)
def test_what_is_no_text_is_unreadable(tmp_path, data, reason):
    with pytest.raises(Unreadable, match=reason):
        read(written(tmp_path, "a.txt", data))


def test_control_characters_are_text(tmp_path):
    odd = "a\0b \x1b[31mred\x1b[0m \x07 <|endoftext|> \u202e\u200b\u00ad end"
    assert said(transcript_of(tmp_path, "a.txt", f"Ann: {odd}\nBob: Hi there.\n")) == [
        ("Ann", odd),
        ("Bob", "Hi there."),
    ]
