"""All formats, and the one door to them: which format a file has, and the transcripts in it.

A new format is a module with a FORMAT, and its name in FORMATS below.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from core_engine.errors import NotATranscript, SettingsError, Unreadable
from core_engine.readers import (
    csv_table,
    docx,
    html_page,
    json_file,
    json_lines,
    markdown,
    nlp,
    plain_text,
    sbv,
    srt,
    ttml,
    webvtt,
)
from core_engine.readers.content import Content, Fingerprint, fingerprint, opened
from core_engine.readers.decoding import Encoding, decode, decoded_head, detect, utf8_lines
from core_engine.readers.formats import Document, Format, Items, Packed
from core_engine.readers.refusals import SUFFIXES
from core_engine.readers.sources import Source, discover
from core_engine.types import Problem, Transcript

__all__ = ["Fingerprint", "Reading", "Source", "discover", "fingerprint", "formats", "read"]

# In this order they are asked whether they recognise a file whose name says nothing, or something wrong.
FORMATS = (
    webvtt.FORMAT,
    srt.FORMAT,
    sbv.FORMAT,
    ttml.FORMAT,
    html_page.FORMAT,
    json_file.FORMAT,
    json_lines.FORMAT,
    nlp.FORMAT,
    csv_table.FORMAT,
    markdown.FORMAT,
    docx.FORMAT,
    plain_text.FORMAT,
)

_HEAD = 64 << 10
_MARKUP = re.compile(r"\s*<(?:!doctype|\?xml|html|head|body|cite|time|tt|p|div|transcript)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source was read as, and why. `items` may be taken once, and may raise Unreadable; it is closed at its end."""

    format: str
    reason: str
    encoding: str
    items: Iterator[Transcript | Problem]


def formats() -> tuple[str, ...]:
    """The names of all formats that are read."""
    return tuple(format_.name for format_ in FORMATS)


def read(source: Source, expected: Fingerprint | None = None, format: str | None = None) -> Reading:  # noqa: A002  # the word users know from `--format`
    """The transcripts of a source. `format` overrides what its name and beginning say.

    Raises NotATranscript or Unreadable. With `expected`, a source whose bytes are others by now is Unreadable: before
    the first item where the format is read whole, before the last one where it is read line by line.
    """
    chosen = _named(format) if format is not None else None
    name = re.sub(r"\.gz\Z", "", source.name, flags=re.IGNORECASE)
    kind = SUFFIXES.get(PurePosixPath(name).suffix.lower())
    if kind is not None and chosen is None:
        raise NotATranscript(source.shown, f"by its name {kind}, not a transcript")
    with contextlib.ExitStack() as stack:
        content = stack.enter_context(opened(source))
        head = _head(content)
        if not head.strip(b" \t\r\n\xef\xbb\xbf"):
            raise Unreadable(source.shown, "empty file")
        if packed := _packed(head, chosen):
            data = bytes(content.read_whole())
            content.verify(expected)
            return _unpacked(*packed, Packed(data, name, source.shown, forced=chosen is not None))
        encoding = detect(head, source.shown)
        beginning = decoded_head(head, encoding)
        found, reason = (chosen, "as asked for") if chosen else _recognised(beginning, name, source.shown)
        if content.packed:
            reason = f"gzip; {reason}"
        if found.packed is not None:
            return _unpacked(found, reason, Packed(bytes(content.read_whole()), name, source.shown))
        if found.whole is not None:
            text = decode(content.read_whole(), encoding, source.shown)
            content.verify(expected)
            document = Document(text, name, source.shown, forced=chosen is not None)
            return Reading(found.name, reason, str(encoding), _items(found.whole(document)))
        items = _streamed(found, content, encoding, source.shown, expected, stack.pop_all())
        # The first item is read here, so that what is no transcript at all is told by `read` itself.
        first = tuple(itertools.islice(items, 1))
        return Reading(found.name, reason, str(encoding), itertools.chain(first, items))


def _packed(head: bytes, chosen: Format | None) -> tuple[Format, str] | None:
    """The format and why, of a file that is no text."""
    if chosen is not None:
        return (chosen, "as asked for") if chosen.packed else None
    return next(((f, sign) for f in FORMATS if f.begins and (sign := f.begins(head))), None)


def _unpacked(found: Format, reason: str, packed: Packed) -> Reading:
    assert found.packed is not None
    return Reading(found.name, reason, "binary", _items(found.packed(packed)))


def _items(found: Transcript | Items) -> Iterator[Transcript | Problem]:
    return iter((found,) if isinstance(found, Transcript) else found)


def _streamed(
    found: Format,
    content: Content,
    encoding: Encoding,
    shown: str,
    expected: Fingerprint | None,
    stack: contextlib.ExitStack,
) -> Iterator[Transcript | Problem]:
    """The items, each held until the next one is there: the last only comes when all bytes are the expected ones."""
    assert found.stream is not None
    with stack:
        lines = utf8_lines(content.stream, encoding, json_lines.LONGEST_LINE, shown)
        held: Transcript | Problem | None = None
        for item in found.stream(lines, shown):
            if held is not None:
                yield held
            held = item
        content.verify(expected)
        if held is not None:
            yield held


def _head(content: Content) -> bytes:
    """The first bytes, not taken from the stream; of one long JSON object as much of its line as can be had so."""
    ahead = content.ahead()
    head = ahead[:_HEAD]
    return ahead if b"\n" not in head and head.lstrip(b"\xef\xbb\xbf \t\r").startswith(b"{") else head


def _recognised(head: str, name: str, shown: str) -> tuple[Format, str]:
    """The format and why: the one its name says if its beginning agrees; else what its beginning shows; else its name."""
    suffix = PurePosixPath(name).suffix.lower()
    by_name = next((format_ for format_ in FORMATS if suffix in format_.suffixes), None)
    if by_name and (sign := by_name.recognises(head)):
        return by_name, f"named {suffix}, and {sign}"
    for format_ in FORMATS:
        if sign := format_.recognises(head):
            return format_, f"named {suffix}, but {sign}" if by_name else sign
    if by_name:
        return by_name, f"named {suffix}"
    if _MARKUP.match(head):
        raise Unreadable(shown, f"HTML or XML, which isn't among the formats that are read: {', '.join(formats())}")
    return plain_text.FORMAT, "text of no other format"


def _named(name: str) -> Format:
    found = next((format_ for format_ in FORMATS if format_.name == name), None)
    if found is None:
        raise SettingsError(f"no such format: {name}; there are {', '.join(formats())}")
    return found
