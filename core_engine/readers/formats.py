"""What a reader of one format is: how its files are called, how they begin, and how their text becomes transcripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from core_engine.types import Problem, Transcript

NumberedLines = Iterable[tuple[int, bytes | None]]
"""Lines of a file as UTF-8, numbered from 1; None stands for a line that was too long to be held."""


@dataclass(frozen=True, slots=True)
class Document:
    """The decoded text of a file, and what its reader may want to know about it.

    `name` is the file's name without `.gz`; `shown` is the file as messages name it. Where `forced`, the user named
    the format, and the reader doesn't ask whether this is a transcript at all. Of a file too large to be held at once
    `text` is one part, and the places in it are counted from its beginning: `registry` moves them.
    """

    text: str
    name: str
    shown: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """The bytes of a file that is no text (a DOCX), and what its reader may want to know about it, as in `Document`."""

    data: bytes
    name: str
    shown: str
    forced: bool = False


Items = Iterable[Transcript | Problem]


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `recognises` says in a few words how the beginning of a file shows it, or None.

    A format has one of `whole`, which makes one transcript of the text of a file, `stream`, which makes any number of
    them from its lines, holding one at a time, and `packed`, which makes one of the bytes of a file that is no text,
    where `begins` says how its first bytes show it. All raise NotATranscript or Unreadable. What is made of a whole file
    may also be several transcripts, and Problems.

    `cut` says where the text of a `whole` file may be cut when it is too large to be held: at `paragraphs` (blank lines,
    else lines), or between `rows`, whose first one is repeated before each part. None: it has to be held, unless `large`
    can make transcripts of it. That is given a function which gives the file's blocks as UTF-8, anew with each call, and
    says None where the file has to be held after all. `largest` is how many bytes may be held where that is less than
    for other formats.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[str], str | None]
    whole: Callable[[Document], Transcript | Items] | None = None
    stream: Callable[[NumberedLines, str], Iterator[Transcript | Problem]] | None = None
    packed: Callable[[Packed], Transcript | Items] | None = None
    begins: Callable[[bytes], str | None] | None = None
    cut: Literal["paragraphs", "rows"] | None = None
    large: Callable[[Callable[[], Iterator[bytes]], str], Items | None] | None = None
    largest: int | None = None
