"""JSON Lines: a document, a turn, or a ready chunk a line; one document is held at a time.

A document a line has a list of turns (or a text and an id). A turn a line has a text with a speaker or a time, and may
name its document. A ready chunk a line has a text with a `chunk_id`, or an `id` and the document it belongs to. What
the first line that fits any of these is, decides for the file.

The lines of a document stand together. Where one comes again further down, those lines are a Problem: putting them
together would mean to hold the whole file.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers import parts
from core_engine.readers.formats import Format, NumberedLines
from core_engine.readers.json_services import conversation
from core_engine.readers.json_turns import (
    find_turns,
    has_speaker_or_time,
    is_turn,
    metadata_of,
    prose_of,
    title_of,
    turns_at,
    turns_of,
    words_of,
)
from core_engine.readers.json_values import BrokenJSON, looks_like_json, parsed
from core_engine.readers.ready_chunks import transcript_of_chunks
from core_engine.readers.speaker_names import named, names_in
from core_engine.types import Place, Problem, Transcript

LONGEST_LINE = 64 << 20
"""Bytes of a line; longer ones are a Problem, so that a file without line ends can't take all memory."""

_PATIENCE = 1000
"""Lines after which a file that held nothing so far isn't read on."""

DOCUMENT_KEYS = (
    "document", "document_id", "doc_id", "meeting_id", "meeting", "transcript_id", "transcript", "conversation_id",
    "session_id", "call_id", "episode_id", "file",
)  # fmt: skip
_ID_KEYS = ("id", *DOCUMENT_KEYS)

Record = tuple[int, dict[str, Any]]
"""The number of a line and the object on it."""


def begins_with_records(head: str) -> bool:
    """Whether the first line is a JSON object by itself and the second one begins as another."""
    first, _, second = head.lstrip().partition("\n")
    if not (first.startswith("{") and second.lstrip().startswith("{")):
        return False
    try:
        return isinstance(parsed(first), dict)
    except BrokenJSON:
        return False


def recognises(head: str) -> str | None:
    """One object a line; a single object may be either, and the file's name decides."""
    if begins_with_records(head):
        return "has a JSON object on each line"
    return "begins as JSON does" if looks_like_json(head) and head.lstrip().startswith("{") else None


def read(lines: NumberedLines, shown: str) -> Iterator[Transcript | Problem]:
    """The documents in their order, and a Problem for each line that can't be read."""
    records = _records(lines)
    problems, first, kind = _beginning(records, shown)
    yield from problems
    yield from _documents(_with(first, records), kind)


def _beginning(records: Iterator[Record | Problem], shown: str) -> tuple[list[Problem], Record, str]:
    """The first line that says what the file holds, what that is, and the Problems before it."""
    problems: list[Problem] = []
    json = False
    for record in itertools.islice(records, _PATIENCE):
        if isinstance(record, Problem):
            problems.append(record)
        elif kind := _kind(record[1]):
            return problems, record, kind
        else:
            json = True
            problems.append(_strange(record[0]))
    if json:
        raise NotATranscript(shown, "JSON Lines without turns, chunks or documents")
    if problems:
        raise Unreadable(shown, problems[0].reason, line=problems[0].line, column=problems[0].column)
    raise Unreadable(shown, "empty file")


def _with(first: Record, rest: Iterable[Record | Problem]) -> Iterator[Record | Problem]:
    yield first
    yield from rest


def _records(lines: NumberedLines) -> Iterator[Record | Problem]:
    for number, line in lines:
        if line is None:
            yield Problem(f"a line of more than {LONGEST_LINE >> 20} MB", number)
            continue
        if line.isspace():
            continue
        try:
            value = parsed(line)
        except BrokenJSON as error:
            yield Problem(error.reason, number, error.column)
            continue
        yield (number, value) if isinstance(value, dict) else Problem("not a JSON object", number)


def _kind(record: dict[str, Any]) -> str | None:
    """What a line holds: `document`, `chunk` or `turn`."""
    if find_turns(record) or conversation(record):
        return "document"
    if not is_turn(record):
        return "document" if isinstance(record.get("transcript"), str) else None
    text = record.get("text")
    if isinstance(text, str) and (
        _named(record, ("chunk_id",)) or (_named(record, ("id",)) and _named(record, DOCUMENT_KEYS))
    ):
        # A turn may have an id and a document as well; what has a speaker of its own and no chunk id is one.
        return "turn" if "chunk_id" not in record and has_speaker_or_time(record) else "chunk"
    if has_speaker_or_time(record):
        return "turn"
    if isinstance(text, str) and (_named(record, _ID_KEYS) or "\n" in text):
        return "document"
    return "turn"


