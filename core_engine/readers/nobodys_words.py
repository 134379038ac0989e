"""Lines of a text that nobody says: page numbers and what is printed beside them, headings, lone times, footers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from core_engine.readers.head import Head
from core_engine.readers.lines import Line
from core_engine.readers.times import TIME, seconds

_LONGEST = 200
_PAGE = re.compile(
    r"(?:page|seite|p\.)[ \t]*\d{1,4}(?:[ \t]*(?:of|/|von)[ \t]*\d{1,4})?|[-\u2013—][ \t]*\d{1,4}[ \t]*[-\u2013—]",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,4}")
_FOOTER = re.compile(
    r"(?:transcribed|transcript (?:created|generated|provided)) (?:by|with|using) \S.{0,80}"
    r"|[^.:!?]{1,60} (?:started|stopped) transcription"  # Teams
    r"|meeting ended after \d\d:\d\d:\d\d\b.{0,10}"  # Meet
    r"|this editable transcript was computer generated and might contain errors\b.{0,120}",
    re.IGNORECASE,
)
_LONE_TIME = re.compile(rf"[\[(]?({TIME})[\])]?")
_DIRECTION = re.compile(r"\([^()]{1,400}\)\.?|\[[^\[\]]{1,400}\]\.?")
_SMALLEST_RUN = 3
_WORDS_OF_A_DIRECTION = 3


class Unsaid(NamedTuple):
    """Indexes of lines: `apart` are no one's words at all, `asides` are told about the talk (`(The session resumed.)`)."""

    apart: frozenset[int]
    asides: frozenset[int]
    heads: list[Head]


def unsaid(text: str, lines: list[Line], heads: list[Head]) -> Unsaid:
    """What nobody says in a text with these heads; its `heads` are these, with the lone times above them."""
    taken = {head.line for head in heads}
    short = {
        i: text[line.start : line.end].strip()
        for i, line in enumerate(lines)
        if i not in taken and not line.blank and line.end - line.start <= _LONGEST
    }
    pages = set(_pages(text, lines, short))
    apart = pages | set(_beside(lines, short, pages)) | {i for i, words in short.items() if _FOOTER.fullmatch(words)}
    if not heads:
        return Unsaid(frozenset(apart), frozenset(), heads)
    apart |= {i for i, words in short.items() if _is_heading(words) and _stands_alone(lines, i, taken)}
    heads, times = _timed(lines, heads, short)
    asides = {i for i, words in short.items() if _is_direction(words)} - apart - times
    return Unsaid(frozenset(apart | times), frozenset(asides), heads)


def _pages(text: str, lines: list[Line], short: dict[int, str]) -> Iterator[int]:
    """Page numbers: so called, beside a form feed, or lone numbers that count up by one through the file."""
    called = [i for i, words in short.items() if _PAGE.fullmatch(words)]
    if len(called) > 1:
        yield from called
    lone = [(i, int(words)) for i, words in short.items() if _NUMBER.fullmatch(words)]
    yield from (i for i, _ in lone if _beside_form_feed(text, lines, i))
    run: list[tuple[int, int]] = []
    for i, number in lone:
        if run and number != run[-1][1] + 1:
            if len(run) >= _SMALLEST_RUN:
                yield from (index for index, _ in run)
            run = []
        run.append((i, number))
    if len(run) >= _SMALLEST_RUN:
        yield from (index for index, _ in run)


def _beside_form_feed(text: str, lines: list[Line], i: int) -> bool:
    first, last = lines[max(0, i - 1)], lines[min(len(lines) - 1, i + 1)]
    return "\f" in text[max(first.start, lines[i].start - 200) : min(last.end, lines[i].end + 200)]


def _beside(lines: list[Line], short: dict[int, str], pages: set[int]) -> Iterator[int]:
    """What is printed next to the page numbers on page after page, numbers in it aside."""
    neighbours = [k for i in pages for k in (_next(lines, i, -1), _next(lines, i, 1)) if k in short and k not in pages]
    same = Counter(re.sub(r"\d+", "0", short[k]) for k in neighbours)
    for k in neighbours:
        if same[re.sub(r"\d+", "0", short[k])] >= max(_SMALLEST_RUN, len(pages) / 2):
            yield k


def _next(lines: list[Line], i: int, step: int) -> int:
    i += step
    while 0 <= i < len(lines) and lines[i].blank:
        i += step
    return i


def _is_heading(words: str) -> bool:
    letters = [c for c in words if c.isalpha()]
    return len(letters) >= 4 and words.isupper() and words[-1] not in ".?!,:;…" and words[0].isalnum()


def _stands_alone(lines: list[Line], i: int, taken: set[int]) -> bool:
    above = i == 0 or lines[i - 1].blank
    return above and (i + 1 == len(lines) or lines[i + 1].blank or i + 1 in taken)


def _is_direction(words: str) -> bool:
    return len(words.split()) >= _WORDS_OF_A_DIRECTION and _DIRECTION.fullmatch(words) is not None


def _timed(lines: list[Line], heads: list[Head], short: dict[int, str]) -> tuple[list[Head], set[int]]:
    """Heads with the time that stands alone on the line above, as Google Meet writes it every few minutes."""
    if any(head.start is not None for head in heads):
        return heads, set()
    times = {i: seconds(m[1]) for i, words in short.items() if (m := _LONE_TIME.fullmatch(words))}
    if not times:
        return heads, set()
    return [head._replace(start=times.get(_next(lines, head.line, -1))) for head in heads], set(times)
