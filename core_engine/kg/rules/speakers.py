"""The names by which a speaker of a transcript is called in it."""

from __future__ import annotations

import re

from core_engine.kg.rules.words import JOBS, LABELS, STOP

_PARTS = (2, 3)
_SHORTEST_PART = 3
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


def known_as(speaker: str) -> frozenset[str]:
    """The speaker's whole name and its parts, case-folded; of a label ("Project Manager", "PhD A") the whole alone."""
    folded = speaker.casefold()
    parts = folded.split()
    if len(parts) not in _PARTS or any(_is_label(part) for part in parts):
        return frozenset((folded,))
    return frozenset((folded, *parts))


def _is_label(part: str) -> bool:
    return len(part) < _SHORTEST_PART or not _WORD.fullmatch(part) or part in LABELS or part in JOBS or part in STOP


def is_label(speaker: str) -> bool:
    """Whether no word of it names anybody: "Project Manager", "Speaker 3"."""
    return all(_is_label(part) for part in speaker.casefold().split())
