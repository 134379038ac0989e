"""Transcripts that give each turn three lines, as Teams' older exports do: `0:0:5.1 --> 0:0:8.25`, the name, the words."""

from __future__ import annotations

import re

from core_engine.readers.head import Head
from core_engine.readers.lines import Line, trimmed

_CLOCK = r"(\d{1,3}):(\d{1,2}):(\d{1,2}(?:[.,]\d{1,9})?)"
_TIMES = re.compile(rf"[ \t]*{_CLOCK}[ \t]*-->[ \t]*{_CLOCK}[ \t]*\Z")
_LONGEST_NAME = 120


def heads_of_teams(text: str, lines: list[Line]) -> list[Head]:
    """The heads; empty where the text isn't written so. The line below a time is a name where words follow it."""
    full = [(i, line) for i, line in enumerate(lines) if not line.blank]
    times = [(nth, match) for nth, (_, line) in enumerate(full) if (match := _times(text, line))]
    if len(times) < 2 and not (times and times[0][0] == 0):
        return []
    ends = [nth for nth, _ in times[1:]] + [len(full)]
    heads = []
    for (nth, match), end in zip(times, ends, strict=True):
        start, stop = _seconds(match.groups()[:3]), _seconds(match.groups()[3:])
        until = stop if stop >= start else None
        if end - nth > 2 and full[nth + 1][1].end - full[nth + 1][1].start <= _LONGEST_NAME:
            name_line = full[nth + 1][1]
            name = " ".join(text[slice(*trimmed(text, name_line.start, name_line.end))].split())
            heads.append(Head(full[nth][0], name, start, until, full[nth + 2][1].start))
        elif end - nth > 1:
            heads.append(Head(full[nth][0], None, start, until, full[nth + 1][1].start))
    return heads


def _times(text: str, line: Line) -> re.Match[str] | None:
    return _TIMES.match(text, line.start, line.end) if line.end - line.start < 60 else None


def _seconds(parts: tuple[str, ...]) -> float:
    hours, minutes, rest = parts
    return round(int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", ".")), 6)
