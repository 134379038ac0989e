"""The form in which a chunk's scan is kept: one compact JSON array, so that the ledger's row stays small."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from core_engine.kg.rules.roles import Held
from core_engine.kg.rules.values import Value


@dataclass(frozen=True, slots=True)
class RuleMention:
    """A name, role or value found by rule: `text[start:end]` of turn `turn` (from 1), without a possessive.

    A speaker is mentioned by each of its turns as such, with start and end of -1.
    """

    name: str
    type: str
    turn: int
    start: int
    end: int
    speaker: bool


class RuleFact(NamedTuple):
    """A relationship that a turn states; `subject` and `object` are indexes of mentions of the same chunk."""

    subject: int
    predicate: str
    object: int
    turn: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What the rules make of a chunk: speakers first, then names, values and roles."""

    mentions: tuple[RuleMention, ...]
    facts: tuple[RuleFact, ...] = ()


class Candidate(NamedTuple):
    """Words with a capital in a row, and where they stand; `initial` says that they begin a sentence."""

    turn: int
    start: int
    initial: bool
    text: str


class Form(NamedTuple):
    """A value (a date, an amount ...) with the turn that it stands in and its words."""

    turn: int
    value: Value
    text: str


class Role(NamedTuple):
    """A role beside which a name may stand, with its words."""

    held: Held
    text: str


class Scan(NamedTuple):
    """What one chunk tells by itself. `lower` and `capital` hold each word once; the numbers count words or letters.

    `nouns` says that its language writes every noun with a capital (German).
    """

    speakers: list[tuple[str, list[int]]]
    candidates: list[Candidate]
    lower: list[str]
    capital: list[str]
    small: int
    tall: int
    shouted: int
    uncased: int
    cased: int
    nouns: bool
    forms: list[Form]
    roles: list[Role]


def dump(scan: Scan) -> bytes:
    candidates = [part for c in scan.candidates for part in (c.turn, c.start, int(c.initial), c.text)]
    forms = [part for f in scan.forms for part in (f.turn, *f.value, f.text)]
    roles = [part for r in scan.roles for part in (*map(int, r.held), r.text)]
    lower, capital = " ".join(scan.lower), " ".join(scan.capital)
    row = [scan.speakers, candidates, lower, capital, *scan[4:9], int(scan.nouns), forms, roles]
    try:
        return orjson.dumps(row)
    except TypeError:  # a speaker's name with an unpaired surrogate, which JSON can write and UTF-8 can't
        return json.dumps(row, separators=(",", ":")).encode()


def load(data: bytes) -> Scan:
    row = _loads(data)
    candidates = [Candidate(*part) for part in _parts(row[1], 4)]
    forms = [Form(turn, Value(*value), text) for turn, *value, text in _parts(row[10], 5)]
    roles = [Role(Held(*held), text) for *held, text in _parts(row[11], 10)]
    speakers = [(name, turns) for name, turns in row[0]]
    small, tall, shouted, uncased, cased = row[4:9]
    counts = (small, tall, shouted, uncased, cased, bool(row[9]))
    return Scan(speakers, candidates, row[2].split(), row[3].split(), *counts, forms, roles)


def _parts(flat: list[Any], width: int) -> zip[tuple[Any, ...]]:
    return zip(*(flat[i::width] for i in range(width)), strict=True)


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)
