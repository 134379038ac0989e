"""Chunks that come ready: kept as they are, over turns found at their `Speaker: text` lines."""

from __future__ import annotations

from typing import Any

from core_engine.readers.json_turns import metadata_of, speaker_of, times_of, title_of
from core_engine.readers.speakers import speakers_among
from core_engine.types import Place, ReadyChunk, Transcript, Turn

_OF_THE_CHUNK = ("chunk_id", "id", "seq", "speakers", "speaker", "start", "end", "text", "title", "tokens", "index")


def transcript_of_chunks(name: str, records: list[tuple[int, dict[str, Any]]]) -> Transcript:
    """The chunks of one document, in the order of `seq` where all have one. A chunk without words is left out."""
    if all(isinstance(value.get("seq"), int) for _, value in records):
        records = sorted(records, key=lambda record: record[1]["seq"])
    speakers = _speakers([value for _, value in records])
    turns: list[Turn] = []
    chunks: list[ReadyChunk] = []
    empty = 0
    for number, value in records:
        first = len(turns)
        turns += _turns(value, speakers, number)
        if len(turns) > first:
            chunks.append(ReadyChunk(_name(value, len(chunks)), first, len(turns)))
        else:
            empty += 1
    warnings = (f"{empty} chunks without words are left out",) if empty else ()
    first_value = records[0][1]
    metadata = {key: word for key, word in metadata_of(first_value, _OF_THE_CHUNK).items() if word != name}
    return Transcript(tuple(turns), name, title_of(first_value), metadata, tuple(chunks), warnings)


def _name(value: dict[str, Any], index: int) -> str:
    return str(next((value[key] for key in ("chunk_id", "id") if value.get(key) is not None), index))


def _speakers(values: list[dict[str, Any]]) -> set[str]:
    """Those the chunks list; where none does, the labels that the whole document uses as speakers."""
    lists = [value["speakers"] for value in values if isinstance(value.get("speakers"), list)]
    listed = {name for names in lists for name in names if isinstance(name, str) and name}
    if listed:
        return listed
    labels = [label for value in values for label in _labels(value["text"])]
    lines = sum(value["text"].count("\n") + 1 for value in values)
    return speakers_among(labels, lines, first=labels[0] if labels else None)


def _labels(text: str) -> list[str]:
    return [line[: line.index(":")] for line in text.split("\n") if 0 < line.find(": ") <= 80]


def _turns(value: dict[str, Any], speakers: set[str], number: int) -> list[Turn]:
    text: str = value["text"]
    start, end = times_of(value)
    speaker = speaker_of(value)
    turns = _split(text, speakers, number) if speaker is None else _said(text, 0, len(text), speaker, number)
    if not turns:
        return []
    if start is not None:
        turns[0] = _timed(turns[0], start=start)
    if end is not None:
        turns[-1] = _timed(turns[-1], end=end)
    return turns


def _timed(turn: Turn, start: float | None = None, end: float | None = None) -> Turn:
    return Turn(
        turn.text,
        turn.speaker,
        turn.start if start is None else start,
        turn.end if end is None else end,
        turn.place,
        turn.marks,
    )


def _split(text: str, speakers: set[str], number: int) -> list[Turn]:
    """The turns of a chunk's text; lines without a speaker belong to the turn above."""
    turns: list[Turn] = []
    speaker: str | None = None
    start = at = 0
    for line in text.split("\n"):
        label = line[: max(0, line.find(":"))]
        if label in speakers and line[len(label) + 1 : len(label) + 2] in ("", " ", "\t", "\r"):
            turns += _said(text, start, at, speaker, number)
            speaker, start = " ".join(label.split()), at + len(label) + 1
        at += len(line) + 1
    return turns + _said(text, start, len(text), speaker, number)


def _said(text: str, start: int, end: int, speaker: str | None, number: int) -> list[Turn]:
    words = text[start:end]
    inner = words.strip()
    if not inner:
        return []
    start += len(words) - len(words.lstrip())
    return [Turn(inner, speaker, place=Place(start, start + len(inner), number, "/text"))]