def _documents(records: Iterator[Record | Problem], kind: str) -> Iterator[Transcript | Problem]:
    if kind == "document":
        yield from _one_a_line(records)
        return
    seen: dict[str, int] = {}
    group = _Group("")
    for record in records:
        if isinstance(record, Problem):
            yield record
            continue
        number, value = record
        if not is_turn(value) or (kind == "chunk" and not isinstance(value.get("text"), str)):
            yield _strange(number)
            continue
        name = _named(value, DOCUMENT_KEYS) or ""
        if name != group.name or not (group.records or group.given):
            yield from group.closed(kind)
            group = _Group(name, again=seen.get(name))
            seen.setdefault(name, number)
        group.records.append(record)
        group.size += _size(value)
        if group.size > parts.LARGEST:
            yield from group.part(kind)
    yield from group.closed(kind)


@dataclass(slots=True)
class _Group:
    """The lines of one document; `again` is the line at which it was met before.

    One too large to be held comes in parts, which `given` counts.
    """

    name: str
    records: list[Record] = field(default_factory=list)
    again: int | None = None
    size: int = 0
    given: int = 0

    def part(self, kind: str) -> Iterator[Transcript | Problem]:
        """The first part of what is held."""
        at = parts.where_to_cut((words_of(value), _size(value)) for _, value in self.records)
        rest = self.records[at:]
        self.records = self.records[:at]
        self.given += 1
        yield from self._transcript(kind)
        self.records = rest
        self.size = sum(_size(value) for _, value in rest)

    def closed(self, kind: str) -> Iterator[Transcript | Problem]:
        """What is held, as the document or its last part."""
        self.given += bool(self.given)
        if self.records:
            yield from self._transcript(kind)

    def _transcript(self, kind: str) -> Iterator[Transcript | Problem]:
        number, _ = self.records[0]
        if self.again is not None:
            yield _again(self.name, number, self.again, len(self.records))
            return
        made = transcript_of_chunks if kind == "chunk" else _of_turns
        transcript = made(self.name, self.records)
        if self.given:
            transcript = replace(transcript, record=parts.record_of_part(self.name, self.given), part=self.given)
        yield transcript if transcript.turns else Problem("nothing is said in it", number)


def _size(value: dict[str, Any]) -> int:
    """What a record takes, in characters, about."""
    return len(words_of(value)) + 100


def _of_turns(name: str, records: list[Record]) -> Transcript:
    items = [value for _, value in records]
    turns, warnings = turns_at(items, lambda i, key: Place(line=records[i][0], pointer=f"/{key}"))
    return Transcript(turns, name, title_of(items[0]), warnings=warnings)


def _one_a_line(records: Iterator[Record | Problem]) -> Iterator[Transcript | Problem]:
    seen: dict[str, int] = {}
    for record in records:
        if isinstance(record, Problem):
            yield record
            continue
        number, value = record
        name = _named(value, _ID_KEYS) or f"line {number}"
        if name in seen:
            yield _again(name, number, seen[name], 1)
            continue
        if (written := conversation(value, number)) and written.turns:
            seen[name] = number
            yield Transcript(written.turns, name, written.title, written.metadata)
            continue
        found = find_turns(value)
        turns, warnings = turns_of(found, number) if found else (prose_of(value, number), ())
        if not turns:
            yield Problem("nothing is said in it" if found else _strange(number).reason, number)
            continue
        seen[name] = number
        metadata = metadata_of(value, ("id", "title"))
        turns = named(turns, names_in(value))
        yield Transcript(turns, name, title_of(value), metadata, warnings=warnings)


def _named(record: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    """The first of the keys that holds a name: a short text or a whole number."""
    for key in keys:
        value = record.get(key)
        if isinstance(value, str) and 0 < len(value) <= 1000:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return None


def _strange(number: int) -> Problem:
    return Problem("neither a turn, a chunk nor a document", number)


def _again(name: str, number: int, before: int, count: int) -> Problem:
    lines = "line" if count == 1 else f"{count} lines"
    return Problem(f"{lines} of {name!r}, which was read from line {before} on; its lines must stand together", number)


FORMAT = Format("jsonl", (".jsonl", ".ndjson", ".jsonlines"), recognises, stream=read)
