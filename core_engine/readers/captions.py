"""What SRT and WebVTT share: finding the cues, taking tags off, and the speakers written into the words."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from core_engine.errors import Unreadable
from core_engine.readers.cues import Cue, joined
from core_engine.readers.formats import Document
from core_engine.readers.lines import Line, lines_of, trimmed
from core_engine.readers.speakers import speakers_among
from core_engine.readers.times import TIME, seconds
from core_engine.types import Place, Transcript, Turn

TIMES = re.compile(rf"[ \t]*(-?{TIME})[ \t]*-->[ \t]*(-?{TIME})?(?:[ \t].*)?\Z")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,100})?[ \t]+([^<>\r\n]{1,200})>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:b|i|u|s|c|v|font|ruby|rt|lang|span)(?:[.\s][^<>]*)?>|<\d[\d:.,]*>|\{\\[^{}]*\}|\{/?[biuBIU]\}",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});")
_REACH = 120
_LABEL = re.compile(
    r"[ \t]*(?:>>+|-)?[ \t]*([^\s:\uff1a](?:[^:\uff1a\r\n]{0,78}?[^\s:\uff1a])??)[ \t]*(?::(?=\s|\Z)|\uff1a)"
)


class _Block(NamedTuple):
    """A cue as it stands: its times, and the lines of its words."""

    start: float | None
    end: float | None
    lines: list[Line]


class _Piece(NamedTuple):
    """Words of one cue by one voice; `label` is what stands before a colon, `rest` what stands after it."""

    block: _Block
    words: str
    voice: str | None
    label: str | None
    rest: str
    place: Place


def transcript(document: Document, *, blank_ends_cue: bool) -> Transcript:
    """The cues of a file as turns. In SRT a blank line may stand inside a cue, in WebVTT it ends it.

    Line breaks inside a cue become one space; tags go; `Name:` and `<v Name>` become the speaker. A cue without a
    name belongs to the speaker before it, unless nearly all cues have one. Raises Unreadable where no cue has words.
    """
    text = document.text
    blocks, wrong = _blocks(text, blank_ends_cue=blank_ends_cue)
    pieces = [piece for block in blocks for piece in _pieces(text, block)]
    turns = _turns(pieces)
    if not turns:
        raise Unreadable(document.shown, "captions without a single cue that has words")
    warnings = (f"{wrong} cues end before they start; their end is left out",) if wrong else ()
    return Transcript(turns, warnings=warnings)


def _blocks(text: str, *, blank_ends_cue: bool) -> tuple[list[_Block], int]:
    lines = lines_of(text)
    heads = [
        (i, match)
        for i, line in enumerate(lines)
        if "-->" in text[line.start : min(line.end, line.start + 80)]
        and (match := TIMES.match(text, line.start, line.end))
    ]
    blocks, wrong = [], 0
    for nth, (i, match) in enumerate(heads):
        stop = heads[nth + 1][0] if nth + 1 < len(heads) else len(lines)
        if stop < len(lines) and stop - 1 > i and _is_identifier(text, lines, stop - 1, any_words=blank_ends_cue):
            stop -= 1
        body = lines[i + 1 : stop]
        if blank_ends_cue:
            body = body[: next((k for k, line in enumerate(body) if line.blank), len(body))]
        start, end = seconds(match[1]), seconds(match[2])
        if start is not None and end is not None and end < start:
            end = None
            wrong += 1
        blocks.append(_Block(start, end, [line for line in body if not line.blank]))
    return blocks, wrong


def _is_identifier(text: str, lines: list[Line], i: int, *, any_words: bool) -> bool:
    """Whether line `i`, which stands right above a time line, names the cue below rather than being words."""
    line = lines[i]
    if text[line.start : min(line.end, line.start + 20)].strip().isdigit():
        return True
    return any_words and not line.blank and lines[i - 1].blank


def _pieces(text: str, block: _Block) -> Iterator[_Piece]:
    """A cue's words, cut where another voice begins, and at each line that may begin with a name."""
    voice: str | None = None
    for line in block.lines:
        at = line.start
        spans = []
        for match in _VOICE.finditer(text, line.start, line.end):
            spans.append((at, match.start(), voice))
            voice, at = " ".join(_plain(match[1]).split()) or None, match.end()
        spans.append((at, line.end, voice))
        for start, end, who in spans:
            start, end = trimmed(text, start, end)  # noqa: PLW2901  # the same span, without blanks
            words = _plain(text[start:end])
            if words:
                label = _LABEL.match(words, 0, _REACH) if who is None else None
                rest = words[label.end() :].strip() if label else words
                yield _Piece(
                    block,
                    words,
                    who,
                    " ".join(label[1].split()) if label else None,
                    rest,
                    Place(start, end, line.number),
                )


def _turns(pieces: list[_Piece]) -> tuple[Turn, ...]:
    labels = [piece.label for piece in pieces if piece.label]
    units = len({id(piece.block) for piece in pieces})
    speakers = speakers_among(labels, units, first=pieces[0].label if pieces else None)
    dense = sum(piece.label in speakers for piece in pieces) >= 0.8 * units
    return joined(_cues(pieces, speakers, dense=dense))


def _cues(pieces: list[_Piece], speakers: set[str], *, dense: bool) -> Iterator[Cue]:
    """The pieces as cues, those of one block and speaker put together again."""
    speaker: str | None = None
    block: _Block | None = None
    held: list[tuple[str, _Piece]] = []
    for piece in pieces:
        words, before = piece.words, speaker
        if piece.voice is not None:
            speaker = piece.voice
        elif piece.label in speakers:
            speaker, words = piece.label, piece.rest
        elif dense and piece.block is not block:
            speaker = None
        if held and (piece.block is not block or speaker != before):
            yield _cue(held, before)
            held = []
        block = piece.block
        held.append((words, piece))
    if held:
        yield _cue(held, speaker)


def _cue(held: list[tuple[str, _Piece]], speaker: str | None) -> Cue:
    first, last = held[0][1], held[-1][1]
    words = " ".join(words for words, _ in held if words)
    return Cue(
        words, speaker, first.block.start, first.block.end, Place(first.place.start, last.place.end, first.place.line)
    )


def _plain(words: str) -> str:
    if "<" in words or "{" in words:
        words = _TAG.sub("", words)
    if "&" in words:
        words = _ENTITY.sub(lambda match: html.unescape(match[0]), words)
    return words.strip()
