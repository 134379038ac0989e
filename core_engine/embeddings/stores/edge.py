"""The embedded vector store: Qdrant's engine inside our process (Qdrant Edge), in a folder of its own per model."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import qdrant_edge as edge

from core_engine.embeddings.stores.layout import DENSE, INDEXED, SPARSE, dense_vector, point_of, slug, storable
from core_engine.embeddings.stores.mark import read_mark, sync_folder, write_mark
from core_engine.embeddings.stores.ranking import depth, fuse
from core_engine.errors import StoreError, WorkspaceLocked
from core_engine.ledger.disk import free_bytes
from core_engine.ledger.lock import held
from core_engine.pages import pages
from core_engine.types import Hit, Point, SparseVector, StoreMark

# Points are handed to the engine as lists of floats, eight times their size: so many at once, and no more.
_AT_ONCE = 64
_IDS_A_PAGE = 10_000

# On a full disk the engine does not fail: writing to its mapped files kills the process (SIGBUS). So room is looked for
# before each write: so much in any case, and three times what comes.
_ROOM = 64 * 1024 * 1024


class EdgeVectorStore:
    """A VectorStore in `directory/<model and dimensions>`, or `directory/bm25` without a model.

    The calls block: await them where nothing else waits. One process at a time may have the store open: a lock of ours
    says so. The engine's own log is left out, whose file would: whoever writes flushes before the ledger is told that
    it is written, and what a crash takes is written again. The engine's
    optimizer is never run: it would hold Python's lock for seconds, and up to some 100,000 points a search takes
    milliseconds without.
    """

    name = "embedded"

    def __init__(
        self,
        directory: Path,
        dimensions: int | None,
        model: str | None,
        *,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._dimensions = dimensions
        self._folder = directory / slug(model, dimensions)
        self._points = self._folder / "points"
        self._lock = self._folder / "open.lock"
        self._holding = ExitStack()
        self._mark_file = self._folder / "mark.json"
        self._free = free
        self._mark: StoreMark | None = None
        self._shard: edge.EdgeShard | None = None

    async def open(self) -> StoreMark:
        await self.close()
        with self._explained("opening"), ExitStack() as holding:
            self._hold(holding)
            self._look_for_room(0)
            self._mark = read_mark(self._mark_file)
            if self._mark is not None and self._points.is_dir():
                self._shard = edge.EdgeShard.load(str(self._points))
                _index(self._shard)
            else:
                self._mark, self._shard = self._create()
            self._holding = holding.pop_all()
        return self._mark

    async def begin(self, generation: int) -> None:
        _, mark = self._opened()
        with self._explained("beginning to write"):
            self._mark = StoreMark(mark.epoch, generation)
            write_mark(self._mark_file, self._mark)

    async def upsert(self, points: Sequence[Point]) -> None:
        shard, _ = self._opened()
        for batch in pages(points, _AT_ONCE):
            with self._explained("writing"):
                self._look_for_room(sum(map(_size, batch)))
                shard.update(edge.UpdateOperation.upsert_points([self._edge_point(p) for p in batch]))

    async def delete(self, ids: Sequence[str]) -> None:
        shard, _ = self._opened()
        if ids:
            with self._explained("deleting"):
                shard.update(edge.UpdateOperation.delete_points(list(ids)))

    async def flush(self) -> None:
        shard, _ = self._opened()
        with self._explained("flushing"):
            shard.flush()

    async def published(self) -> bool:
        return True  # whoever reads a folder names its model

    async def publish(self) -> None:
        """It is."""

    async def about(self) -> str:
        return f"Qdrant Edge {version('qdrant-edge-py')}"

    async def count(self) -> int:
        shard, _ = self._opened()
        with self._explained("counting"):
            return shard.count(edge.CountRequest(exact=True))

    async def search(self, sparse: SparseVector, dense: Sequence[float] | None, limit: int) -> list[Hit]:
        shard, _ = self._opened()
        questions = [edge.Query.Nearest(_edge_sparse(sparse), using=SPARSE)] if sparse.indices else []
        if dense is not None:
            questions.append(edge.Query.Nearest(list(dense), using=DENSE))
        if not questions:
            return []
        with self._explained("searching"):
            found = [shard.query(edge.QueryRequest(limit=depth(limit), query=q)) for q in questions]
            best = fuse([[(str(f.id), f.score) for f in ranking] for ranking in found], limit)
            records = shard.retrieve([point_id for point_id, _ in best], with_payload=True, with_vector=False)
        payloads = {str(r.id): r.payload or {} for r in records}
        return [Hit(point_id, score, payloads[point_id]) for point_id, score in best]

    async def look(self) -> StoreMark | None:
        await self.close()
        with self._explained("opening"), ExitStack() as holding:
            self._mark = read_mark(self._mark_file)
            if self._mark is None or not self._points.is_dir():
                return None
            self._hold(holding)
            self._shard = edge.EdgeShard.load(str(self._points))
            self._holding = holding.pop_all()
        return self._mark

    async def ids(self) -> AsyncIterator[list[str]]:
        shard, _ = self._opened()
        after = None
        more = True
        while more:
            with self._explained("reading"):
                asked = edge.ScrollRequest(offset=after, limit=_IDS_A_PAGE, with_payload=False, with_vector=False)
                records, after = shard.scroll(asked)
            more = after is not None
            if records:
                yield [str(record.id) for record in records]

    async def read(self, ids: Sequence[str]) -> list[Point]:
        shard, _ = self._opened()
        with self._explained("reading"):
            records = shard.retrieve(list(ids), with_payload=True, with_vector=True)
        return [point_of(record) for record in records]

    async def close(self) -> None:
        shard, self._shard = self._shard, None
        with self._holding:
            if shard is not None:
                with self._explained("closing"):
                    shard.close()

    def _create(self) -> tuple[StoreMark, edge.EdgeShard]:
        # Points without a mark (a creation cut short, a mark deleted by hand) can't be told from anyone's: begin anew.
        if self._points.is_dir():
            shutil.rmtree(self._points)
        self._folder.mkdir(parents=True, exist_ok=True)
        shard = edge.EdgeShard.create(str(self._points), self._config())
        _index(shard)
        shard.flush()
        mark = StoreMark(uuid.uuid4().hex, 0)
        write_mark(self._mark_file, mark)
        sync_folder(self._folder.parent)
        return mark, shard

    def _hold(self, holding: ExitStack) -> None:
        """Raises StoreError where another process has it open."""
        try:
            holding.enter_context(held(self._lock, 0))
        except WorkspaceLocked as error:
            raise StoreError(
                f"another process has the vector store in {self._folder} open (a run, or a search): "
                "wait until it has ended"
            ) from error

    def _config(self) -> edge.EdgeConfig:
        vectors = {DENSE: edge.EdgeVectorParams(self._dimensions, edge.Distance.Cosine)} if self._dimensions else None
        words = {SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)}
        return edge.EdgeConfig(vectors=vectors, sparse_vectors=words, wal_enabled=False)

    def _edge_point(self, point: Point) -> edge.Point:
        vectors: dict[str, list[float] | edge.SparseVector | list[list[float]]] = {}
        if point.sparse.indices:
            vectors[SPARSE] = _edge_sparse(point.sparse)
        if (dense := dense_vector(point, self._dimensions)) is not None:
            vectors[DENSE] = dense
        return edge.Point(point.id, vectors, storable(dict(point.payload)))

    def _look_for_room(self, coming: int) -> None:
        free = self._free(self._folder)
        if free < _ROOM + 3 * coming:
            raise StoreError(
                f"the disk of {self._folder} has {free // 2**20} MB left, too little for the vector store: make room, "
                "then run the command again; what was paid for is in the ledger"
            )

    def _opened(self) -> tuple[edge.EdgeShard, StoreMark]:
        if self._shard is None or self._mark is None:
            raise StoreError(f"the vector store in {self._folder} is not open")
        return self._shard, self._mark

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except BaseException as error:
            # The engine raises bare Exceptions, and panics, which are none: PyO3's class for them can't be imported.
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise StoreError(self._explanation(doing, error)) from error
            raise

    def _explanation(self, doing: str, error: BaseException) -> str:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        return (
            f"the vector store in {self._folder} failed while {doing}: {reason}. Look for a full or read-only disk; "
            "if it is damaged, delete that folder and run `kg rebuild`, which costs nothing"
        )


def _index(shard: edge.EdgeShard) -> None:
    """Add the payload indexes that the points lack: an older version made fewer."""
    kinds = {"keyword": edge.PayloadSchemaType.Keyword, "float": edge.PayloadSchemaType.Float}
    known = shard.info().payload_schema
    for field, kind in INDEXED.items():
        if field not in known:
            shard.update(edge.UpdateOperation.create_field_index(field, kinds[kind]))


def _edge_sparse(vector: SparseVector) -> edge.SparseVector:
    return edge.SparseVector(list(vector.indices), list(vector.values))


def _size(point: Point) -> int:
    texts = sum(len(value) for value in point.payload.values() if isinstance(value, str))
    return 500 + 4 * texts + 8 * len(point.sparse.indices) + len(point.dense or b"")
