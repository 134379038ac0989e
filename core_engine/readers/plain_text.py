"""Plain text: with speakers and times in any of the usual habits, or without either."""

from __future__ import annotations

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.formats import Document, Format
from core_engine.readers.heads import chat_heads_in, heads_in
from core_engine.readers.lines import lines_of
from core_engine.readers.nobodys_words import unsaid
from core_engine.readers.refusals import refuse_markers, why_not
from core_engine.readers.running_text import turns_in
from core_engine.types import Transcript

SUFFIXES = (".txt", ".text", ".transcript")


def recognises(_head: str) -> str | None:
    return None  # anything can be plain text; nothing proves it


def read(document: Document) -> Transcript:
    """Turns by speakers where the file has them, else by times, else by paragraphs.

    The log of a meeting's chat says so in its metadata: `channel` is `chat`.
    """
    text = document.text
    lines = lines_of(text)
    chat = chat_heads_in(text, lines)
    heads = chat or heads_in(text, lines)
    if not document.forced and (reason := why_not(text, lines, document.name, speakers=bool(heads))):
        raise NotATranscript(document.shown, reason)
    if not (heads or document.forced or document.name.lower().endswith(SUFFIXES)):
        raise NotATranscript(document.shown, "text without speakers, and by its name not a transcript")
    apart, asides, heads = ((), (), chat) if chat else unsaid(text, lines, heads)
    turns = turns_in(text, lines, heads, apart, asides)
    if not turns:
        raise Unreadable(document.shown, "nothing is said in it")
    refuse_markers(turns, document)
    return Transcript(turns, metadata={"channel": "chat"} if chat else {})


FORMAT = Format("text", SUFFIXES, recognises, whole=read, cut="paragraphs")
