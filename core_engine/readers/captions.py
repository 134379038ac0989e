"""What SRT, WebVTT, SBV and TTML share: finding the cues, taking tags off, and the speakers written into the words."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from core_engine.errors import Unreadable
from core_engine.readers.cues import Cue, joined
from core_engine.readers.formats import Document
from core_engine.readers.lines import Line, lines_of, trimmed
from core_engine.readers.refusals import refuse_markers
from core_engine.readers.rolling import unrolled
from core_engine.readers.speakers import speakers_among
from core_engine.readers.times import TIME, seconds
from core_engine.types import Place, Transcript, Turn

TIMES = re.compile(rf"[ \t]*(-?{TIME})[ \t]*-{{1,3}}>[ \t]*(-?{TIME})?(?:[ \t].*)?\Z")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,100})?[ \t]{1,20}([^<>\s][^<>\r\n]{0,20000})>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:b|i|u|s|c|v|font|ruby|rt|lang|span)(?:[.\s][^<>]*)?>|<\d[\d:.,]*>|\{\\[^{}]*\}|\{/?[biuBIU]\}",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});")
# `>>` says that someone else speaks. (As two entities where the file escapes it.)
_CHANGE = re.compile(r"(?:(?<=\s)|\A)(?:>>+|(?:&gt;){2,})[ \t]*")
_WEBEX = re.compile(r'[ \t]*\d{1,9}[ \t]+"([^"\r\n]{1,20000})"[ \t]*(?:\(\d{1,20}\)[ \t]*)?\Z')
_REACH = 120
LONGEST_NAME = 200
_DISORDER = 1.0
"""Seconds by which cues of people who talk at once may stand in another order than they begin."""
_COLON = re.compile("[:\uff1a]")
_LABEL = re.compile(
    r"[ \t]*(?:>>+|-)?[ \t]*([^\s:\uff1a](?:[^:\uff1a\r\n]{0,78}?[^\s:\uff1a])??)[ \t]*(?::(?=\s|\Z)|\uff1a)"
)


class Block(NamedTuple):
    """A cue as it stands: its times, and the lines of its words; `line` is that of its times.

    `voice` is who its identifier names, as Webex does (`3 "Ann Lee" (2872939520)`).
    """

    start: float | None
    end: float | None
    lines: list[Line]
    line: int = 0
    voice: str | None = None


class Piece(NamedTuple):
    """Words of one cue by one voice; `label` is what stands before a colon, `rest` what stands after it.

    `change`: the file says that someone else speaks here, and not who.
    """

    block: Block
    words: str
    voice: str | None
    label: str | None
    rest: str
    place: Place
    rest_place: Place
    change: bool = False


def transcript(
    document: Document, *, blank_ends_cue: bool, times: re.Pattern[str] = TIMES, sign: str = "->"
) -> Transcript:
    """The cues of a file as turns. In SRT a blank line may stand inside a cue, in WebVTT an empty one ends it.

    Line breaks inside a cue become one space; tags go; `Name:` and `<v Name>` become the speaker. A cue without a
    name belongs to the speaker before it, unless nearly all cues have one. Words that a cue repeats from the one
    before, as rolling captions do, are read once. `times` are lines of times, which all have `sign` in them.
    Raises Unreadable where no cue has words.
    """
    text = document.text
    lines = lines_of(text)
    blocks = _blocks(text, lines, times, sign, blank_ends_cue=blank_ends_cue)
    blocks, warnings = checked(blocks)
    rolled = unrolled([block.lines for block in blocks], [(block.start, block.end) for block in blocks], text, _plain)
    blocks = [block._replace(lines=left) for block, left in zip(blocks, rolled, strict=True)]
    pieces = [piece for block in blocks for piece in _pieces(text, block, warnings)]
    turns = turns_of(pieces)
    if not turns:
        raise Unreadable(document.shown, "captions without a single cue that has words")
    refuse_markers(turns, document)
    return Transcript(turns, warnings=tuple(warnings))


def checked(blocks: list[Block]) -> tuple[list[Block], list[str]]:
    """The blocks, their impossible ends left out, and what is odd about their times."""
    backwards, early, last = [], [], 0.0
    kept = []
    for block in blocks:
        if block.start is not None and block.end is not None and block.end < block.start:
            backwards.append(block.line)
            block = block._replace(end=None)  # noqa: PLW2901  # the same cue, without its end
        if block.start is not None:
            if block.start < last - _DISORDER:
                early.append(block.line)
            last = block.start
        kept.append(block)
    warnings = []
    if backwards:
        warnings.append(f"{_cues_at(backwards)} before it starts; its end is left out")
    if early:
        warnings.append(f"{_cues_at(early, 'starts')} before the one above it; the order of the file is kept")
    negative = [block.line for block in blocks if block.start is None]
    if negative:
        warnings.append(f"{_cues_at(negative, 'starts')} at a negative time, which is left out")
    return kept, warnings


def _cues_at(lines: list[int], does: str = "ends") -> str:
    others = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"line {lines[0]}{others}: a cue {does}"


def _blocks(text: str, lines: list[Line], times: re.Pattern[str], sign: str, *, blank_ends_cue: bool) -> list[Block]:
    heads = [
        (i, match)
        for i, line in enumerate(lines)
        if text.find(sign, line.start, min(line.start + 80, line.end)) >= 0
        and (match := times.match(text, line.start, line.end))
    ]
    blocks = []
    for nth, (i, match) in enumerate(heads):
        stop = heads[nth + 1][0] if nth + 1 < len(heads) else len(lines)
        if stop < len(lines) and stop - 1 > i and _is_identifier(text, lines, stop - 1, any_words=blank_ends_cue):
            stop -= 1
        body = lines[i + 1 : stop]
        if blank_ends_cue:
            # (YouTube puts a line with a single blank into its cues; only an empty one ends them.)
            body = body[: next((k for k, line in enumerate(body) if line.start == line.end), len(body))]
        full = [line for line in body if not line.blank]
        voice = _WEBEX.match(text, lines[i - 1].start, lines[i - 1].end) if i else None
        name = " ".join(voice[1].split())[:LONGEST_NAME] if voice else None
        blocks.append(Block(seconds(match[1]), seconds(match[2]), full, lines[i].number, name))
    return blocks


def _is_identifier(text: str, lines: list[Line], i: int, *, any_words: bool) -> bool:
    """Whether line `i`, which stands right above a time line, names the cue below rather than being words."""
    line = lines[i]
    if text[line.start : line.end][:20].strip().isdigit():
        return True
    return any_words and not line.blank and lines[i - 1].blank


def _pieces(text: str, block: Block, warnings: list[str]) -> Iterator[Piece]:
    """A cue's words, cut where another voice begins, and at each line that may begin with a name."""
    voice = block.voice
    for line in block.lines:
        at = line.start
        spans = []
        if text.find("<", line.start, line.end) >= 0:
            for match in _VOICE.finditer(text, line.start, line.end):
                spans.append((at, match.start(), voice))
                voice, at = _voice(match[1], line, warnings), match.end()
        spans.append((at, line.end, voice))
        for start, end, who in spans:
            for first, last, change in _changes(text, start, end) if who is None else [(start, end, False)]:
                span = trimmed(text, first, last)
                words = _plain(text[slice(*span)])
                if piece := piece_of(text, block, words, Place(*span, line.number), who, change=change):
                    yield piece


