"""What is no conversation though it can be read: told by its name, by its marks, or by its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core_engine.errors import NotATranscript
from core_engine.readers.formats import Document
from core_engine.readers.lines import Line
from core_engine.types import Turn

_NAMES = re.compile(
    r"(readme|licen[cs]es?|copying|notice|changelog|changes|history|contributing|code_of_conduct|authors|contributors"
    r"|maintainers|codeowners|security|todo|install|requirements|robots|manifest)(?:[._-][\w.-]*)?",
    re.IGNORECASE,
)
_NEVER = re.compile(
    r"(readme|licen[cs]es?|copying|changelog|contributing|code_of_conduct)(?:[._-][\w.-]*)?", re.IGNORECASE
)
_LISTED = re.compile(r"[ \t]*(?:[-*+•◦▪][ \t]|\d{1,3}[.)][ \t]|#{1,6}[ \t]|\||>[ \t]|```|~~~|!?\[[^\]\n]*\]\(|</?\w)")
_REACH = 200

SUFFIXES = {
    **dict.fromkeys((".xlsx", ".ods"), "a table"),
    **dict.fromkeys((".mp3", ".m4a", ".wav", ".flac", ".ogg", ".opus", ".aac", ".aiff"), "a sound recording"),
    **dict.fromkeys((".mp4", ".mov", ".mkv", ".webm", ".avi"), "a video recording"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"), "a picture"),
    **dict.fromkeys((".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".lock", ".css"), "a settings file"),
    **dict.fromkeys((".py", ".js", ".ts", ".sh", ".c", ".h", ".go", ".rs", ".java", ".ipynb", ".sql"), "source code"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "a database"),
}
"""Kinds of files that lie beside transcripts and are none, by suffix."""


_MARKER = re.compile(r"\[[^\[\]]{0,200}\]|\([^()]{0,200}\)|\{[^{}]{0,200}\}|♪[^♪]{0,500}♪")
_WORDY = re.compile(r"[^\W_]")


def refuse_markers(turns: Iterable[Turn], document: Document) -> None:
    """Raises NotATranscript where `[Music]` and its like is all there is."""
    first = ""
    for turn in turns:
        # (What is longer than a few markers holds words.)
        if document.forced or _WORDY.search(_MARKER.sub("", turn.text[:2000])):
            return
        first = first or turn.text[:40]
    if first:
        raise NotATranscript(document.shown, f"nothing is said in it, only markers such as {first}")


def by_name(name: str, *, speakers: bool) -> str | None:
    """Why a file isn't read, going by its name; None if its name says nothing."""
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    match = _NEVER.fullmatch(stem) if speakers else _NAMES.fullmatch(stem)
    return f"by its name a {match[1].lower()}, not a transcript" if match else None


def why_not(text: str, lines: list[Line], name: str, *, speakers: bool) -> str | None:
    """Why a text is no transcript, or None."""
    return by_name(name, speakers=speakers) or (None if speakers else by_marks(text, lines))


def by_marks(text: str, lines: list[Line]) -> str | None:
    """Why a text without speakers isn't read: a table, or notes made of headings, lists and code."""
    full = [line for line in lines[:2000] if not line.blank]
    if len(full) < 2:
        return None
    if columns := _columns(text, full):
        return f"a table of {columns} columns, not a transcript"
    listed = [line for line in full if _LISTED.match(text, line.start, min(line.end, line.start + _REACH))]
    prose = sum(line.end - line.start for line in full) - sum(line.end - line.start for line in listed)
    if len(listed) >= 0.5 * len(full) or (len(listed) >= 3 and prose < sum(line.end - line.start for line in listed)):
        return "notes (headings, lists, tables) without speakers, not a transcript"
    return None


def _columns(text: str, full: list[Line]) -> int | None:
    """The number of columns where nearly all lines have the same number of tabs, bars or semicolons."""
    for separator in ("\t", "|", ";"):
        counts = [text.count(separator, line.start, line.end) for line in full]
        if counts[0] and counts.count(counts[0]) >= 0.9 * len(counts):
            return counts[0] + 1
    return None
