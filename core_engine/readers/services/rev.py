"""Rev's JSON: monologues made of elements, words and what stands between them."""

from __future__ import annotations

from typing import Any

from core_engine.readers.cues import Cue, joined
from core_engine.readers.services.shape import At, Service, entries, speaker, words_at
from core_engine.readers.times import seconds
from core_engine.readers.words import Word, cues_in
from core_engine.types import Turn


def turns(value: Any, at: At) -> tuple[Turn, ...] | None:
    """The monologues, cut at their sentences, each placed at the list of its elements."""
    monologues = entries(value, "monologues")
    if not any("value" in element for monologue in monologues for element in entries(monologue, "elements")[:20]):
        return None
    names = {str(item.get("id")): words_at(item, "name") for item in entries(value, "speakers")}
    return joined(
        cue for i, item in enumerate(monologues) for cue in _cues(item, names, at, f"/monologues/{i}/elements")
    )


def _cues(monologue: dict[str, Any], names: dict[str, str], at: At, pointer: str) -> list[Cue]:
    elements = entries(monologue, "elements")
    number = monologue.get("speaker")
    whose = speaker(names.get(str(number)) or number)
    text = "".join(value for element in elements if isinstance(value := element.get("value"), str))
    words = [
        Word(words_at(element, "value"), whose, seconds(element.get("ts")), seconds(element.get("end_ts")))
        for element in elements
        if element.get("type") == "text"
    ]
    found = cues_in(text, words, at(pointer)) or [Cue(text.strip(), whose, None, None, at(pointer))]
    return [cue._replace(place=at(pointer)) for cue in found]


SERVICE = Service("Rev", turns)
