"""The embedded store: one folder per model, one process at a time, durable once flushed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import qdrant_edge as edge

from core_engine.embeddings.bm25 import Bm25Encoder
from core_engine.embeddings.stores.edge import EdgeVectorStore
from core_engine.embeddings.stores.layout import INDEXED, SPARSE
from core_engine.errors import StoreError
from core_engine.types import Point

BM25 = Bm25Encoder()
ROOT = Path(__file__).parents[4]


def chunk(number: int, text: str = "budget") -> Point:
    point_id = str(uuid.UUID(int=number))
    return Point(point_id, BM25.document(text), None, {"id": point_id, "text": text})


@pytest.fixture
async def store(tmp_path):
    opened = EdgeVectorStore(tmp_path, None, None)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_second_opener_is_told_who_is_in_the_way(store, tmp_path):
    with pytest.raises(StoreError, match=r"another process has the vector store in .* open .*wait until it has ended"):
        await EdgeVectorStore(tmp_path, None, None).open()
    await store.upsert([chunk(1)])
    assert await store.count() == 1


async def test_the_folder_says_which_model_it_belongs_to(tmp_path):
    for dimensions, model in ((None, None), (8, "Org/Model v1.5")):
        opened = EdgeVectorStore(tmp_path, dimensions, model)
        await opened.open()
        await opened.close()
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names[0] == "bm25"
    assert names[1].startswith("org-model-v1-5-8-")


async def test_points_without_a_mark_are_nobodys_and_the_store_begins_anew(store, tmp_path):
    first = await store.open()
    await store.upsert([chunk(1)])
    await store.flush()
    await store.close()
    (tmp_path / "bm25" / "mark.json").unlink()
    assert (await store.open()).epoch != first.epoch
    assert await store.count() == 0


async def test_a_mark_without_points_is_a_wiped_store(store, tmp_path):
    first = await store.open()
    await store.close()
    shutil.rmtree(tmp_path / "bm25" / "points")
    assert (await store.open()).epoch != first.epoch


async def test_a_missing_mark_does_not_let_a_second_opener_delete_what_another_has_open(store, tmp_path):
    await store.upsert([chunk(1)])
    (tmp_path / "bm25" / "mark.json").unlink()
    with pytest.raises(StoreError, match="another process"):
        await EdgeVectorStore(tmp_path, None, None).open()
    assert await store.count() == 1


async def test_a_restored_copy_has_the_older_generation(store, tmp_path):
    await store.begin(4)
    await store.close()
    shutil.copytree(tmp_path / "bm25", tmp_path / "copy")
    first = await store.open()
    await store.begin(5)
    await store.close()
    shutil.rmtree(tmp_path / "bm25")
    (tmp_path / "copy").rename(tmp_path / "bm25")
    restored = await store.open()
    assert (restored.epoch, restored.generation) == (first.epoch, 4)


async def test_a_damaged_store_is_left_alone_and_the_way_out_is_named(store, tmp_path):
    await store.upsert([chunk(1)])
    await store.flush()
    await store.close()
    (tmp_path / "bm25" / "points" / "edge_config.json").write_text("{")
    shutil.rmtree(tmp_path / "bm25" / "points" / "segments")
    with pytest.raises(StoreError, match=r"failed while opening.*delete that folder and run `kg rebuild`"):
        await store.open()
    assert (tmp_path / "bm25" / "points").is_dir()


async def test_a_store_that_could_not_be_opened_is_in_nobodys_way(store, tmp_path):
    await store.close()
    points = tmp_path / "bm25" / "points"
    shutil.copytree(points, tmp_path / "whole")
    (points / "edge_config.json").write_text("{")
    shutil.rmtree(points / "segments")
    with pytest.raises(StoreError, match="failed while opening"):
        await store.open()
    shutil.rmtree(points)
    (tmp_path / "whole").rename(points)
    other = EdgeVectorStore(tmp_path, None, None)
    await other.open()
    await other.close()


async def test_a_store_of_an_older_version_which_kept_a_log_is_opened_and_written(store, tmp_path):
    first = await store.open()
    await store.close()
    points = tmp_path / "bm25" / "points"
    shutil.rmtree(points)
    words = {SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)}
    edge.EdgeShard.create(str(points), edge.EdgeConfig(sparse_vectors=words)).close()
    assert await store.open() == first
    await store.upsert([chunk(1)])
    await store.flush()
    assert await store.count() == 1


async def test_a_file_where_the_folder_should_be_is_an_error_of_the_store(tmp_path):
    (tmp_path / "vectors").write_text("")
    with pytest.raises(StoreError, match="failed while opening"):
        await EdgeVectorStore(tmp_path / "vectors", None, None).open()


async def test_a_disk_nearly_full_is_refused_before_the_engine_would_kill_the_process(tmp_path):
    left = [10**9]
    opened = EdgeVectorStore(tmp_path, None, None, free=lambda _: left[0])
    await opened.open()
    await opened.upsert([chunk(1)])
    left[0] = 60 * 2**20
    with pytest.raises(StoreError, match="has 60 MB left"):
        await opened.upsert([chunk(2)])
    assert await opened.count() == 1
    await opened.close()
    with pytest.raises(StoreError, match="has 60 MB left"):
        await opened.open()


async def test_a_mark_written_by_halves_never_replaces_the_whole_one(store, tmp_path):
    await store.begin(3)
    await store.close()
    (tmp_path / "bm25" / "mark.json.new").write_text('{"epoch": "')
    assert (await store.open()).generation == 3


WRITE_AND_WAIT = """
import asyncio, sys, uuid
from pathlib import Path
from core_engine.embeddings.bm25 import Bm25Encoder
from core_engine.embeddings.stores.edge import EdgeVectorStore
from core_engine.embeddings.stores.layout import INDEXED, SPARSE
from core_engine.types import Point

