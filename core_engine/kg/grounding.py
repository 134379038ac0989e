"""Finds the places in a chunk's words where a name is said, and how well they bear it out."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from core_engine.chunking.clean import to_raw
from core_engine.kg.aligning import Aligner, Span, may_stand
from core_engine.kg.normalise import FOLDING, INVISIBLE, UNSPACED, letters, normal_form, word_set
from core_engine.types import ALIGNED, EXACT, Chunk

_MOST_PLACES: Final = 100
_NAME_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_SHORTEST_PART: Final = 3  # letters
_TOKEN = re.compile(r"[^ ]+")

# Lower-case, these are never the name that is spelled alike: "US" isn't said by "us", nor "Will" by "will".
_COMMON_WORDS: Final = word_set(
    """a all am an and any are as at be but by can do for go has he her him his how i if in is it its let march may me my
    no not now of off on one or our out she so some that the them they this to too up us was we what who why will
    with you your"""
)


class Place(NamedTuple):
    """Where a name is said: turn (counted from 1), offset in the turn's raw text, and the words as they stand there.

    `grade` is exact, or aligned where they are not the name's own.
    """

    turn: int
    offset: int
    surface: str
    grade: str = EXACT


class Words:
    """A chunk's words, made ready once for looking up many names."""

    def __init__(self, chunk: Chunk) -> None:
        self._turns = chunk.turns
        self._cleaned = _Text([turn.text for turn in chunk.turns])
        self._raw: _Text | None = None
        self._nearly: Aligner | None = None

    def places(self, name: str) -> list[Place]:
        """Where the name is said, in the cleaned words or else in the raw ones: at most 100 places, in order.

        Case, punctuation, spaces between letters ("Open AI", "U.S.") and a plural or possessive ending don't matter.
        """
        norm = normal_form(name)
        if not norm:
            return []
        if found := self._cleaned.find(name, norm):
            return [
                Place(turn, to_raw(self._turns[turn - 1].cuts, at), words, _grade(name, words))
                for turn, at, words in found
            ]
        if self._raw is None:
            self._raw = _Text([turn.raw for turn in self._turns])
        return [Place(turn, at, words, _grade(name, words)) for turn, at, words in self._raw.find(name, norm)]

    def nearly(self, name: str, is_taken: Callable[[Place], bool]) -> list[Place]:
        """Where a name that has no `places` is said all the same, at most 100: inflected, with numbers spelled
        otherwise ("$5 million", "five million dollars"), or else misheard by a letter or two in a long word.

        `is_taken` says of a place where it would be misheard whether another name is said there.
        """
        if not may_stand(name, self._cleaned.folded):
            return []
        if self._nearly is None:
            self._nearly = Aligner([turn.text for turn in self._turns])
        found = [self._place(span) for span in islice(self._nearly.find(name), _MOST_PLACES)]
        if not found:
            misheard = map(self._place, islice(self._nearly.misheard(name), _MOST_PLACES))
            found = [place for place in misheard if not is_taken(place)]
        return found

    def says(self, name: str) -> bool:
        """Whether the words hold the name, if only nearly."""
        return bool(self.places(name) or self.nearly(name, lambda _: False))

    def _place(self, span: Span) -> Place:
        index, start, end = span
        turn = self._turns[index]
        return Place(index + 1, to_raw(turn.cuts, start), turn.text[start:end], ALIGNED)


def _grade(name: str, said: str) -> str:
    return EXACT if said == name or letters(said) == letters(name) else ALIGNED


def parts_of(name: str, *, person: bool) -> list[str]:
    """By what a name of several words may be meant once it has been said in full: a person's words, others' initials."""
    words = _NAME_WORD.findall(name)
    if len(words) < 2:
        return []
    if person:
        return [word for word in words if len(word) >= _SHORTEST_PART and word.casefold() not in _COMMON_WORDS]
    initials = "".join(word[0] for word in words if word[0].isupper())
    return [initials] if len(initials) >= _SHORTEST_PART else []


class Neighbourhood:
    """Which turns of a chunk stand next to each other. Those from which cleaning left no word don't count between them.

    Turns are numbered from 1; turn 0 is the last one before the chunk.
    """

    def __init__(self, chunk: Chunk) -> None:
        self._turns = chunk.turns
        self._around: dict[int, tuple[int, ...]] = {}

    def around(self, turn: int) -> tuple[int, ...]:
        """The turns within one of this one, itself left out."""
        if (found := self._around.get(turn)) is None:
            found = self._around[turn] = (*self._until_spoken(turn - 1, -1), *self._until_spoken(turn + 1, 1))
        return found

    def _until_spoken(self, turn: int, step: int) -> Iterator[int]:
        while 1 <= turn <= len(self._turns):
            yield turn
            if self._turns[turn - 1].text:
                return
            turn += step
        if turn == 0:
            yield 0


