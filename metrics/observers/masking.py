"""Takes out of content what names people: emails, phone numbers, card numbers, and the names of who speaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from core_engine.kg.redaction import parts_of, pattern_of
from core_engine.types import LLMCall

LEFT_OUT = "(left out: it is about names)"

_EMAIL = re.compile(r"[\w.+\-]{1,64}@(?:[\w\-]{1,63}\.){1,5}[A-Za-z]{2,24}")
_DIGITS = re.compile(r"(?<![\w.])[+(]{0,2}\d(?:[ ().\-/]{0,3}\d){6,18}(?!\w)")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")


def masked(call: LLMCall) -> LLMCall:
    """The call with its content masked. A question about names holds little else: it is left out whole."""
    if not (call.asked or call.replied):
        return call
    if call.stage == "resolve":
        return replace(call, asked=call.asked and LEFT_OUT, replied=call.replied and LEFT_OUT, speakers=())
    asked, replied = (_without_people(text, call.speakers) for text in (call.asked, call.replied))
    return replace(call, asked=asked, replied=replied, speakers=())


def _without_people(text: str, speakers: Sequence[str]) -> str:
    text = _EMAIL.sub("[email]", text)
    text = _DIGITS.sub(_number, text)
    names = pattern_of(speakers, [part for name in speakers for part in parts_of(name)])
    return names.sub("[speaker]", text) if names else text


def _number(found: re.Match[str]) -> str:
    if _DATE.fullmatch(found.group()):
        return found.group()
    digits = [int(c) for c in found.group() if c.isdigit()]
    return "[card]" if len(digits) >= 13 and _luhn(digits) else "[phone]"


def _luhn(digits: Sequence[int]) -> bool:
    doubled = [digit if at % 2 == 0 else digit * 2 - 9 * (digit > 4) for at, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0
