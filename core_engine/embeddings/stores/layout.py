"""What both vector stores agree on: how vectors are named, which payload is indexed, how a point is made fit to travel."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from typing import Any

from core_engine.errors import StoreError
from core_engine.types import Point, SparseVector

DENSE = "dense"
SPARSE = "sparse"
# What a search may be narrowed by, and how it is indexed.
INDEXED = {
    "document_id": "keyword",
    "workspace": "keyword",
    "document": "keyword",
    "speakers": "keyword",
    "start": "float",
}


SLUG = re.compile(r"[a-z0-9-]+")
"""How slug() looks."""


def slug(model: str | None, dimensions: int | None) -> str:
    """A short name, fit for a folder or a collection, that no other model and size share; `bm25` without a model."""
    if dimensions is None:
        return "bm25"
    readable = re.sub(r"[^a-z0-9]+", "-", (model or "").lower()).strip("-")[:40]
    key = hashlib.blake2b(f"{model}\0{dimensions}".encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{readable or 'model'}-{dimensions}-{key}"


def dense_vector(point: Point, dimensions: int | None) -> list[float] | None:
    """The point's dense vector; None where it has none. Raises StoreError for one that the store can't hold."""
    if point.dense is None:
        return None
    size = len(point.dense) // 4
    if len(point.dense) % 4 or size != dimensions:
        raise StoreError(
            f"chunk {point.id}: its vector has {size} dimensions where the store has {dimensions or 'none'}; "
            "the embedding model answers otherwise than it did; run `kg doctor`"
        )
    vector = list(struct.unpack(f"<{size}f", point.dense))
    if not math.isfinite(sum(vector)):
        raise StoreError(f"chunk {point.id}: its vector holds what is no number; run `kg doctor`")
    return vector


def point_of(record: Any) -> Point:
    """What a store holds, as it was given. Both libraries' records have `id`, `vector` (by name) and `payload`."""
    vectors: dict[str, Any] = record.vector if isinstance(record.vector, dict) else {}
    words, dense = vectors.get(SPARSE), vectors.get(DENSE)
    return Point(
        id=str(record.id),
        sparse=SparseVector(tuple(words.indices), tuple(words.values)) if words else SparseVector((), ()),
        dense=struct.pack(f"<{len(dense)}f", *dense) if dense else None,
        payload=record.payload or {},
    )


def storable(value: Any) -> Any:
    """A payload value as the stores take it: tuples become lists, unpaired surrogates U+FFFD; all else stays."""
    if isinstance(value, str):
        return value if value.isascii() else _paired(value)
    if isinstance(value, dict):
        return {storable(k): storable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(v) for v in value]
    return value


def _paired(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
