"""The normal form of a name, by which mentions become one entity."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final


def word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_HONORIFICS: Final = word_set(
    "mr mrs ms miss mx dr prof professor sir madam rev reverend hon herr frau monsieur madame mme señor señora sra"
)
_ARTICLES: Final = word_set("the a an my our your their his her its")

# Nouns that end in s in the singular, and names met in lower-cased transcripts.
_NO_PLURALS: Final = word_set("""
    always bahamas brooks business calories canvas chaos charles cookies emirates ethos evans gates hughes james jobs
    jones kudos lens meyers mercedes movies netherlands news perhaps philippines reynolds rogers sales series siemens
    slides species states teams texas thanks times towards wales wells williams windows
""")

_ACRONYM = re.compile(r"\b(?:[^\W\d_]\.)+[^\W\d_]?(?!\w)")
_SPELLED = re.compile(r"(?<![^ ])([^\W\d_]) (?=[^\W\d_](?![^ ]))")
_POSSESSIVE = re.compile(r"(?<=\w)'s\b|(?<=s)'(?!\w)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ACRONYM_PLURAL = re.compile(r"[A-Z]{2,}s")
_SYMBOLS = frozenset("+#%$€£¥")

# What hides inside words without being seen: soft hyphens, zero-width characters, marks of writing direction.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)


class _Folding(dict[int, int]):
    """A table for str.translate that takes each character to one: letters and digits folded, the rest to a space."""

    def __missing__(self, code: int) -> int:
        self[code] = folded = _fold(chr(code))
        return folded


def _fold(char: str) -> int:
    if char in _SYMBOLS or unicodedata.category(char)[0] in "LNM":
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
        # "ß" and "ﬁ" would become two characters: they stay, here and in the text alike.
        return ord(plain) if len(plain) == 1 and not plain.isspace() else ord(char)
    return 32


FOLDING: Final = _Folding()
"""Case, width and punctuation away, one character for one, so that offsets hold: shared with `grounding`."""


@lru_cache(maxsize=65_536)
def normal_form(name: str) -> str:
    """The name without what differs from one mention to the next; '' where no letter or digit is in it.

    Case, Unicode forms, punctuation, dots and spaces of acronyms ("U.S.", "T V"), leading articles and honorifics, possessives, and the plural
    of a common noun. Accents, numbers, "+" and "#" (C++, C#) and currencies stay.
    """
    words = _bare_words(name)
    if words:
        words[-1] = singular(words[-1])
    norm = " ".join(words).casefold().translate(FOLDING)
    norm = _SPELLED.sub(r"\1", unicodedata.normalize("NFKC", " ".join(norm.split())))
    return norm if any(map(str.isalnum, norm)) else ""


@lru_cache(maxsize=16_384)
def letters(name: str) -> str:
    """The name as `normal_form` has it, but for its plural and its spaces: equal where two are the same word for word."""
    return "".join(_bare_words(name)).casefold().translate(FOLDING).replace(" ", "")


def _bare_words(name: str) -> list[str]:
    name = unicodedata.normalize("NFKC", INVISIBLE.sub("", name)).replace("\u2019", "'")
    return _without_lead(_words(name))


def _words(name: str) -> list[str]:
    """The words in their own case, rid of punctuation."""
    if "'" in name:
        name = _POSSESSIVE.sub("", name).replace("'", "")
    if "." in name:
        name = _ACRONYM.sub(lambda found: found[0].replace(".", ""), name)
    if "," in name:
        name = _THOUSANDS.sub("", name)
    if "&" in name:
        name = name.replace("&", " and ")
    if name.replace(" ", "").isalnum():
        return name.split()
    return "".join(char if FOLDING[ord(char)] != 32 else " " for char in name).split()


def _without_lead(words: list[str]) -> list[str]:
    first = 0
    while first < len(words) - 1 and _leads(words[first], words[first + 1]):
        first += 1
    return words[first:]


def _leads(word: str, following: str) -> bool:
    folded = word.casefold()
    if following.casefold() == "and":  # "A and E" is a channel, "Mr and Mrs Smith" are two
        return False
    if folded in _HONORIFICS or folded == "the":
        return True
    # "An Wang" and "My Linh" are people; "an offer" and "My team" have an article.
    return folded in _ARTICLES and (word.islower() or following.islower())


def singular(word: str) -> str:
    """The word without its plural ending if it is a common noun or an acronym; "James" and "Windows" stay."""
    if _ACRONYM_PLURAL.fullmatch(word):
        return word[:-1]
    if len(word) < 4 or not word.endswith("s") or not word.islower() or word in _NO_PLURALS:
        return word
    if word.endswith(("ss", "us", "is", "as")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1]


# Scripts that put no spaces between words: a full name is one token there.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
