"""What a reader of one format is: how its files are called, how they begin, and how their text becomes transcripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from core_engine.types import Problem, Transcript

NumberedLines = Iterable[tuple[int, bytes | None]]
"""Lines of a file as UTF-8, numbered from 1; None stands for a line that was too long to be held."""


@dataclass(frozen=True, slots=True)
class Document:
    """The decoded text of a file, and what its reader may want to know about it.

    `name` is the file's name without `.gz`; `shown` is the file as messages name it. Where `forced`, the user named
    the format, and the reader doesn't ask whether this is a transcript at all.
    """

    text: str
    name: str
    shown: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `recognises` says in a few words how the beginning of a file shows it, or None.

    A format has either `whole`, which makes one transcript of the text of a file, or `stream`, which makes any number
    of them from its lines, holding one at a time. Both raise NotATranscript or Unreadable.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[str], str | None]
    whole: Callable[[Document], Transcript] | None = None
    stream: Callable[[NumberedLines, str], Iterator[Transcript | Problem]] | None = None
