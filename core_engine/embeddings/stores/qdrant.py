"""The vector store on a Qdrant server: a collection per workspace and model, behind the workspace's alias."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from qdrant_client import AsyncQdrantClient, models

from core_engine.embeddings.stores.address import basic, header_value, without_login
from core_engine.embeddings.stores.calls import PatientCalls
from core_engine.embeddings.stores.layout import (
    DENSE,
    INDEXED,
    SLUG,
    SPARSE,
    dense_vector,
    point_of,
    slug,
    storable,
)
from core_engine.embeddings.stores.ranking import depth, fuse
from core_engine.errors import StoreError
from core_engine.pages import sized_pages
from core_engine.types import Hit, Point, SparseVector, StoreMark

# The mark is a point without vectors: no search finds it, a snapshot carries it, deleting the collection deletes it.
_MARK_ID = "7a1d0f9e-6b67-5d61-8000-6b672d6d6172"
_MARK_KEY = "kg_store"
_NO_MARK = models.Filter(must_not=[models.HasIdCondition(has_id=[_MARK_ID])])

# 256 points a request, 4 requests in flight: 4,700 points/s against 3,000 one by one. A request takes some ten times its
# size in memory (lists of floats, JSON), and a server at most 32 MB.
_POINTS_A_REQUEST = 256
_BYTES_A_REQUEST = 4_000_000
_IN_FLIGHT = 4
_IDS_A_PAGE = 5_000
_READ_AT_ONCE = 256
_TIMEOUT_S = 30

# Left alone, a gRPC channel waits for up to two minutes before it looks again for a server that was away, and asks a
# connection that died without a word until the system gives it up.
_GRPC_OPTIONS = {
    "grpc.max_reconnect_backoff_ms": 1_000,
    "grpc.keepalive_time_ms": 15_000,
    "grpc.keepalive_timeout_ms": 10_000,
}


class QdrantVectorStore:
    """A VectorStore in the collection `<collection>__<model and dimensions>` of a Qdrant server.

    The alias `<collection>` names the collection that was last published: a change of the embedding model makes another
    collection and never mixes vectors, and who searches through the alias sees the old one until the new one holds all. Used on the event loop on which it was opened. With a `grpc_port` all of it goes by gRPC to
    that port of the URL's host, and nothing by REST.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        collection: str,
        dimensions: int | None,
        model: str | None,
        *,
        grpc_port: int | None = None,
        patience_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._base_url, self._login = without_login(url)
        self._grpc_port = grpc_port
        self.name = f"qdrant {self._base_url}" + (f" (gRPC on port {grpc_port})" if grpc_port else "")
        self._api_key = header_value(api_key)
        self._alias = collection
        self._collection = f"{collection}__{slug(model, dimensions)}"
        self._dimensions = dimensions
        self._model = model
        self._patient = PatientCalls(self.name, patience_s, clock, sleep)
        # Whether a server is there at all is said at once.
        self._impatient = PatientCalls(self.name, 0.0, clock, sleep)
        self._mark: StoreMark | None = None
        self._client: AsyncQdrantClient | None = None

    async def open(self) -> StoreMark:
        async with self._reached() as client:
            if not await self._patient.make(client.collection_exists, self._collection):
                await self._create(client)
            await self._check(client)
            self._mark = await self._read_mark(client) or await self._first_mark(client)
        return self._mark

    async def begin(self, generation: int) -> None:
        client, mark = self._opened()
        if await self._aliased(client) is None:
            await self._point_alias_here(client, old=None)
        self._mark = StoreMark(mark.epoch, generation)
        await self._write_mark(client, self._mark)

    async def upsert(self, points: Sequence[Point]) -> None:
        client, _ = self._opened()
        requests = self._requests(points)

        async def send() -> None:
            for request in requests:
                await self._upsert(client, request)

        # One failing, the others end what they have begun: a point written twice is the same point.
        sent = await asyncio.gather(*(send() for _ in range(_IN_FLIGHT)), return_exceptions=True)
        if failure := next((s for s in sent if s is not None), None):
            raise failure

    async def delete(self, ids: Sequence[str]) -> None:
        client, _ = self._opened()
        for start in range(0, len(ids), 1000):
            batch = models.PointIdsList(points=list(ids[start : start + 1000]))
            await self._patient.make(client.delete, self._collection, batch, wait=True)

    async def drop_others(self, dimensions: int | None, model: str | None) -> list[str]:
        """Delete this workspace's collections of other models than this one; their names."""
        self._client = client = self._connect()
        used = f"{self._alias}__{slug(model if dimensions else None, dimensions)}"
        try:
            known = await self._impatient.make(client.get_collections)
            others = [c.name for c in known.collections if self._is_ours(c.name) and c.name != used]
            for name in others:
                await self._patient.make(client.delete_collection, name)
        finally:
            self._client = None
            await client.close()
        return [f"{self.name} {name} (deleted)" for name in others]

    def _is_ours(self, collection: str) -> bool:
        """Another workspace's name may begin as this one's does; what stands behind it has no underscores."""
        beginning, _, of_model = collection.rpartition("__")
        return beginning == self._alias and SLUG.fullmatch(of_model) is not None

    async def flush(self) -> None:
        # Every write waited until the server had it on disk.
        self._opened()

    async def published(self) -> bool:
        client, _ = self._opened()
        return await self._aliased(client) == self._collection

    async def publish(self) -> None:
        client, _ = self._opened()
        await self._point_alias_here(client, await self._aliased(client))

    async def about(self) -> str:
        client, _ = self._opened()
        server = await self._impatient.make(client.info)
        held = await self._impatient.make(client.get_collection, self._collection)
        indexed = ", ".join(sorted(held.payload_schema)) or "nothing"
        return f"Qdrant {server.version}, indexes of {indexed}"

    async def count(self) -> int:
        client, _ = self._opened()
        return await self._count(client)

    async def search(self, sparse: SparseVector, dense: Sequence[float] | None, limit: int) -> list[Hit]:
        client, _ = self._opened()
        questions = [_nearest(_sparse(sparse), SPARSE, limit)] if sparse.indices else []
        if dense is not None:
            questions.append(_nearest(list(dense), DENSE, limit))
        if not questions:
            return []
        found = await self._patient.make(client.query_batch_points, self._collection, questions)
        best = fuse([[(str(p.id), p.score) for p in ranking.points] for ranking in found], limit)
        ids = [point_id for point_id, _ in best]
        records = await self._patient.make(client.retrieve, self._collection, ids, with_payload=True)
        payloads = {str(r.id): r.payload or {} for r in records}
        return [Hit(point_id, score, payloads[point_id]) for point_id, score in best if point_id in payloads]

    async def look(self) -> StoreMark | None:
        async with self._reached() as client:
            if not await self._patient.make(client.collection_exists, self._collection):
                return None
            self._mark = await self._read_mark(client)
        return self._mark

    async def ids(self) -> AsyncIterator[list[str]]:
        client, _ = self._opened()
        after = None
        more = True
        while more:
            records, after = await self._patient.make(
                client.scroll,
                self._collection,
                scroll_filter=_NO_MARK,
                limit=_IDS_A_PAGE,
                offset=after,
                with_payload=False,
                with_vectors=False,
            )
            more = after is not None
            if records:
                yield [str(record.id) for record in records]

    async def read(self, ids: Sequence[str]) -> list[Point]:
        client, _ = self._opened()
        found: list[Point] = []
        for start in range(0, len(ids), _READ_AT_ONCE):
            some = list(ids[start : start + _READ_AT_ONCE])
            records = await self._patient.make(
                client.retrieve, self._collection, some, with_payload=True, with_vectors=True
            )
            found += map(point_of, records)
        return found

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _connect(self) -> AsyncQdrantClient:
        # The key goes as a header by hand: the client would warn on stderr that http carries it in the clear, and that
        # is for `kg doctor` to say.
        headers = {"api-key": self._api_key} if self._api_key else {}
        if self._grpc_port is None:
            how: dict[str, Any] = {"auth": self._login}
        else:
            how = {"prefer_grpc": True, "grpc_port": self._grpc_port, "grpc_options": dict(_GRPC_OPTIONS)}
            if self._login:
                headers["authorization"] = basic(self._login)
        return AsyncQdrantClient(
            url=self._base_url, headers=headers or None, timeout=_TIMEOUT_S, check_compatibility=False, **how
        )

    async def _create(self, client: AsyncQdrantClient) -> None:
        size = self._dimensions
        dense = {DENSE: models.VectorParams(size=size, distance=models.Distance.COSINE)} if size else {}
        try:
            await self._patient.make(
                client.create_collection,
                self._collection,
                vectors_config=dense,
                sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            )
        except StoreError:
            # Another process may have been faster, or the answer to our first try was lost.
            if not await self._patient.make(client.collection_exists, self._collection):
                raise

    async def _check(self, client: AsyncQdrantClient) -> None:
        """Refuse a collection that can't hold our vectors; add the payload indexes that it lacks."""
        found = await self._patient.make(client.get_collection, self._collection)
        if (problem := self._misfit(found.config.params)) is not None:
            raise StoreError(
                f"{self.name} has a collection {self._collection} that is not as kg makes it ({problem}): "
                "rename or delete it, or use another --workspace"
            )
        for field, kind_name in INDEXED.items():
            if field not in found.payload_schema:
                kind = models.PayloadSchemaType(kind_name)
                await self._patient.make(client.create_payload_index, self._collection, field, kind, wait=True)

    def _misfit(self, params: models.CollectionParams) -> str | None:
        vectors = params.vectors if isinstance(params.vectors, dict) else {}
        size = vectors[DENSE].size if DENSE in vectors else None
        if size != self._dimensions:
            return f"its vectors have {size or 'no'} dimensions, those of {self._model or 'bm25'} {self._dimensions or 'no'}"
        words = (params.sparse_vectors or {}).get(SPARSE)
        if words is None or words.modifier != models.Modifier.IDF:
            return "it has no sparse vectors weighted by IDF"
        return None

    async def _read_mark(self, client: AsyncQdrantClient) -> StoreMark | None:
        records = await self._patient.make(client.retrieve, self._collection, [_MARK_ID], with_payload=True)
        held = (records[0].payload or {}).get(_MARK_KEY) if records else None
        return StoreMark(str(held["epoch"]), int(held["generation"])) if held else None

    async def _first_mark(self, client: AsyncQdrantClient) -> StoreMark:
        if await self._count(client):
            raise StoreError(
                f"{self.name} has a collection {self._collection} with points that are not kg's: rename or delete it, "
                "or use another --workspace"
            )
        mark = StoreMark(uuid.uuid4().hex, 0)
        await self._write_mark(client, mark)
        return mark

    async def _write_mark(self, client: AsyncQdrantClient, mark: StoreMark) -> None:
        held = {"epoch": mark.epoch, "generation": mark.generation, "model": self._model or "bm25"}
        await self._upsert(client, [models.PointStruct(id=_MARK_ID, vector={}, payload={_MARK_KEY: storable(held)})])

    async def _count(self, client: AsyncQdrantClient) -> int:
        counted = await self._patient.make(client.count, self._collection, count_filter=_NO_MARK, exact=True)
        return counted.count

    async def _aliased(self, client: AsyncQdrantClient) -> str | None:
        """The collection that the workspace's alias names now."""
        known = await self._patient.make(client.get_aliases)
        return next((a.collection_name for a in known.aliases if a.alias_name == self._alias), None)

    async def _point_alias_here(self, client: AsyncQdrantClient, old: str | None) -> None:
        steps: list[models.CreateAliasOperation | models.DeleteAliasOperation] = []
        if old is not None:
            steps.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self._alias)))
        here = models.CreateAlias(collection_name=self._collection, alias_name=self._alias)
        steps.append(models.CreateAliasOperation(create_alias=here))
        await self._patient.make(client.update_collection_aliases, steps)

    async def _upsert(self, client: AsyncQdrantClient, request: list[models.PointStruct]) -> None:
        await self._patient.make(client.upsert, self._collection, request, wait=True)

    def _requests(self, points: Sequence[Point]) -> Iterator[list[models.PointStruct]]:
        for page in sized_pages(points, _bytes_in_json, _POINTS_A_REQUEST, _BYTES_A_REQUEST):
            yield list(map(self._point_struct, page))

    def _point_struct(self, point: Point) -> models.PointStruct:
        vectors: dict[str, Any] = {}
        if point.sparse.indices:
            vectors[SPARSE] = _sparse(point.sparse)
        if (dense := dense_vector(point, self._dimensions)) is not None:
            vectors[DENSE] = dense
        return models.PointStruct(id=point.id, vector=vectors, payload=storable(dict(point.payload)))

    @contextlib.asynccontextmanager
    async def _reached(self) -> AsyncIterator[AsyncQdrantClient]:
        """A new client whose server has answered; closed again where what is done with it at first fails."""
        await self.close()
        self._client = client = self._connect()
        try:
            await self._impatient.make(client.info)
            yield client
        except BaseException:
            await self.close()
            raise

    def _opened(self) -> tuple[AsyncQdrantClient, StoreMark]:
        if self._client is None or self._mark is None:
            raise StoreError(f"{self.name} is not open")
        return self._client, self._mark


def _nearest(query: list[float] | models.SparseVector, using: str, limit: int) -> models.QueryRequest:
    return models.QueryRequest(query=query, using=using, limit=depth(limit), with_payload=False)


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _bytes_in_json(point: Point) -> int:
    """A guess that is rather too high: 22 characters a float, up to 6 a character of text."""
    texts = sum(len(value) for value in point.payload.values() if isinstance(value, str))
    return 500 + 6 * texts + 34 * len(point.sparse.indices) + 22 * (len(point.dense or b"") // 4)
