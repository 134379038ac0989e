"""Speechmatics: results that are words and punctuation, each with alternatives of which the first counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core_engine.readers.services.shape import At, Service, entries, first_alternative, speaker, words_at
from core_engine.readers.times import seconds
from core_engine.readers.words import Word, turns_of_words
from core_engine.types import Turn

_UNKNOWN = "UU"


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The turns of the words; who is not told apart (`UU`) has no name."""
    results = entries(value, "results")
    if not any("start_time" in item and "content" in first_alternative(item) for item in results):
        return None
    return turns_of_words(_words(results, at))


def _words(results: list[dict[str, Any]], at: At) -> Iterator[Word]:
    for i, item in enumerate(results):
        best = first_alternative(item)
        label = best.get("speaker") or item.get("channel")
        yield Word(
            words_at(best, "content"),
            None if label == _UNKNOWN else speaker(label),
            seconds(item.get("start_time")),
            seconds(item.get("end_time")),
            at(f"/results/{i}/alternatives/0/content"),
        )


SERVICE = Service("Speechmatics", turns)