async def main():
    bm25, store = Bm25Encoder(), EdgeVectorStore(Path(sys.argv[1]), None, None)
    mark = await store.open()
    print(mark.epoch, flush=True)
    await store.begin(2)
    def chunks(numbers):
        return [Point(str(uuid.UUID(int=n)), bm25.document(f"budget {n}"), None, {"text": f"budget {n}"}) for n in numbers]
    await store.upsert(chunks(range(1, 2001)))
    await store.delete([str(uuid.UUID(int=7))])
    await store.flush()
    print("flushed", flush=True)
    number = 10_000
    while len(sys.argv) < 3:
        await store.upsert(chunks(range(number, number + 50)))
        number += 50

asyncio.run(main())
"""


def write_until_killed(folder: Path) -> str:
    """The epoch of a store whose writer was killed after its first flush, while it wrote on."""
    command = [sys.executable, "-c", WRITE_AND_WAIT, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        epoch = writer.stdout.readline().strip()
        assert writer.stdout.readline() == "flushed\n"
        writer.kill()
    return epoch


async def test_what_was_flushed_survives_kill_9_in_the_middle_of_the_next_write(tmp_path):
    epoch = write_until_killed(tmp_path)
    opened = EdgeVectorStore(tmp_path, None, None)
    mark = await opened.open()
    assert (mark.epoch, mark.generation) == (epoch, 2)
    assert await opened.count() >= 1999
    found = {h.id for h in await opened.search(BM25.query("1999"), None, 5)}
    assert found == {str(uuid.UUID(int=1999))}
    assert await opened.search(BM25.query("7"), None, 5) == []
    await opened.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_flush_and_mark_reach_the_disk_before_they_are_said_to_be_done(tmp_path):
    traced = subprocess.run(
        ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync,msync,write,rename", "-o", str(tmp_path / "trace"),
         sys.executable, "-c", WRITE_AND_WAIT, str(tmp_path / "vectors"), "and stop"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if traced.returncode != 0:
        pytest.skip("strace may not trace here")
    lines = (tmp_path / "trace").read_text(errors="replace").splitlines()
    opened = next(i for i, line in enumerate(lines) if "write(1<" in line)
    flushed = next(i for i, line in enumerate(lines) if "flushed" in line)
    between = "\n".join(lines[opened:flushed])
    assert "mark.json.new>" in between.split("rename(", 1)[0].rsplit("sync(", 1)[1]
    assert "/points/" in "".join(line for line in lines[opened:flushed] if "sync(" in line)


def test_the_mark_is_a_small_readable_file(tmp_path):
    from core_engine.embeddings.stores.mark import read_mark, write_mark
    from core_engine.types import StoreMark

    write_mark(tmp_path / "mark.json", StoreMark("abc", 5))
    assert json.loads((tmp_path / "mark.json").read_text()) == {"epoch": "abc", "generation": 5}
    assert read_mark(tmp_path / "mark.json") == StoreMark("abc", 5)
    assert [p.name for p in tmp_path.iterdir()] == ["mark.json"]
    for broken in ("", "{", "[]", "{}", '{"epoch": "x", "generation": null}'):
        (tmp_path / "mark.json").write_text(broken)
        assert read_mark(tmp_path / "mark.json") is None


async def test_indexes_that_an_older_version_did_not_make_are_added(tmp_path):
    store = EdgeVectorStore(tmp_path, None, None)
    mark = await store.open()
    for field in ("speakers", "start"):
        store._shard.update(edge.UpdateOperation.delete_field_index(field))
    assert set(store._shard.info().payload_schema) == {"document_id", "workspace", "document"}
    await store.close()
    assert await store.open() == mark
    assert set(store._shard.info().payload_schema) == set(INDEXED)
    await store.close()
