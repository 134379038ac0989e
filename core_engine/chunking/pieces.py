"""Splits a long stretch of text at sentence ends, else between words, else anywhere."""

# ruff: noqa: RUF001 - sentences also end in other scripts than ours

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator

# Not after initials and titles ("J. Smith", "the U.S. market", "Mr. Li"): a name must not be torn apart.
_ABBREVIATIONS = (
    "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Sr", "Jr", "vs", "No", "e.g", "i.e",
    "Hr", "Fr", "Nr", "Str", "bzw", "ca", "z.B", "d.h", "u.a",  # German
    "Mme", "Mlle", "Sra", "Srta", "Ud", "Uds", "núm", "sig", "dott", "ing", "dhr", "mevr",  # French to Dutch
    "г", "ул", "им", "т.е", "т.к", "проф",  # Russian
)  # fmt: skip
_STOP = r"\.(?<![A-ZÀ-ÖØ-ÞА-ЯΑ-Ω]\.)" + "".join(rf"(?<!\b{re.escape(word)}\.)" for word in _ABBREVIATIONS)
# Thai, Lao, Burmese and Khmer part their phrases, and not their words, by spaces.
_PHRASING = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
# One pattern for all languages, and no look at which of them it is: where a text is cut must depend on nothing but the
# words around the cut.
_SENTENCE_END = re.compile(
    # Latin, Cyrillic, Greek (whose question mark is a semicolon), Arabic and Hebrew: a stop, and a space behind it
    rf"(?:[?!…؟\u037e]|;(?<=[\u0370-\u03ff\u1f00-\u1fff];)|{_STOP})[.?!…؟]{{0,9}}+[\"'”’»)\]]{{0,4}}+\s++"
    # Chinese, Japanese, Indian scripts, Urdu, Armenian, Ethiopic, Burmese, Khmer: the stop alone
    r"|[。！？｡।॥۔։።፧။។៕]++[」』”’）〉》】]{0,4}+\s*+"
    rf"|[ \u200b](?<=[{_PHRASING}].)[ \u200b]*+(?=[{_PHRASING}])"
    r"|\n\s*+"
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
