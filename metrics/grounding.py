"""How well the words bear out what a model found, for the report: by grade, by type, by position in the request."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from core_engine.types import GRADES, UNSUPPORTED

_OF = {"e": "entities", "r": "relationships"}
_UNSUPPORTED = GRADES.index(UNSUPPORTED)

Graded = Mapping[str, Mapping[str, Sequence[int]]]


def grounding(db: sqlite3.Connection) -> dict[str, Any]:
    """Of the current answers that models gave: {"entities", "relationships": {grade: findings}, "by_type", "by_position"}.

    The position is the chunk's place among those of the request that was answered, from 1.
    """
    totals = {name: [0] * len(GRADES) for name in _OF.values()}
    by_type: dict[str, list[int]] = {}
    by_position: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for position, graded in _answers(db):
        place = by_position[position]
        place[0] += 1
        for of, types in graded.items():
            for type_, counts in types.items():
                _add(totals[_OF[of]], counts)
                _add(by_type.setdefault(type_, [0] * len(GRADES)), counts)
                place[1] += sum(counts)
                place[2] += counts[_UNSUPPORTED]
    return {
        **{name: _named(counts) for name, counts in totals.items()},
        "by_type": {type_: _named(by_type[type_]) for type_ in sorted(by_type)},
        "by_position": [
            {"position": position, "chunks": chunks, "findings": findings, "unsupported": unsupported}
            for position, (chunks, findings, unsupported) in sorted(by_position.items())
        ],
    }


def positions(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """Of each question that a call answered its position in the request, from 1, and how many that held."""
    found = {}
    asked: dict[int, list[int]] = {}
    rows = db.execute(
        "SELECT q.no, k.no, k.questions FROM question q JOIN call k ON k.no = q.call WHERE k.stage = 'extract'"
    )
    for question, call, questions in rows:
        numbers = asked.get(call) or asked.setdefault(call, orjson.loads(questions))
        found[question] = numbers.index(question) + 1, len(numbers)
    return found


def _answers(db: sqlite3.Connection) -> Iterator[tuple[int, Graded]]:
    """Each with its position; none of the million that there may be is held."""
    asked: tuple[int | None, list[int]] = (None, [])
    rows = db.execute(
        "SELECT c.extract, c.graded, k.no, k.questions FROM chunk c LEFT JOIN question q ON q.no = c.extract "
        "LEFT JOIN call k ON k.no = q.call AND k.stage = 'extract' WHERE c.graded != '{}'"
    )
    for question, graded, call, questions in rows:
        if call != asked[0]:  # neighbours were asked about together
            asked = call, orjson.loads(questions) if questions else []
        yield asked[1].index(question) + 1 if question in asked[1] else 1, orjson.loads(graded)


def _add(total: list[int], counts: Sequence[int]) -> None:
    for i, count in enumerate(counts):
        total[i] += count


def _named(counts: Sequence[int]) -> dict[str, int]:
    return dict(zip(GRADES, counts, strict=True))
