"""Tables of turns (`.csv`, `.tsv`): a turn a row, its speaker, words and times in columns that are named in the first row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.cues import Cue
from core_engine.readers.formats import Document, Format, Items
from core_engine.readers.json_lines import DOCUMENT_KEYS
from core_engine.readers.json_turns import name_of, turns_of_cues
from core_engine.readers.times import seconds
from core_engine.types import Place, Problem, Transcript


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TEXT = _names(
    "text transcript content utterance message sentence body words speech dialogue caption subtitle line said"
)
_SPEAKER = _names(
    "speaker speaker_name speakername speaker_label speaker_id name participant participant_name who author from user "
    "user_name username role sender person voice speaker_role"
)
_START = _names(
    "start start_time starttime begin begin_time time timestamp time_stamp timecode in tc_in offset start_offset "
    "start_timecode time_in from_time start_at begins"
)
_END = _names("end end_time endtime stop stop_time finish out tc_out end_offset end_timecode time_out to_time ends")
_DURATION = _names("duration dur length")
_UNIT = re.compile(r"_(ms|msec|msecs|millis|milliseconds?|s|sec|secs|seconds?|hh_mm_ss|hms)\Z")
_SEPARATORS = ("\t", ",", ";", "|")
_SEPARATED = re.compile(r"\s*[^\r\n]*[\t,;|]")
_SEVERAL = 2
_TOO_MANY = 20
"""Cells beyond the last column with which a row is given up: it will not come right."""
_LINE_END = re.compile(r"\r\n|\n|\r")


class Cell(NamedTuple):
    """A cell: what it says, and where its words stand, without their quotes."""

    text: str
    start: int
    end: int


class Row(NamedTuple):
    """A row, and the number of its first line."""

    cells: list[Cell]
    line: int


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where in a row each thing stands; None where the table doesn't have it."""

    count: int
    text: int | None
    speaker: int | None
    start: int | None
    end: int | None
    duration: int | None
    document: int | None
    milliseconds: bool

    @property
    def known(self) -> int:
        return sum(index is not None for index in (self.text, self.speaker, self.start))


def recognises(head: str) -> str | None:
    if not _SEPARATED.match(head):
        return None
    header = _header(head)
    if header is None or header[1].text is None or header[1].known < _SEVERAL:
        return None
    return "begins with the names of columns, text among them"


def read(document: Document) -> Items:
    """The transcript, or one for each conversation where a column names them; a row of another width is a Problem.

    Where rows have times, those of one speaker are joined as captions are.
    """
    header = _header(document.text)
    if header is None:
        raise Unreadable(document.shown, "empty file")
    separator, columns, names = header
    if columns.text is None:
        reason = f"a table without a column of text (it has {_shown(names)}), not a transcript"
        raise NotATranscript(document.shown, reason)
    if columns.known < _SEVERAL and not document.forced:
        reason = f"a table without a column of speakers or times (it has {_shown(names)}), not a transcript"
        raise NotATranscript(document.shown, reason)
    return _transcripts(document, separator, columns)


def _transcripts(document: Document, separator: str, columns: _Columns) -> Items:
    conversations: dict[str, list[Cue]] = {}
    problems: list[Problem] = []
    rows = rows_of(document.text, separator, columns.count)
    next(rows)
    for row in rows:
        cells = _filled(row.cells, columns.count)
        if len(cells) != columns.count:
            problems.append(Problem(f"{len(cells)} cells in a row where the first one has {columns.count}", row.line))
            continue
        name = cells[columns.document].text.strip() if columns.document is not None else ""
        conversations.setdefault(name, []).append(_cue(cells, columns, row.line))
    found: list[Transcript | Problem] = []
    for name, cues in conversations.items():
        turns, warnings = turns_of_cues(cues, milliseconds=columns.milliseconds)
        if turns:
            found.append(Transcript(turns, name, warnings=warnings))
    if not found and not problems:
        raise Unreadable(document.shown, "nothing is said in it: a header without rows that have text")
    return [*found, *problems]


