"""The store on a server: collections and aliases, strangers refused, failures borne or named."""

from __future__ import annotations

import socket
import struct
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core_engine.embeddings.bm25 import Bm25Encoder
from core_engine.embeddings.stores.qdrant import QdrantVectorStore
from core_engine.errors import SettingsError, StoreError
from core_engine.types import Point

BM25 = Bm25Encoder()


def chunk(number: int, text: str = "budget", dense: list[float] | None = None) -> Point:
    point_id = str(uuid.UUID(int=number))
    packed = None if dense is None else struct.pack(f"<{len(dense)}f", *dense)
    return Point(point_id, BM25.document(text), packed, {"id": point_id, "text": text})


class Clock:
    """A time of its own, which sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)


@pytest.fixture
def alias() -> str:
    return f"kg_{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["REST", "gRPC"])
def transport(request) -> str:
    return request.param


@pytest.fixture
async def make(qdrant_face, alias, transport):
    """Makes stores on the face, and closes them."""
    made: list[QdrantVectorStore] = []
    grpc_port = qdrant_face.grpc_port if transport == "gRPC" else None

    def one(dimensions: int | None = None, model: str | None = None, **how: Any) -> QdrantVectorStore:
        key = how.pop("key", None)
        made.append(QdrantVectorStore(qdrant_face.url, key, alias, dimensions, model, grpc_port=grpc_port, **how))
        return made[-1]

    yield one
    qdrant_face.behave()
    for store in made:
        await store.close()


def collection_behind(face, alias: str) -> str | None:
    known = {a["alias_name"]: a["collection_name"] for a in face.request("GET", "/aliases")["aliases"]}
    return known.get(alias)


# --- collections and aliases ------------------------------------------------------------------------------------------


async def test_the_alias_is_there_from_the_first_write_on(make, qdrant_face, alias):
    store = make()
    await store.open()
    assert collection_behind(qdrant_face, alias) is None
    await store.begin(1)
    assert collection_behind(qdrant_face, alias) == f"{alias}__bm25"


async def test_another_model_takes_over_the_alias_when_it_is_published_and_not_before(make, qdrant_face, alias):
    old = make()
    await old.open()
    await old.begin(1)
    await old.upsert([chunk(1)])
    await old.flush()
    assert await old.published()
    await old.close()
    new = make(4, "small")
    for _ in range(2):  # the first run was stopped half-way
        await new.open()
        await new.begin(1)
        await new.upsert([chunk(1, dense=[1.0, 0.0, 0.0, 0.0])])
        await new.flush()
        await new.close()
        assert collection_behind(qdrant_face, alias) == f"{alias}__bm25"
    await new.open()
    assert not await new.published()
    await new.publish()
    assert await new.published()
    assert collection_behind(qdrant_face, alias).startswith(f"{alias}__small-4-")
    await old.open()
    assert await old.count() == 1


async def test_a_collection_of_the_wrong_vector_size_is_refused_and_left_as_it_was(make, qdrant_face, alias):
    name = make(4, "small")._collection
    body = {"vectors": {"dense": {"size": 8, "distance": "Cosine"}}, "sparse_vectors": {"sparse": {"modifier": "idf"}}}
    qdrant_face.request("PUT", f"/collections/{name}", json=body)
    with pytest.raises(StoreError, match=r"8 dimensions, those of small 4.*another --workspace"):
        await make(4, "small").open()
    assert qdrant_face.request("GET", f"/collections/{name}")["config"]["params"]["vectors"]["dense"]["size"] == 8


async def test_a_collection_without_weighted_words_is_refused(make, qdrant_face, alias):
    qdrant_face.request("PUT", f"/collections/{alias}__bm25", json={"sparse_vectors": {"sparse": {}}})
    with pytest.raises(StoreError, match="no sparse vectors weighted by IDF"):
        await make().open()


async def test_a_collection_with_points_of_someone_else_is_refused(make, qdrant_face, alias):
    name = f"/collections/{alias}__bm25"
    qdrant_face.request("PUT", name, json={"sparse_vectors": {"sparse": {"modifier": "idf"}}})
    theirs = {"points": [{"id": str(uuid.uuid4()), "vector": {}, "payload": {"theirs": 1}}]}
    qdrant_face.request("PUT", f"{name}/points", json=theirs)
    with pytest.raises(StoreError, match="points that are not kg's"):
        await make().open()
    assert qdrant_face.request("POST", f"{name}/points/count", json={})["count"] == 1


async def test_a_collection_that_was_made_but_not_finished_is_finished(make, qdrant_face, alias):
    name = f"/collections/{alias}__bm25"
    qdrant_face.request("PUT", name, json={"sparse_vectors": {"sparse": {"modifier": "idf"}}})
    assert (await make().open()).generation == 0
    assert set(qdrant_face.request("GET", name)["payload_schema"]) == {
        "document_id",
        "workspace",
        "document",
        "speakers",
        "start",
    }


async def test_a_collection_named_as_our_alias_is_not_touched(make, qdrant_face, alias):
    qdrant_face.request("PUT", f"/collections/{alias}", json={"sparse_vectors": {"sparse": {}}})
    store = make()
    await store.open()
    with pytest.raises(StoreError, match="already exists"):
        await store.begin(1)


async def test_collections_of_other_models_are_deleted_and_nobody_elses(make, qdrant_face, alias):
    for store in (make(), make(4, "small"), make(8, "large")):
        await store.open()
    qdrant_face.request("PUT", f"/collections/{alias}-b__bm25", json={"sparse_vectors": {"sparse": {}}})
    qdrant_face.request("PUT", f"/collections/{alias}__b__bm25", json={"sparse_vectors": {"sparse": {}}})
    dropped = await make().drop_others(4, "small")
    assert [name.split()[-2].partition("__")[2][:7] for name in dropped] == ["bm25", "large-8"]
    left = [c["name"] for c in qdrant_face.request("GET", "/collections")["collections"] if alias in c["name"]]
    assert sorted(left) == sorted([f"{alias}-b__bm25", f"{alias}__b__bm25", make(4, "small")._collection])


async def test_every_point_is_named_once_and_read_back_as_it_was_written(make, monkeypatch):
    monkeypatch.setattr("core_engine.embeddings.stores.qdrant._IDS_A_PAGE", 7)
    store = make(4, "small")
    await store.open()
    written = [chunk(n, f"budget {n}", dense=[1.0, 0.0, 0.0, 0.0]) for n in range(1, 31)]
    await store.upsert(written)
    pages = [page async for page in store.ids()]
    assert len(pages) == 5
    assert sorted(point_id for page in pages for point_id in page) == [point.id for point in written]
    read = {point.id: point for point in await store.read([point.id for point in written])}
    for point in written:
        assert (read[point.id].dense, dict(read[point.id].payload)) == (point.dense, dict(point.payload))
        assert read[point.id].sparse.values == pytest.approx(point.sparse.values)


async def test_opening_a_finished_store_only_reads(make, qdrant_face):
    await make().open()
    qdrant_face.behave()
    await make().open()
    assert qdrant_face.requests == 4  # version, exists, describe, mark


# --- writing ----------------------------------------------------------------------------------------------------------


async def test_points_travel_256_to_a_request(make, qdrant_face):
    store = make()
    await store.open()
    qdrant_face.behave()
    await store.upsert([chunk(n) for n in range(1, 601)])
    assert qdrant_face.requests == 3
    assert await store.count() == 600


async def test_large_points_travel_in_smaller_requests(make, qdrant_face):
    store = make()
    await store.open()
    qdrant_face.behave()
    await store.upsert([chunk(n, "budget " * 40_000) for n in range(1, 5)])
    assert qdrant_face.requests == 2
    assert await store.count() == 4


async def test_a_passing_failure_is_tried_again_and_nothing_is_lost(make, qdrant_face):
    clock = Clock()
    store = make(clock=clock, sleep=clock.sleep)
    await store.open()
    for status in (503, 500, 429, 0):
        qdrant_face.behave(fail_after=1, fail_times=3, status=status)
        await store.upsert([chunk(n) for n in range(1, 1001)])
        assert await store.count() == 1000
    assert clock.sleeps


async def test_a_server_that_asks_for_patience_gets_it(make, qdrant_face):
    clock = Clock()
    store = make(clock=clock, sleep=clock.sleep)
    await store.open()
    qdrant_face.behave(fail_after=0, fail_times=1, status=429, retry_after=7)
    await store.count()
    assert clock.sleeps == [7.0]


async def test_a_server_that_stays_away_is_given_up_at_the_deadline(make, qdrant_face):
    clock = Clock()
    store = make(patience_s=30.0, clock=clock, sleep=clock.sleep)
    await store.open()
    qdrant_face.behave(fail_after=0, status=500)
    with pytest.raises(StoreError, match=r"keeps failing \((500|internal): this failure was asked for\)"):
        await store.upsert([chunk(1)])
    assert 20 < clock.now <= 30


async def test_a_refusal_is_not_tried_again(make, qdrant_face):
    clock = Clock()
    store = make(clock=clock, sleep=clock.sleep)
    await store.open()
    qdrant_face.behave(fail_after=0, status=400)
    with pytest.raises(StoreError, match=r"refuses the request \((400|invalid argument): this failure was asked for\)"):
        await store.count()
    assert clock.sleeps == []


async def test_a_collection_deleted_under_our_hands_is_named(make, qdrant_face, alias):
    store = make()
    await store.open()
    qdrant_face.request("DELETE", f"/collections/{alias}__bm25")
    with pytest.raises(StoreError, match="was the collection deleted"):
        await store.upsert([chunk(1)])


# --- keys and addresses -----------------------------------------------------------------------------------------------


async def test_the_key_is_sent_and_a_wrong_one_is_told_apart(make, qdrant_face):
    qdrant_face.behave(api_key="open sesame")
    await make(key="open sesame").open()
    with pytest.raises(StoreError, match=r"refuses the key \((401|unauthenticated)\): set QDRANT_API_KEY") as refused:
        await make(key="s3cr3t").open()
    assert "s3cr3t" not in str(refused.value) + repr(refused.value.__cause__)


async def test_a_server_that_is_not_there_is_said_at_once_without_the_password_in_its_address():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        clock = Clock()
        store = QdrantVectorStore(
            f"http://me:s3cr3t@127.0.0.1:{port}", "k3y", "kg_x", None, None, clock=clock, sleep=clock.sleep
        )
        with pytest.raises(StoreError, match=f"qdrant http://127.0.0.1:{port} can't be reached") as refused:
            await store.open()
    assert "s3cr3t" not in str(refused.value)
    assert clock.sleeps == []


class WebPage(BaseHTTPRequestHandler):
    """Any web server: answers all with 200 and its own content."""

    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


@pytest.mark.parametrize("content", [b"<html>It works!</html>", b"", b"{}", b"null", b'{"title": "x"}'])
async def test_another_server_at_the_address_is_not_taken_for_qdrant(content):
    page = type("Page", (WebPage,), {"content": content})
    with ThreadingHTTPServer(("127.0.0.1", 0), page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(StoreError, match="does not answer as Qdrant does"):
                await QdrantVectorStore(f"http://127.0.0.1:{server.server_port}", None, "kg_x", None, None).open()
        finally:
            server.shutdown()
            thread.join()


def test_a_key_that_no_header_can_hold_is_refused_unseen():
    for key in ("s3cr3t\nx", "s3cr3t\x00", "s3cr3té"):
        with pytest.raises(SettingsError) as refused:
            QdrantVectorStore("http://host", key, "kg_x", None, None)
        assert "s3cr3t" not in str(refused.value)
    assert QdrantVectorStore("http://host", "s3cr3t\n", "kg_x", None, None)._api_key == "s3cr3t"


@pytest.mark.parametrize(
    "url", ["", "localhost:6333", "qdrant:6333", "ftp://host", "http://", "http://h:port", "http://["]
)
def test_an_address_that_is_none_is_a_wrong_setting_and_not_repeated(url):
    with pytest.raises(SettingsError, match="http://host:6333"):
        QdrantVectorStore(url, None, "kg_x", None, None)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://qdrant", "qdrant http://qdrant:6333"),
        ("https://a:b@cloud.example:443/db/", "qdrant https://cloud.example:443/db"),
        ("http://[::1]:7000", "qdrant http://[::1]:7000"),
    ],
)
def test_the_name_shows_the_effective_address_without_credentials(url, name):
    assert QdrantVectorStore(url, "key", "kg_x", None, None).name == name
    assert QdrantVectorStore(url, "key", "kg_x", None, None, grpc_port=6334).name == f"{name} (gRPC on port 6334)"
