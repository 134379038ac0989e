"""kg verify, kg backup and kg vacuum."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core_engine.ledger.lock import RunLock
from tests.kg import Kg, write_meetings
from tests.neo4j_server.server import Address
from tests.openai_server.fixture import Server
from tests.qdrant_face.fixture import RunningFace

HOME = Path(".kg/default")


def _hashes(kg: Kg) -> dict[str, str]:
    files = [kg.folder / HOME / name for name in ("ledger.sqlite3", "graph.sqlite3", "vectors/bm25/mark.json")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _graph_db(kg: Kg, *statements: str) -> None:
    db = sqlite3.connect(kg.folder / HOME / "graph.sqlite3", isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def _delete_a_point(kg: Kg) -> None:
    from core_engine.embeddings.stores.edge import EdgeVectorStore

    async def delete() -> None:
        store = EdgeVectorStore(kg.folder / HOME / "vectors", None, None)
        await store.open()
        ids = [one async for page in store.ids() for one in page]
        await store.delete(ids[:1])
        await store.flush()
        await store.close()

    asyncio.run(delete())


# --- kg verify -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [(), ("--all",)])
def test_whole_stores_are_as_the_ledger_says_and_stay_untouched(made: Kg, how: tuple[str, ...]) -> None:
    before, graph = _hashes(made), made.graph()
    ran = made("verify", *how, "--json")
    assert ran.code == 0, ran.out + ran.err
    said = ran.report
    assert said["whole"]
    stores = {one["role"]: one for one in said["stores"]}
    assert stores["graph"]["held"]["entities"] == len(graph["entities"])
    assert stores["graph"]["expected"] == stores["graph"]["held"]
    assert stores["vectors"]["held"]["points"] == said["ledger"]["chunks"]["total"] == stores["vectors"]["compared"]
    assert _hashes(made) == before
    assert "as the ledger says" in made("verify").out


def test_what_is_missing_unknown_or_changed_is_found_and_a_rebuild_mends_it(made: Kg) -> None:
    before = made.graph()
    _graph_db(
        made,
        "DELETE FROM relationships WHERE id = (SELECT min(id) FROM relationships)",
        "INSERT INTO entities VALUES (zeroblob(16), 'Nobody', '[\"Entity\"]', '[]', 9)",
        "UPDATE chunks SET text = 'other words' WHERE seq = 0",
        "UPDATE statements SET quote = 'never said'",
        "UPDATE mentions SET turns = '[99]' WHERE seq = 0",
    )
    _delete_a_point(made)
    ran = made("verify", "--all", "--json")
    assert ran.code == 2
    graph, vectors = ran.report["stores"]
    assert (graph["missing"], graph["unknown"]) == (1, 1)
    whats = {one["what"] for one in graph["examples"]}
    assert {"missing", "unknown", "differs: text", "differs: mentions"} <= whats
    assert (vectors["missing"], vectors["held"]["points"]) == (1, vectors["expected"]["points"] - 1)
    assert "kg rebuild" in graph["mend"]
    assert "kg rebuild" in made("verify").out
    assert made("rebuild").code == 0
    assert made("verify", "--all").code == 0
    assert made.graph() == before


def test_what_was_not_written_yet_is_told_apart_from_what_is_off(made: Kg) -> None:
    write_meetings(made.folder / "more", 1, turns=5)
    made.process("more", "--graph-store", "none", "--vector-store", "none")
    ran = made("verify", "--json")
    assert ran.code == 2
    for store in ran.report["stores"]:
        assert store["pending"] > 0
        assert (store["missing"], store["unknown"], store["differing"]) == (0, 0, 0)
        assert "kg process" in store["mend"]
    made.process("more")
    assert made("verify", "--all").code == 0


def test_a_store_that_is_not_there_is_not_made(made: Kg) -> None:
    shutil.rmtree(made.folder / HOME / "vectors")
    (made.folder / HOME / "graph.sqlite3").unlink()
    ran = made("verify")
    assert ran.code == 2
    assert ran.out.count("it holds nothing of this workspace") == 2
    assert not (made.folder / HOME / "vectors").exists()
    assert not (made.folder / HOME / "graph.sqlite3").exists()


def test_a_store_that_cannot_be_asked_says_why_and_the_other_is_checked(made: Kg) -> None:
    (made.folder / HOME / "graph.sqlite3").write_bytes(b"no database at all" * 1000)
    ran = made("verify", "--json")
    assert ran.code == 2
    graph, vectors = ran.report["stores"]
    assert "kg rebuild" in graph["error"]
    assert vectors["whole"]
    assert "not checked" in made("verify").out


def test_stores_in_motion_are_not_compared(made: Kg) -> None:
    with RunLock(made.folder / HOME / "lock"):
        ran = made("verify")
    assert ran.code == 4
    assert "a run is writing the stores" in ran.err


def test_vectors_by_a_model_are_compared_by_their_direction(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    kg.process("meetings", OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")
    assert kg("verify", "--all").code == 0  # cosine stores keep them scaled to length 1
    db = kg.ledger()
    (no, vector) = db.execute("SELECT no, answer FROM question WHERE no = (SELECT max(embed) FROM chunk)").fetchone()
    db.execute("UPDATE question SET answer = ? WHERE no = ?", (b"\0\0\0\0" + vector[4:], no))
    ran = kg("verify", "--all", "--json")
    assert ran.code == 2
    assert ran.report["stores"][1]["examples"][0]["what"] == "differs: dense vector"


@pytest.mark.neo4j
def test_a_server_that_holds_more_than_a_restored_ledger_is_found_out_and_mended(
    kg: Kg, neo4j_server: Address, qdrant_face: RunningFace
) -> None:
    env = {**neo4j_server.env, "QDRANT_URL": qdrant_face.url}
    where = ("-w", "verified")
    write_meetings(kg.folder / "meetings", 1, turns=20)
    kg.process("meetings", *where, **env)
    assert kg("verify", *where, "--all", **env).code == 0
    assert kg("backup", "ledger.copy", *where).code == 0
    write_meetings(kg.folder / "meetings", 2, turns=20)
    kg.process("meetings", *where, **env)
    assert kg("verify", *where, "--all", **env).code == 0

    shutil.copy(kg.folder / "ledger.copy", kg.folder / ".kg/verified/ledger.sqlite3")
    ran = kg("verify", *where, "--json", **env)
    assert ran.code == 2
    for store in ran.report["stores"]:
        assert "restored from another copy" in store["stranger"]
        assert store["unknown"] > 0
    assert kg("rebuild", *where, **env).code == 0
    ran = kg("verify", *where, "--all", "--json", **env)
    assert ran.code == 0, ran.out
    assert ran.report["stores"][0]["held"]["documents"] == 1


# --- kg backup -------------------------------------------------------------------------------------------------------


def test_a_backup_is_a_whole_ledger_of_its_own(made: Kg) -> None:
    said = made("backup", "copies/ledger.copy", "--json").report
    copy = made.folder / "copies/ledger.copy"
    assert said["file"] == str(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [file.name for file in copy.parent.iterdir()] == ["ledger.copy"]
    before = made.graph()
    shutil.rmtree(made.folder / ".kg")
    (made.folder / HOME).mkdir(parents=True)
    shutil.copy(copy, made.folder / HOME / "ledger.sqlite3")
    assert made("rebuild").code == 0
    assert made.graph() == before
    assert made.process("meetings")["chunks"]["reused"] == made.process("meetings")["chunks"]["total"]


def test_a_backup_takes_no_ones_file(made: Kg) -> None:
    (made.folder / "ledger.copy").write_text("mine", encoding="utf-8")
    ran = made("backup", "ledger.copy")
    assert ran.code == 1
    assert "--overwrite" in ran.err
    assert (made.folder / "ledger.copy").read_text(encoding="utf-8") == "mine"
    assert made("backup", "ledger.copy", "--overwrite").code == 0
    assert made("backup", HOME / "ledger.sqlite3", "--overwrite").code == 1
    assert made("backup", ".").code == 1


@pytest.mark.skipif(os.name != "posix", reason="a path that can't be a folder there")
def test_a_backup_that_cannot_be_written_says_so(made: Kg) -> None:
    (made.folder / "file").write_text("", encoding="utf-8")
    ran = made("backup", "file/ledger.copy")
    assert ran.code == 5
    assert "can't be written" in ran.err


def test_a_run_that_is_going_on_is_copied_without_stopping_it(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 6, turns=40)
    server = openai_server(latency=0.3)
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    running = kg.started("process", "meetings", "--max-concurrent", "1", "--batch-size", "2", "--json", **env)
    _wait_until(lambda: server.books(log=False)["calls"] >= 4)
    ran = kg("backup", "ledger.copy")
    assert ran.code == 0, ran.err
    assert running.poll() is None
    _out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    copy = sqlite3.connect(kg.folder / "ledger.copy")
    assert copy.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    answered = copy.execute("SELECT count(*) FROM question WHERE state = 2").fetchone()[0]
    copy.close()
    assert 0 < answered < kg.ledger().execute("SELECT count(*) FROM question WHERE state = 2").fetchone()[0]


def _wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


# --- kg vacuum -------------------------------------------------------------------------------------------------------


def test_vacuum_gives_back_the_space_of_what_was_deleted(made: Kg) -> None:
    write_meetings(made.folder / "meetings", 6)
    made.process("meetings")
    for number in range(1, 6):
        (made.folder / f"meetings/m{number}.txt").unlink()
    made.process("meetings", "--prune")
    graph = made.graph()
    said = made("vacuum", "--json").report
    for size in said.values():
        assert size["after"] < size["before"]
    assert made.graph() == graph
    assert made("verify", "--all").code == 0
    assert "→" in made("vacuum").out


def test_vacuum_leaves_a_run_alone(made: Kg) -> None:
    with RunLock(made.folder / HOME / "lock"):
        assert made("vacuum").code == 4


def test_vacuum_says_who_is_in_its_way(made: Kg) -> None:
    reader = made.ledger()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM chunk").fetchone()
    writer = made.ledger()
    writer.execute("PRAGMA busy_timeout = 0")
    ran = made("vacuum")
    reader.close()
    assert ran.code == 5
    assert "another program reads" in ran.err
    assert made("vacuum").code == 0
