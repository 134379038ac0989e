"""Heads that stand above or before their words with a time: as Zoom's captions, Fathom, Fireflies, Rev, YouTube write them."""

from __future__ import annotations

import re

from core_engine.readers.head import NAME, REACH, SPAN, Head, heads_by
from core_engine.readers.lines import Line
from core_engine.readers.times import seconds

_ENCLOSED = rf"(?:\[[ \t]*{SPAN}[ \t]*\]|\({SPAN}\)|{SPAN})"
# `0:12 - Ann Lee`, `[00:00:12.150] - Ann Lee`, `[00:00:12] Ann Lee`
_TIME_AND_NAME = re.compile(rf"[ \t]*{_ENCLOSED}[ \t]*(?:[-\u2013—|·][ \t]*)?{NAME}[ \t]*\Z")
# `[Ann Lee] 10:31:57`
_IN_BRACKETS = re.compile(rf"\[([^\[\]\r\n]{{1,80}})\][ \t]+{SPAN}[ \t]*\Z")
# `Speaker 0    00:00:12    the words`, `Speaker 1:      00:12           the words`
_IN_COLUMNS = re.compile(rf"{NAME}:?(?:\t|[ ]{{2,}})[ \t]*{SPAN}(?:\t|[ ]{{2,}})[ \t]*")
_LONE = re.compile(rf"[ \t]*{_ENCLOSED}[ \t]*\Z")
# (Beside the time, YouTube's panel gives it to those who listen to the page.)
_IN_WORDS = re.compile(r"[ \t]*\d+ (?:second|minute|hour)s?(?:,? \d+ (?:second|minute)s?){0,2}[ \t]*\Z")
_LONE_AT_LEAST = 0.25


def times_and_names(text: str, lines: list[Line]) -> list[Head]:
    """Lines of a time and a name; whether the name is one has still to be asked."""
    for pattern in (_TIME_AND_NAME, _IN_BRACKETS):
        heads = [head for head in heads_by(pattern, text, lines) if _fits(text, lines, head)]
        if heads:
            return heads
    return heads_by(_IN_COLUMNS, text, lines)


def times_above(text: str, lines: list[Line]) -> list[Head]:
    """Times alone on a line, the words below them; empty where they are few among the lines."""
    heads = []
    for head in heads_by(_LONE, text, lines):
        i = head.line + 1
        if i < len(lines) and _IN_WORDS.match(text, lines[i].start, min(lines[i].end, lines[i].start + REACH)):
            i += 1
        if i < len(lines) and not lines[i].blank:
            heads.append(head._replace(words=lines[i].start))
    full = sum(not line.blank for line in lines)
    return heads if len(heads) > 1 and len(heads) >= _LONE_AT_LEAST * full else []


def _fits(text: str, lines: list[Line], head: Head) -> bool:
    """Whether the line ends with the head, and words stand below it."""
    line, below = lines[head.line], lines[head.line + 1 : head.line + 2]
    if line.end - line.start > REACH or not below or below[0].blank:
        return False
    first = text[below[0].start : min(below[0].end, below[0].start + 20)].split(maxsplit=1)[0]
    return seconds(first.strip("[]()")) is None
