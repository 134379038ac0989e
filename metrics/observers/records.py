"""What is told to a tracing service: calls, the run, stages and batches around them, what happened, and scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from core_engine.types import LLMCall, Usage

MOST_IDS = 50
"""Of chunks, in a trace; the log has all of them, and a request for embeddings may have two thousand."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something hangs in its trace: (started_at, id) of each node from the trace's root down, itself excluded.

    Ids are UUIDs as 32 hex digits; the root's is the trace's.
    """

    above: tuple[tuple[float, str], ...]

    @property
    def trace(self) -> str:
        return self.above[0][1]

    @property
    def parent(self) -> str:
        return self.above[-1][1]


@dataclass(frozen=True, slots=True)
class About:
    """What is the same for all records of a run. `user`: the persona, or else the workspace."""

    run: str
    command: str
    workspace: str
    persona: str
    tags: Mapping[str, str]
    version: str

    @property
    def user(self) -> str:
        return self.persona or self.workspace


@dataclass(frozen=True, slots=True)
class Node:
    """A run, a stage or a batch; `ended_at` of None says that it begins. What calls took is summed up in its last word.

    `told`: that it began was said before. `kind`: run | stage | batch.
    """

    id: str
    kind: str
    name: str
    place: Place | None
    started_at: float
    ended_at: float | None = None
    told: bool = False
    calls: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    error: str = ""
    stage: str = ""
    batch: str = ""
    figures: Mapping[str, float | int | str] = field(default_factory=dict)
    happened: tuple[Happening, ...] = ()

    @property
    def trace(self) -> str:
        return self.place.trace if self.place else self.id


@dataclass(frozen=True, slots=True)
class Call:
    """A finished call, and where it hangs."""

    call: LLMCall
    place: Place


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the run. `fields` hold ids, counts and short words, never text of a transcript."""

    id: str
    name: str
    at: float
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """A share between 0 and 1 that says how good a trace's run was."""

    id: str
    trace: str
    name: str
    value: float
    comment: str


Record = Node | Call | Happening | Score


def packed(value: Any) -> bytes:
    """As JSON, whatever is in it: a reply may hold half of a pair of surrogates."""
    try:
        return orjson.dumps(value, default=str)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace")


def weight(record: Record) -> int:
    """About how many bytes of content a record holds."""
    return len(record.call.asked) + len(record.call.replied) if isinstance(record, Call) else 0
