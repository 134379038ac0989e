"""What both graph stores let through their door, so that the same graph reads the same from either."""

from __future__ import annotations

import math
import re

from core_engine.errors import StoreError

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

RESERVED_LABELS = frozenset({"KgNode", "KgStore", "Document", "Chunk", "Statement"})
RESERVED_TYPES = frozenset({"FROM_DOCUMENT", "NEXT_CHUNK", "FROM_CHUNK", "SUBJECT", "OBJECT"})


def clean(text: str) -> str:
    """The text with U+FFFD where it holds what UTF-8 has no place for (unpaired surrogates), or a NUL."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNWRITABLE.sub("\ufffd", text)


def clean_or_none(text: str | None) -> str | None:
    return None if text is None else clean(text)


def finite(seconds: float | None) -> float | None:
    """None for NaN and infinity too: SQLite would keep the one as NULL, Neo4j both as they are."""
    return seconds if seconds is not None and math.isfinite(seconds) else None


def checked_labels(labels: tuple[str, ...]) -> list[str]:
    """The labels, each once, in order. Raises StoreError for one that Cypher would have to escape or that is ours."""
    for label in labels:
        if not _NAME.fullmatch(label) or label in RESERVED_LABELS:
            raise StoreError(f"The graph can't have a label {label!r}: {_rule(RESERVED_LABELS)}")
    return list(dict.fromkeys(labels))


def checked_type(kind: str) -> str:
    """The relationship type. Raises StoreError for one that Cypher would have to escape or that is ours."""
    if not _NAME.fullmatch(kind) or kind in RESERVED_TYPES:
        raise StoreError(f"The graph can't have a relationship type {kind!r}: {_rule(RESERVED_TYPES)}")
    return kind


def _rule(reserved: frozenset[str]) -> str:
    taken = ", ".join(sorted(reserved))
    return (
        f"use a letter followed by up to 63 letters, digits or underscores, and none of {taken}. Change the ontology."
    )


def words_of(query: str) -> list[str]:
    """The words by which entities are found, in lower case."""
    return clean(query).lower().split()


def holds(names: list[str], words: list[str]) -> bool:
    """Whether one of the names has all the words in it, whatever their case."""
    return any(all(word in name for word in words) for name in map(str.lower, names))
