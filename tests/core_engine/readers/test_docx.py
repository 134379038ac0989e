"""Word documents as Teams, Otter and typists write them, and files that only look like them."""

import io
import struct
import zipfile
from xml.sax.saxutils import escape

import pytest

from core_engine.errors import NotATranscript, ReadError, Unreadable
from core_engine.readers import docx as module
from core_engine.readers.registry import read
from tests.core_engine.readers.reading import said, timed, transcript_of, written

SPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def run(words: str) -> str:
    return "".join(
        {"\n": "<w:br/>", "\t": "<w:tab/>"}.get(part, f'<w:t xml:space="preserve">{escape(part)}</w:t>')
        for part in words.replace("\n", "\0\n\0").replace("\t", "\0\t\0").split("\0")
        if part
    )


def paragraph(*runs: str, style: str = "") -> str:
    head = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{head}{''.join(f'<w:r><w:rPr><w:b/></w:rPr>{run(words)}</w:r>' for words in runs)}</w:p>"


def docx(*paragraphs: str, title: str = "", before: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f'<?xml version="1.0"?>{before}<w:document {SPACE}><w:body>{"".join(paragraphs)}</w:body></w:document>')  # fmt: skip
        if title:
            archive.writestr("docProps/core.xml", f'<cp:coreProperties xmlns:cp="c" xmlns:dc="d" xmlns:dcterms="t"><dc:title>{title}</dc:title><dcterms:created>2026-01-12T10:00:00Z</dcterms:created></cp:coreProperties>')  # fmt: skip
    return out.getvalue()


TEAMS = docx(
    paragraph("Pilot review-20260112_100000-Meeting Recording", style="Title"),
    paragraph("January 12, 2026, 10:00AM"),
    paragraph("Wei-Lin Zhao", "   0:03", "\nRight, so the gateway dropped ", "twice."),
    paragraph("Tomasz Wilk", "   0:12", "\nI have the log & more."),
    paragraph("Wei-Lin Zhao", "   1:02:15", "\nGood."),
)
OLDER = docx(
    *(paragraph(words) for words in (
        "0:0:3.120 --> 0:0:5.480\nWei-Lin Zhao\nRight, so the gateway dropped twice.", "0:0:12.0 --> 0:0:13.5", "Tomasz Wilk", "I have the log & more.",
        "1:2:15.0 --> 1:2:16.0\nWei-Lin Zhao\nGood.",
    ))
)  # fmt: skip
OTTER = docx(
    paragraph("Pilot review"),
    paragraph("Wei-Lin Zhao  0:03"), paragraph("Right, so the gateway dropped twice."), paragraph(""),
    paragraph("Tomasz Wilk  0:12"), paragraph("I have the log & more."), paragraph(""),
    paragraph("Wei-Lin Zhao  1:02:15"), paragraph("Good."), paragraph("Transcribed by https://otter.ai"),
)  # fmt: skip
SAID = [
    ("Wei-Lin Zhao", "Right, so the gateway dropped twice."),
    ("Tomasz Wilk", "I have the log & more."),
    ("Wei-Lin Zhao", "Good."),
]


@pytest.mark.parametrize(
    ("file", "times"),
    [
        (TEAMS, [(3, None), (12, None), (3735, None)]),
        (OLDER, [(3.12, 5.48), (12.0, 13.5), (3735.0, 3736.0)]),
        (OTTER, [(3, None), (12, None), (3735, None)]),
    ],
    ids=["Teams", "Teams, older", "Otter"],
)
def test_speakers_and_times_of_a_word_document(tmp_path, file, times):
    transcript = transcript_of(tmp_path, "a.docx", file)
    assert [turn for turn in said(transcript) if turn[0]] == SAID
    assert [(start, end) for who, start, end in timed(transcript) if who] == times


def test_what_is_typed_with_names_and_colons_is_read_and_headings_are_no_ones_words(tmp_path):
    file = docx(
        paragraph("Minutes", style="Heading1"),
        paragraph("Ann: ", "Good evening."), paragraph("And welcome."), paragraph("Item two", style="Heading2"),
        paragraph("Bob: Thanks."), paragraph("Ann: So."), title="Council &amp; public",
    )  # fmt: skip
    transcript = transcript_of(tmp_path, "a.docx", file)
    assert said(transcript) == [("Ann", "Good evening.\n\nAnd welcome."), ("Bob", "Thanks."), ("Ann", "So.")]
    assert transcript.title == "Council & public"
    assert transcript.metadata["date"] == "2026-01-12"
    assert [turn.place.line for turn in transcript.turns] == [3, 9, 11]


def test_deleted_words_and_a_fallbacks_copies_are_left_out(tmp_path):
    body = "<w:p><w:r><w:t>Ann: Yes</w:t></w:r><w:del><w:r><w:delText>no</w:delText></w:r></w:del><w:ins><w:r><w:t>, sure.</w:t></w:r></w:ins></w:p>"
    other = '<w:p><mc:AlternateContent xmlns:mc="m"><mc:Choice><w:r><w:t>Bob: Box.</w:t></w:r></mc:Choice><mc:Fallback><w:r><w:t>Bob: Box.</w:t></w:r></mc:Fallback></mc:AlternateContent></w:p>'
    transcript = transcript_of(tmp_path, "a.docx", docx(body, other, paragraph("Ann: So.")))
    assert said(transcript) == [("Ann", "Yes, sure."), ("Bob", "Box."), ("Ann", "So.")]


def test_a_letter_is_no_transcript(tmp_path):
    with pytest.raises(NotATranscript, match="a Word document without speakers or times"):
        read(written(tmp_path, "a.docx", docx(paragraph("Dear Ann,"), paragraph("the pump is repaired."))))


def test_a_sheet_is_no_transcript(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(ReadError, match=r"a sheet or slides|a table"):
        read(written(tmp_path, "a.docx", out.getvalue()))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"Just some words, no speakers at all in it.", "no DOCX: it is no ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"an old Word file \(DOC\), or a DOCX with a password"),
        (TEAMS[:200], "no DOCX: it is no ZIP archive, or a broken one"),
        (docx("<w:p>"), r"a\.docx:1:\d+: broken XML: mismatched tag"),
        (docx(paragraph("Ann: &a;".replace("&a;", "x")), before='<!DOCTYPE d [<!ENTITY a "ha">]>'), "XML with a DTD or entities of its own; refused"),
    ],
    ids=["no zip", "old", "cut off", "broken XML", "entities"],
)  # fmt: skip
def test_what_is_no_word_document_says_why(tmp_path, data, reason):
    with pytest.raises(Unreadable, match=reason):
        read(written(tmp_path, "a.docx", data))


def test_a_document_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1 << 20)
    bomb = docx(paragraph("Ann: " + "ha " * 1_000_000))
    assert len(bomb) < 20_000
    with pytest.raises(Unreadable, match=r"unpacks to more than 1 MB; refused"):
        read(written(tmp_path, "a.docx", bomb))


def test_a_document_that_lies_about_its_size_is_refused(tmp_path):
    lying = bytearray(docx(paragraph("Ann: " + "ha " * 100_000)))
    at = lying.rindex(b"word/document.xml") - 46 + 24
    lying[at : at + 4] = struct.pack("<I", 10)
    with pytest.raises(Unreadable):
        read(written(tmp_path, "a.docx", bytes(lying)))
