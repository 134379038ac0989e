"""Captions and timed segments joined to turns, so that a sentence isn't cut, while each one's time is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from core_engine.types import Mark, Place, Turn

FULL = 300
"""Characters after which a turn made of cues ends; the cue that crosses it still belongs to it."""
PAUSE = 4.0
"""Seconds of silence that end a turn."""
ENOUGH = 150
"""Characters after which the end of a sentence ends a turn."""

_SENTENCE_END = re.compile(r"""[.!?…。\uff01\uff1f؟।]["'”\u2019»)\]]*\Z""")


_CLOSING = re.compile(r"""[.,;:!?…%)\]}”’»、。，．！？；：؟،।]+""")  # noqa: RUF001  # full-width signs are what is meant
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


class Cue(NamedTuple):
    """A caption's words: one line, without tags. `apart`: someone else speaks, though the file doesn't say who."""

    text: str
    speaker: str | None
    start: float | None
    end: float | None
    place: Place
    apart: bool = False


def joined(cues: Iterable[Cue]) -> tuple[Turn, ...]:
    """The turns; cues without words are left out. Within a turn cues are parted by a space, and each is a Mark."""
    turns: list[Turn] = []
    group: list[Cue] = []
    length = 0
    for cue in cues:
        if not cue.text or cue.text.isspace():
            continue
        if group and _parts(group[-1], cue, length):
            turns.append(_turn(group))
            group, length = [], 0
        group.append(cue)
        length += len(cue.text) + 1
    if group:
        turns.append(_turn(group))
    return tuple(turns)


def _parts(last: Cue, cue: Cue, length: int) -> bool:
    if cue.speaker != last.speaker or length > FULL or cue.apart:
        return True
    before = last.end if last.end is not None else last.start
    if before is not None and cue.start is not None and cue.start - before > PAUSE:
        return True
    return length > ENOUGH and _SENTENCE_END.search(last.text[-8:]) is not None


def parted(before: str, after: str) -> bool:
    """Whether a space belongs between: not before closing punctuation, and not in scripts that have none."""
    if _CLOSING.fullmatch(after):
        return False
    return not (_UNSPACED.match(before[-1:]) and _UNSPACED.match(after[:1]))


def _turn(group: Sequence[Cue]) -> Turn:
    first, last = group[0], group[-1]
    marks: list[Mark] = []
    out: list[str] = []
    at = 0
    for cue in group:
        if out and parted(out[-1], cue.text):
            out.append(" ")
            at += 1
        marks.append(Mark(at, cue.start, cue.end, cue.place))
        out.append(cue.text)
        at += len(cue.text)
    starts = [cue.start for cue in group if cue.start is not None]
    ends = [time for cue in group for time in (cue.start, cue.end) if time is not None]
    place = Place(first.place.start, last.place.end, first.place.line, first.place.pointer)
    if first.place.pointer != last.place.pointer:
        # Offsets into two values of a JSON file can't be a span; each mark has its own.
        place = Place(None, None, first.place.line, first.place.pointer)
    return Turn(
        "".join(out),
        first.speaker,
        min(starts, default=None),
        max(ends, default=None),
        place,
        tuple(marks),
    )
