"""Finds names in words that say them a little otherwise: inflected, with numbers spelled out, misheard by a letter."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from core_engine.kg.normalise import word_set
from core_engine.kg.numbers import NUMBER_WORDS, SIGNS, number_at

_TOKEN = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[$\u20ac\u00a3\u00a5%]")
_MOST_UNITS: Final = 12  # of a name: what is longer is a sentence, and was to be copied word for word
_MOST_SLIPS: Final = 2
_LONGEST_WORD: Final = 40  # letters: longer ones would take their time, and are no words

# Letters that recognisers take for one another at the beginning of a word; elsewhere any slip will do.
_SOUNDS: Final = {letter: row[0] for row in ("ckqg", "sz", "fpv", "jy", "ieao") for letter in row}
_ARTICLES: Final = word_set("a an the")


Span = tuple[int, int, int]
"""Index of the text, start, end."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """A word, or a number that may take several. `key` is equal for what counts as the same."""

    key: str
    word: str  # '' of a number or a sign
    start: int
    end: int


class Aligner:
    """Texts made ready for looking up names that stand in them only nearly. Build it when the first one is missing."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._units: list[_Unit | None] = []  # None between two texts, so that no name spans them
        self._first: list[int] = []
        self._by_key: dict[str, list[int]] = defaultdict(list)
        for text in texts:
            self._first.append(len(self._units))
            for unit in _units(text):
                self._by_key[unit.key].append(len(self._units))
                self._units.append(unit)
            self._units.append(None)
        self._cased = any(text != text.lower() for text in texts)

    def find(self, name: str) -> Iterator[Span]:
        """Where the name stands inflected, or with its numbers written otherwise."""
        wanted = _units_of(name)
        if wanted:
            for at in self._by_key.get(wanted[0].key, ()):
                if self._slips(wanted, at) == 0:
                    yield self._span(at, at + len(wanted))

    def misheard(self, name: str) -> Iterator[Span]:
        """Where one or two letters of the name are others, in words that are long enough for that to be a slip."""
        wanted = _units_of(name)
        letters = sum(len(unit.word) for unit in wanted)
        room = [_room(unit, letters) for unit in wanted]
        if not any(room):
            return
        # Begin with a word that must stand as it is, where there is one: few places are looked at then.
        anchor = next((i for i, most in enumerate(room) if not most), None)
        if anchor is not None:
            starts = [at - anchor for at in self._by_key.get(wanted[anchor].key, ())]
        else:
            near = [key for key in self._by_key if _distance(wanted[0].key, key, room[0]) <= room[0]]
            starts = sorted(at for key in near for at in self._by_key[key])
        for start in starts:
            slips = self._slips(wanted, start, room)
            if slips is not None and 0 < slips <= _MOST_SLIPS:
                yield self._span(start, start + len(wanted))

    def _slips(self, wanted: Sequence[_Unit], start: int, room: Sequence[int] = ()) -> int | None:
        """How many letters differ in all, or None where the words are others."""
        if start < 0 or start + len(wanted) > len(self._units):
            return None
        slips = 0
        for i, unit in enumerate(wanted):
            said = self._units[start + i]
            if said is None:
                return None
            if said.key == unit.key:
                continue
            most = room[i] if room else 0
            if not most or not said.word or self._is_other(unit.word, said.word):
                return None
            distance = _distance(unit.key, said.key, most)
            if distance > most:
                return None
            slips += distance
        return slips

    def _is_other(self, name: str, said: str) -> bool:
        """A word that is written as none in a text with capitals is no misheard name."""
        return self._cased and not name.islower() and said.islower()

    def _span(self, first: int, last: int) -> Span:
        text = bisect_left(self._first, first + 1) - 1
        begin, end = self._units[first], self._units[last - 1]
        if begin is None or end is None:
            raise AssertionError("a match holds units alone")
        return text, begin.start, end.end


def may_stand(name: str, folded: str) -> bool:
    """Whether a look at the texts is worth its time: each word of the name has a part that they hold as it is.

    `folded` are the texts in lower case, a space before each word.
    """
    wanted = _units_of(name)
    letters = sum(len(unit.word) for unit in wanted)
    return bool(wanted) and all(_has_a_part(unit, _room(unit, letters), folded) for unit in wanted)


def _has_a_part(unit: _Unit, slips: int, folded: str) -> bool:
    if not unit.word:
        return True  # a number, which may be written in many ways
    if not slips:
        return f" {unit.key[:2]}" in folded
    # One slip leaves half of a word untouched, two leave a third (but for two letters swapped in the very middle).
    size = len(unit.key) // (slips + 1)
    return any(unit.key[at : at + size] in folded for at in range(len(unit.key) - size + 1))


@lru_cache(maxsize=4_096)
def _units_of(name: str) -> tuple[_Unit, ...]:
    units = tuple(_units(name))
    first = next((i for i, unit in enumerate(units) if unit.key not in _ARTICLES), len(units))
    return units[first:] if len(units) - first <= _MOST_UNITS else ()


def _units(text: str) -> Iterator[_Unit]:
    tokens = [(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
    at = 0
    while at < len(tokens):
        token, start, end = tokens[at]
        if token[0].isdigit() or token.casefold() in NUMBER_WORDS or token in SIGNS:
            value, unit, taken = number_at(text, tokens, at)
            if taken:
                end = tokens[at + taken - 1][2]
                yield _Unit(f"#{value}", "", start, end)
                if unit:
                    yield _Unit(unit, "", start, end)
                at += taken
                continue
        yield _Unit(_stem(token), token, start, end)
        at += 1


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    """The word without its ending: that of a plural or possessive, and of a verb's forms where it is lower-case."""
    proper = not word.islower()
    word = word.casefold().replace("\u2019", "'").removesuffix("'s").replace("'", "")
    if len(word) < 4 or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if proper or len(word) < 5:
        return word
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) >= 3 and any(vowel in root for vowel in "aeiouy"):
            # "shipping" and "shipped" are of "ship", "making" of "make".
            return root[:-1] if root[-1] == root[-2] and root[-1] not in "ls" else root.removesuffix("e")
    return word.removesuffix("e")


def _room(unit: _Unit, letters: int) -> int:
    """How many letters of a word may be misheard: none of a number or of a short word."""
    length = len(unit.key)
    if not unit.word or length < 5:
        return 0
    if length >= 9:
        return 2
    return 1 if length >= 6 or letters >= 10 else 0


@lru_cache(maxsize=65_536)
def _distance(one: str, other: str, most: int) -> int:
    """The letters to change, add, leave out or exchange with their neighbour (optimal string alignment); above `most`: any."""
    if abs(len(one) - len(other)) > most or not 4 <= len(other) <= _LONGEST_WORD or not other.isalpha():
        return most + 1
    if one[0] != other[0] and _SOUNDS.get(one[0]) != _SOUNDS.get(other[0], ""):
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
