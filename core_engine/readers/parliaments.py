"""Records of parliaments: `    Mr. SMITH of Ohio. Thank you`, as Congress prints them, and `Ann Lee (PPE). - Thank you`."""

from __future__ import annotations

import re

from core_engine.readers.head import Head, heads_by
from core_engine.readers.lines import Line

_TITLES = (
    r"(?:The[ ](?:Acting[ ])?(?:CHAIR\w*|SPEAKER|PRESIDENT|VICE[ ]PRESIDENT|PRESIDING[ ]OFFICER|CLERK|Chair\w*|Speaker|Clerk"
    r"|President)(?:[ ]pro[ ]tempore)?"
    r"|(?:(?:Vice[ ])?Chair(?:man|woman|person)?|Ranking[ ]Member|Mr\.|Mrs\.|Ms\.|Miss|Dr\.|Senator|Representative|Secretary"
    r"|Ambassador|General|Admiral|Colonel|Captain|Judge|Justice|Director|Governor|Mayor|Commissioner|Administrator"
    r"|Professor|Sheriff|Chief|Inspector|Attorney[ ]General|Delegate)"
    r"(?:[ ][A-Z][\w'\u2019-]{1,30}|[ ](?:[A-Z]\.|de|van|von|la|of|the|Jr\.,?|Sr\.,?)){1,7})"
)
# (What is printed in columns begins a speech with an indent, and goes on without one.)
_CONGRESS = re.compile(rf"[ \t]*({_TITLES})(?:[ ]\[[^\[\]\r\n]{{1,60}}\])?\.(?:[ \t]+|\Z)")
_EUROPE = re.compile(
    r"[ \t]*([A-Z\u00c0-\u024f][^\s.:(,][^.:(,\r\n]{0,60}?)(?:[ ]\([^()\r\n]{1,60}\))?(?:,[ ][^.\r\n]{1,80})?\.[ ]*[\u2013—][ ]+"
)
_ENOUGH = 4


def heads_of_records(text: str, lines: list[Line]) -> list[Head]:
    """The heads of all speeches; empty where the text is no such record."""
    heads = [head for head in heads_by(_CONGRESS, text, lines) if _begins(text, lines, head.line)]
    if len(heads) < _ENOUGH:
        heads = heads_by(_EUROPE, text, lines)
    again = len(heads) - len({head.speaker for head in heads})
    return heads if len(heads) >= _ENOUGH and again > 0 else []


def _begins(text: str, lines: list[Line], i: int) -> bool:
    """Whether a paragraph begins with this line."""
    return i == 0 or lines[i - 1].blank or text[lines[i].start] in " \t"
