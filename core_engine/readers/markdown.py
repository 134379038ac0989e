"""Markdown: `**Name:** text`, the habits of plain text, headings, and front matter as title and metadata."""

from __future__ import annotations

import re

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.formats import Document, Format
from core_engine.readers.front_matter import front_matter
from core_engine.readers.heads import heads_in
from core_engine.readers.lines import Line, lines_of
from core_engine.readers.refusals import why_not
from core_engine.readers.running_text import turns_in
from core_engine.types import Transcript

_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t]*#*\Z")
_RULE = re.compile(r"[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*\Z")
_BOLD_NAME = re.compile(r"(?m)^[ \t]*\*\*[^*\n:]{1,80}(?::\*\*|\*\*[ \t]*:)")
_REACH = 300


def recognises(head: str) -> str | None:
    if len(_BOLD_NAME.findall(head)) > 1:
        return "has bold names before colons"
    if re.match(r"---[ \t]*\r?\n", head) and re.search(r"(?m)^(?:title|date|speakers):", head[:4000]):
        return "begins with front matter"
    return None


def read(document: Document) -> Transcript:
    """The turns, their text as it stands, marks of emphasis included. Headings aren't said by anyone and are left out.

    Front matter becomes metadata. The title is its `title`, or else the first top heading.
    """
    text = document.text
    lines = lines_of(text)
    matter = front_matter(text, lines)
    lines = lines[matter.lines :]
    heads = heads_in(text, lines, frozenset(matter.lists.get("speakers", ())), bold=True)
    said = {head.line for head in heads}
    headings = _headings(text, lines, said)
    if not document.forced and (reason := why_not(text, lines, document.name, speakers=bool(heads))):
        raise NotATranscript(document.shown, reason)
    turns = turns_in(text, lines, heads, headings)
    if not turns:
        raise Unreadable(document.shown, "nothing is said in it")
    title = matter.values.get("title") or next((words for level, words in headings.values() if level == 1), None)
    metadata = {key: value for key, value in matter.values.items() if key != "title"}
    return Transcript(turns, title=title, metadata=metadata)


def _headings(text: str, lines: list[Line], said: set[int]) -> dict[int, tuple[int, str]]:
    """Level and words of the headings, by line; rules count as headings of level 0."""
    found = {}
    for i, line in enumerate(lines):
        if i in said or line.end - line.start > _REACH:
            continue
        if match := _HEADING.match(text, line.start, line.end):
            found[i] = (len(match[1]), match[2])
        elif _RULE.match(text, line.start, line.end):
            found[i] = (0, "")
    return found


FORMAT = Format("markdown", (".md", ".markdown", ".mdown"), recognises, whole=read, cut="paragraphs")
