"""Reads the user message of an extraction request: speakers, chunks, numbered turns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AskedTurn:
    number: int
    speaker: str | None
    text: str


@dataclass(frozen=True, slots=True)
class AskedChunk:
    """`turns` are those to extract from: context lines are left out, and so play no part in any answer or fault."""

    number: int
    turns: tuple[AskedTurn, ...]

    @property
    def text(self) -> str:
        return "\n".join(turn.text for turn in self.turns)


def read_question(message: str) -> tuple[AskedChunk, ...]:
    """The chunks that the message asks about; none if it is another kind of message."""
    blocks = message.strip().split("\n\n")
    speakers: dict[str, str] = {}
    if blocks[0].startswith("SPEAKERS\n"):
        speakers = dict(_speaker(line) for line in blocks.pop(0).split("\n")[1:])
    if not blocks or not all(block.startswith("CHUNK ") for block in blocks):
        return ()
    try:
        return tuple(_chunk(block, speakers) for block in blocks)
    except (ValueError, KeyError):
        return ()


def _speaker(line: str) -> tuple[str, str]:
    label, _, name = line.partition(" ")
    return label, name


def _chunk(block: str, speakers: dict[str, str]) -> AskedChunk:
    head, _, body = block.partition("\n")
    lines = body.split("\n") if body else []
    return AskedChunk(int(head[6:]), tuple(_turn(line, speakers) for line in lines if not line.startswith("~")))


def _turn(line: str, speakers: dict[str, str]) -> AskedTurn:
    head, _, text = line.partition(": ")
    number, _, label = head.rstrip(":").partition(" ")
    return AskedTurn(int(number), speakers[label] if label else None, text)
