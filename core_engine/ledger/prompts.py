"""Prompts in the ledger: each that was used, word for word, with its name, its hash, and what was asked with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from core_engine.identity import short_hash


@dataclass(frozen=True, slots=True)
class Used:
    """A prompt and what came of it here. `version`: what questions are known by; `chunks`: whose current answer is its.

    `asked`: beginnings of the hashes by which traces and logs know it, each of prompt, model and settings together.
    """

    version: str
    name: str
    hash: str
    models: Sequence[str]
    asked: Sequence[str]
    calls: int
    chunks: int
    text: str


def note(db: sqlite3.Connection, spec: int, name: str, text: str) -> None:
    """Keep the text that a spec asks with. A prompt that is called otherwise today has today's name."""
    db.execute(
        "INSERT INTO prompt (spec, name, hash, text) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (spec) DO UPDATE SET name = excluded.name WHERE name != excluded.name",
        (spec, name, short_hash(text), text),
    )


def used(db: sqlite3.Connection) -> list[Used]:
    """All prompts that this workspace has used since their texts are kept, those used last first."""
    rows = db.execute(
        "SELECT coalesce(json_extract(s.description, '$.prompt'), ''), p.name, p.hash, "
        "json_group_array(DISTINCT json_extract(s.description, '$.model')), "
        "json_group_array(DISTINCT lower(substr(hex(s.hash), 1, 12))), "
        "(SELECT count(*) FROM call k WHERE k.spec IN (SELECT spec FROM prompt o WHERE o.hash = p.hash)), "
        "(SELECT count(*) FROM question q CROSS JOIN chunk c ON c.extract = q.no "
        " WHERE q.spec IN (SELECT spec FROM prompt o WHERE o.hash = p.hash)), p.text "
        "FROM prompt p JOIN spec s ON s.no = p.spec GROUP BY p.hash ORDER BY max(p.spec) DESC"
    )
    return [
        Used(version, name, hash_, _texts(models), _texts(asked), *rest)
        for version, name, hash_, models, asked, *rest in rows
    ]


def _texts(array: str) -> list[str]:
    return sorted(str(each) for each in orjson.loads(array) if each)
