"""AWS Transcribe: one text, its items (words and punctuation), and speakers or channels by the times of the words."""

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
    milliseconds,
    speaker,
    words_at,
)
from core_engine.readers.times import seconds
from core_engine.readers.words import Word, cues_in, sentence
from core_engine.types import Turn


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The turns, by whichever of its forms names the speakers: items, channels, segments, or an analysed call."""
    if calls := entries(value, "Transcript"):
        return _call(calls, at) if any("BeginOffsetMillis" in entry for entry in calls) else None
    items = entries(value, "results", "items")
    texts = entries(value, "results", "transcripts")
    segments = entries(value, "results", "audio_segments")
    if channels := entries(value, "results", "channel_labels", "channels"):
        return joined(in_order([_channel(channel, at, i) for i, channel in enumerate(channels)]))
    if items and texts:
        labels = _labels(value)
        words = [_word(item, labels) for item in items if item.get("type") != "punctuation"]
        text, here = words_at(texts[0], "transcript"), at("/results/transcripts/0/transcript")
        return joined(cues_in(text, words, here) or [Cue(text.strip(), None, None, None, here)])
    if not any("transcript" in segment for segment in segments):
        return None
    return joined(
        _segment(segment, at, f"/results/audio_segments/{i}/transcript") for i, segment in enumerate(segments)
    )


def _labels(value: Any) -> dict[str, str]:
    """The speaker at each start of a word, as older files have them."""
    return {
        str(item.get("start_time")): label
        for segment in entries(value, "results", "speaker_labels", "segments")
        for item in entries(segment, "items")
        if isinstance(label := item.get("speaker_label", segment.get("speaker_label")), str)
    }


def _word(item: dict[str, Any], labels: dict[str, str]) -> Word:
    start = item.get("start_time")
    whose = speaker(item.get("speaker_label") or labels.get(str(start)))
    return Word(words_at(first_alternative(item), "content"), whose, seconds(start), seconds(item.get("end_time")))


def _channel(channel: dict[str, Any], at: At, index: int) -> list[Cue]:
    """The words of a channel; their text is put together, because the file has only that of all channels."""
    items = entries(channel, "items")
    whose = speaker(channel.get("channel_label"))
    if whose and whose.startswith("ch_"):
        whose = f"Speaker {whose.removeprefix('ch_')}"
    words = [_word(item, {})._replace(speaker=whose) for item in items if item.get("type") != "punctuation"]
    text = sentence(words_at(first_alternative(item), "content") for item in items)
    here = at(f"/results/channel_labels/channels/{index}/items")
    return [cue._replace(place=here) for cue in cues_in(text, words, here)]


def _segment(segment: dict[str, Any], at: At, pointer: str) -> Cue:
    times = seconds(segment.get("start_time")), seconds(segment.get("end_time"))
    return Cue(words_at(segment, "transcript").strip(), speaker(segment.get("speaker_label")), *times, at(pointer))


def _call(entries_: list[dict[str, Any]], at: At) -> tuple[Turn, ...]:
    return joined(
        Cue(
            words_at(entry, "Content").strip(),
            _party(members(entry, "ParticipantRole") or members(entry, "ParticipantId")),
            milliseconds(entry.get("BeginOffsetMillis")),
            milliseconds(entry.get("EndOffsetMillis")),
            at(f"/Transcript/{i}/Content"),
        )
        for i, entry in enumerate(entries_)
    )


def _party(role: Any) -> str | None:
    return role.capitalize() if isinstance(role, str) and role.isupper() else speaker(role)


SERVICE = Service("AWS Transcribe", turns)
