"""Whether the words of a turn stand where it says."""

import json
import re
from typing import Any

from core_engine.types import Place, Transcript


def plain(words: str) -> str:
    """Letters and digits alone: what tags, entities, quotes and spaces leave."""
    words = re.sub(r"<[^<>]*>|&(?:gt|lt|quot|nbsp|#\d+);", " ", words).replace("&amp;", "&")
    return "".join(re.findall(r"[^\W_]+", words))


def member(value: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def stands(raw: str, place: Place) -> str:
    """What stands in the file at a place."""
    text = member(json.loads(raw), place.pointer) if place.pointer else raw
    assert isinstance(text, str)
    return text[place.start : place.end] if place.start is not None else text


def assert_in_place(raw: str, transcript: Transcript) -> None:
    """The words of each turn, or those of each of its marks, stand at their place, and its line is right."""
    for turn in transcript.turns:
        if not turn.marks:
            assert plain(stands(raw, turn.place)) == plain(turn.text)
        ends = [mark.at for mark in turn.marks[1:]] + [len(turn.text)]
        for mark, end in zip(turn.marks, ends, strict=False):
            words, found = plain(turn.text[mark.at : end]), plain(stands(raw, mark.place))
            assert found or not words
            # A place of a word in a list of words is that of the first one.
            assert words.startswith(found), mark
            assert mark.place.pointer or found == words, mark
        if turn.place.line is not None and not turn.place.pointer:
            assert turn.place.line == raw.count("\n", 0, turn.place.start) + 1
