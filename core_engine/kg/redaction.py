"""Takes a speaker out of chunks: the turns, the name wherever others say it, and what answers say of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from core_engine.kg.grounding import Words
from core_engine.kg.normalise import normal_form
from core_engine.kg.reply import without_names
from core_engine.types import Chunk, ChunkTurn, Transcript, Turn

MASK = "█"
"""Stands for each character of a name, so that offsets stay true."""

_SHORTEST_PART = 3


def pattern_of(names: Iterable[str], parts: Iterable[str] = ()) -> re.Pattern[str] | None:
    """Finds the names in any case and spacing, and their `parts` only as they are written. None where there is none."""
    ways = [
        r"\s+".join(map(re.escape, name.split())) for name in sorted(set(names), key=len, reverse=True) if name.strip()
    ]
    exact = [re.escape(part) for part in sorted(set(parts), key=len, reverse=True)]
    choices = ([f"(?i:{'|'.join(ways)})"] if ways else []) + exact
    return re.compile(rf"(?<!\w)(?:{'|'.join(choices)})(?!\w)") if choices else None


def parts_of(name: str) -> list[str]:
    """The words of a name by which it may be called: written with a capital, three letters at least."""
    words = re.findall(r"[^\W\d_][\w'’\-]*", name)  # noqa: RUF001  curly apostrophes stand in names
    return [word for word in words if len(word) >= _SHORTEST_PART and word[0].isupper()] if len(words) > 1 else []


def masked(text: str, pattern: re.Pattern[str] | None) -> str:
    """The text with what the pattern finds masked, as long as before."""
    return pattern.sub(lambda found: MASK * len(found.group()), text) if pattern else text


def redacted(chunk: Chunk, norm: str, pattern: re.Pattern[str] | None) -> Chunk:
    """The chunk without the turns of that speaker (they stay as empty turns, so that turn numbers hold)."""
    turns = tuple(_turn(turn, norm, pattern) for turn in chunk.turns)
    context = tuple(
        (speaker and masked(speaker, pattern), masked(text, pattern))
        for speaker, text in chunk.context
        if not _is(speaker, norm)
    )
    return replace(chunk, turns=turns, context=context, name=masked(chunk.name, pattern))


def without_speakers(transcript: Transcript, gone: Callable[[str], bool]) -> Transcript:
    """The transcript with empty turns for the speakers whose normal forms are `gone`, and a warning that says so."""
    left_out = {
        speaker for speaker in {turn.speaker for turn in transcript.turns} if speaker and gone(normal_form(speaker))
    }
    if not left_out:
        return transcript
    turns = tuple(Turn("") if turn.speaker in left_out else turn for turn in transcript.turns)
    warning = f"the turns of {len(left_out)} speakers erased with `kg forget` were left out"
    return replace(transcript, turns=turns, warnings=(*transcript.warnings, warning))


def _turn(turn: ChunkTurn, norm: str, pattern: re.Pattern[str] | None) -> ChunkTurn:
    if _is(turn.speaker, norm):
        return ChunkTurn(speaker=None, raw="", text="", turn=turn.turn)
    return replace(
        turn,
        speaker=turn.speaker and masked(turn.speaker, pattern),
        raw=masked(turn.raw, pattern),
        text=masked(turn.text, pattern),
    )


def _is(speaker: str | None, norm: str) -> bool:
    return bool(norm) and bool(speaker) and normal_form(speaker or "") == norm


def answer_for(chunk: Chunk, before: Chunk, answer: bytes) -> bytes:
    """What a model's answer to the chunk as it was still says of it as it is: nothing that its words don't hold."""
    words = Words(chunk)
    speakers = {normal_form(speaker) for speaker in chunk.speakers}
    emptied = {
        number
        for number, (now, then) in enumerate(zip(chunk.turns, before.turns, strict=True), 1)
        if then.raw and not now.raw
    }
    return without_names(answer, lambda name: normal_form(name) not in speakers and not words.says(name), emptied)
