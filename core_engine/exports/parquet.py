"""A Parquet file of each kind of row, with typed columns, for pandas, DuckDB, Spark and the like."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from core_engine.errors import SettingsError
from core_engine.exports import rows
from core_engine.exports.fields import Kind, kinds
from core_engine.exports.text import paired
from core_engine.types import ChunkRow, DocumentRow, EntityRow, MentionRow, RelationshipRow, StatementRow

_ROWS_A_GROUP = 10_000
_TABLES: Mapping[str, tuple[type[Any], tuple[str, ...]]] = {
    "documents.parquet": (DocumentRow, ()),
    "entities.parquet": (EntityRow, ()),
    "chunks.parquet": (ChunkRow, ()),
    "mentions.parquet": (MentionRow, ("chunk_id",)),
    "statements.parquet": (StatementRow, ("chunk_id",)),
    "relationships.parquet": (RelationshipRow, ()),
}


def parts(db: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    """The fields are those of `core_engine.types`; mentions and statements name their chunk as well."""
    tables = {file: _Table(row, more) for file, (row, more) in _TABLES.items()}
    for file, row in _rows(db):
        if written := tables[file].add(row):
            yield file, written
    for file, table in tables.items():
        yield file, table.end()


def _rows(db: sqlite3.Connection) -> Iterator[tuple[str, dict[str, Any]]]:
    for documents in rows.documents(db):
        yield from (("documents.parquet", _plain(document)) for document in documents)
    for entities in rows.entities(db):
        yield from (("entities.parquet", _plain(entity)) for entity in entities)
    for chunks in rows.chunks(db):
        for chunk in chunks:
            yield "chunks.parquet", _plain(chunk)
            yield from (("mentions.parquet", {"chunk_id": chunk.id, **_plain(row)}) for row in chunk.mentions)
            yield from (("statements.parquet", {"chunk_id": chunk.id, **_plain(row)}) for row in chunk.statements)
    for relationships in rows.relationships(db):
        yield from (("relationships.parquet", _plain(relationship)) for relationship in relationships)


def _plain(row: Any) -> dict[str, Any]:
    return {name: _value(getattr(row, name), kind) for name, kind in kinds(type(row)).items()}


def _value(value: Any, kind: Kind) -> Any:
    if kind is Kind.MAP:
        return sorted((paired(key), paired(held)) for key, held in value.items())
    if kind is Kind.NUMBER:
        return value if value is not None and math.isfinite(value) else None
    return paired(value)


class _Table:
    """Collects a group of rows, and hands out its bytes when it is full."""

    def __init__(self, row: type[Any], more: tuple[str, ...]) -> None:
        pa, pq = _pyarrow()
        text, whole = pa.string(), pa.int64()
        types = {
            Kind.TEXT: text,
            Kind.WHOLE: whole,
            Kind.NUMBER: pa.float64(),
            Kind.FLAG: pa.bool_(),
            Kind.TEXTS: pa.list_(text),
            Kind.WHOLES: pa.list_(whole),
            Kind.PAIRS: pa.list_(pa.list_(whole)),
            Kind.MAP: pa.map_(text, text),
        }
        columns = [(name, text) for name in more] + [(name, types[kind]) for name, kind in kinds(row).items()]
        self._batch_of = pa.RecordBatch.from_pylist
        self._schema = pa.schema(columns)
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> bytes:
        self._waiting.append(row)
        return self._written() if len(self._waiting) == _ROWS_A_GROUP else b""

    def end(self) -> bytes:
        if self._waiting:
            self._write()
        self._writer.close()
        return self._sink.taken()

    def _written(self) -> bytes:
        self._write()
        return self._sink.taken()

    def _write(self) -> None:
        self._writer.write_batch(self._batch_of(self._waiting, schema=self._schema))
        self._waiting.clear()


class _Sink:
    """A file, as pyarrow wants one, from which what was written can be taken."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def taken(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra, and heavy
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "--format parquet needs pyarrow, which is not installed: add it with `pip install 'kg-batch[parquet]'`, "
            "in a clone with `uv sync --extra parquet`"
        ) from error
    return pa, pq
