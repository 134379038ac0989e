"""WebVTT captions (`.vtt`), as browsers, Zoom and Teams write them."""

from __future__ import annotations

import re

from core_engine.readers.captions import transcript
from core_engine.readers.formats import Document, Format
from core_engine.types import Transcript

_BEGINNING = re.compile(r"WEBVTT(?:[ \t\r\n]|\Z)")


def recognises(head: str) -> str | None:
    return "begins with WEBVTT" if _BEGINNING.match(head.lstrip()) else None


def read(document: Document) -> Transcript:
    return transcript(document, blank_ends_cue=True)


FORMAT = Format("webvtt", (".vtt", ".webvtt"), recognises, whole=read, cut="paragraphs")
