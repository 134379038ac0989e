"""Reads numbers however they are written: "5,000,000", "$5 million", "five million dollars", "twenty-fifth", "8th"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

Token = tuple[str, int, int]
"""Text, start, end."""

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_ONES += " seventeen eighteen nineteen"
_SMALL: Final = {word: number for number, word in enumerate(_ONES.split())}
_TENS: Final = {
    word: 10 * number
    for number, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_SCALES: Final = {
    "hundred": 100,
    "thousand": 1_000,
    "k": 1_000,
    "million": 1_000_000,
    "m": 1_000_000,
    "billion": 1_000_000_000,
    "bn": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
_ORDINAL_ONES = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
)
_ORDINAL_ONES += " fifteenth sixteenth seventeenth eighteenth nineteenth"
_ORDINALS: Final = {word: number for number, word in enumerate(_ORDINAL_ONES.split(), 1)} | {
    "twentieth": 20,
    "thirtieth": 30,
}
NUMBER_WORDS: Final = frozenset((*_SMALL, *_TENS, *_ORDINALS))
SIGNS: Final = {"$": "dollar", "\u20ac": "euro", "\u00a3": "pound", "\u00a5": "yen"}
_UNITS: Final = {
    word: unit
    for unit, words in {
        "dollar": "dollar dollars bucks usd",
        "euro": "euro euros eur",
        "pound": "pound pounds gbp",
        "yen": "yen jpy",
        "%": "percent %",
    }.items()
    for word in words.split()
}
_ENDINGS: Final = frozenset(("st", "nd", "rd", "th"))
_MOST_PARTS: Final = 12
_JOINED = re.compile(r"[ \t\u00a0-]{0,2}")


def number_at(text: str, tokens: Sequence[Token], at: int) -> tuple[str, str, int]:
    """(value, unit, how many tokens they take) of the number that begins at token `at`; 0 tokens where none does.

    Unit: dollar, euro, pound, yen, % or ''. Ordinals have the value of their number.
    """
    start, unit = at, ""
    if tokens[at][0] in SIGNS:
        unit = SIGNS[tokens[at][0]]
        at += 1
    parts, at = _parts(text, tokens, at)
    if not parts:
        return "", "", 0
    if not unit and at < len(tokens) and _close(text, tokens, at):
        word = tokens[at][0].casefold()
        if word == "per" and at + 1 < len(tokens) and tokens[at + 1][0].casefold() == "cent":
            unit, at = "%", at + 2
        elif word in _UNITS:
            unit, at = _UNITS[word], at + 1
    return f"{_value(parts).normalize():f}", unit, at - start


def _parts(text: str, tokens: Sequence[Token], at: int) -> tuple[list[Decimal | str], int]:
    """The parts of a number in words or figures, in order: values, and scales by their names."""
    parts: list[Decimal | str] = []
    first = at
    while at < len(tokens) and len(parts) < _MOST_PARTS and (at == first or _close(text, tokens, at)):
        word = tokens[at][0].casefold()
        if word[0].isdecimal() and word.isascii():
            if parts:
                break
            parts.append(Decimal(word.replace(",", "")))
            if at + 1 < len(tokens) and tokens[at + 1][0].casefold() in _ENDINGS and tokens[at + 1][1] == tokens[at][2]:
                return parts, at + 2
        elif word in _SMALL or word in _TENS:
            parts.append(Decimal(_SMALL.get(word) or _TENS.get(word, 0)))
        elif word in _ORDINALS:
            parts.append(Decimal(_ORDINALS[word]))
            return parts, at + 1
        elif word in _SCALES and parts and (len(word) > 2 or tokens[at][1] == tokens[at - 1][2]):
            parts.append(word)
        elif word == "and" and len(parts) > 1 and isinstance(parts[-1], str) and _goes_on(text, tokens, at):
            pass
        else:
            break
        at += 1
    return parts, at


def _goes_on(text: str, tokens: Sequence[Token], at: int) -> bool:
    """Whether the "and" of "two hundred and five" is one: a number follows."""
    return at + 1 < len(tokens) and _close(text, tokens, at + 1) and tokens[at + 1][0].casefold() in NUMBER_WORDS


def _close(text: str, tokens: Sequence[Token], at: int) -> bool:
    """Nothing but a space or a hyphen stands before the token."""
    return at > 0 and _JOINED.fullmatch(text, tokens[at - 1][2], tokens[at][1]) is not None


def _value(parts: Sequence[Decimal | str]) -> Decimal:
    """Of "two hundred", "five" 205; of a year in two halves ("twenty", "twenty", "five") 2025."""
    total, group = Decimal(0), Decimal(0)
    last: Decimal | None = None
    for part in parts:
        if isinstance(part, str):
            scale = _SCALES[part]
            if scale == 100:
                group *= 100
            else:
                total, group = total + group * scale, Decimal(0)
            last = None
        elif last is None or (last >= 20 and part < 10 and last % 10 == 0):
            group += part
            last = part
        else:
            # Two numbers side by side: halves of a year or a house number, figures said one by one.
            group = group * (100 if part >= 10 else 10) + part
            last = part
    return total + group
