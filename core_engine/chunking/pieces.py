"""Splits a long stretch of text at sentence ends, else between words, else anywhere."""

# ruff: noqa: RUF001 - sentences also end in other scripts than ours

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator

# Not after initials and titles ("J. Smith", "the U.S. market", "Mr. Li"): a name must not be torn apart.
_ABBREVIATIONS = ("Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Sr", "Jr", "vs", "No", "e.g", "i.e")
_STOP = r"\.(?<![A-Z]\.)" + "".join(rf"(?<!\b{re.escape(word)}\.)" for word in _ABBREVIATIONS)
_SENTENCE_END = re.compile(
    rf"(?:[?!…]|{_STOP})[.?!…]{{0,9}}+[\"'”’»)\]]{{0,4}}+\s++|[。！？]++[」』”’）]{{0,4}}+\s*+|\n\s*+"
)
_WORD = re.compile(r"(\S++)\s++")
_JOINERS = "\u200d\ufe0e\ufe0f"


def pieces(text: str, start: int, end: int, room: int) -> Iterator[tuple[int, int]]:
    """Spans that cover `text[start:end]` without a gap, none longer than `room`, in linear time."""
    begin = start
    for match in _SENTENCE_END.finditer(text, start, end):
        yield from _shorter(text, begin, match.end(), room)
        begin = match.end()
    if begin < end:
        yield from _shorter(text, begin, end, room)


def _shorter(text: str, start: int, end: int, room: int) -> Iterator[tuple[int, int]]:
    while end - start > room:
        at = _boundary(text, start, start + room)
        yield start, at
        start = at
    yield start, end


def _boundary(text: str, start: int, limit: int) -> int:
    """The best place to cut after `start`, at `limit` at the latest.

    Among the word boundaries of the last quarter it is chosen by the word before it, not by its distance: so the cuts
    of two versions of a text fall together again soon after the place where they differ.
    """
    low = limit - (limit - start) // 4
    words = [(zlib.crc32(m[1].encode("utf-8", "surrogatepass")), m.end()) for m in _WORD.finditer(text, low, limit)]
    if words:
        return min(words[1:] or words)[1]  # the first may be only the end of a word
    for at in range(low, max(start, low - (limit - start) // 2), -1):
        if text[at - 1].isspace():
            return at
    return _whole_character(text, start, limit)


def _whole_character(text: str, start: int, at: int) -> int:
    """`at`, or a little before it where a combined character would be torn apart."""
    for here in range(at, max(start, at - 16), -1):
        if not unicodedata.combining(text[here]) and text[here] not in _JOINERS and text[here - 1] != "\u200d":
            return here
    return at
