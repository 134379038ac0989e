"""SBV captions (`.sbv`), as YouTube and Google Meet write them."""

from __future__ import annotations

import re

from core_engine.readers.captions import transcript
from core_engine.readers.formats import Document, Format
from core_engine.types import Transcript

_CLOCK = r"\d{1,4}:\d{2}:\d{2}[.]\d{1,3}"
_TIMES = re.compile(rf"[ \t]*(-?{_CLOCK})[ \t]*,[ \t]*(-?{_CLOCK})[ \t]*\Z")
_BEGINNING = re.compile(rf"{_CLOCK}[ \t]*,[ \t]*{_CLOCK}[ \t]*[\r\n]")


def recognises(head: str) -> str | None:
    return "begins with an SBV cue" if _BEGINNING.match(head.lstrip()) else None


def read(document: Document) -> Transcript:
    return transcript(document, blank_ends_cue=True, times=_TIMES, sign=",")


FORMAT = Format("sbv", (".sbv",), recognises, whole=read, cut="paragraphs")
