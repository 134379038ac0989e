"""The flat part of YAML front matter: `key: value` and lists of plain items; anything deeper is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core_engine.readers.lines import Line

_KEY = re.compile(r"([A-Za-z_][\w .-]{0,60}?)[ \t]*:(?:[ \t]+(.*))?\Z")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)\Z")
_LONGEST = 500
"""Lines after which a block that wasn't closed is no front matter."""


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """`values` by key, a list's items joined by a comma; `lists` the same items apart; `lines` is its length."""

    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lines: int = 0


def front_matter(text: str, lines: list[Line]) -> FrontMatter:
    """What stands between `---` and `---` at the top; empty where there is no such block."""
    if not lines or text[lines[0].start : lines[0].end].rstrip() != "---":
        return FrontMatter()
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    key = ""
    for i, line in enumerate(lines[1:_LONGEST], 1):
        content = text[line.start : line.end].rstrip()
        if content in ("---", "..."):
            items = {name: tuple(found) for name, found in lists.items() if found}
            joined = {name: ", ".join(found) for name, found in items.items()}
            return FrontMatter(values | joined, items, i + 1)
        if match := _KEY.match(content):
            key = match[1].lower()
            _take(key, (match[2] or "").strip(), values, lists)
        elif key in lists and (item := _ITEM.match(content)) and not _KEY.match(item[1]):
            # (`- title: …` begins a nested mapping, which says nothing about the conversation.)
            lists[key].append(_unquoted(item[1]))
    return FrontMatter()


def _take(key: str, value: str, values: dict[str, str], lists: dict[str, list[str]]) -> None:
    if not value:
        lists[key] = []
    elif value.startswith("[") and value.endswith("]"):
        lists[key] = [_unquoted(item) for item in value[1:-1].split(",") if item.strip()]
    elif value not in ("|", ">", "null", "~"):
        values[key] = _unquoted(value)


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].replace("''", "'") if value[0] == "'" else value[1:-1].replace('\\"', '"')
    return value
