"""Words that come one by one with their times, put together to sentences and turns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from core_engine.readers.cues import Cue, joined
from core_engine.types import Place, Turn

_PAUSE = 1.5
"""Seconds of silence after which words get a time of their own; also after a sentence, or this many characters."""
_ENOUGH = 120

_SENTENCE_END = re.compile(r"""[.!?…。\uff01\uff1f؟।]["'”\u2019»)\]]*\Z""")
_CLOSING = re.compile(r"""[.,;:!?…%)\]}”’»、。，．！？；：؟،।]+""")  # noqa: RUF001  # full-width signs are what is meant
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


class Word(NamedTuple):
    """A word, with its punctuation or not; what consists of closing punctuation alone belongs to the word before."""

    text: str
    speaker: str | None
    start: float | None
    end: float | None
    place: Place


def turns_of_words(words: Iterable[Word]) -> tuple[Turn, ...]:
    """The turns; each sentence (or the words up to a pause) is a Mark, placed where its first word stands."""
    return joined(_cues(words))


def _cues(words: Iterable[Word]) -> Iterator[Cue]:
    held: list[Word] = []
    length = 0
    for word in words:
        if not word.text or word.text.isspace():
            continue
        if held and not _CLOSING.fullmatch(word.text.strip()) and _parts(held[-1], word, length):
            yield _cue(held)
            held, length = [], 0
        held.append(word)
        length += len(word.text) + 1
    if held:
        yield _cue(held)


def _parts(last: Word, word: Word, length: int) -> bool:
    if word.speaker != last.speaker or length > _ENOUGH or _SENTENCE_END.search(last.text[-8:].rstrip()):
        return True
    before = last.end if last.end is not None else last.start
    return before is not None and word.start is not None and word.start - before > _PAUSE


def _cue(words: list[Word]) -> Cue:
    first, last = words[0], words[-1]
    starts = [word.start for word in words if word.start is not None]
    ends = [time for word in words for time in (word.end, word.start) if time is not None]
    place = Place(first.place.start, last.place.end, first.place.line, first.place.pointer)
    if first.place.pointer:
        place = first.place
    return Cue(
        sentence(word.text for word in words), first.speaker, min(starts, default=None), max(ends, default=None), place
    )


def sentence(words: Iterable[str]) -> str:
    """The words with a space between them, except before closing punctuation and in scripts that have none."""
    out: list[str] = []
    for raw in words:
        word = " ".join(raw.split())
        if not word:
            continue
        if out and not (_CLOSING.fullmatch(word) or (_UNSPACED.match(word[0]) and _UNSPACED.match(out[-1][-1]))):
            out.append(" ")
        out.append(word)
    return "".join(out)
