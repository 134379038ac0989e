"""Tags and text of HTML, in linear time and with their places, however broken the markup is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9:_-]{0,60}")
_ATTRIBUTE = re.compile(
    r"""([A-Za-z_:][\w:.-]{0,60})[ \t\r\n]{0,20}=[ \t\r\n]{0,20}(?:"([^"]{0,500})"|'([^']{0,500})'|([^\s"'<>`]{1,500}))"""
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});")
_RAW = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
"""Elements whose content is no markup: it ends only with their own end tag."""


class Token(NamedTuple):
    """A tag (`name` in lower case, `/name` where it closes) or, where `name` is empty, text: `text[start:end]`."""

    name: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """Tags and texts in their order; comments, declarations and instructions are left out."""
    at = 0
    # Once the end of a comment isn't found, it never is: looking again at each place would take quadratic time.
    hopeless: set[str] = set()
    while at < len(text):
        opening = text.find("<", at)
        if opening < 0:
            opening = len(text)
        if opening > at:
            yield Token("", at, opening)
        if opening == len(text):
            return
        if text.startswith("<!--", opening):
            at = _behind(text, "-->", opening + 4, hopeless)
        elif text.startswith(("<!", "<?"), opening):
            at = _behind(text, ">", opening + 2, hopeless)
        elif match := _NAME.match(text, opening + 1):
            at = _behind(text, ">", match.end(), hopeless)
            name = match[0].lower()
            yield Token(name, opening, at)
            if name in _RAW:
                closing = _closing(text, name, at)
                if closing > at:
                    yield Token("", at, closing)
                at = closing
        else:
            yield Token("", opening, opening + 1)
            at = opening + 1


def attributes(text: str, tag: Token) -> dict[str, str]:
    """The attributes of a tag, their names in lower case."""
    inside = text[tag.start : min(tag.end, tag.start + 4000)]
    return {m[1].lower(): plain(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(inside)}


def plain(words: str) -> str:
    """The words with entities (`&amp;`, `&#39;`) as the characters they stand for."""
    return _ENTITY.sub(lambda match: html.unescape(match[0]), words) if "&" in words else words


def _behind(text: str, end: str, at: int, hopeless: set[str]) -> int:
    found = -1 if end in hopeless else text.find(end, at)
    if found < 0:
        hopeless.add(end)
        return len(text)
    return found + len(end)


def _closing(text: str, name: str, at: int) -> int:
    match = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, at)
    return match.start() if match else len(text)
