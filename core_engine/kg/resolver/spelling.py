"""Forms of a name in which different spellings are alike: letters without accents, without spaces, by sound."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_LETTERS: Final = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ß": "ss", "æ": "ae", "œ": "oe"})
_NUMBERS: Final = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
}

# Letters that recognisers and ears take for each other. Vowels, h, w and y count only at the beginning, and all alike.
_SOUNDS: Final = (
    (re.compile("sch|sh|ch|tch|ci|j"), "j"),
    (re.compile("ph"), "f"),
    (re.compile("ck|q|x|c|g|k"), "k"),
    (re.compile("[td]"), "t"),
    (re.compile("[pb]"), "p"),
    (re.compile("[fvw]"), "f"),
    (re.compile("[sz]"), "s"),
    (re.compile("[mn]"), "n"),
    (re.compile("[aeiouyh]+"), ""),
)
_DOUBLED: Final = re.compile(r"(.)\1+")


@lru_cache(maxsize=8_192)
def plain(text: str) -> str:
    """Without accents, in lower case: "Zdeněk" is "zdenek"."""
    if text.isascii():
        return text.lower()
    spread = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(char for char in spread if not unicodedata.combining(char))


@lru_cache(maxsize=8_192)
def compact(norm: str) -> str:
    """Without accents and spaces, small numbers as digits: "Petrel Two" and "petrel-2" are "petrel2"."""
    words = plain(norm).split()
    return "".join([*words[:1], *(_NUMBERS.get(word, word) for word in words[1:])])


@lru_cache(maxsize=8_192)
def sound(norm: str) -> str:
    """The consonants as they are heard: "Hegota" and "Hakota" are alike. A vowel at the beginning is kept as "a"."""
    text = plain(norm).replace(" ", "")
    first = "a" if text[:1] in "aeiouyh" and text else ""
    for pattern, heard in _SOUNDS:
        text = pattern.sub(heard, text)
    return first + _DOUBLED.sub(r"\1", text)
