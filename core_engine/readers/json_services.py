"""The services whose JSON is known by its shape, and what their files say about the conversation."""

from __future__ import annotations

from typing import Any, NamedTuple

from core_engine.readers.services import (
    assemblyai,
    aws_transcribe,
    azure_speech,
    deepgram,
    gong,
    google_speech,
    otter,
    recall,
    rev,
    speechmatics,
    whisper_cpp,
    whisperx,
    youtube,
)
from core_engine.readers.services.shape import members, words_at
from core_engine.types import Place, Turn

SERVICES = (
    whisperx.SERVICE,
    whisper_cpp.SERVICE,
    assemblyai.SERVICE,
    deepgram.SERVICE,
    aws_transcribe.SERVICE,
    otter.SERVICE,
    rev.SERVICE,
    speechmatics.SERVICE,
    google_speech.SERVICE,
    azure_speech.SERVICE,
    youtube.SERVICE,
    recall.SERVICE,
    gong.SERVICE,
)
_LANGUAGE = ("language_code", "language", "languageCode", "detected_language")


class Conversation(NamedTuple):
    """The turns of a service's file, its title, and its language and the service's name as metadata."""

    turns: tuple[Turn, ...]
    title: str | None
    metadata: dict[str, str]


def conversation(value: Any, line: int | None = None) -> Conversation | None:
    """What a service wrote; None where no service's shape fits. `line` is that of the value in a file of JSON Lines."""
    for service in SERVICES:
        turns = service.turns(value, lambda pointer: Place(line=line, pointer=pointer))
        if turns is not None:
            return Conversation(turns, _title(value), _about(value) | {"transcribed_by": service.name})
    return None


def _title(value: Any) -> str | None:
    inner = next((v for v in (members(value, "speech"), value) if isinstance(v, dict)), {})
    return words_at(inner, "title").strip()[:500] or None


def _about(value: Any) -> dict[str, str]:
    places = (value, *(members(value, key) for key in ("results", "metadata", "result", "speech")))
    for place in places:
        if isinstance(place, dict) and (language := words_at(place, *_LANGUAGE)) and len(language) < 40:
            return {"language": language}
    return {}
