"""All formats, and the one door to them: which format a file has, and the transcripts in it.

A new format is a module with a FORMAT, and its name in FORMATS below.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    xml_speech,
)
from core_engine.readers.content import Content, Fingerprint, fingerprint, opened
from core_engine.readers.decoding import Encoding, decoded_head, detect
from core_engine.readers.formats import Format
from core_engine.readers.items import Task
from core_engine.readers.metadata import About, about
from core_engine.readers.refusals import SUFFIXES
from core_engine.readers.side_files import is_side_file
from core_engine.readers.sources import Source, discover
from core_engine.types import Problem, Transcript

__all__ = ["Fingerprint", "Reading", "Source", "discover", "fingerprint", "formats", "read"]

# In this order they are asked whether they recognise a file whose name says nothing, or something wrong.
FORMATS = (
    webvtt.FORMAT,
    srt.FORMAT,
    sbv.FORMAT,
    ttml.FORMAT,
    xml_speech.FORMAT,
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
    if chosen is None:
        _refuse_by_name(name, source.shown)
    with contextlib.ExitStack() as stack:
        content = stack.enter_context(opened(source))
        head = _head(content)
        if not head.strip(b" \t\r\n\xef\xbb\xbf"):
            raise Unreadable(source.shown, "empty file")
        found, reason, encoding = _format_of(head, name, source.shown, chosen)
        task = Task(found, content, encoding, name, source, chosen is not None, expected)
        items = _completed(task.items(stack.pop_all()), task, about(source))
        # The first item is read here, so that what is no transcript at all is told by `read` itself.
        first = tuple(itertools.islice(items, 1))
        reason = f"gzip; {reason}" if content.packed else reason
        return Reading(found.name, reason, str(task.encoding or "binary"), itertools.chain(first, items))


def _refuse_by_name(name: str, shown: str) -> None:
    if is_side_file(name):
        raise NotATranscript(shown, "a side file: what it says belongs to the transcripts beside it")
    if kind := SUFFIXES.get(PurePosixPath(name).suffix.lower()):
        raise NotATranscript(shown, f"by its name {kind}, not a transcript")


def _format_of(head: bytes, name: str, shown: str, chosen: Format | None) -> tuple[Format, str, Encoding | None]:
    """The format, why it is this one, and the encoding; None for what is no text."""
    if packed := _packed(head, chosen):
        return *packed, None
    encoding = detect(head, shown)
    if chosen:
        return chosen, "as asked for", encoding
    found, reason = _recognised(decoded_head(head, encoding), name, shown)
    return found, reason, None if found.packed else encoding


def _packed(head: bytes, chosen: Format | None) -> tuple[Format, str] | None:
    """The format and why, of a file that is no text."""
    if chosen is not None:
        return (chosen, "as asked for") if chosen.packed else None
    return next(((f, sign) for f in FORMATS if f.begins and (sign := f.begins(head))), None)


def _completed(items: Iterator[Transcript | Problem], task: Task, known: About) -> Iterator[Transcript | Problem]:
    """The items with what is known of them otherwise; what there is to warn of stands at the first."""
    told = False
    for item in items:
        if isinstance(item, Problem):
            yield item
            continue
        transcript = known.of(item)
        if not told:
            guess = task.encoding and task.encoding.warning
            warnings = (*((guess,) if guess else ()), *known.warnings)
            transcript = replace(transcript, warnings=(*transcript.warnings, *warnings))
            told = True
        yield transcript


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
