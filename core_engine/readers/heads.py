"""The heads of turns in running text: `Ann: `, `[00:01:02] Ann: `, `Ann (0:12)`, `Ann: 00:00:12` above a paragraph ..."""

from __future__ import annotations

import re

from core_engine.readers.head import NAME, REACH, SPAN, Head, head_of, heads_by
from core_engine.readers.lines import Line
from core_engine.readers.parliaments import heads_of_records
from core_engine.readers.speakers import Shape, shape, speakers_among
from core_engine.readers.timed_heads import times_above, times_and_names

_STAMP = re.compile(rf"[ \t]*(?:\\?\[[ \t]*{SPAN}[ \t]*\\?\]|\({SPAN}\)|{SPAN}(?=[ \t]))[ \t]*(?:-[ \t]+)?")
_LABEL = re.compile(
    rf"[ \t]*(?:>>+[ \t]*|[TQ]?\d{{1,3}}\.[ \t]+)?{NAME}[ \t]*(?:[\[(]{SPAN}[\])][ \t]*)?(?::(?=[ \t\u00a0]|\Z)|\uff1a)[ \t\u00a0]*"
    rf"(?:[\[(]?{SPAN}[\])]?[ \t]*\Z)?"
)
_ABOVE = re.compile(
    rf"(?:#{{1,6}}[ \t]+)?(?:\*\*|__)?{NAME}(?:\*\*|__)?(?:[ \t,|·-]+|[ \t]*[\[(]){SPAN}[\])]?(?:\*\*|__)?[ \t]*\Z"
)
_BOLD = re.compile(
    rf"[ \t]*(?P<b>\*\*|__)[ \t]*{NAME}[ \t]*(?:[\[(]{SPAN}[\])][ \t]*)?"
    rf"(?:[:\uff1a](?P=b)|(?P=b)[ \t]*(?:\\?[\[(]{SPAN}\\?[\])][ \t]*)?[:\uff1a]|(?P=b)[ \t]*(?:\\?[\[(]?{SPAN}\\?[\])]?[ \t]*)?\Z)[ \t]*"
)
_CHAT = re.compile(
    r"(\d{1,2}:\d{2}:\d{2})(?:\t[ ]*(?:From[ ]+)?|[ \t]+From[ \t]+)"
    r"([^\t\r\n]{1,120}?)(?:[ ]+to[ ]+[^\t:\r\n]{1,80})?[ ]*:(?:\t|[ ]|\Z)[ ]*"
)
# WhatsApp and its like: a date and a clock that say nothing about the time since the beginning.
_DATED = re.compile(
    r"[\u200e\u200f]?\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},?[ ]\d{1,2}:\d{2}(?::\d{2})?(?:[ \u202f][AaPp]\.?[Mm]\.?)?\]?"
    r"[ ]*(?:-[ ])?"
)
_MESSENGER = re.compile(_DATED.pattern + r"([^:\r\n\[\]]{1,80}):(?:[ ]|\Z)[ ]*")
_CHANGE = re.compile(r"[ \t]*>>+[ \t]*")
_EXAMINED = re.compile(r"[ \t]*([QA])\.(?:[ \t]+|\Z)")


def heads_in(text: str, lines: list[Line], known: frozenset[str] = frozenset(), *, bold: bool = False) -> list[Head]:
    """The heads of all turns, in order; empty where nothing in the text is a head. `bold`: Markdown's `**Ann:**` too."""
    if chat := chat_heads_in(text, lines):
        return chat
    units = _units(lines)
    if bold:
        marked = _of_speakers(heads_by(_BOLD, text, lines), lines, units, known)
        if marked:
            return marked
    named = _of_speakers(_named(text, lines), lines, units, known)
    named = _together(named, _examination(text, lines), _changes(text, lines))
    timed = _of_speakers(times_and_names(text, lines), lines, units, known)
    named = max(named, timed, heads_of_records(text, lines), key=_count)
    return named or _stamped(text, lines, units) or times_above(text, lines)


def _count(heads: list[Head]) -> tuple[int, int]:
    """How much heads tell: where two habits find the same ones, the one with times reads them better."""
    return len(heads), sum(head.start is not None for head in heads)


