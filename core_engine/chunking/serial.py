"""Chunks as the ledger holds them: their turns as bytes."""

from __future__ import annotations

import json
from typing import Any

import orjson

from core_engine.types import ChunkTurn


def pack_turns(turns: tuple[ChunkTurn, ...]) -> bytes:
    """The turns as a JSON array of arrays; `unpack_turns` gives back the same."""
    rows = [_row(turn) for turn in turns]
    try:
        return orjson.dumps(rows)
    except orjson.JSONEncodeError:
        # Unpaired surrogates, as a JSON transcript may hold them. Not escaped: two that stand side by side by chance
        # would be read back as one character.
        return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def unpack_turns(data: bytes) -> tuple[ChunkTurn, ...]:
    """The turns that `pack_turns` was given."""
    try:
        rows = orjson.loads(data)
    except orjson.JSONDecodeError:
        rows = json.loads(data.decode("utf-8", "surrogatepass"))
    return tuple(_turn(*row) for row in rows)


def _row(turn: ChunkTurn) -> list[Any]:
    unchanged = turn.text == turn.raw
    cuts = [number for cut in turn.cuts for number in cut]
    text = None if unchanged else turn.text
    return [
        turn.speaker,
        turn.raw,
        text,
        turn.turn,
        turn.start,
        turn.end,
        None if cuts == [0, 0] else cuts,
        turn.line,
        turn.offset,
        turn.pointer,
    ]


def _turn(
    speaker: str | None,
    raw: str,
    text: str | None,
    turn: int,
    start: float | None,
    end: float | None,
    cuts: list[int] | None,
    line: int | None,
    offset: int | None,
    pointer: str,
) -> ChunkTurn:
    pairs = ((0, 0),) if cuts is None else tuple(zip(cuts[::2], cuts[1::2], strict=True))
    return ChunkTurn(speaker, raw, raw if text is None else text, turn, start, end, pairs, line, offset, pointer)
