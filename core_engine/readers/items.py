"""From the content of a source to its transcripts: held whole, in parts, or line by line, as its format is read."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from core_engine.errors import ReadError
from core_engine.readers import json_lines, parts
from core_engine.readers.content import Content, Fingerprint, opened
from core_engine.readers.decoding import Decoder, Encoding, decoded, utf8_lines
from core_engine.readers.formats import Document, Format, Items, Packed
from core_engine.readers.sources import Source
from core_engine.types import Problem, Transcript


@dataclass(slots=True)
class Task:
    """What is to be read, and how. `encoding` is None for what is no text; reading on may find another one."""

    format: Format
    content: Content
    encoding: Encoding | None
    name: str
    source: Source
    forced: bool
    expected: Fingerprint | None

    @property
    def shown(self) -> str:
        return self.source.shown

    def items(self, closing: contextlib.ExitStack) -> Iterator[Transcript | Problem]:
        """The transcripts; `closing` is closed at the end. Raises NotATranscript or Unreadable.

        Each item is held until the next one is there: the last only comes when all bytes are the expected ones.
        """
        with closing:
            held: Transcript | Problem | None = None
            for item in self._items():
                if held is not None:
                    yield held
                held = item
            self.content.verify(self.expected)
        if held is not None:
            yield held

    def _items(self) -> Iterator[Transcript | Problem]:
        if self.encoding is None:
            yield from self._packed()
        elif self.format.stream is not None:
            lines = utf8_lines(self.content.stream, self.encoding, json_lines.LONGEST_LINE, self.shown)
            yield from self.format.stream(lines, self.shown)
        else:
            yield from self._whole(self.encoding)

    def _packed(self) -> Iterator[Transcript | Problem]:
        assert self.format.packed is not None
        data = bytes(self.content.read_whole(self.format.largest))
        self.content.verify(self.expected)
        yield from _listed(self.format.packed(Packed(data, self.name, self.shown, forced=self.forced)))

    def _whole(self, encoding: Encoding) -> Iterator[Transcript | Problem]:
        data = self.content.read_up_to(parts.LARGEST + 1)
        if len(data) > parts.LARGEST:
            if self.format.cut is not None:
                yield from self._in_parts(bytes(data), encoding)
                return
            if self.format.large and (items := self.format.large(lambda: self._again(encoding), self.shown)):
                yield from items
                return
            data += self.content.read_whole(self.format.largest)
        text, self.encoding = decoded(data, encoding, self.shown)
        del data
        self.content.verify(self.expected)
        yield from self._read(text, forced=self.forced)

    def _again(self, encoding: Encoding) -> Iterator[bytes]:
        """The bytes of the source as UTF-8, from another opening of it."""
        with opened(self.source) as content:
            if encoding.codec == "utf-8":
                content.read_up_to(encoding.mark)
                yield from content.blocks()
            else:
                pieces = Decoder(encoding, self.shown).pieces(content.blocks())
                yield from (piece.encode("utf-8", "surrogatepass") for piece in pieces)
            content.verify(self.expected)

    def _read(self, text: str, *, forced: bool) -> Items:
        assert self.format.whole is not None
        return _listed(self.format.whole(Document(text, self.name, self.shown, forced=forced)))

    def _in_parts(self, beginning: bytes, encoding: Encoding) -> Iterator[Transcript | Problem]:
        """Each part is read by itself; title and metadata of the first hold for all, as does who spoke last."""
        assert self.format.cut is not None
        decoder = Decoder(encoding, self.shown)
        pieces = decoder.pieces(itertools.chain((beginning,), self.content.blocks()))
        first: Transcript | None = None
        speaker: str | None = None
        for number, part in enumerate(parts.parts(pieces, self.format.cut), 1):
            self.encoding = decoder.encoding
            for item in self._part(part, first=number == 1):
                if isinstance(item, Problem):
                    yield replace(item, line=item.line and item.line + part.line - 1)
                    continue
                transcript = parts.moved(item, part, speaker)
                speaker = next((turn.speaker for turn in reversed(transcript.turns) if turn.speaker), speaker)
                first = first or transcript
                metadata = {**first.metadata, **transcript.metadata}
                transcript = replace(transcript, title=first.title or transcript.title, metadata=metadata)
                if not (part.last and number == 1):
                    record = parts.record_of_part(transcript.record, number)
                    transcript = replace(transcript, record=record, part=number)
                yield transcript

    def _part(self, part: parts.Part, *, first: bool) -> Items:
        try:
            return self._read(part.text, forced=self.forced or not first)
        except ReadError as error:
            if first:
                raise
            said = any(c.isalnum() for c in part.text)
            return (Problem(error.reason, error.line or 1, error.column),) if said else ()


def _listed(read: Transcript | Items) -> Items:
    return (read,) if isinstance(read, Transcript) else read
