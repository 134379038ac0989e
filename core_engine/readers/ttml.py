"""Timed text as XML (`.ttml`, `.dfxp`): one paragraph is one cue."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.captions import LONGEST_NAME, Block, Piece, checked, piece_of, turns_of
from core_engine.readers.formats import Document, Format
from core_engine.readers.xml_events import read_xml
from core_engine.types import Place, Transcript

_BEGINNING = re.compile(
    r"\ufeff?\s*(?:<\?xml\b[^>]{0,200}\?>\s*)?(?:<!--.{0,2000}?-->\s*)?<(?:\w{1,20}:)?tt[\s>]", re.DOTALL
)
_CLOCK = re.compile(r"(\d{1,4}):(\d{2}):(\d{2}(?:\.\d{1,9})?)(?::(\d{1,3})(?:\.\d{1,3})?)?")
_OFFSET = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(h|ms|m|s|f|t)")


def recognises(head: str) -> str | None:
    return "begins with <tt>" if _BEGINNING.match(head) else None


def read(document: Document) -> Transcript:
    """The paragraphs with words as turns; agents (`ttm:agent`), and `Name:` before the words, are the speakers.

    Raises Unreadable for broken XML, and for XML with a DTD or entities of its own.
    """
    found = _Paragraphs(document.text)
    read_xml(document.text, found, document.shown)
    if not found.is_timed_text and not document.forced:
        raise NotATranscript(document.shown, "XML, but no timed text (TTML)")
    blocks, warnings = checked([cue.block for cue in found.cues])
    pieces: list[Piece] = []
    for block, cue in zip(blocks, found.cues, strict=True):
        voice = found.agents.get(cue.agent, cue.agent) or None
        for line in cue.lines:
            words = " ".join("".join(line.words).split())
            change = words.startswith(">>")
            place = Place(line.start, line.end, line.number)
            if piece := piece_of(
                document.text, block, words.lstrip("> ") if change else words, place, voice, change=change
            ):
                pieces.append(piece)
    turns = turns_of(pieces)
    if not turns:
        raise Unreadable(document.shown, "captions without a single cue that has words")
    return Transcript(turns, title=found.title, warnings=tuple(warnings))


@dataclass(slots=True)
class _Line:
    """Words up to a `<br/>`, and where in the file they stand."""

    start: int
    end: int
    number: int
    words: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Cue:
    block: Block
    agent: str
    lines: list[_Line] = field(default_factory=list)
    broken: bool = True


@dataclass(slots=True)
class _Clock:
    """What the times of a file are counted in."""

    frames: float = 30.0
    ticks: float = 1.0

    def set(self, attributes: dict[str, str]) -> None:
        self.frames = _number(attributes.get("frameRate")) or self.frames
        multiplier = attributes.get("frameRateMultiplier", "").replace(":", " ").split()
        if len(multiplier) == 2 and (over := _number(multiplier[1])):
            self.frames *= (_number(multiplier[0]) or over) / over
        self.ticks = _number(attributes.get("tickRate")) or self.ticks

    def seconds(self, time: str | None) -> float | None:
        if time is None:
            return None
        if clock := _CLOCK.fullmatch(time.strip()):
            hours, minutes, rest, frames = clock.groups()
            return round(int(hours) * 3600 + int(minutes) * 60 + float(rest) + int(frames or 0) / self.frames, 6)
        if offset := _OFFSET.fullmatch(time.strip()):
            unit = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "f": 1 / self.frames, "t": 1 / self.ticks}[offset[2]]
            return round(float(offset[1]) * unit, 6)
        return None


@dataclass(slots=True)
class _Paragraphs:
    """Gathers the cues. A paragraph's times count from those of what it stands in, where that has times."""

    text: str
    is_timed_text: bool = False
    title: str | None = None
    agents: dict[str, str] = field(default_factory=dict)
    cues: list[_Cue] = field(default_factory=list)
    _clock: _Clock = field(default_factory=_Clock)
    _open: list[str] = field(default_factory=list)
    _begins: list[float] = field(default_factory=list)
    _agent: str = ""
    _cue: _Cue | None = None
    _line: tuple[int, int] = (1, 0)

    def opens(self, name: str, attributes: dict[str, str], start: int) -> None:
        self._open.append(name)
        if name == "tt":
            self.is_timed_text = True
            self._clock.set(attributes)
        elif name == "agent":
            self._agent = attributes.get("id", "")
        elif name == "p":
            self._begin_cue(attributes, start)
        elif name == "br" and self._cue is not None:
            self._cue.broken = True
        elif name == "span" and self._cue is not None and not self._cue.lines and self._cue.block.start is None:
            # Some files give the times to the spans inside.
            self._cue.block = self._times(attributes, self._cue.block.line)
        if name in ("body", "div"):
            self._begins.append((self._clock.seconds(attributes.get("begin")) or 0.0) + self._since)

    @property
    def _since(self) -> float:
        return self._begins[-1] if self._begins else 0.0

    def _begin_cue(self, attributes: dict[str, str], start: int) -> None:
        number = self._number_of_line(start)
        self._cue = _Cue(self._times(attributes, number), attributes.get("agent", "").split(" ")[0])

    def _number_of_line(self, start: int) -> int:
        number, at = self._line
        self._line = (number + self.text.count("\n", at, start), start)
        return self._line[0]

    def _times(self, attributes: dict[str, str], line: int) -> Block:
        begin, end = (self._clock.seconds(attributes.get(key)) for key in ("begin", "end"))
        duration = self._clock.seconds(attributes.get("dur"))
        if end is None and begin is not None and duration is not None:
            end = begin + duration
        start = None if begin is None else round(begin + self._since, 6)
        return Block(start, None if end is None else round(end + self._since, 6), [], line)

    def closes(self, name: str, end: int) -> None:  # noqa: ARG002  # where words end is told by the words
        self._open.pop()
        if name in ("body", "div"):
            self._begins.pop()
        elif name == "p" and self._cue is not None:
            self.cues.append(self._cue)
            self._cue = None

    def words(self, text: str, start: int) -> None:
        if self._cue is not None and "metadata" not in self._open:
            self._add(self._cue, text, start)
        elif self._open[-1:] == ["name"] and "agent" in self._open:
            self.agents[self._agent] = " ".join((self.agents.get(self._agent, "") + text).split())[:LONGEST_NAME]
        elif self._open[-1:] == ["title"]:
            self.title = " ".join(((self.title or "") + text).split()) or None

    def _add(self, cue: _Cue, text: str, start: int) -> None:
        if text.isspace():
            if cue.lines:
                cue.lines[-1].words.append(" ")
            return
        start += len(text) - len(text.lstrip())
        if cue.broken:
            cue.lines.append(_Line(start, start, self._number_of_line(start)))
            cue.broken = False
        cue.lines[-1].words.append(text)
        cue.lines[-1].end = self._end(text.strip(), start)

    def _end(self, text: str, start: int) -> int:
        """Expat tells of an entity (`&amp;`) apart, as the character it stands for."""
        close = self.text.find(";", start, start + 40) if self.text.startswith("&", start) else -1
        return close + 1 if close > 0 else start + len(text)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 < number < 1e9 else None


FORMAT = Format("ttml", (".ttml", ".dfxp", ".tt"), recognises, whole=read)
