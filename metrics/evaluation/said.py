"""What a workspace says of some documents: its graph as it is, or what another model, prompt or run answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import orjson

from core_engine import keys
from core_engine.errors import SettingsError
from core_engine.identity import entity_id
from core_engine.kg.derive import derive
from core_engine.kg.ontology import Ontology
from core_engine.ledger.documents import chunks_of
from core_engine.ledger.values import ANSWERED, to_blob, to_id
from core_engine.types import EXACT, GRADES, MODALITIES, Chunk
from metrics.grounding import positions

CURRENT: Mapping[str, str] = {}
"""The selection of the answers that the graph is made of."""

_SELECTS = ("model", "prompt", "run")


@dataclass(frozen=True, slots=True)
class SaidEntity:
    """An entity named in a chunk: `entity` is one for all that are resolved to be the same."""

    entity: str
    name: str
    norm: str
    type: str
    grade: str


@dataclass(frozen=True, slots=True)
class SaidFact:
    subject: str
    type: str
    object: str
    turn: int
    grade: str
    modality: str


@dataclass(frozen=True, slots=True)
class SaidChunk:
    """What is said of a chunk, and its place in the request that was answered (from 1; 0: no request was made)."""

    chunk: Chunk
    position: int
    entities: tuple[SaidEntity, ...]
    facts: tuple[SaidFact, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """Of each gold document that the workspace has: its chunks with what is said of them. `unanswered`: chunks without."""

    documents: Mapping[str, Sequence[SaidChunk]]
    missing: Sequence[str]
    unanswered: int


def selection(text: str) -> dict[str, str]:
    """`current`, or `model=…,prompt=…,run=…`, each with or without the others; `workspace=…` may stand beside them."""
    chosen: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = part.partition("=")
        if part == "current":
            continue
        if not sign or name not in (*_SELECTS, "workspace") or not value:
            raise SettingsError(f"{text!r} selects nothing: write current, model=…, prompt=…, run=… or workspace=…")
        chosen[name] = value
    return chosen


def said_of(
    db: sqlite3.Connection, names: Sequence[str], select: Mapping[str, str], workspace: str, ontology: Ontology
) -> Said:
    """What the selected answers say of the gold documents of these names."""
    numbers = _documents(db, names)
    places = positions(db)
    select = {name: value for name, value in select.items() if name in _SELECTS}
    documents: dict[str, list[SaidChunk]] = {}
    unanswered = 0
    answers = _Answers(db, select, workspace, ontology) if select else None
    for name, number in numbers.items():
        rows = dict(db.execute("SELECT id, no FROM chunk WHERE document = ?", (number,)).fetchall())
        documents[name] = []
        for chunk in chunks_of(db, number):
            no = rows[to_blob(chunk.id)]
            said = answers.of(no, chunk) if answers else _derived(db, no)
            if said is None:
                unanswered += 1
                continue
            question, entities, facts = said
            position = places.get(question, (0, 0))[0]
            documents[name].append(SaidChunk(chunk, position, tuple(entities), tuple(facts)))
    return Said(documents, [name for name in names if name not in numbers], unanswered)


def _documents(db: sqlite3.Connection, names: Sequence[str]) -> dict[str, int]:
    """Gold names a document by its path in the workspace, with or without folder and record, if that is one's alone."""
    known: dict[str, set[int]] = {}
    for number, name, record in db.execute("SELECT no, name, record FROM document"):
        for alike in {f"{name}#{record}" if record else name, name, PurePath(name).name}:
            known.setdefault(alike, set()).add(number)
    found = {}
    for name in names:
        for alike in (name, PurePath(name).name):
            if len(numbers := known.get(alike, set())) == 1:
                found[name] = next(iter(numbers))
                break
    return found


_Found = tuple[int, list[SaidEntity], list[SaidFact]]


def _derived(db: sqlite3.Connection, chunk: int) -> _Found | None:
    """What the graph holds of a chunk."""
    row = db.execute("SELECT extract FROM chunk WHERE no = ? AND derived IS NOT NULL", (chunk,)).fetchone()
    if row is None:
        return None
    entities = [
        SaidEntity(to_id(entity), name, norm, kind, orjson.loads(detail).get("grade", EXACT))
        for entity, name, norm, kind, detail in db.execute(
            "SELECT a.entity, m.name, a.norm, m.type, m.detail FROM mention m JOIN atom a ON a.no = m.atom "
            "WHERE m.chunk = ? ORDER BY a.id",
            (chunk,),
        )
    ]
    facts = [
        SaidFact(to_id(subject), kind, to_id(target), turn, GRADES[grade], MODALITIES[modality])
        for subject, kind, target, turn, grade, modality in db.execute(
            "SELECT s.entity, t.predicate, o.entity, t.turn, t.grade, t.modality FROM statement t "
            "JOIN atom s ON s.no = t.subject JOIN atom o ON o.no = t.object WHERE t.chunk = ? ORDER BY t.turn, s.id, o.id",
            (chunk,),
        )
    ]
    return row[0], entities, facts


class _Answers:
    """Answers of chosen models, prompts or runs, checked against the words as they would be for the graph."""

    def __init__(self, db: sqlite3.Connection, select: Mapping[str, str], workspace: str, ontology: Ontology) -> None:
        self._db = db
        self._run = select.get("run")
        self._workspace = workspace
        self._ontology = ontology
        self._specs = [
            hashed
            for hashed, description in _specs(db)
            if all(description.get(k) == v for k, v in select.items() if k != "run")
        ]
        if not self._specs:
            held = {str(description.get(name)) for _, description in _specs(db) for name in select if name != "run"}
            raise SettingsError(
                f"the workspace holds no answers of {', '.join(select.values())}, but of {', '.join(sorted(held)) or 'none'}"
            )

    def of(self, number: int, chunk: Chunk) -> _Found | None:
        (content,) = self._db.execute("SELECT content FROM chunk WHERE no = ?", (number,)).fetchone()
        for hashed in reversed(self._specs):
            row = self._db.execute(
                "SELECT q.no, q.answer FROM question q LEFT JOIN call k ON k.no = q.call "
                "WHERE q.key = ? AND q.state = ? AND (?3 IS NULL OR k.run = ?3)",
                (keys.key(hashed, content), ANSWERED, self._run),
            ).fetchone()
            if row:
                return (row[0], *self._checked(chunk, row[1]))
        return None

    def _checked(self, chunk: Chunk, answer: bytes) -> tuple[list[SaidEntity], list[SaidFact]]:
        derived = derive(self._workspace, chunk, answer, self._ontology)
        of = {mention.atom: self._entity(mention.atom) for mention in derived.mentions}
        entities = [SaidEntity(of[m.atom], m.name, m.norm, m.type, m.grade) for m in derived.mentions]
        facts = [
            SaidFact(of[s.subject], s.predicate, of[s.object], s.turn, s.grade, s.modality) for s in derived.statements
        ]
        return entities, facts

    def _entity(self, atom: str) -> str:
        row = self._db.execute("SELECT entity FROM atom WHERE id = ?", (to_blob(atom),)).fetchone()
        return to_id(row[0]) if row else entity_id(atom)


def _specs(db: sqlite3.Connection) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The extraction specs, oldest first: hash, and what it says of model and prompt."""
    for hashed, description in db.execute("SELECT hash, description FROM spec WHERE kind = 'extract' ORDER BY no"):
        yield hashed, orjson.loads(description)
