"""Rev's `.nlp` files: a token a line, with speaker and times, its columns parted by bars."""

from __future__ import annotations

from core_engine.errors import Unreadable
from core_engine.readers.formats import Document, Format, Items
from core_engine.readers.lines import Line, lines_of
from core_engine.readers.times import seconds
from core_engine.readers.words import Word, turns_of_words
from core_engine.types import Place, Problem, Transcript

_FIRST = "token|speaker|"


def recognises(head: str) -> str | None:
    return "begins with the columns of Rev's .nlp" if head.startswith(_FIRST) else None


def read(document: Document) -> Items:
    """The tokens with their punctuation as turns by speaker; a line with other columns is a Problem.

    A place spans the lines of the tokens from the first to the last.
    """
    text = document.text
    lines = lines_of(text)
    if not lines or not text.startswith(_FIRST):
        raise Unreadable(document.shown, "no columns `token|speaker|ts|endTs|punctuation|…` in its first line", line=1)
    columns = text[: lines[0].end].strip().split("|")
    problems: list[Transcript | Problem] = []
    words = [word for line in lines[1:] if not line.blank and (word := _word(text, line, columns, problems))]
    turns = turns_of_words(words)
    if not turns:
        raise Unreadable(document.shown, "nothing is said in it: a header without tokens")
    return [Transcript(turns), *problems]


def _word(text: str, line: Line, columns: list[str], problems: list[Transcript | Problem]) -> Word | None:
    cells = text[line.start : line.end].split("|")
    if len(cells) != len(columns):
        problems.append(Problem(f"{len(cells)} columns where the first line has {len(columns)}", line.number))
        return None
    row = dict(zip(columns, cells, strict=True))
    speaker = row["speaker"].strip()
    return Word(
        row["token"].strip() + row.get("punctuation", "").strip(),
        f"Speaker {speaker}" if speaker.isdecimal() else speaker or None,
        seconds(row.get("ts")),
        seconds(row.get("endTs")),
        Place(line.start, line.start + len(cells[0]), line.number),
    )


FORMAT = Format("nlp", (".nlp",), recognises, whole=read, cut="rows")
