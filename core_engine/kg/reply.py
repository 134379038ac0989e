"""Reads a model's reply: each chunk's answer by itself, from whatever JSON came, cleaned and bounded."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import orjson

from core_engine.types import ASKED, DENIED, PLANNED, STATED

LONGEST_NAME: Final = 300
LONGEST_TYPE: Final = 64
MOST_ENTITIES: Final = 200
MOST_RELATIONS: Final = 400

# `strict=False` takes raw control characters inside strings, which models do write.
_DECODER: Final = json.JSONDecoder(strict=False)
_ENVELOPE = re.compile(r'\{\s*"chunks"\s*:')
_CHUNK = re.compile(r'\{\s*"[cer]"\s*:')
# Each failed attempt may read to the end of the text, so that their number must be bounded.
_MOST_ENVELOPES: Final = 4
_MOST_FAILURES: Final = 32

Relation = tuple[int, str, int, int] | tuple[int, str, int, int, str]

# What models write in place of the words they were given.
_MODALITIES: Final = {
    word: modality
    for modality, words in {
        STATED: "stated fact asserted true",
        PLANNED: "planned plan future intended proposed expected will",
        DENIED: "denied negated negative not false no",
        ASKED: "asked question questioned",
    }.items()
    for word in words.split()
}

_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_MOST_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """What a reply holds for a batch of n chunks: each of 1 … n is in `answers` or, with the reason, in `problems`.

    An answer is compact JSON, `{"e":[[name,type],…],"r":[[subject,type,object,turn],…],"d":{reason:count}}`, with
    integers for positions and turns (turn 0: none given) and without "d" where nothing was dropped. A relation that is
    not plainly stated has its modality (types.MODALITIES) behind the turn.
    `repaired` says how the JSON was got out ('' where it came clean), `invalid` why nothing could be used.
    """

    answers: Mapping[int, bytes]
    problems: Mapping[int, str]
    repaired: str = ""
    invalid: str = ""


def parse(text: str, chunks: int) -> ParsedReply:
    """The answers in a reply to a batch of that many chunks; never raises, whatever the text is."""
    found, repaired, invalid = _read(text)
    answers: dict[int, bytes] = {}
    problems: dict[int, str] = {}
    numbered, renumbered, doubtful = _numbered(found, chunks)
    for number, item in numbered:
        answer = _answer(item)
        if isinstance(answer, str):
            problems.setdefault(number, answer)
        elif answers.setdefault(number, answer) != answer:
            # Which of the two is this chunk's and which another's can't be known.
            problems[number] = "answered_twice_differently"
    for number in problems:
        answers.pop(number, None)
    if doubtful:
        invalid = "wrong_numbers"
    elif not answers and "bad_shape" in problems.values():
        invalid = "wrong_schema"
    for number in range(1, chunks + 1):
        if number not in answers:
            problems.setdefault(number, invalid or "left_out")
    return ParsedReply(answers, problems, repaired or renumbered, invalid)


def without(text: str, chunks: int, numbers: AbstractSet[int], names: Callable[[int, str], bool]) -> str | None:
    """The reply without what it says about the chunks of these numbers (from 1), and without some entities.

    `names(number, name)` says which entities go from the other chunks. What came around the chunk objects goes too.
    None where it can't be told which part is about which chunk.
    """
    found, _, invalid = _read(text)
    numbered, _, doubtful = _numbered(found, chunks)
    if invalid or doubtful:
        return None
    kept = [
        {"c": number, **part}
        for number, item in numbered
        if number not in numbers and (part := _part(number, item, names))
    ]
    return json.dumps({"chunks": kept}, ensure_ascii=False)


def _part(number: int, item: Mapping[str, Any], gone: Callable[[int, str], bool]) -> dict[str, Any]:
    """What a reply says of one chunk, less the entities that are gone; {} where that can't be told apart."""
    entities = item.get("e")
    if isinstance(entities, list) and any(gone(number, _name_of(entity)) for entity in entities):
        answer = _answer(item)
        if isinstance(answer, str):
            return {}
        item = orjson.loads(without_names(answer, lambda name: gone(number, name)))
    return {key: value for key, value in item.items() if key in {"e", "r"}}


