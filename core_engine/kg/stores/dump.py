"""A graph store's whole content in one shape, so that two stores can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Dump = dict[str, list[dict[str, Any]]]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "documents": ("id", "path", "title", "metadata"),
    "chunks": ("id", "document_id", "index", "text", "next_id", "speakers", "start", "end"),
    "entities": ("id", "name", "labels", "aliases", "weight"),
    "relationships": (
        "id",
        "source_id",
        "target_id",
        "type",
        "weight",
        "first",
        "last",
        "current",
        "until",
        "superseded_by",
        "contradicted",
        "stated",
        "planned",
        "denied",
        "asked",
        "grade",
    ),
    "mentions": ("chunk_id", "entity_id", "name", "turns", "offsets", "start", "end", "speakers", "grade"),
    "statements": (
        "id",
        "chunk_id",
        "subject_id",
        "object_id",
        "predicate",
        "quote",
        "speaker",
        "turn",
        "start",
        "end",
        "modality",
        "offset",
        "date",
        "grade",
    ),
}


def sorted_dump(rows: Mapping[str, Iterable[Sequence[Any]]]) -> Dump:
    """The rows of each kind, values in the order of FIELDS, as sorted dicts."""
    return {
        kind: sorted((dict(zip(fields, row, strict=True)) for row in rows[kind]), key=_key)
        for kind, fields in FIELDS.items()
    }


def _key(row: dict[str, Any]) -> list[str]:
    return [str(value) for value in row.values()]
