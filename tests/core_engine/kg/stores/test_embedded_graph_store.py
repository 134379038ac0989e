"""What only the store in a file promises."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core_engine.errors import StoreError
from core_engine.kg.stores.embedded import EmbeddedGraphStore
from core_engine.types import GraphChanges, GraphCounts
from tests.core_engine.kg.stores.sample import Size, graph
from tests.core_engine.kg.stores.test_graph_stores import Meeting

_WRITER = """
import asyncio, pathlib, sys
from core_engine.kg.stores.embedded import EmbeddedGraphStore
from tests.core_engine.kg.stores.sample import Size, graph

async def main():
    store = EmbeddedGraphStore(pathlib.Path(sys.argv[1]), "w")
    await store.open()
    for seed in range(10_000):
        await store.apply(graph("w", Size(), seed % 2))
        print(seed, flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
async def test_the_file_and_its_folder_are_made_and_only_ours_to_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "graph.sqlite3"
    store = EmbeddedGraphStore(path, "w")
    await store.open()
    await store.apply(Meeting("w").changes())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    await store.close()
    assert modes == {"graph.sqlite3": 0o600, "graph.sqlite3-wal": 0o600, "graph.sqlite3-shm": 0o600}


async def test_a_deleted_file_comes_back_with_another_epoch(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite3"
    store = EmbeddedGraphStore(path, "w")
    first = await store.open()
    await store.close()
    path.unlink()
    assert (await store.open()).epoch != first.epoch
    await store.close()


async def test_each_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    store = EmbeddedGraphStore(tmp_path / "graph.sqlite3", "w")
    await store.open()
    modes = [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    await store.close()
    assert modes == ["wal", 2]


async def test_another_process_reads_while_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite3"
    store, reader = EmbeddedGraphStore(path, "w"), EmbeddedGraphStore(path, "w")
    await store.open()
    await store.apply(Meeting("w").changes())
    with store._transaction() as db:
        db.execute("DELETE FROM entities")
        assert await reader.open() == store._mark()
        assert (await reader.counts()).entities == 2
    assert (await reader.counts()).entities == 0
    await reader.close()
    await store.close()


async def test_a_process_that_is_killed_leaves_whole_changes(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite3"
    _write_until_killed(path)
    left = EmbeddedGraphStore(path, "w")
    await left.open()
    held = await left.counts()
    await left.close()
    assert held == await _counts(tmp_path / "whole", seeds=(0, 1))


def _write_until_killed(path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[4]) as writer:
        assert writer.stdout is not None
        for _ in range(5):
            assert writer.stdout.readline()
        writer.kill()


async def _counts(folder: Path, seeds: tuple[int, ...]) -> GraphCounts:
    store = EmbeddedGraphStore(folder / "graph.sqlite3", "w")
    await store.open()
    for seed in seeds:
        await store.apply(graph("w", Size(), seed))
    counts = await store.counts()
    await store.close()
    return counts


async def test_an_empty_change_is_not_even_a_transaction(tmp_path: Path) -> None:
    store = EmbeddedGraphStore(tmp_path / "graph.sqlite3", "w")
    await store.open()
    before = store._db.execute("PRAGMA data_version").fetchone(), store._db.total_changes
    await store.apply(GraphChanges())
    assert (store._db.execute("PRAGMA data_version").fetchone(), store._db.total_changes) == before
    await store.close()


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite3"
    path.write_bytes(b"precious notes, not a database " * 100)
    with pytest.raises(StoreError, match="kg rebuild"):
        await EmbeddedGraphStore(path, "w").open()
    assert path.read_bytes().startswith(b"precious")


async def test_another_programs_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite3"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    content = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        await EmbeddedGraphStore(path, "w").open()
    assert path.read_bytes() == content


async def test_a_newer_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite3"
    store = EmbeddedGraphStore(path, "w")
    await store.open()
    store._db.execute("PRAGMA user_version = 99")
    await store.close()
    with pytest.raises(StoreError, match=r"newer kg .*upgrade"):
        await store.open()


async def test_another_workspaces_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite3"
    store = EmbeddedGraphStore(path, "w")
    await store.open()
    await store.close()
    with pytest.raises(StoreError, match="workspace 'w'"):
        await EmbeddedGraphStore(path, "other").open()


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="written to"):
        await EmbeddedGraphStore(tmp_path / "file" / "graph.sqlite3", "w").open()


async def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    store = EmbeddedGraphStore(tmp_path / "graph.sqlite3", "w")
    await store.open()
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="Make room"):
        await store.apply(graph("w", Size()))
    assert await store.counts() == GraphCounts()
    await store.close()


async def test_one_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "graph.sqlite3"
    new = EmbeddedGraphStore(tmp_path / "new.sqlite3", "ws")
    await new.open()
    await new.apply(graph("ws", Size()))
    # What version 1 made: the same without the columns that version 2 has added.
    with sqlite3.connect(tmp_path / "new.sqlite3") as db, sqlite3.connect(path) as old:
        db.backup(old)
        for table, columns in {
            "mentions": "speakers grade",
            "statements": "offset date grade",
            "relationships": "current until superseded_by contradicted stated planned denied asked grade",
        }.items():
            for column in columns.split():
                old.execute(f'ALTER TABLE {table} DROP COLUMN "{column}"')
        old.execute("PRAGMA user_version = 1")
    looking = EmbeddedGraphStore(path, "ws")
    with pytest.raises(StoreError, match="older kg"):
        await looking.look()
    await looking.close()
    store = EmbeddedGraphStore(path, "ws")
    await store.open()
    await store.apply(graph("ws", Size()))
    assert await store.dump() == await new.dump()
    await store.close()
    await new.close()
