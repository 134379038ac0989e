"""Recall.ai, whose bots many note takers send into meetings: participants with the words they said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core_engine.readers.services.shape import At, Service, entries, members, speaker, words_at
from core_engine.readers.times import seconds
from core_engine.readers.words import Word, turns_of_words
from core_engine.types import Turn


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The turns of the words; who has no name is `Speaker N`."""
    pieces = entries({"pieces": value}, "pieces")
    if not any("start_timestamp" in word for piece in pieces for word in entries(piece, "words")):
        return None
    return turns_of_words(_words(pieces, at))


def _words(pieces: list[dict[str, Any]], at: At) -> Iterator[Word]:
    for i, piece in enumerate(pieces):
        person = members(piece, "participant")
        person = person if isinstance(person, dict) else piece
        whose = speaker(words_at(person, "name", "speaker") or person.get("id"))
        for k, word in enumerate(entries(piece, "words")):
            start, end = _time(word.get("start_timestamp")), _time(word.get("end_timestamp"))
            yield Word(words_at(word, "text"), whose, start, end, at(f"/{i}/words/{k}/text"))


def _time(value: Any) -> float | None:
    return seconds(value.get("relative") if isinstance(value, dict) else value)


SERVICE = Service("Recall.ai", turns)
