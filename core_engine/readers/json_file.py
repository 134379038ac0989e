"""A JSON file that is one conversation: as a service writes it, or any list of `{speaker, text, start, end}`."""

from __future__ import annotations

from typing import Any

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers import json_large
from core_engine.readers.formats import Document, Format
from core_engine.readers.json_lines import begins_with_records
from core_engine.readers.json_services import conversation
from core_engine.readers.json_turns import around, find_turns, metadata_of, prose_of, title_of, turns_of
from core_engine.readers.json_values import BrokenJSON, looks_like_json, parsed
from core_engine.readers.speaker_names import named, names_in
from core_engine.types import Transcript, Turn

_PROSE_AT_LEAST = 200
"""Characters of a member `text` from which on it may be a transcript without segments."""


def recognises(head: str) -> str | None:
    return "begins as JSON does" if looks_like_json(head) and not begins_with_records(head) else None


def read(document: Document) -> Transcript:
    """The list of turns wherever it is, at most one key deep; the plain members beside it become metadata."""
    try:
        value = parsed(document.text)
    except BrokenJSON as error:
        several = "Extra data" in error.reason
        reason = "more than one JSON value; if there is one a line, name it .jsonl" if several else error.reason
        raise Unreadable(document.shown, reason, line=error.line, column=error.column) from error
    if (found := conversation(value)) and found.turns:
        return Transcript(found.turns, title=found.title, metadata=found.metadata)
    listed = find_turns(value) if not found else None
    turns, warnings = turns_of(listed) if listed else _prose(value, document) if not found else ((), ())
    if not turns:
        raise Unreadable(document.shown, "nothing is said in it")
    about = around(value, listed.pointer) if listed else [value]
    title = next(filter(None, map(title_of, about)), None)
    metadata: dict[str, str] = {}
    for one in reversed(about):
        metadata |= metadata_of(one, ("title",))
        turns = named(turns, names_in(one))
    return Transcript(turns, title=title, metadata=metadata, warnings=warnings)


def _prose(value: Any, document: Document) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    if isinstance(value, dict):
        prose = prose_of(value)
        if sum(len(turn.text) for turn in prose) >= _PROSE_AT_LEAST or any(turn.speaker for turn in prose):
            return prose, ()
        if value.get("segments") == []:
            raise Unreadable(document.shown, "nothing is said in it: its list of segments is empty")
    raise NotATranscript(document.shown, "JSON without a list of turns (entries with text, and a speaker or a time)")


FORMAT = Format("json", (".json",), recognises, whole=read, large=json_large.read)
