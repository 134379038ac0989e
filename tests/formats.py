"""Keeps the tables of docs/formats.md as the readers have it: `python -m tests.formats` writes them anew.

The table of files needs the shared transcripts; without them it stays as it is.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from core_engine.errors import NotATranscript
from core_engine.readers.registry import FORMATS, Source, discover, read
from core_engine.types import Transcript

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
SHARED = Path(os.environ.get("KG_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
SMALL = SHARED / "transcripts" / "small"

_WHAT = {
    "webvtt": "WebVTT of browsers, Zoom, Teams, Webex (`<v Name>`, `Name:`, names in the cues' ids), YouTube's rolling captions",
    "srt": "SubRip captions, `Name:` in them",
    "sbv": "YouTube's captions",
    "ttml": "TTML and DFXP captions; DTDs and entities are refused",
    "xml": "debates of TheyWorkForYou, Akoma Ntoso, TEI and the Bundestag; YouTube's captions (`srv1`, `srv3`)",
    "html": "the podcast namespace's `<cite>`, `<time>`, `<p>`; scripts and styles are no words",
    "json": "Whisper, WhisperX, Podcasting 2.0, AssemblyAI, Deepgram, AWS Transcribe, Google Speech, Otter, Rev, Speechmatics, Azure Speech, Gong, "
    "Recall.ai, YouTube's `json3`, QMSum, and any list of `{speaker, text, start, end}`",
    "jsonl": "a document, a turn, or a ready chunk a line",
    "nlp": "Rev's tokens",
    "csv": "a turn a row, its columns named in the first one",
    "markdown": "`**Name:** …`, front matter as metadata",
    "docx": "as Teams and Otter export it",
    "text": "`Name: …`, `[00:01:02] Name:`, `Name  0:01` or `0:01 - Name` above its paragraph, `>> `, `Q:`/`A:`, "
    "`Mr. SMITH. `, times above words, meeting chats, or no names",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What a file was read as. `captions` counts those that turns were joined from; times in seconds."""

    file: str
    format: str
    captions: int
    turns: int
    speakers: int
    first: float | None
    last: float | None


def rows() -> list[Row]:
    """A row for each transcript of the shared small set, in the order of their names."""
    found = []
    for source in discover([str(SMALL)]):
        assert isinstance(source, Source)
        try:
            reading = read(source)
        except NotATranscript:
            continue
        (item,) = reading.items
        assert isinstance(item, Transcript)
        starts = [turn.start for turn in item.turns if turn.start is not None]
        times = [time for turn in item.turns for time in (turn.start, turn.end, *(m.start for m in turn.marks))]
        found.append(
            Row(
                source.name,
                reading.format,
                sum(len(turn.marks) for turn in item.turns),
                len(item.turns),
                len({turn.speaker for turn in item.turns} - {None}),
                min(starts, default=None),
                max((time for time in times if time is not None), default=None),
            )
        )
    return found


def table_of_formats() -> str:
    lines = ["| format | names | what is read |", "| --- | --- | --- |"]
    lines += [f"| `{f.name}` | {' '.join(f'`{suffix}`' for suffix in f.suffixes)} | {_WHAT[f.name]} |" for f in FORMATS]
    return "\n".join(lines)


def table_of_files(found: list[Row]) -> str:
    lines = [
        "| file | format | captions | turns | speakers | first | last |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    lines += [
        f"| {r.file} | {r.format} | {r.captions or ''} | {r.turns} | {r.speakers or ''} | {_time(r.first)} | {_time(r.last)} |"
        for r in found
    ]
    return "\n".join(lines)


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"


def with_tables(page: str) -> str:
    """The page with its tables as they are now."""
    page = _put(page, "formats", table_of_formats())
    return _put(page, "files", table_of_files(rows())) if SMALL.is_dir() else page


def _put(page: str, name: str, table: str) -> str:
    between = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    return between.sub(lambda _: f"{table}\n", page)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
