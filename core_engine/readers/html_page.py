"""HTML: captions of podcasts (`<cite>`, `<time>`, `<p>`), and pages whose paragraphs are written as plain text is."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.formats import Document, Format
from core_engine.readers.head import Head
from core_engine.readers.heads import heads_in
from core_engine.readers.lines import Line, lines_of
from core_engine.readers.markup import Token, plain, tokens
from core_engine.readers.refusals import by_name
from core_engine.readers.running_text import turns_in
from core_engine.readers.times import seconds
from core_engine.types import Mark, Place, Transcript, Turn

_BEGINNING = re.compile(
    r"\ufeff?\s*(?:<\?xml\b[^>]{0,200}\?>\s*)?(?:<!--.{0,2000}?-->\s*)?"
    r"<(?:!doctype\s+html|html|head|body|cite|time|p|div|main|article|section|h[1-6]|table|ul|ol|span)\b",
    re.IGNORECASE | re.DOTALL,
)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IGNORED = _names(
    "script style noscript template nav footer aside form button select svg math iframe object canvas audio video "
    "textarea noembed noframes xmp"
)
_BLOCKS = _names(
    "address article blockquote body br caption cite dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 "
    "header hgroup hr html li main ol p pre section summary table tbody td tfoot th thead time tr ul"
)
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_WORD = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});|[^\s&]+|&|\s+")
_LONGEST_NAME = 200


def recognises(head: str) -> str | None:
    return "begins as HTML does" if _BEGINNING.match(head) else None


def read(document: Document) -> Transcript:
    """The turns. Scripts, styles, menus and forms are left out; a turn's place spans the markup within it.

    A page with neither speakers nor times is no transcript.
    """
    page = _Page(document.text)
    page.gather()
    text = page.words()
    lines = lines_of(text)
    heads, apart = _of_captions(text, lines, page.kinds)
    if not heads:
        heads = heads_in(text, lines)
    if not document.forced and (reason := by_name(document.name, speakers=bool(heads))):
        raise NotATranscript(document.shown, reason)
    if not heads and not document.forced:
        raise NotATranscript(document.shown, "a page of HTML without speakers or times, not a transcript")
    turns = turns_in(text, lines, heads, apart)
    if not turns:
        raise Unreadable(document.shown, "nothing is said in it")
    return Transcript(tuple(page.placed(turn) for turn in turns), title=page.title)


def _of_captions(text: str, lines: list[Line], kinds: dict[int, str]) -> tuple[list[Head], set[int]]:
    """The heads that `<cite>` and `<time>` make, and the lines that nobody says."""
    apart = {i for i, line in enumerate(lines) if kinds.get(line.start) in _HEADINGS}
    if not any(kind == "cite" for kind in kinds.values()) and sum(k == "time" for k in kinds.values()) < 2:
        return [], apart
    heads: list[Head] = []
    speaker, start, fresh = None, None, False
    for i, line in enumerate(lines):
        kind, words = kinds.get(line.start), text[line.start : line.end].strip()
        if kind == "cite":
            named = " ".join(words.rstrip(": \t").split())[:_LONGEST_NAME] or None
            # A time may stand before the name or behind it; a name without a time has none.
            start, speaker, fresh = (start if fresh and speaker is None else None), named, True
            apart.add(i)
        elif kind == "time":
            time = seconds(words.strip("[]() "))
            if time is not None:
                speaker, start = (speaker if fresh else None), time
                fresh = True
            apart.add(i)
        elif fresh and words and i not in apart:
            heads.append(Head(i, speaker, start, None, line.start))
            fresh = False
            speaker = None
    return heads, apart


@dataclass(slots=True)
class _Page:
    """The words of a page, a line for each of its blocks, with the way back to the file."""

    source: str
    title: str | None = None
    kinds: dict[int, str] = field(default_factory=dict)
    _out: list[str] = field(default_factory=list)
    _length: int = 0
    _at: list[int] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _kind: str = ""
    _space: bool = False

    def words(self) -> str:
        return "".join(self._out)

    def gather(self) -> None:
        found = list(tokens(self.source))
        last = {token.name: i for i, token in enumerate(found) if token.name.startswith("/")}
        heading = False
        i = 0
        while i < len(found):
            token = found[i]
            if token.name == "title" and i + 1 < len(found) and not found[i + 1].name:
                self.title = self.title or self._title(found[i + 1])
                i += 1
            elif token.name in _IGNORED and last.get("/" + token.name, -1) > i:
                i = _end(found, i)
            elif not token.name:
                self._text(token)
            elif token.name.removeprefix("/") in _BLOCKS:
                self._break()
                heading = token.name in _HEADINGS or (heading and token.name.removeprefix("/") not in _HEADINGS)
                self._kind = token.name if heading or token.name in ("cite", "time") else ""
            i += 1

    def _title(self, token: Token) -> str | None:
        return " ".join(plain(self.source[token.start : token.end]).split())[:500] or None

    def _break(self) -> None:
        if self._out and self._out[-1] != "\n":
            self._add("\n")
        self._space = False

    def _text(self, token: Token) -> None:
        for match in _WORD.finditer(self.source, token.start, token.end):
            words = plain(match[0])
            if words.isspace():
                self._space = True
                continue
            if not self._out or self._out[-1] == "\n":
                if self._kind:
                    self.kinds[self._length] = self._kind
            elif self._space:
                self._add(" ")
            self._space = False
            self._at.append(self._length)
            self._starts.append(match.start())
            self._ends.append(match.end())
            self._add(" ".join(words.split()))

    def _add(self, words: str) -> None:
        self._out.append(words)
        self._length += len(words)

    def placed(self, turn: Turn) -> Turn:
        """The turn with places in the file instead of those in the words."""
        marks = tuple(Mark(mark.at, mark.start, mark.end, self._place(mark.place)) for mark in turn.marks)
        return Turn(turn.text, turn.speaker, turn.start, turn.end, self._place(turn.place), marks)

    def _place(self, place: Place) -> Place:
        first = bisect_right(self._at, place.start or 0) - 1
        last = bisect_right(self._at, max((place.end or 0) - 1, 0)) - 1
        start = self._starts[first] + (place.start or 0) - self._at[first]
        end = min(self._ends[last], self._starts[last] + (place.end or 0) - self._at[last])
        if self.source.startswith("&", self._starts[last]):
            end = self._ends[last]
        return Place(start, end, self._line(start))

    _counted: tuple[int, int] = (0, 1)

    def _line(self, at: int) -> int:
        """The number of the line; asked for in ascending order, nearly."""
        since, number = self._counted
        if at < since:
            since, number = 0, 1
        number += self.source.count("\n", since, at)
        self._counted = (at, number)
        return number


def _end(found: list[Token], i: int) -> int:
    """The index of the tag that closes the element at `i`; the last one of all where none does."""
    depth = 0
    name = found[i].name
    for k in range(i, len(found)):
        depth += (found[k].name == name) - (found[k].name == "/" + name)
        if depth == 0:
            return k
    return i


FORMAT = Format(
    "html", (".html", ".htm", ".xhtml"), recognises, whole=read, largest=24 << 20
)  # takes 40 times its size