def chat_heads_in(text: str, lines: list[Line]) -> list[Head]:
    """The heads of a chat log, which has one in its first line; empty where the text is none."""
    for pattern in (_CHAT, _MESSENGER):
        found = heads_by(pattern, text, lines)
        if found and all(line.blank or _DATED.match(text, line.start, line.end) for line in lines[: found[0].line]):
            return found
    return []


def _together(*lists: list[Head]) -> list[Head]:
    """The heads of all lists by line, the first list's where several have one for it."""
    at_line = {head.line: head for heads in reversed(lists) for head in heads}
    return [at_line[i] for i in sorted(at_line)]


def _examination(text: str, lines: list[Line]) -> list[Head]:
    """`Q.` and `A.`, as records of questioning have them."""
    found = heads_by(_EXAMINED, text, lines)
    questions = sum(head.speaker == "Q" for head in found)
    return found if min(questions, len(found) - questions) > 1 else []


def _changes(text: str, lines: list[Line]) -> list[Head]:
    """`>>` without a name: someone else speaks."""
    found = heads_by(_CHANGE, text, lines)
    return found if len(found) > 1 else []


def _named(text: str, lines: list[Line]) -> list[Head]:
    """All lines that may begin with a speaker."""
    found = []
    for i, line in enumerate(lines):
        if line.blank:
            continue
        reach = min(line.end, line.start + REACH)
        if text.find(":", line.start, reach) < 0 and text.find("\uff1a", line.start, reach) < 0:
            continue
        stamp = _STAMP.match(text, line.start, reach)
        label = _LABEL.match(text, stamp.end() if stamp else line.start, reach)
        above = None if stamp else _ABOVE.match(text, line.start, reach) if reach == line.end else None
        # `Ann  0:12` has a colon too, in its time: what ends with a time is read as such first.
        match = above or label
        if match:
            times = [g for g in (*(stamp.groups() if stamp else ()), *match.groups()[1:]) if g]
            found.append(head_of(i, [match[1], *times], match.end()))
    return found


def _of_speakers(found: list[Head], lines: list[Line], units: int, known: frozenset[str]) -> list[Head]:
    """The heads whose labels are speakers."""
    if not found:
        return []
    begins = next(i for i, line in enumerate(lines) if not line.blank)
    first = found[0].speaker if found[0].line == begins else None
    speakers = speakers_among([h.speaker for h in found if h.speaker], units, known, first=first)
    heads = [h for h in found if h.speaker in speakers]
    return _in_habit(heads, lines)


def _in_habit(heads: list[Head], lines: list[Line]) -> list[Head]:
    """Without those that break the file's habit: where turns stand apart or have times, a lone label in a line doesn't."""
    counts: dict[str | None, int] = {}
    for head in heads:
        counts[head.speaker] = counts.get(head.speaker, 0) + 1
    again = [head for head in heads if counts[head.speaker] > 1]
    if len(again) < 8:
        return heads
    apart = sum(_stands_apart(head, lines) for head in again) >= 0.9 * len(again)
    timed = sum(head.start is not None for head in again) >= 0.9 * len(again)

    def keeps(head: Head) -> bool:
        if counts[head.speaker] > 1 or shape(head.speaker or "") is Shape.ROLE:
            return True
        return (not apart or _stands_apart(head, lines)) and (not timed or head.start is not None)

    return [head for head in heads if keeps(head)]


def _stands_apart(head: Head, lines: list[Line]) -> bool:
    return head.line == 0 or lines[head.line - 1].blank


def _stamped(text: str, lines: list[Line], units: int) -> list[Head]:
    """Times without names at the beginning of lines."""
    found = [head for head in heads_by(_STAMP, text, lines) if head.start is not None]
    return found if len(found) >= max(2, 0.25 * units) else []


def _units(lines: list[Line]) -> int:
    """Paragraphs; in a text without blank lines, an eighth of its lines."""
    full = paragraphs = 0
    blank_before = True
    for line in lines:
        full += not line.blank
        paragraphs += blank_before and not line.blank
        blank_before = line.blank
    return max(paragraphs, full // 8)
