"""Conversations inside JSON values: where the list of turns is, and which of its keys mean what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from core_engine.readers.cues import Cue, joined
from core_engine.readers.heads import heads_in
from core_engine.readers.lines import lines_of
from core_engine.readers.running_text import turns_in
from core_engine.readers.times import seconds
from core_engine.types import Mark, Place, Turn

TEXT_KEYS = ("text", "content", "body", "utterance", "message", "sentence")
SPEAKER_KEYS = (
    "speaker",
    "speaker_name",
    "speakerName",
    "speaker_label",
    "speakerLabel",
    "speaker_id",
    "participant",
    "author",
    "role",
)
START_KEYS = ("start", "startTime", "start_time", "start_s", "begin", "timestamp", "time", "offset")
END_KEYS = ("end", "endTime", "end_time", "end_s", "stop")
LIST_KEYS = (
    "turns", "segments", "utterances", "meeting_transcripts", "transcript", "transcripts", "dialogue", "dialog",
    "conversation", "messages", "monologues", "sentences", "captions", "cues",
)  # fmt: skip
PROSE_KEYS = ("transcript", "text", "content")

DEEPEST = 3
"""How many keys deep a list of turns may stand (`data.transcript.sentences`)."""
LONGEST_NAME = 200
_LOOKED_AT = 20
_SLOWEST = 0.1
"""Characters a second below which times can't be seconds: people say 5 to 25, and in milliseconds it is .005 to .025."""


class TurnList(NamedTuple):
    """A list of turns and the JSON Pointer to it."""

    items: list[Any]
    pointer: str


def find_turns(value: Any) -> TurnList | None:
    """The list of turns in a value: the value itself, or one of its members down to `DEEPEST`; the least deep counts."""
    if isinstance(value, list):
        return TurnList(value, "") if _are_turns(value, by_key=False) else None
    level = [("", value)] if isinstance(value, dict) else []
    for _ in range(DEEPEST + 1):
        for pointer, inner in level:
            if found := _member(inner, pointer):
                return found
        level = [
            (f"{pointer}/{escaped(key)}", member)
            for pointer, inner in level
            for key, member in inner.items()
            if isinstance(member, dict)
        ]
    return None


def _member(value: dict[str, Any], pointer: str) -> TurnList | None:
    for key in LIST_KEYS:
        inner = value.get(key)
        if isinstance(inner, list) and _are_turns(inner, by_key=True):
            return TurnList(inner, f"{pointer}/{key}")
    for key, inner in value.items():
        if isinstance(inner, list) and _are_turns(inner, by_key=False):
            return TurnList(inner, f"{pointer}/{escaped(key)}")
    return None


def _are_turns(items: list[Any], *, by_key: bool) -> bool:
    """Whether most of the first items are turns; under a key that says so, words alone are enough for one."""
    first = items[:_LOOKED_AT]
    fit = sum(is_turn(item) and (by_key or _has(item, SPEAKER_KEYS) or _has(item, START_KEYS)) for item in first)
    return fit > len(first) / 2


