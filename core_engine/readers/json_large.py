"""A JSON file too large to be held whose turns stand in one long list: read in parts, a stretch of the list each.

Twice: once for the outline (each list's first items, the members beside them), which shows where the turns are; then
for the items themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from core_engine.readers import parts
from core_engine.readers.formats import Items
from core_engine.readers.json_scanner import Scanner, TooLarge
from core_engine.readers.json_services import conversation
from core_engine.readers.json_turns import (
    DEEPEST,
    TurnList,
    around,
    escaped,
    find_turns,
    metadata_of,
    title_of,
    turns_of,
    words_of,
)
from core_engine.readers.speaker_names import named, names_in
from core_engine.types import Mark, Place, Transcript, Turn

_FIRST = 20
_LARGEST_ITEM = 1 << 20
_LONGEST_MEMBER = 4000


def read(blocks: Callable[[], Iterator[bytes]], shown: str) -> Items | None:
    """The transcripts, or None where the file has to be held to be read: its turns aren't in one list.

    `blocks` gives the file as UTF-8, anew with each call. Raises Unreadable.
    """
    scanner = Scanner(blocks(), shown)
    try:
        outline = _outline(scanner, 0)
    except TooLarge:
        return None
    if scanner.peek() or (isinstance(outline, dict) and conversation(outline)):
        return None
    found = find_turns(outline)
    return _parts(Scanner(blocks(), shown), found.pointer, outline) if found else None


def _outline(scanner: Scanner, depth: int) -> Any:
    """The value with only the first items of its lists, and without long texts."""
    sign = scanner.peek()
    if sign == "[":
        return _first_items(scanner)
    if sign != "{":
        value = scanner.value(1 << 40)
        return "" if isinstance(value, str) and len(value) > _LONGEST_MEMBER else value
    if depth > DEEPEST:
        scanner.skip()
        return {}
    return {key: _outline(scanner, depth + 1) for key in _keys(scanner)}


def _first_items(scanner: Scanner) -> list[Any]:
    items: list[Any] = []
    for _ in _places(scanner):
        if len(items) < _FIRST:
            items.append(scanner.value(_LARGEST_ITEM))
        else:
            scanner.skip()
    return items


def _keys(scanner: Scanner) -> Iterator[str]:
    """The keys of an object; at each, the scanner stands before its value, which has to be taken."""
    scanner.take("{")
    if scanner.peek() == "}":
        scanner.take("}")
        return
    while True:
        key = str(scanner.value(_LARGEST_ITEM))
        scanner.take(":")
        yield key
        if not scanner.goes_on("}"):
            return


def _places(scanner: Scanner) -> Iterator[int]:
    """The indexes of a list; at each, the scanner stands before its item, which has to be taken."""
    scanner.take("[")
    if scanner.peek() == "]":
        scanner.take("]")
        return
    index = 0
    while True:
        yield index
        if not scanner.goes_on("]"):
            return
        index += 1


def _parts(scanner: Scanner, pointer: str, outline: Any) -> Iterator[Transcript]:
    about = around(outline, pointer)
    title = next(filter(None, map(title_of, about)), None)
    metadata: dict[str, str] = {}
    names: dict[str, str] = {}
    for one in reversed(about):
        metadata |= metadata_of(one, ("title",))
        names |= names_in(one)
    first = 0
    for number, items in enumerate(_stretches(scanner, pointer), 1):
        turns, warnings = turns_of(TurnList(items, pointer))
        if turns:
            turns = named(tuple(_moved(turn, pointer, first) for turn in turns), names)
            record = parts.record_of_part("", number)
            yield Transcript(turns, record, title, metadata, warnings=warnings, part=number)
        first += len(items)


def _stretches(scanner: Scanner, pointer: str) -> Iterator[list[Any]]:
    """The items of the list, as many at once as can be held; cut, as text is, where the words say so."""
    held: list[tuple[Any, int]] = []
    size = 0
    for item, length in _items(scanner, pointer):
        held.append((item, length))
        size += length
        if size > parts.LARGEST:
            at = parts.where_to_cut((words_of(item), length) for item, length in held)
            yield [item for item, _ in held[:at]]
            held = held[at:]
            size = sum(length for _, length in held)
    if held:
        yield [item for item, _ in held]


def _items(scanner: Scanner, pointer: str) -> Iterator[tuple[Any, int]]:
    """The items of the list at `pointer`, each with the bytes that it takes."""
    for wanted in pointer.split("/")[1:]:
        for key in _keys(scanner):
            if escaped(key) == wanted:
                break
            scanner.skip()
    for _ in _places(scanner):
        before = scanner.passed
        item = scanner.value(1 << 40)
        yield item, scanner.passed - before


def _moved(turn: Turn, pointer: str, by: int) -> Turn:
    if not by:
        return turn
    marks = tuple(Mark(mark.at, mark.start, mark.end, _place(mark.place, pointer, by)) for mark in turn.marks)
    return replace(turn, place=_place(turn.place, pointer, by), marks=marks)


def _place(place: Place, pointer: str, by: int) -> Place:
    index, _, rest = place.pointer[len(pointer) + 1 :].partition("/")
    return Place(place.start, place.end, place.line, f"{pointer}/{int(index) + by}/{rest}")
