"""What all habits of beginning a turn share: names, spans of time, and what was found at the beginning of a line."""

from __future__ import annotations

import re
from typing import NamedTuple

from core_engine.readers.lines import Line
from core_engine.readers.times import TIME, seconds

REACH = 220
"""How far into a line a head may reach; nothing behind it is looked at, however long the line is."""

SPAN = rf"({TIME})(?:[ \t]*(?:-->|-|\u2013|—|to)[ \t]*({TIME}))?"
# It ends with no blank, so that a long run of them isn't tried at each of its places.
NAME = r"([^\s:\uff1a\[(*_#>|-](?:[^:\uff1a\r\n]{0,78}?[^\s:\uff1a])??)"


class Head(NamedTuple):
    """The beginning of a turn: who, when, and where in the text the words begin. `line` is an index into the lines."""

    line: int
    speaker: str | None
    start: float | None
    end: float | None
    words: int


def heads_by(pattern: re.Pattern[str], text: str, lines: list[Line]) -> list[Head]:
    found = []
    for i, line in enumerate(lines):
        if line.blank:
            continue
        match = pattern.match(text, line.start, min(line.end, line.start + REACH))
        if match:
            groups = [group for group in match.groups() if group not in (None, "**", "__")]
            found.append(head_of(i, groups, match.end()))
    return found


def head_of(line: int, groups: list[str], words: int) -> Head:
    times = [seconds(group) for group in groups if re.fullmatch(TIME, group)]
    name = next((group for group in groups if not re.fullmatch(TIME, group)), None)
    start, end = (*times, None, None)[:2]
    return Head(line, " ".join(name.split()) if name else None, start, end, words)