def _cue(cells: list[Cell], columns: _Columns, line: int) -> Cue:
    def time(index: int | None) -> float | None:
        return seconds(cells[index].text) if index is not None else None

    assert columns.text is not None
    cell = cells[columns.text]
    start, end, duration = time(columns.start), time(columns.end), time(columns.duration)
    if end is None and start is not None and duration is not None:
        end = start + duration
    if start is not None and end is not None and end < start:
        end = None
    speaker = name_of(cells[columns.speaker].text) if columns.speaker is not None else None
    begins = (
        cell.start + len(cell.text) - len(cell.text.lstrip()) if cell.end - cell.start == len(cell.text) else cell.start
    )
    ends = cell.end - (len(cell.text) - len(cell.text.rstrip()))
    return Cue(cell.text.strip(), speaker, start, end, Place(begins, max(begins, ends), line))


def _filled(cells: list[Cell], count: int) -> list[Cell]:
    """The cells without empty ones beyond the last column, which spreadsheets like to add."""
    while len(cells) > count and not cells[-1].text.strip():
        cells = cells[:-1]
    return cells


def rows_of(text: str, separator: str, count: int = 1000) -> Iterator[Row]:
    """The rows that aren't blank. A quote that is never closed is a character like any other.

    Where a stray quote has drawn several lines into a row, which then hasn't its `count` of cells, the row is told as
    it is, and the next one begins on its second line.
    """
    ends = re.escape(separator)
    cell = re.compile(rf'(?:[ ]*+"((?>[^"]*(?:""[^"]*)*))"[ ]*|([^\r\n{ends}]*))({ends}|\r\n|\n|\r|\Z)')
    cells: list[Cell] = []
    at, line, first, begins = 0, 1, 1, 0
    while at < len(text) or cells:
        match = cell.match(text, at)
        assert match is not None
        group = 1 if match[1] is not None else 2
        words = match[group]
        line += words.count("\n") or words.count("\r")
        cells.append(Cell(words.replace('""', '"') if group == 1 else words, *match.span(group)))
        at = match.end()
        if match[3] == separator and len(cells) < count + _TOO_MANY:
            continue
        if len(cells) > 1 or cells[0].text.strip():
            yield Row(cells, first)
        if line > first and len(cells) != count:
            behind = _LINE_END.search(text, begins)
            assert behind is not None
            at, line = behind.end(), first
        elif match[3] == "":
            return
        cells, begins = [], at
        line += 1
        first = line


def _header(text: str) -> tuple[str, _Columns, list[str]] | None:
    """Separator, columns and names as the first row tells them: with the separator that makes most sense of it."""
    best: tuple[str, _Columns, list[str]] | None = None
    for separator in _SEPARATORS:
        row = next(rows_of(text[: 1 << 16], separator), None)
        if row is None:
            return None
        names = [cell.text.strip() for cell in _filled(row.cells, 1)]
        columns = _columns(names)
        rank = (columns.text is not None, columns.known, len(names))
        if best is None or rank > (best[1].text is not None, best[1].known, len(best[2])):
            best = (separator, columns, names)
    return best


def _columns(names: list[str]) -> _Columns:
    keys = [re.sub(r"[\W_]+", "_", name.casefold()).strip("_") for name in names]
    bare = [_UNIT.sub("", key) for key in keys]

    def index(known: frozenset[str], taken: tuple[int | None, ...] = ()) -> int | None:
        return next((i for i, key in enumerate(bare) if key in known and i not in taken), None)

    text = next((keys.index(key) for key in ("text", "transcript", "content", "message") if key in keys), index(_TEXT))
    speaker, start, end = index(_SPEAKER, (text,)), index(_START, (text,)), index(_END, (text,))
    document = index(frozenset(DOCUMENT_KEYS), (text,))
    timed = [keys[i] for i in (start, end) if i is not None]
    milliseconds = any((unit := _UNIT.search(key)) and unit[1].startswith("m") for key in timed)
    return _Columns(len(names), text, speaker, start, end, index(_DURATION), document, milliseconds)


def _shown(names: list[str]) -> str:
    short = [name if len(name) <= 30 else name[:30] + "…" for name in names[:8]]
    return ", ".join(short) + (", …" if len(names) > 8 else "")


FORMAT = Format("csv", (".csv", ".tsv"), recognises, whole=read, cut="rows")
