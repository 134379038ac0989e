"""Write a file, read it, and have its transcripts."""

from pathlib import Path

from core_engine.readers.registry import Reading, Source, read
from core_engine.types import Problem, Transcript


def source_of(path: Path) -> Source:
    return Source(path, path.name, path.as_posix())


def written(folder: Path, name: str, content: str | bytes) -> Source:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return source_of(path)


def reading_of(folder: Path, name: str, content: str | bytes, format: str | None = None) -> Reading:  # noqa: A002  # as in `read`
    return read(written(folder, name, content), format=format)


def items_of(folder: Path, name: str, content: str | bytes) -> list[Transcript | Problem]:
    return list(reading_of(folder, name, content).items)


def transcript_of(folder: Path, name: str, content: str | bytes) -> Transcript:
    (item,) = items_of(folder, name, content)
    assert isinstance(item, Transcript)
    return item


def said(transcript: Transcript) -> list[tuple[str | None, str]]:
    return [(turn.speaker, turn.text) for turn in transcript.turns]


def timed(transcript: Transcript) -> list[tuple[str | None, float | None, float | None]]:
    return [(turn.speaker, turn.start, turn.end) for turn in transcript.turns]
