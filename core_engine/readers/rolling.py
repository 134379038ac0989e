"""Rolling captions, as YouTube and live captioners make them: each cue shows the words before it again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from core_engine.readers.lines import Line

Times = tuple[float | None, float | None]

_WORD_TIME = re.compile(r"<\d[\d:.]{4,14}>")
_GAP = 1.0
"""Seconds between two cues from which on the second repeats nothing."""
_LOOKED_AT = 60
"""Words of a cue that may come again; rolling captions show two or three lines."""
_WORD = re.compile(r"(?:\A|(?<=[\s>;]))(?=[^\s<])")
_LONGEST_LINE = 1000
_MOST_LINES = 10


def unrolled(
    cues: Sequence[list[Line]], times: Sequence[Times], text: str, shown: Callable[[str], str]
) -> list[list[Line]]:
    """The lines of each cue without those words that the cue before it has shown already.

    Only where the whole file does so: elsewhere someone says the same words twice. `shown` is what a viewer sees of a
    raw line.
    """
    words = [
        [shown(text[line.start : line.end]).split() for line in cue] if len(cue) <= _MOST_LINES else [] for cue in cues
    ]
    again = _repeated(words, times)
    new_behind = sum(0 < again[i] < sum(map(len, words[i])) for i in range(len(cues)))
    if not new_behind:
        return list(cues)
    timed = any(_WORD_TIME.search(text, line.start, min(line.end, line.start + 500)) for cue in cues for line in cue)
    if not timed and (new_behind < 2 or new_behind < 0.25 * len(cues)):
        return list(cues)
    return [_behind(cue, words[i], again[i], text, shown) if again[i] else cue for i, cue in enumerate(cues)]


def _repeated(words: Sequence[list[list[str]]], times: Sequence[Times]) -> list[int]:
    """How many words at the beginning of each cue are the last ones of the cue before."""
    counts = []
    before: list[list[str]] = []
    end: float | None = None
    for lines, (start, stop) in zip(words, times, strict=True):
        adjacent = start is None or end is None or start - end <= _GAP
        counts.append(_overlap(before, lines) if adjacent else 0)
        if any(lines):
            before, end = lines, stop if stop is not None else start
    return counts


def _overlap(before: list[list[str]], lines: list[list[str]]) -> int:
    """The longest end of the cue before that this one begins with: whole lines of it, or at least three words."""
    shown = [word for line in before for word in line][-_LOOKED_AT:]
    new = [word for line in lines for word in line][:_LOOKED_AT]
    if not new or new[0] not in shown:
        return 0
    edges, length = set(), 0
    for line in reversed(before):
        length += len(line)
        edges.add(length)
    for size in range(min(len(shown), len(new)), 0, -1):
        if shown[-size] == new[0] and shown[-size:] == new[:size] and (size >= 3 or size in edges):
            return size
    return 0


def _behind(cue: list[Line], words: list[list[str]], count: int, text: str, shown: Callable[[str], str]) -> list[Line]:
    """The lines of a cue behind its first words."""
    for nth, (line, said) in enumerate(zip(cue, words, strict=True)):
        if count < len(said):
            if not count:
                return cue[nth:]
            return [line._replace(start=_start(line, said[count:], text, shown)), *cue[nth + 1 :]]
        count -= len(said)
    return []


def _start(line: Line, left: list[str], text: str, shown: Callable[[str], str]) -> int:
    """Where in the raw line the words that are left begin."""
    if line.end - line.start <= _LONGEST_LINE:
        for match in _WORD.finditer(text, line.start, line.end):
            if shown(text[match.start() : line.end]).split() == left:
                return match.start()
    return line.start
