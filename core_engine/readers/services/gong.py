"""Gong's calls: monologues of sentences, times in milliseconds, speakers by their ids."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, milliseconds, words_at
from core_engine.readers.speaker_names import label_key, names_in
from core_engine.types import Turn


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The sentences of a call; an answer about several calls is none of ours, for they are several conversations."""
    calls = entries(value, "callTranscripts")
    if len(calls) > 1:
        return None
    pointer = "/callTranscripts/0/transcript" if calls else "/transcript"
    monologues = entries(calls[0] if calls else value, "transcript")
    if not any("speakerId" in monologue and entries(monologue, "sentences") for monologue in monologues):
        return None
    names = names_in(value)
    return joined(
        Cue(
            words_at(sentence, "text").strip(),
            _whose(monologue, names),
            milliseconds(sentence.get("start")),
            milliseconds(sentence.get("end")),
            at(f"{pointer}/{i}/sentences/{k}/text"),
        )
        for i, monologue in enumerate(monologues)
        for k, sentence in enumerate(entries(monologue, "sentences"))
    )


def _whose(monologue: dict[str, Any], names: dict[str, str]) -> str | None:
    label = str(monologue.get("speakerId") or "")
    return names.get(label_key(label)) or (f"Speaker {label}"[:200] if label else None)


SERVICE = Service("Gong", turns)
