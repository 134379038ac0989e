"""Files too large to be held are read in parts: cut where the content says so, so that an edit moves no other cut."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from core_engine.types import Mark, Place, Transcript, Turn

LARGEST = 2 << 20
"""Characters of a part at most, and bytes of a file up to which it isn't cut: some thirty hours of talk."""
LEAST = 1 << 20

_PARAGRAPH = re.compile(r"(?:\r\n|\n|\r)[ \t]*(?:\r\n|\n|\r)\s*(?<=[\r\n])[ \t]*(?=[^\s-])")
_LINE = re.compile(r"(?:\r\n|\n|\r(?!\n))(?=[^\r\n-])")
_WORD = re.compile(r"\s(?=\S)")
# (Not before a dash: `---` at the top of a part would be taken for front matter.)
_SEEN = 48
"""Characters behind a cut by which it is chosen."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a file's text; it stands `offset` characters into the file, and begins on line `line`."""

    text: str
    offset: int
    line: int
    last: bool = False


def parts(pieces: Iterable[str], cut: Literal["paragraphs", "rows"]) -> Iterator[Part]:
    """The text of a file in parts, without a gap. Places of cuts depend on the text around them alone."""
    held: list[str] = []
    size, offset, line = 0, 0, 1
    header = ""
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        while size > LARGEST:
            text = "".join(held)
            if cut == "rows" and not offset:
                header = text[: _row_end(text)]
            at = _boundary(text, len(header) if offset else 0, cut)
            yield _part(text[:at], header if offset else "", offset, line)
            offset, line = offset + at, line + line_ends(text[:at])
            held, size = [text[at:]], size - at
    rest = "".join(held)
    if rest:
        yield replace(_part(rest, header if offset else "", offset, line), last=True)


def _part(text: str, header: str, offset: int, line: int) -> Part:
    # The header stands before each part, so that places count from as far before the part as the header is long.
    return Part(header + text, offset - len(header), line - line_ends(header))


def moved(transcript: Transcript, part: Part, speaker: str | None) -> Transcript:
    """What was read from a part, at its places in the file; `speaker` goes on where the part names none at first."""
    first = next((i for i, turn in enumerate(transcript.turns) if turn.speaker), len(transcript.turns))
    turns = (_moved(turn, part, speaker if i < first else turn.speaker) for i, turn in enumerate(transcript.turns))
    return replace(transcript, turns=tuple(turns))


def _moved(turn: Turn, part: Part, speaker: str | None) -> Turn:
    marks = tuple(Mark(mark.at, mark.start, mark.end, _place(mark.place, part)) for mark in turn.marks)
    return Turn(turn.text, speaker, turn.start, turn.end, _place(turn.place, part), marks)


def _place(place: Place, part: Part) -> Place:
    return Place(
        None if place.start is None else place.start + part.offset,
        None if place.end is None else place.end + part.offset,
        None if place.line is None else place.line + part.line - 1,
        place.pointer,
    )


def where_to_cut(items: Iterable[tuple[str, int]]) -> int:
    """How many of the items, given by their words and sizes, the first part takes: cut as text is."""
    size, best, lowest, count = 0, 0, 1 << 32, 0
    for at, (words, length) in enumerate(items):
        if size >= LEAST and (found := _hash(words)) < lowest:
            best, lowest = at, found
        size += length
        count = at + 1
    return best or count


def record_of_part(record: str, number: int) -> str:
    """How a part of the record is named."""
    return f"{record} part {number}".lstrip()


def record_of_whole(transcript: Transcript) -> str:
    """The record that the transcript is a part of; its own where it is none."""
    return transcript.record.removesuffix(f"part {transcript.part}").rstrip() if transcript.part else transcript.record


def line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _boundary(text: str, least: int, cut: str) -> int:
    """Where to cut: of all places between LEAST and LARGEST the one whose following words have the lowest hash."""
    start = max(LEAST, least)
    for pattern in (_LINE, _WORD) if cut == "rows" else (_PARAGRAPH, _LINE, _WORD):
        found = [match.end() for match in pattern.finditer(text, start, LARGEST)]
        if cut == "rows" and pattern is _LINE:
            found = _outside_quotes(text, found) or found
        if found:
            return min(found, key=lambda at: _hash(text[at : at + _SEEN]))
    return LARGEST


def _hash(words: str) -> int:
    return zlib.crc32(words.encode("utf-8", "surrogatepass"))


def _outside_quotes(text: str, found: list[int]) -> list[int]:
    """Those of the places that no open quote encloses; the text begins outside of quotes."""
    outside, quotes, at = [], 0, 0
    for place in found:
        quotes += text.count('"', at, place)
        at = place
        if quotes % 2 == 0:
            outside.append(place)
    return outside


def _row_end(text: str) -> int:
    """The length of the first row, line end included."""
    found = [match.end() for match in re.finditer(r"\r\n|\n|\r", text[: 64 << 10])]
    return next(iter(_outside_quotes(text, found)), 0)
