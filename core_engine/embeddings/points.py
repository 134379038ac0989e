"""Makes a chunk's point for the vector stores: the same words wherever a point is written or compared."""

from __future__ import annotations

from typing import Protocol

from core_engine.types import Chunk, Point, SparseVector


class SparseEncoder(Protocol):
    def document(self, text: str) -> SparseVector: ...


def point(workspace: str, chunk: Chunk, document: str, sparse: SparseEncoder, dense: bytes | None) -> Point:
    """The chunk's point; `document` is what its document is called, `dense` its vector (None: words alone)."""
    return Point(
        id=chunk.id,
        sparse=sparse.document(chunk.text),
        dense=dense,
        payload={
            "id": chunk.id,
            "workspace": workspace,
            "document_id": chunk.document_id,
            "document": document,
            "chunk_index": chunk.seq,
            "text": chunk.text,
            "speakers": list(chunk.speakers),
            "start": chunk.start,
            "end": chunk.end,
        },
    )
