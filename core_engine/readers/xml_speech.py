"""XML of what was said: debates of parliaments (TheyWorkForYou, Akoma Ntoso, TEI, the Bundestag) and YouTube's captions."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.captions import LONGEST_NAME
from core_engine.readers.cues import Cue, joined
from core_engine.readers.formats import Document, Format
from core_engine.readers.times import seconds
from core_engine.readers.xml_events import read_xml
from core_engine.types import Place, Transcript, Turn

_ROOTS = {
    "publicwhip": "TheyWorkForYou's debates",
    "akomantoso": "Akoma Ntoso",
    "tei": "TEI",
    "teicorpus": "TEI",
    "dbtplenarprotokoll": "minutes of the Bundestag",
    "transcript": "YouTube's captions",
    "timedtext": "YouTube's captions",
}
_BEGINNING = re.compile(
    r"\ufeff?\s*(?:<\?[^>]{0,300}\?>\s*)*(?:<!--.{0,2000}?-->\s*)?(?:<!DOCTYPE\s[^>\[]{0,300}>\s*)?<(?:\w{1,20}:)?(\w{2,30})[\s>]",
    re.DOTALL | re.IGNORECASE,
)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SPEECHES = _names("speech u rede question answer")
_NOT_SAID = _names(
    "from num heading subheading note kommentar desc incident vocal kinesic gap pb redner name listperson particdesc "
    "scene fussnote"
)
_PARAGRAPHS = _names("p seg ab l blocklist item br")
_SPOKEN_BEFORE = re.compile(r"[\s:]+\Z")


def recognises(head: str) -> str | None:
    match = _BEGINNING.match(head)
    kind = _ROOTS.get(match[1].lower()) if match else None
    return f"begins as {kind}" if kind else None


def read(document: Document) -> Transcript:
    """A turn for each speech, parted where something else is told within it; captions of YouTube joined to turns.

    Who spoke is named by attributes or elements; an id stands for itself where the file doesn't say whose it is. Raises
    Unreadable for broken XML and for XML with entities of its own.
    """
    found = _Speeches(document.text)
    read_xml(document.text, found, document.shown, names_dtd=True)
    if found.cues:
        return Transcript(joined(found.cues), title=found.title)
    turns = tuple(found.turns())
    if not turns and not found.speeches and not document.forced:
        raise NotATranscript(document.shown, "XML without speeches or captions, not a transcript")
    if not turns:
        raise Unreadable(document.shown, "nothing is said in it")
    return Transcript(turns, title=found.title)


@dataclass(slots=True)
class _Piece:
    """Words that stand together, and whose they are: a name, or an id behind a `#`."""

    speaker: str
    start: int
    end: int
    line: int
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        paragraphs = (" ".join(paragraph.split()) for paragraph in "".join(self.words).split("\v"))
        return "\n".join(filter(None, paragraphs))


@dataclass(slots=True)
class _Speeches:
    """Gathers the pieces, the names of ids, and YouTube's cues."""

    source: str
    title: str | None = None
    speeches: int = 0
    cues: list[Cue] = field(default_factory=list)
    _pieces: list[_Piece] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _speakers: list[str] = field(default_factory=list)
    _piece: _Piece | None = None
    _unsaid: int = 0
    _person: str = ""
    _label: str = ""
    _cue: tuple[float | None, float | None] | None = None
    _line: tuple[int, int] = (1, 0)

    def turns(self) -> list[Turn]:
        return [
            Turn(text, self._name(piece.speaker), place=Place(piece.start, piece.end, piece.line))
            for piece in self._pieces
            if (text := piece.text)
        ]

    def _name(self, speaker: str) -> str | None:
        name = self._names.get(speaker.removeprefix("#"), speaker.removeprefix("#")) if speaker[:1] == "#" else speaker
        return " ".join(name.split())[:LONGEST_NAME] or None

    def opens(self, name: str, attributes: dict[str, str], start: int) -> None:  # noqa: ARG002  # words tell their places
        # (The Bundestag says who speaks in a paragraph of its own.)
        name = "from" if attributes.get("klasse") == "redner" else name.lower()
        self._open.append(name)
        if name == "tlcperson":
            self._names[attributes.get("id") or attributes.get("eId", "")] = attributes.get("showAs", "")
        elif name == "person":
            self._person = attributes.get("id", "")
        elif name in _SPEECHES:
            self.speeches += 1
            who = attributes.get("speakername") or attributes.get("who") or attributes.get("by") or ""
            self._speakers.append(who if attributes.get("speakername") or who.startswith("#") or not who else f"#{who}")
            self._piece = None
        elif name in _NOT_SAID:
            self._unsaid += 1
            self._piece = None
            self._label = ""
        elif name in _PARAGRAPHS and self._piece:
            self._piece.words.append("\v")
        self._opens_cue(name, attributes)

    def _opens_cue(self, name: str, attributes: dict[str, str]) -> None:
        if name == "text" and "start" in attributes:
            start, length = seconds(attributes["start"]), seconds(attributes.get("dur"))
        elif name == "p" and "timedtext" in self._open and "t" in attributes:
            start, length = (_thousandth(attributes.get(key)) for key in ("t", "d"))
        else:
            return
        self._cue = (start, None if start is None or length is None else round(start + length, 6))
        self._piece = None

    def closes(self, name: str, end: int) -> None:  # noqa: ARG002  # the open elements tell its name, words their places
        name = self._open.pop()
        if name in _SPEECHES:
            self._speakers.pop()
            self._piece = None
        elif name in _NOT_SAID:
            self._unsaid -= 1
            if name in ("from", "name") and self._speakers and not self._unsaid:
                self._speakers[-1] = _SPOKEN_BEFORE.sub("", " ".join(self._label.split())) or self._speakers[-1]
                self._piece = None
        elif name in ("text", "p") and self._cue is not None:
            piece = self._pieces.pop() if self._piece else None
            if piece and (words := " ".join(html.unescape(piece.text).split())):
                self.cues.append(Cue(words, None, *self._cue, Place(piece.start, piece.end, piece.line)))
            self._cue = self._piece = None

    def words(self, text: str, start: int) -> None:
        if self._cue is None and not self._speakers:
            self._about(text)
        elif self._unsaid:
            if self._open[-1] == "name" or ("from" in self._open and "redner" not in self._open):
                self._label += text
        elif text.isspace():
            if self._piece:
                self._piece.words.append(" ")
        else:
            self._add(text, start)

    def _about(self, text: str) -> None:
        if self._open[-1:] == ["title"] and not self.title:
            self.title = " ".join(text.split())[:500] or None
        elif self._person and "persname" in self._open:
            self._names[self._person] = " ".join((self._names.get(self._person, "") + " " + text).split())

    def _add(self, text: str, start: int) -> None:
        lead = len(text) - len(text.lstrip())
        end = start + len(text.rstrip())
        if self.source.startswith("&", start + lead):
            # Expat tells of an entity (`&amp;`) apart, as the character it stands for.
            end = self.source.find(";", start + lead) + 1
        if self._piece is None:
            line, at = self._line
            self._line = (line + self.source.count("\n", at, start + lead), start + lead)
            speaker = self._speakers[-1] if self._speakers else ""
            self._piece = _Piece(speaker, start + lead, end, self._line[0])
            self._pieces.append(self._piece)
        self._piece.words.append(text)
        self._piece.end = end


def _thousandth(value: str | None) -> float | None:
    time = seconds(value)
    return None if time is None else round(time / 1000, 6)


FORMAT = Format("xml", (".xml",), recognises, whole=read)
