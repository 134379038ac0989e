"""What was erased on request, as hashes: enough to know it when it comes again, and nothing else."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from core_engine.identity import digest

_WORDS = "words to be forgotten"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The hashes of what was erased. Empty in nearly every workspace."""

    keys: frozenset[bytes]

    def document(self, path: str, record: str) -> bool:
        return document_key(path, record) in self.keys

    def named(self, name: str) -> bool:
        """A document that was called so when it was erased."""
        return name_key(name) in self.keys

    def content(self, content: bytes) -> bool:
        return content_key(content) in self.keys

    def speaker(self, norm: str, document: str) -> bool:
        """A speaker (normal form) who was erased everywhere, or in the document of that path."""
        return speaker_key(norm) in self.keys or speaker_key(norm, document) in self.keys


def document_key(path: str, record: str = "") -> bytes:
    return digest("forgotten document", path, record)


def name_key(name: str) -> bytes:
    return digest("forgotten name", name)


def content_key(content: bytes) -> bytes:
    return digest("forgotten content", content.hex())


def speaker_key(norm: str, document: str = "") -> bytes:
    return digest("forgotten speaker", norm, document)


def note_words(db: sqlite3.Connection, words: Iterable[str]) -> None:
    """Keep how reports and logs name what is being erased, until it is gone from there too: who is stopped in between
    goes on with these.
    """
    held = orjson.dumps(sorted(words_left(db) | set(words))).decode()
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_WORDS, held))


def words_left(db: sqlite3.Connection) -> set[str]:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_WORDS,)).fetchone()
    return set(orjson.loads(row[0])) if row else set()


def drop_words(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM meta WHERE key = ?", (_WORDS,))


def load(db: sqlite3.Connection) -> Forgotten:
    return Forgotten(frozenset(row[0] for row in db.execute("SELECT key FROM forgotten")))


def remember(db: sqlite3.Connection, about: bytes, keys: Iterable[bytes]) -> None:
    """Note the hashes by which something erased (`about`: its id) is known."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    db.executemany(
        "INSERT OR REPLACE INTO forgotten (key, about, at) VALUES (?, ?, ?)", [(k, about, now) for k in keys]
    )


def recall(db: sqlite3.Connection, keys: Iterable[bytes]) -> int:
    """Take back that what one of these hashes stands for is not to be read again; how many such there were."""
    rows = [db.execute("SELECT about FROM forgotten WHERE key = ?", (key,)).fetchone() for key in keys]
    known = {row[0] for row in rows if row}
    db.executemany("DELETE FROM forgotten WHERE about = ?", [(about,) for about in known])
    return len(known)