def without_names(answer: bytes, gone: Callable[[str], bool], turns: AbstractSet[int] = frozenset()) -> bytes:
    """A chunk's answer without the entities whose names are gone, and without what was said of them or in `turns`."""
    payload = orjson.loads(answer)
    places: dict[int, int] = {}
    kept: list[tuple[str, str]] = []
    for at, (name, kind) in enumerate(payload["e"]):
        if not gone(name):
            places[at] = len(kept)
            kept.append((name, kind))
    payload["r"] = [
        (places[subject], kind, places[target], turn, *modality)
        for subject, kind, target, turn, *modality in payload["r"]
        if subject in places and target in places and turn not in turns
    ]
    payload["e"] = kept
    return orjson.dumps(payload)


def _name_of(entity: Any) -> str:
    return entity[0] if isinstance(entity, list) and entity and isinstance(entity[0], str) else ""


# --- from text to chunk objects -------------------------------------------------------------------------------------


def _read(text: str) -> tuple[list[Any], str, str]:
    """The chunk objects, how they were got out of the text, and why none could be."""
    if not text.strip("\ufeff\x00 \t\r\n"):
        return [], "", "empty"
    for value, repaired in _values(text):
        chunks, bare = _chunk_objects(value)
        if chunks is not None:
            return chunks, repaired or bare, ""
        if not repaired:
            return [], "", "wrong_schema"
    salvaged = list(_salvage(text))
    if salvaged:
        complete = text.rstrip("` \t\r\n").endswith(("}", "]"))
        return salvaged, "salvaged" if complete else "truncated", ""
    return [], "", "invalid_json"


def _values(text: str) -> Iterator[tuple[Any, str]]:
    """JSON values that the text may be, most faithful first, each with the repair that it took."""
    try:
        yield orjson.loads(text), ""
    except ValueError:  # unpaired surrogates in the text itself are refused too
        pass
    else:
        return
    plain = text.strip("\ufeff\x00 \t\r\n")
    value, end = _decode(plain, 0)
    if end == len(plain):
        yield value, "lenient"
    for start in [found.start() for found in _ENVELOPE.finditer(plain)][: -_MOST_ENVELOPES - 1 : -1]:
        # The last one first: a draft, or the example of the prompt, may stand before the answer.
        value, end = _decode(plain, start)
        if end:
            yield value, "fenced" if "```" in plain[:start] else "prose"
    if fenced := re.search(r"```(?:json)?\s*(?=[\[{])", plain):
        value, end = _decode(plain, fenced.end())
        if end:
            yield value, "fenced"


