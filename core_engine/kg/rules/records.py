"""The form in which a chunk's scan is kept: one compact JSON array, so that the ledger's row stays small."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson


@dataclass(frozen=True, slots=True)
class RuleMention:
    """A name found by rule: `text[start:end]` of turn `turn` (from 1), without a possessive.

    A speaker is mentioned by each of its turns as such, with start and end of -1.
    """

    name: str
    type: str
    turn: int
    start: int
    end: int
    speaker: bool


class Candidate(NamedTuple):
    """Words with a capital in a row, and where they stand; `initial` says that they begin a sentence."""

    turn: int
    start: int
    initial: bool
    text: str


class Scan(NamedTuple):
    """What one chunk tells by itself. `lower` and `capital` hold each word once; the numbers count words or letters."""

    speakers: list[tuple[str, list[int]]]
    candidates: list[Candidate]
    lower: list[str]
    capital: list[str]
    small: int
    tall: int
    shouted: int
    uncased: int
    cased: int


def dump(scan: Scan) -> bytes:
    flat = [part for c in scan.candidates for part in (c.turn, c.start, int(c.initial), c.text)]
    row = [scan.speakers, flat, " ".join(scan.lower), " ".join(scan.capital), *scan[4:]]
    try:
        return orjson.dumps(row)
    except TypeError:  # a speaker's name with an unpaired surrogate, which JSON can write and UTF-8 can't
        return json.dumps(row, separators=(",", ":")).encode()


def load(data: bytes) -> Scan:
    row = _loads(data)
    flat = row[1]
    candidates = list(map(Candidate._make, zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)))
    return Scan([(name, turns) for name, turns in row[0]], candidates, row[2].split(), row[3].split(), *row[4:])


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)
