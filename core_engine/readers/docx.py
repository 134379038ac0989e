"""Word documents (`.docx`) as Teams, Otter, Meet and typists write them: their paragraphs, read as plain text is."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass, field

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.formats import Format, Packed
from core_engine.readers.heads import heads_in
from core_engine.readers.lines import lines_of
from core_engine.readers.nobodys_words import unsaid
from core_engine.readers.refusals import why_not
from core_engine.readers.running_text import turns_in
from core_engine.readers.teams_times import heads_of_teams
from core_engine.readers.xml_events import read_xml
from core_engine.types import Transcript

LARGEST = 64 << 20
"""Bytes of the text part, unpacked: a book has one or two million. What claims to be smaller and isn't is cut off."""

_ZIP, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_FIRST_ENTRIES = (b"[Content_Types].xml", b"_rels/", b"word/", b"docProps/", b"customXml/")
_LEFT_OUT = frozenset(("del", "moveFrom", "instrText", "delText", "Fallback", "footnotePr", "pPr", "rPr", "sectPr"))
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def begins(head: bytes) -> str | None:
    if head.startswith(_ZIP) and head[30:80].startswith(_FIRST_ENTRIES):
        return "is a ZIP that begins as office documents do"
    return "is an old Word file, or one with a password" if head.startswith(_OLD) else None


def read(packed: Packed) -> Transcript:
    """The turns. Places are offsets and lines of the text that the paragraphs make, a line each; deleted text is left out.

    The title and the date of the document's properties become title and metadata.
    """
    archive = _opened(packed)
    document = _Paragraphs()
    read_xml(_part(archive, "word/document.xml", packed.shown), document, packed.shown)
    text = document.text()
    lines = lines_of(text)
    heads = heads_of_teams(text, lines) or heads_in(text, lines)
    if not packed.forced and (reason := why_not(text, lines, packed.name, speakers=bool(heads))):
        raise NotATranscript(packed.shown, reason)
    if not (heads or packed.forced):
        raise NotATranscript(packed.shown, "a Word document without speakers or times, not a transcript")
    apart, asides, heads = unsaid(text, lines, heads)
    turns = turns_in(text, lines, heads, apart | document.headings, asides)
    if not turns:
        raise Unreadable(packed.shown, "nothing is said in it")
    properties = _properties(archive, packed.shown)
    return Transcript(turns, title=properties.title, metadata=properties.metadata)


def _opened(packed: Packed) -> zipfile.ZipFile:
    if packed.data.startswith(_OLD):
        reason = "an old Word file (DOC), or a DOCX with a password; save it as DOCX without one"
        raise Unreadable(packed.shown, reason)
    try:
        archive = zipfile.ZipFile(io.BytesIO(packed.data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Unreadable(packed.shown, f"no DOCX: it is no ZIP archive, or a broken one ({error})") from error
    if "word/document.xml" not in archive.namelist():
        raise NotATranscript(packed.shown, "an office document without a text (a sheet or slides), not a transcript")
    return archive


def _part(archive: zipfile.ZipFile, name: str, shown: str) -> str:
    try:
        with archive.open(name) as part:
            data = part.read(LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise Unreadable(shown, f"broken DOCX: {name} can't be unpacked ({error})") from error
    if len(data) > LARGEST:
        raise Unreadable(shown, f"a DOCX whose {name} unpacks to more than {LARGEST >> 20} MB; refused")
    # Word writes UTF-8; other programs may write UTF-16, which announces itself.
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")


@dataclass(slots=True)
class _Paragraphs:
    """Gathers the words; `headings` are the indexes of the lines that are styled as such."""

    headings: set[int] = field(default_factory=set)
    _lines: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _in_text: bool = False
    _skipped: int = 0
    _heading: bool = False

    def opens(self, name: str, attributes: dict[str, str], start: int) -> None:  # noqa: ARG002  # places don't matter here
        if name == "pStyle":
            style = attributes.get("val", "").lower()
            self._heading = style.startswith(("heading", "title", "subtitle"))
        if self._skipped or name in _LEFT_OUT:
            self._skipped += 1
        elif name == "p":
            self._open, self._heading = [], False
        elif name == "t":
            self._in_text = True
        elif name == "tab":
            self._open.append("\t")
        elif name in ("br", "cr"):
            self._open.append("\n")
        elif name == "noBreakHyphen":
            self._open.append("-")

    def closes(self, name: str, end: int) -> None:  # noqa: ARG002  # places don't matter here
        if self._skipped:
            self._skipped -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p":
            lines = "".join(self._open).split("\n")
            if self._heading:
                self.headings.update(range(len(self._lines), len(self._lines) + len(lines)))
            self._lines += [*lines, ""]
            self._open, self._heading = [], False

    def words(self, text: str, start: int) -> None:  # noqa: ARG002  # places don't matter here
        if self._in_text and not self._skipped:
            self._open.append(text.replace("\r", " ").replace("\n", " "))

    def text(self) -> str:
        return "\n".join(self._lines)


@dataclass(slots=True)
class _Properties:
    """Title and date of a document."""

    title: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    _element: str = ""
    _words: str = ""

    def opens(self, name: str, attributes: dict[str, str], start: int) -> None:  # noqa: ARG002  # places don't matter here
        self._element, self._words = name, ""

    def words(self, text: str, start: int) -> None:  # noqa: ARG002  # places don't matter here
        self._words += text

    def closes(self, name: str, end: int) -> None:  # noqa: ARG002  # places don't matter here
        words = " ".join(self._words.split())
        if name != self._element or not words or len(words) > 500:
            return
        if name == "title":
            self.title = words
        elif name == "created" and _DATE.match(words):
            self.metadata["date"] = words[:10]


def _properties(archive: zipfile.ZipFile, shown: str) -> _Properties:
    found = _Properties()
    if "docProps/core.xml" in archive.namelist():
        read_xml(_part(archive, "docProps/core.xml", shown), found, shown)
    return found


FORMAT = Format("docx", (".docx",), lambda _head: None, packed=read, begins=begins)