def _decode(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at `start` and where it ends: 0 if there is none."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):  # ValueError: bad JSON, or an integer of more than 4,300 digits
        return None, 0


def _chunk_objects(value: Any) -> tuple[list[Any] | None, str]:
    """The list of chunk objects in a reply's JSON; weaker models leave out the envelope."""
    if isinstance(value, dict):
        chunks = value.get("chunks")
        if isinstance(chunks, list) and (not chunks or any(isinstance(item, dict) for item in chunks)):
            return chunks, ""
        if "e" in value and chunks is None:
            return [value], "bare_chunk"
    elif isinstance(value, list) and value and all(isinstance(item, dict) and "e" in item for item in value):
        return value, "bare_list"
    return None, ""


def _salvage(text: str) -> Iterator[Any]:
    """The whole chunk objects of a broken or truncated reply."""
    at = failures = 0
    while failures < _MOST_FAILURES and (found := _CHUNK.search(text, at)):
        value, end = _decode(text, found.start())
        if end:
            yield value
            at = end
        else:
            failures += 1
            at = found.end()


# --- from chunk objects to chunks -----------------------------------------------------------------------------------


def _numbered(found: Sequence[Any], chunks: int) -> tuple[list[tuple[int, dict[str, Any]]], str, bool]:
    """The objects with the chunk each answers, how they were numbered anew, and whether their numbers are in doubt."""
    items = [(_integer(item.get("c")), item) for item in found if isinstance(item, dict)]
    numbers = [number for number, _ in items]
    if len(items) == chunks > 0 and (chunks == 1 or numbers == list(range(chunks))) and numbers[0] != 1:
        return [(at, item) for at, (_, item) in enumerate(items, 1)], "renumbered", False
    ours = [(number, item) for number, item in items if number is not None and 1 <= number <= chunks]
    present = set(numbers)
    shifted = 0 in present or (1 not in present and chunks + 1 in present)
    if shifted or (items and not ours):
        return [], "", True  # each answer may belong to its neighbour
    return ours, "", False


def _answer(item: Mapping[str, Any]) -> bytes | str:
    """A chunk's answer as it is kept, or the reason why it can't be used."""
    entities, relations = item.get("e"), item.get("r")
    if relations is None:
        relations = []
    if not isinstance(entities, list) or not isinstance(relations, list):
        return "bad_shape"
    dropped: Counter[str] = Counter()
    kept, positions = _entities(entities, dropped)
    payload: dict[str, Any] = {"e": kept, "r": _relations(relations, kept, positions, dropped)}
    if dropped:
        payload["d"] = dict(sorted(dropped.items()))
    return orjson.dumps(payload)


def _entities(items: list[Any], dropped: Counter[str]) -> tuple[list[tuple[str, str]], list[int]]:
    """The usable entities, and for each position in the reply its position among these (-1: dropped)."""
    places: dict[tuple[str, str], int] = {}
    positions: list[int] = []
    for item in items[:MOST_ENTITIES]:
        entity = _entity(item)
        if isinstance(entity, str):
            dropped[entity] += 1
            positions.append(-1)
        else:
            positions.append(places.setdefault(entity, len(places)))
    if len(items) > MOST_ENTITIES:
        dropped["too_many_entities"] += len(items) - MOST_ENTITIES
        positions += [-1] * (len(items) - MOST_ENTITIES)
    return list(places), positions


def _entity(item: Any) -> tuple[str, str] | str:
    if not isinstance(item, list) or len(item) != 2:
        return "bad_entity"
    name, kind = item
    if not isinstance(name, str) or not isinstance(kind, str) or len(kind) > LONGEST_TYPE:
        return "bad_entity"
    if len(name) > LONGEST_NAME:
        return "name_too_long"
    name, kind = _clean(name), _clean(kind)
    return (name, kind) if name and kind else "empty_name"


def _relations(
    items: list[Any], entities: list[tuple[str, str]], positions: list[int], dropped: Counter[str]
) -> list[Relation]:
    by_name: dict[str, int] = {}
    for at, (name, _) in enumerate(entities):
        by_name.setdefault(name, at)
    kept: dict[Relation, None] = {}
    for item in items[:MOST_RELATIONS]:
        relation = _relation(item, positions, by_name)
        if isinstance(relation, str):
            dropped[relation] += 1
        else:
            kept[relation] = None
    if len(items) > MOST_RELATIONS:
        dropped["too_many_relations"] += len(items) - MOST_RELATIONS
    return list(kept)


def _relation(item: Any, positions: list[int], by_name: Mapping[str, int]) -> Relation | str:
    if not isinstance(item, list) or len(item) not in (3, 4, 5):
        return "bad_relation"
    kind = item[1]
    if not isinstance(kind, str) or len(kind) > LONGEST_TYPE or not (kind := _clean(kind)):
        return "bad_relation"
    subject = _position(item[0], positions, by_name)
    target = _position(item[2], positions, by_name)
    for end in (subject, target):
        if isinstance(end, str):
            return end
    if subject == target:
        return "self_relation"
    turn = _integer(item[3]) if len(item) > 3 else None
    relation = int(subject), kind, int(target), max(turn or 0, 0)
    modality = _modality(item[4]) if len(item) == 5 else STATED
    if modality is None:
        return "unknown_modality"  # it is not plainly stated: that much was said
    return relation if modality == STATED else (*relation, modality)


def _modality(value: Any) -> str | None:
    if value is None or value == "":
        return STATED
    return _MODALITIES.get(value.strip().casefold()) if isinstance(value, str) else None


def _position(value: Any, positions: list[int], by_name: Mapping[str, int]) -> int | str:
    """Where an end stands among the usable entities, or why it stands nowhere."""
    at = _integer(value)
    if at is None:
        # Some models write the name in place of its position.
        return by_name.get(_clean(value), "bad_relation") if isinstance(value, str) else "bad_relation"
    if not 0 <= at < len(positions):
        return "index_out_of_range"
    return positions[at] if positions[at] >= 0 else "lost_end"


def _integer(value: Any) -> int | None:
    """The integer that a value is, or is the text of; None for anything else, and for what no position can be."""
    if type(value) is int:
        return value if abs(value) < 10**_MOST_DIGITS else None
    if isinstance(value, str) and len(value) <= _MOST_DIGITS:
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdecimal():
            return int(value)
    return None


def _clean(text: str) -> str:
    """The text on one line, without control characters and what can't be written as UTF-8."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join(_UNWANTED.sub("", text).split())
