"""Words that come one by one with their times, put together to sentences and turns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from core_engine.readers.cues import Cue, joined, parted
from core_engine.types import Place, Turn

_PAUSE = 1.5
"""Seconds of silence after which words get a time of their own; also after a sentence, or this many characters."""
_ENOUGH = 120
_NEAR = 100
"""Characters within which a word is looked for in the text that it belongs to."""

_SENTENCE_END = re.compile(r"""[.!?…。\uff01\uff1f؟।]["'”\u2019»)\]]*\Z""")


class Word(NamedTuple):
    """A word, with its punctuation or not; what consists of closing punctuation alone belongs to the word before."""

    text: str
    speaker: str | None
    start: float | None
    end: float | None
    place: Place = Place()


def turns_of_words(words: Iterable[Word]) -> tuple[Turn, ...]:
    """The turns; each sentence (or the words up to a pause) is a Mark, placed where its first word stands."""
    return joined(_cues(words))


def cues_in(text: str, words: Sequence[Word], place: Place) -> list[Cue]:
    """A text cut into sentences and by speaker, with the times of its words; every character of it once.

    `place` is where the text stands; the cues' places are spans of it. None where the text holds none of the words.
    """
    found = list(_located(text, words))
    if not found:
        return []
    first = [0]
    for i in range(1, len(found)):
        if _parts(found[i - 1][1], found[i][1], found[i][0] - found[first[-1]][0]):
            first.append(i)
    cues = []
    since = 0
    for nth, i in enumerate(first):
        until = first[nth + 1] if nth + 1 < len(first) else len(found)
        end = found[until][0] if until < len(found) else len(text)
        cues.append(_slice(text, since, end, [word for _, word in found[i:until]], place))
        since = end
    return [cue for cue in cues if cue.text]


def _located(text: str, words: Sequence[Word]) -> Iterator[tuple[int, Word]]:
    at = 0
    for word in words:
        said = word.text.strip()
        start = text.find(said, at, at + len(said) + _NEAR) if said else -1
        if start >= 0:
            at = start + len(said)
            yield start, word


def _slice(text: str, start: int, end: int, words: list[Word], place: Place) -> Cue:
    said = text[start:end]
    start += len(said) - len(said.lstrip())
    said = said.strip()
    speaker = next((word.speaker for word in words), None)
    return Cue(said, speaker, *_times(words), Place(start, start + len(said), place.line, place.pointer))


def _cues(words: Iterable[Word]) -> Iterator[Cue]:
    held: list[Word] = []
    length = 0
    for word in words:
        if not word.text or word.text.isspace():
            continue
        if held and parted("a", word.text.strip()) and _parts(held[-1], word, length):
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


def _times(words: Sequence[Word]) -> tuple[float | None, float | None]:
    starts = [word.start for word in words if word.start is not None]
    ends = [time for word in words for time in (word.end, word.start) if time is not None]
    return min(starts, default=None), max(ends, default=None)


def _cue(words: list[Word]) -> Cue:
    first, last = words[0].place, words[-1].place
    place = first if first.pointer else Place(first.start, last.end, first.line)
    return Cue(sentence(word.text for word in words), words[0].speaker, *_times(words), place)


def sentence(words: Iterable[str]) -> str:
    """The words with a space between them, except before closing punctuation and in scripts that have none."""
    out: list[str] = []
    for raw in words:
        word = " ".join(raw.split())
        if word and out and parted(out[-1], word):
            out.append(" ")
        if word:
            out.append(word)
    return "".join(out)
