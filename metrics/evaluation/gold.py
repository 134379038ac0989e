"""Reads gold: what a careful reader found in some documents, a document a line (docs/evaluation.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from core_engine.errors import SettingsError
from core_engine.kg.normalise import normal_form
from core_engine.types import PLANNED, STATED


@dataclass(frozen=True, slots=True)
class GoldEntity:
    """`forms`: the normal forms of all its names in the document."""

    name: str
    type: str
    forms: frozenset[str]


@dataclass(frozen=True, slots=True)
class GoldFact:
    """`subject` and `object`: places among the document's entities. `quote`: the words that state it, '' if not told."""

    subject: int
    type: str
    object: int
    quote: str


@dataclass(frozen=True, slots=True)
class GoldDocument:
    name: str
    entities: tuple[GoldEntity, ...]
    facts: tuple[GoldFact, ...]


@dataclass(frozen=True, slots=True)
class GoldPair:
    """Two names, each in its document, and whether they mean the same."""

    one: tuple[str, str]
    other: tuple[str, str]
    same: bool


def read_gold(path: Path) -> list[GoldDocument]:
    """The gold documents. SettingsError names file, line and what is wrong."""
    documents: dict[str, GoldDocument] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            document = _document(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise SettingsError(f"{path}:{number}: no JSON: {error}. Each line is one document.") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise SettingsError(f"{path}:{number}: {reason}. docs/evaluation.md shows how a line looks.") from error
        if document.name in documents:
            raise SettingsError(f"{path}:{number}: document {document.name!r} is there twice. Join the two lines.")
        documents[document.name] = document
    if not documents:
        raise SettingsError(f"{path}: there is no document in it. docs/evaluation.md shows how a line looks.")
    return list(documents.values())


def read_pairs(path: Path) -> list[GoldPair]:
    """Pairs of names from a table with the columns document_a, name_a, document_b, name_b, verdict (same | different)."""
    try:
        head, *rows = (line.decode("utf-8-sig").rstrip("\r\n").split("\t") for line in _lines(path))
    except ValueError as error:  # no line, or not UTF-8
        raise SettingsError(f"{path}: it is empty, or not UTF-8: save it as a table with tabs, in UTF-8") from error
    columns = ("document_a", "name_a", "document_b", "name_b", "verdict")
    if missing := [name for name in columns if name not in head]:
        raise SettingsError(f"{path}:1: the columns {', '.join(missing)} are missing.")
    pairs = []
    for number, row in enumerate(rows, 2):
        told = dict(zip(head, row, strict=False))
        if told.get("verdict") not in {"same", "different"}:
            raise SettingsError(f"{path}:{number}: the verdict must be same or different.")
        ends = [(told[f"document_{end}"], normal_form(told[f"name_{end}"])) for end in "ab"]
        pairs.append(GoldPair(ends[0], ends[1], told["verdict"] == "same"))
    return pairs


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        raise SettingsError(f"{path}: the gold can't be read ({error.strerror}). Give a JSON Lines file.") from error


def _document(record: Mapping[str, Any]) -> GoldDocument:
    entities = tuple(
        GoldEntity(
            str(each["name"]),
            str(each["type"]),
            frozenset(filter(None, (normal_form(str(form)) for form in (each["name"], *each.get("mentions", ()))))),
        )
        for each in record["entities"]
    )
    at = {entity.name: i for i, entity in enumerate(entities)}
    facts = []
    for each in record.get("relationships", ()):
        for end in ("subject", "object"):
            if each[end] not in at:
                raise ValueError(f"the relationship's {end} {each[end]!r} is no entity of the document")
        if each.get("modality", STATED) in {STATED, PLANNED}:
            facts.append(
                GoldFact(at[each["subject"]], str(each["type"]), at[each["object"]], str(each.get("quote", "")))
            )
    return GoldDocument(str(record["document"]), entities, tuple(dict.fromkeys(facts)))


def owners(document: GoldDocument) -> Mapping[str, Sequence[int]]:
    """For each form the entities that bear it."""
    found: dict[str, list[int]] = {}
    for i, entity in enumerate(document.entities):
        for form in entity.forms:
            found.setdefault(form, []).append(i)
    return found
