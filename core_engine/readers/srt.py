"""SubRip captions (`.srt`)."""

from __future__ import annotations

import re

from core_engine.readers.captions import transcript
from core_engine.readers.formats import Document, Format
from core_engine.readers.times import TIME
from core_engine.types import Transcript

_BEGINNING = re.compile(rf"(?:\d{{1,9}}[ \t]*(?:\r\n|\n|\r))?[ \t]*{TIME}[ \t]*-->[ \t]*{TIME}")


def recognises(head: str) -> str | None:
    return "begins with an SRT cue" if _BEGINNING.match(head.lstrip()) else None


def read(document: Document) -> Transcript:
    return transcript(document, blank_ends_cue=False)


FORMAT = Format("srt", (".srt",), recognises, whole=read, cut="paragraphs")