def piece_of(
    text: str, block: Block, words: str, place: Place, voice: str | None, *, change: bool = False
) -> Piece | None:
    """The words with what may be a name before them; None where there are none. `place` is theirs in the file's text."""
    if not words:
        return None
    label = _LABEL.match(words, 0, _REACH) if voice is None else None
    colon = _COLON.search(text, place.start or 0, place.end or 0) if label else None
    if label is None or colon is None:
        return Piece(block, words, voice, None, words, place, place, change)
    rest = words[label.end() :].strip()
    behind = Place(*trimmed(text, colon.end(), place.end or 0), place.line)
    return Piece(block, words, voice, " ".join(label[1].split()), rest, place, behind if rest else place, change)


def _changes(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """The span cut at each `>>`, and whether such a sign stands before the part."""
    raw = text[start:end]
    if ">>" not in raw and "&gt;&gt;" not in raw:
        return [(start, end, False)]
    marks = list(_CHANGE.finditer(raw))
    begins = [0, *(match.end() for match in marks)]
    ends = [*(match.start() for match in marks), len(raw)]
    return [(start + first, start + last, nth > 0) for nth, (first, last) in enumerate(zip(begins, ends, strict=True))]


def _voice(name: str, line: Line, warnings: list[str]) -> str | None:
    words = " ".join(_plain(name).split())
    if len(words) <= LONGEST_NAME:
        return words or None
    warnings.append(f"line {line.number}: a speaker's name of {len(words)} characters is cut to {LONGEST_NAME}")
    return words[:LONGEST_NAME]


def turns_of(pieces: list[Piece]) -> tuple[Turn, ...]:
    """The turns of all pieces of a file: its speakers are found by looking at all of them."""
    labels = [piece.label for piece in pieces if piece.label]
    units = len({id(piece.block) for piece in pieces})
    speakers = speakers_among(labels, units, first=pieces[0].label if pieces else None)
    dense = sum(piece.label in speakers for piece in pieces) >= 0.8 * units
    return joined(_cues(pieces, speakers, dense=dense))


def _cues(pieces: list[Piece], speakers: set[str], *, dense: bool) -> Iterator[Cue]:
    """The pieces as cues, those of one block and speaker put together again."""
    speaker: str | None = None
    block: Block | None = None
    held: list[tuple[str, Place, Piece]] = []
    for piece in pieces:
        words, place, before = piece.words, piece.place, speaker
        if piece.voice is not None:
            speaker = piece.voice
        elif piece.label in speakers:
            speaker, words, place = piece.label, piece.rest, piece.rest_place
        elif piece.change or (dense and piece.block is not block):
            speaker = None
        if held and (piece.block is not block or speaker != before or piece.change):
            yield _cue(held, before)
            held = []
        block = piece.block
        held.append((words, place, piece))
    if held:
        yield _cue(held, speaker)


def _cue(held: list[tuple[str, Place, Piece]], speaker: str | None) -> Cue:
    words, place, first = held[0]
    if len(held) == 1:
        return Cue(words, speaker, first.block.start, first.block.end, place, apart=first.change)
    # A name may stand in a line of its own, above the words.
    places = [place for words, place, _ in held if words] or [first.place]
    place = Place(places[0].start, places[-1].end, places[0].line)
    words = " ".join(words for words, _, _ in held if words)
    return Cue(words, speaker, first.block.start, first.block.end, place, apart=first.change)


def _plain(words: str) -> str:
    if "<" in words or "{" in words:
        words = _TAG.sub("", words)
    if "&" in words:
        words = _ENTITY.sub(lambda match: html.unescape(match[0]), words)
    return words.strip()