def is_turn(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(_first(item, TEXT_KEYS), str)


def words_of(item: Any) -> str:
    """The words of a turn; '' of what is none."""
    words = _first(item, TEXT_KEYS) if isinstance(item, dict) else None
    return words if isinstance(words, str) else ""


def has_speaker_or_time(item: dict[str, Any]) -> bool:
    return _has(item, SPEAKER_KEYS) or _has(item, START_KEYS)


def turns_of(found: TurnList, line: int | None = None) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """The turns of a list, and warnings; `line` is where the list stands in a file of JSON Lines."""
    return turns_at(found.items, lambda i, key: Place(line=line, pointer=f"{found.pointer}/{i}/{key}"))


def turns_at(items: list[Any], place: Callable[[int, str], Place]) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """The turns of the items, each at the place of its index and text key, and warnings.

    Where the items have times, those of one speaker are joined as captions are.
    """
    cues, left_out = [], 0
    for i, item in enumerate(items):
        if not is_turn(item):
            left_out += 1
            continue
        key = next(key for key in TEXT_KEYS if item.get(key) is not None)
        cues.append(Cue(item[key], speaker_of(item), *times_of(item), place(i, key)))
    turns, warnings = turns_of_cues(cues)
    return turns, (f"{left_out} entries without text are left out", *warnings) if left_out else warnings


def turns_of_cues(cues: list[Cue], *, milliseconds: bool = False) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """The turns, and warnings. Where nothing says what the times count, how much is said in them does."""
    warnings = []
    if long := next((cue for cue in cues if len(cue.speaker or "") == LONGEST_NAME), None):
        where = long.place.pointer if long.place.line is None else f"line {long.place.line}"
        warnings.append(f"{where}: a speaker's name is cut to {LONGEST_NAME} characters")
    if not any(cue.start is not None for cue in cues):
        said = (cue for cue in cues if cue.text and not cue.text.isspace())
        return tuple(Turn(cue.text, cue.speaker, place=cue.place) for cue in said), tuple(warnings)
    if milliseconds or _in_milliseconds(cues):
        if not milliseconds:
            warnings.append("times were read as milliseconds")
        cues = [cue._replace(start=_thousandth(cue.start), end=_thousandth(cue.end)) for cue in cues]
    return joined(cue._replace(text=cue.text.strip()) for cue in cues), tuple(warnings)


def prose_of(value: dict[str, Any], line: int | None = None) -> tuple[Turn, ...]:
    """The turns of a value that holds its transcript as one text; their places are offsets into that text."""
    key = next((key for key in PROSE_KEYS if isinstance(value.get(key), str)), None)
    return turns_in_string(value[key], f"/{key}", line) if key else ()


def turns_in_string(text: str, pointer: str, line: int | None) -> tuple[Turn, ...]:
    lines = lines_of(text)
    return tuple(moved(turns_in(text, lines, heads_in(text, lines)), pointer, line))


def moved(turns: tuple[Turn, ...], pointer: str, line: int | None) -> Iterator[Turn]:
    """The turns of a text that is itself a value at `pointer` of the JSON on `line`."""
    for turn in turns:
        marks = tuple(
            Mark(mark.at, mark.start, mark.end, Place(mark.place.start, mark.place.end, line, pointer))
            for mark in turn.marks
        )
        place = Place(turn.place.start, turn.place.end, line, pointer)
        yield Turn(turn.text, turn.speaker, turn.start, turn.end, place, marks)


def speaker_of(item: dict[str, Any]) -> str | None:
    """The speaker's name; a bare number becomes `Speaker N`."""
    for key in SPEAKER_KEYS:
        value = item.get(key)
        if isinstance(value, dict):
            value = value.get("name") or value.get("display_name") or value.get("label") or value.get("id")
        if isinstance(value, int) and not isinstance(value, bool):
            return f"Speaker {value}"
        if isinstance(value, str) and (name := name_of(value)):
            return name
    return None


def name_of(value: str) -> str | None:
    """A speaker's name: without runs of blanks, no longer than a name can be; a bare number becomes `Speaker N`."""
    words = " ".join(value.split())
    if words.isdecimal() and len(words) < 6:
        return f"Speaker {words}"
    return words[:LONGEST_NAME] or None


def times_of(item: dict[str, Any]) -> tuple[float | None, float | None]:
    start, end = seconds(_first(item, START_KEYS)), seconds(_first(item, END_KEYS))
    return start, None if start is not None and end is not None and end < start else end


def metadata_of(value: dict[str, Any], without: tuple[str, ...] = ()) -> dict[str, str]:
    """The short plain members of a value: what is said about the conversation, not in it."""
    found = {}
    for key, inner in value.items():
        if key in without or key in TEXT_KEYS or key in PROSE_KEYS:
            continue
        if isinstance(inner, (int, float)) and not isinstance(inner, bool):
            found[key] = str(inner)
        elif isinstance(inner, str) and inner.strip() and len(inner) <= 1000:
            found[key] = inner
        elif (
            isinstance(inner, list)
            and 0 < len(inner) <= 100
            and all(isinstance(x, str) and len(x) < 200 for x in inner)
        ):
            found[key] = ", ".join(inner)
    return found


def around(value: Any, pointer: str) -> list[dict[str, Any]]:
    """The objects that the list at `pointer` stands in, the outermost first."""
    found = []
    for key in pointer.split("/")[1:]:
        found.append(value)
        value = value[key.replace("~1", "/").replace("~0", "~")]
    return found


def title_of(value: dict[str, Any]) -> str | None:
    title = value.get("title")
    return title.strip() or None if isinstance(title, str) else None


def escaped(key: str) -> str:
    """A key as a part of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _in_milliseconds(cues: list[Cue]) -> bool:
    timed = [cue for cue in cues if cue.start is not None and cue.end is not None]
    if not all(cue.start == int(cue.start or 0) and cue.end == int(cue.end or 0) for cue in timed):
        return False
    length = sum((cue.end or 0) - (cue.start or 0) for cue in timed)
    return length > 0 and sum(len(cue.text) for cue in timed) / length < _SLOWEST


def _thousandth(time: float | None) -> float | None:
    return None if time is None else time / 1000


def _first(item: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)


def _has(item: dict[str, Any], keys: tuple[str, ...]) -> bool:
    return any(key in item for key in keys)
