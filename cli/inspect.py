"""`kg inspect`: what is understood of a file, before anything is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from cli import options, show
from core_engine.chunking.cut import cut, keep_ready
from core_engine.errors import NotATranscript, ReadError, SettingsError
from core_engine.llm.tokens import estimate_tokens
from core_engine.machine import collecting_seldom
from core_engine.readers import registry
from core_engine.readers.languages import Language, language_of
from core_engine.readers.sources import Source, discover
from core_engine.settings import Settings
from core_engine.types import Problem, Transcript

app = typer.Typer(add_completion=False)

_SHOWN_SPEAKERS = 8
_SHOWN_WARNINGS = 20
_SAMPLE = 400
"""Turns of a document by which its language is told."""


@dataclass(slots=True)
class Inspection:
    """What one file is read as. Times in seconds; `status` is read, skipped or unreadable, with `reason` why."""

    file: str
    status: str = "read"
    reason: str = ""
    format: str = ""
    encoding: str = ""
    documents: int = 0
    title: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    turns: int = 0
    speakers: dict[str, int] = field(default_factory=dict)
    first: float | None = None
    last: float | None = None
    language: dict[str, Any] = field(default_factory=dict)
    chunks: int = 0
    ready_chunks: int = 0
    characters: int = 0
    characters_cleaned: int = 0
    tokens: int = 0
    tokens_cleaned: int = 0
    warnings: list[str] = field(default_factory=list)


@app.command()
def inspect(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files, folders, archives or globs; - is stdin.")
    ],
    format: Annotated[  # noqa: A002  # the name of the option
        str | None, typer.Option("--format", help="Read as this format, whatever the file looks like.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Show what is understood of transcripts: format, encoding, turns, speakers, times, language, chunks, warnings.

    Nothing is written, and no model is asked.
    """
    if format is not None and format not in registry.formats():
        raise SettingsError(f"--format {format}: there is no such format: {', '.join(registry.formats())}")
    bad = False
    found = []
    with collecting_seldom():
        for one in _inspections(files, format):
            bad = bad or one.status == "unreadable"
            if json:
                found.append(one)
            else:
                show.out(_in_words(one))
    if json:
        show.json_out(found)
    raise typer.Exit(2 if bad else 0)


def _inspections(files: Sequence[str], format_: str | None) -> Iterator[Inspection]:
    for source in discover(files):
        if isinstance(source, Source):
            yield _inspected(source, format_)
        else:
            yield Inspection(source.path, "unreadable", source.reason)


def _inspected(source: Source, format_: str | None) -> Inspection:
    one = Inspection(source.shown)
    try:
        reading = registry.read(source, format=format_)
        one.reason, one.format, one.encoding = reading.reason, reading.format, reading.encoding
        languages: Counter[Language] = Counter()
        for item in reading.items:
            if isinstance(item, Problem):
                one.warnings.append(str(ReadError(source.shown, item.reason, line=item.line, column=item.column)))
                one.status = "unreadable"
            else:
                _add(one, item, languages)
        if languages:
            one.language = _language(languages.most_common(1)[0][0])
    except ReadError as error:
        one.status = "skipped" if isinstance(error, NotATranscript) else "unreadable"
        one.reason = error.reason if error.line is None else str(error)
    return one


def _add(one: Inspection, transcript: Transcript, languages: Counter[Language]) -> None:
    """Count a transcript of the file in."""
    one.documents += 1
    one.title = transcript.title if one.documents == 1 else None
    one.metadata = dict(transcript.metadata) if one.documents == 1 else {}
    one.turns += len(transcript.turns)
    for turn in transcript.turns:
        if turn.speaker is not None:
            one.speakers[turn.speaker] = one.speakers.get(turn.speaker, 0) + 1
        one.first = min((t for t in (one.first, turn.start) if t is not None), default=None)
        times = (one.last, turn.start, turn.end, *(mark.start for mark in turn.marks))
        one.last = max((time for time in times if time is not None), default=None)
    language = language_of(turn.text for turn in transcript.turns[:_SAMPLE])
    languages[language] += sum(len(turn.text) for turn in transcript.turns)
    one.warnings += transcript.warnings
    _cut(one, transcript)


def _cut(one: Inspection, transcript: Transcript) -> None:
    size = Settings().chunk_size
    if transcript.ready is not None:
        chunks = keep_ready("", transcript, size=size)
        one.ready_chunks += len(chunks)
    else:
        chunks = cut("", transcript.turns, size=size)
    one.chunks += len(chunks)
    turns = [turn for chunk in chunks for turn in chunk.turns]
    one.characters += sum(len(turn.raw) for turn in turns)
    one.characters_cleaned += sum(len(turn.text) for turn in turns)
    one.tokens += round(sum(estimate_tokens(turn.raw) for turn in turns))
    one.tokens_cleaned += round(sum(estimate_tokens(turn.text) for turn in turns))


def _language(language: Language) -> dict[str, Any]:
    return {
        "code": language.code,
        "name": language.name,
        "script": language.script,
        "names_by_rules": language.names_by_rules,
    }


# --- in words --------------------------------------------------------------------------------------------------------


def _in_words(one: Inspection) -> str:
    if one.status == "skipped" or not one.documents:
        return f"{one.file}\n  {one.status:12}{one.reason}"
    rows = {
        "format": f"{one.format} ({one.reason})",
        "encoding": one.encoding,
        "documents": f"{one.documents:,}" if one.documents > 1 else "",
        "title": one.title or "",
        **{key: one.metadata.get(key, "") for key in ("date", "participants")},
        "language": _language_in_words(one),
        "turns": f"{one.turns:,}",
        "speakers": _speakers_in_words(one.speakers),
        "times": "none" if one.first is None else f"{show.clock(one.first)} to {show.clock(one.last)}",
        "chunks": f"{one.chunks:,}" + (" (came ready)" if one.ready_chunks else ""),
        "cleaning": _cleaning_in_words(one),
    }
    lines = [one.file, *(f"  {name:14}{' '.join(value.split())}" for name, value in rows.items() if value)]
    lines += [f"  {'warning':14}{warning}" for warning in one.warnings[:_SHOWN_WARNINGS]]
    if one.status == "unreadable" and not one.warnings:
        lines.append(f"  {'unreadable':14}{one.reason}")
    if (more := len(one.warnings) - _SHOWN_WARNINGS) > 0:
        lines.append(f"  {'':14}and {more:,} more")
    return "\n".join(lines)


def _language_in_words(one: Inspection) -> str:
    name, script = one.language["name"], one.language["script"]
    words = name if name == script else f"{name} in {script} script" if script else "no letters"
    if not script or one.language["names_by_rules"]:
        return words
    return f"{words}: names can't be told by rules here, a model can"


def _speakers_in_words(speakers: dict[str, int]) -> str:
    if not speakers:
        return "none named"
    first = sorted(speakers.items(), key=lambda item: -item[1])[:_SHOWN_SPEAKERS]
    names = ", ".join(f"{name[:60]} ({count:,})" for name, count in first)
    more = len(speakers) - len(first)
    return f"{len(speakers):,}: {names}" + (f" and {more:,} more" if more else "")


def _cleaning_in_words(one: Inspection) -> str:
    if not one.characters:
        return ""
    share = 1 - one.characters_cleaned / one.characters
    return (
        f"takes out {share:.0%} of the characters: about {one.tokens - one.tokens_cleaned:,} of {one.tokens:,} tokens"
    )
