"""Deepgram: channels with alternatives, of which the first counts; speakers are given to words."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import (
    At,
    Service,
    entries,
    first_alternative,
    in_order,
    members,
    speaker,
    words_at,
)
from core_engine.readers.times import seconds
from core_engine.readers.words import Word, cues_in
from core_engine.types import Turn


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The words of all channels by time. A channel is a speaker where there are several and nobody else is named."""
    channels = entries(value, "results", "channels")
    if channels and any("transcript" in first_alternative(channel) for channel in channels):
        several = len(channels) > 1
        found = [_channel(channel, at, i, several=several) for i, channel in enumerate(channels)]
        if any(found):
            return joined(in_order(found))
    utterances = entries(value, "results", "utterances")
    if not utterances and not channels:
        return None
    return joined(_utterance(item, at, f"/results/utterances/{i}/transcript") for i, item in enumerate(utterances))


def _channel(channel: dict[str, Any], at: At, index: int, *, several: bool) -> list[Cue]:
    best = first_alternative(channel)
    pointer = f"/results/channels/{index}/alternatives/0"
    text = words_at(best, "transcript")
    words = [_word(item, index if several else None) for item in entries(best, "words")]
    if cues := cues_in(text, words, at(pointer + "/transcript")):
        return cues
    if cues := _paragraphs(best, at, pointer):
        return cues
    return [Cue(text.strip(), f"Speaker {index}" if several else None, None, None, at(pointer + "/transcript"))]


def _word(item: dict[str, Any], channel: int | None) -> Word:
    whose = speaker(item.get("speaker"))
    if channel is not None:
        # Numbers count anew in each channel.
        whose = f"Speaker {channel}" if whose is None else f"Speaker {channel} {item['speaker']}"
    return Word(words_at(item, "punctuated_word", "word"), whose, seconds(item.get("start")), seconds(item.get("end")))


def _paragraphs(best: dict[str, Any], at: At, pointer: str) -> list[Cue]:
    return [
        Cue(
            words_at(item, "text").strip(),
            speaker(paragraph.get("speaker")),
            seconds(item.get("start")),
            seconds(item.get("end")),
            at(f"{pointer}/paragraphs/paragraphs/{i}/sentences/{k}/text"),
        )
        for i, paragraph in enumerate(entries(members(best, "paragraphs"), "paragraphs"))
        for k, item in enumerate(entries(paragraph, "sentences"))
    ]


def _utterance(item: dict[str, Any], at: At, pointer: str) -> Cue:
    whose = speaker(item.get("speaker"))
    words = words_at(item, "transcript").strip()
    return Cue(words, whose, seconds(item.get("start")), seconds(item.get("end")), at(pointer))


SERVICE = Service("Deepgram", turns)