class _Text:
    """Texts folded into one string: each between two spaces, on a line of its own, so that no name spans two."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._starts: list[int] = []
        self._maps: dict[int, list[int]] = {}
        parts: list[str] = []
        at = 1
        for index, text in enumerate(texts):
            folded, offsets = fold(text)
            if offsets is not None:
                self._maps[index] = offsets
            self._starts.append(at)
            parts.append(folded)
            at += len(folded) + 3
        self.folded = " " + " \n ".join(parts) + " "
        self._squeezed = ""
        self._edges: tuple[dict[int, int], dict[int, int]] | None = None

    def find(self, name: str, norm: str) -> list[tuple[int, int, str]]:
        """(turn, offset, surface) of each place, by the strictest way of looking that finds one."""
        spelled = " ".join(fold(name)[0].split())
        keys = (norm, spelled) if spelled not in ("", norm) else (norm,)
        ways: tuple[Callable[[str], Iterator[tuple[int, int]]], ...] = (self._whole, self._without_spaces)
        for key in keys:
            for way in ways:
                if places := self._places(way(key), norm):
                    return places
        return []

    def _places(self, spans: Iterator[tuple[int, int]], norm: str) -> list[tuple[int, int, str]]:
        found = []
        common = len(norm) == 1 or norm in _COMMON_WORDS
        for start, end in spans:
            index = bisect_right(self._starts, start) - 1
            first, last = start - self._starts[index], end - self._starts[index]
            if (offsets := self._maps.get(index)) is not None:
                first, last = offsets[first], offsets[last]
            text = self._texts[index]
            surface = text[first:last]
            if "." in surface and text.startswith(".", last):
                surface += "."  # "U.S." is named with both its dots
            if common and surface.islower():
                continue
            found.append((index + 1, first, surface))
            if len(found) == _MOST_PLACES:
                break
        return found

    def _whole(self, key: str) -> Iterator[tuple[int, int]]:
        """Where the key stands as whole words, perhaps with a plural ending."""
        text = self.folded
        at = text.find(key)
        while at >= 0:
            end = at + len(key)
            if _is_edge(text, at) and (end := _end(text, end, key)):
                yield at, end
            at = text.find(key, at + len(key))

    def _without_spaces(self, key: str) -> Iterator[tuple[int, int]]:
        """Where whole words in a row, their spaces left out, make the key without its spaces."""
        text = self._squeezed = self._squeezed or self.folded.replace(" ", "")
        key = key.replace(" ", "")
        at = text.find(key)
        if at < 0:
            return
        starts, ends = self._edges = self._edges or self._find_edges()
        while at >= 0:
            end = at + len(key)
            if at in starts:
                if end not in ends and len(key) >= 3 and text.startswith("s", end):
                    end += 1
                if end in ends:
                    yield starts[at], ends[end]
            at = text.find(key, at + 1)

    def _find_edges(self) -> tuple[dict[int, int], dict[int, int]]:
        """For each place in the text without spaces where a word starts, and ends, its place in the folded text."""
        starts: dict[int, int] = {}
        ends: dict[int, int] = {}
        at = 0
        for word in _TOKEN.finditer(self.folded):
            start, end = word.span()
            starts[at] = start
            at += end - start
            ends[at] = end
        return starts, ends


def _is_edge(text: str, at: int) -> bool:
    """Whether a word begins or ends at this place; scripts without spaces have such an edge anywhere."""
    before, after = text[at - 1], text[at]
    if before == " " or after == " ":
        return True
    return not (before.isascii() and after.isascii()) and bool(UNSPACED.match(before) or UNSPACED.match(after))


def _end(text: str, end: int, key: str) -> int:
    """Where the word that begins with the key ends, an "s" or "es" taken in; 0 if it goes on otherwise."""
    if _is_edge(text, end):
        return end
    if len(key) >= 3 and text[end] in "se":
        for ending in ("s", "es"):
            if text.startswith(ending + " ", end):
                return end + len(ending)
    return 0


def fold(text: str) -> tuple[str, list[int] | None]:
    """The text with case and punctuation away, and for each of its characters (and its end) the place in the text.

    None for the places where each character has stayed where it was.
    """
    if text.isascii() or (unicodedata.is_normalized("NFC", text) and not INVISIBLE.search(text)):
        return text.translate(FOLDING), None
    return _fold_slowly(text)


def _fold_slowly(text: str) -> tuple[str, list[int]]:
    parts: list[str] = []
    offsets: list[int] = []
    at = 0
    while at < len(text):
        end = at + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        part = unicodedata.normalize("NFC", INVISIBLE.sub("", text[at:end])).translate(FOLDING)
        parts.append(part)
        offsets += [at] * len(part)
        at = end
    offsets.append(len(text))
    return "".join(parts), offsets
