"""The nine laws of the ledger (docs/architecture.md): for each, tests that fail without it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from core_engine.identity import entity_id
from core_engine.kg.resolver.settling import settle
from core_engine.ledger import corrections, stores
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.lock import RunLock
from core_engine.ledger.values import to_blob, to_id
from core_engine.types import StoreMark
from tests.kg import ROOT, Kg, meeting, write_meetings


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary")


def bought(server) -> int:
    """Questions that were sent to the model for extraction, over all calls that were answered."""
    return server.books(log=False)["by_model"].get("gpt-5-mini", {}).get("questions", 0)


def calls(server) -> int:
    return server.books(log=False)["calls"]


# --- law 1: a question is asked once ---------------------------------------------------------------------------------


def test_law_1_the_same_text_in_two_documents_is_asked_once(kg, server, tmp_path):
    [first] = write_meetings(tmp_path / "t", 1)
    shutil.copy(first, tmp_path / "t" / "copy.txt")
    report = kg.process("t")
    assert report["documents"]["new"] == 2
    assert report["chunks"]["total"] == report["chunks"]["written"]
    assert bought(server) * 2 == report["chunks"]["total"]
    assert len(kg.graph()["chunks"]) == report["chunks"]["total"]


def test_law_1_neither_endpoint_nor_batch_size_nor_place_makes_another_question(kg, server, openai_server, tmp_path):
    write_meetings(tmp_path / "t", 3)
    kg.process("t", "--batch-size", 7)
    other = openai_server()
    report = kg.process("t", "--batch-size", 3, "--max-concurrent", 2, "--no-clean", OPENAI_BASE_URL=other.url)
    assert calls(other) == 0
    assert report["chunks"]["reused"] == report["chunks"]["total"]


def test_law_1_another_model_another_effort_another_ontology_are_other_questions(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 1, turns=8)
    total = kg.process("t")["chunks"]["total"]
    before = bought(server)
    assert kg.process("t", "--reasoning-effort", "high")["calls"]["chat"] > 0
    assert bought(server) == before + total


# --- law 2: before money is spent, a row says so ---------------------------------------------------------------------


def test_law_2_a_killed_call_is_a_row_that_says_what_it_may_cost(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 1, turns=8)
    server.configure(faults=[{"kind": "hang", "stage": "chat", "times": 1}])
    run = kg.started("process", "t", "--embedder", "none")
    _wait_until(lambda: server.books(log=False)["in_flight"] >= 1)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    [(ceiling,)] = kg.ledger().execute("SELECT ceiling FROM call WHERE status = 'sent'").fetchall()
    assert float(ceiling) > 0
    report = kg.process("t", "--embedder", "none")
    recovered = {"killed_runs": 1, "unknown_calls": 1, "unknown_at_most": pytest.approx(float(ceiling)), "answers": 0}
    assert report["recovered"] == recovered
    assert report["chunks"]["written"] == report["chunks"]["total"]
    assert kg.ledger().execute("SELECT count(*) FROM call WHERE status = 'unknown'").fetchone() == (1,)


def test_law_2_a_reply_that_was_stored_and_never_parsed_is_parsed_before_anything_is_asked(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 2)
    kg.process("t")
    whole = kg.graph()
    before = calls(server)
    # The state that a kill leaves between the commit of a reply and the commit of what it says.
    db = kg.ledger()
    db.execute("UPDATE call SET parsed = 0, verdict = '' WHERE stage = 'extract'")
    db.execute("UPDATE chunk SET want_extract = extract, extract = NULL, derived = NULL, stale = 0")
    db.execute("UPDATE question SET state = 1, answer = NULL WHERE no IN (SELECT want_extract FROM chunk)")
    db.close()
    report = kg.process("t")
    assert calls(server) == before
    assert report["recovered"]["answers"] == report["chunks"]["total"]
    assert kg.graph() == whole


def test_law_2_the_ledger_and_the_server_agree_on_every_token_and_cent(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 3)
    report = kg.process("t")
    books = server.books(log=False)
    assert report["tokens"]["prompt"] + report["tokens"]["embedding"] == (
        books["tokens"]["prompt"] + books["tokens"]["embedding"]
    )
    assert report["tokens"]["completion"] == books["tokens"]["completion"]
    assert report["cost_usd"]["total"] == pytest.approx(float(books["dollars"]), abs=1e-7)


# --- law 3: chunks stay as they were cut -----------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [0, 1, 19, 38, 39])
def test_law_3_an_edit_of_one_turn_buys_at_most_three_chunks(kg, server, tmp_path, turn):
    [path] = write_meetings(tmp_path / "t", 1)
    kg.process("t")
    lines = meeting(0)
    lines[turn] += " And then everything was changed again, at the request of Oslo, for reasons nobody wrote down."
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = bought(server)
    report = kg.process("t")
    assert report["documents"]["changed"] == 1
    assert 1 <= bought(server) - before <= 3


def test_law_3_a_tokenizers_absence_buys_nothing(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 2)
    kg.process("t", TIKTOKEN_CACHE_DIR=os.environ.get("TIKTOKEN_CACHE_DIR", str(ROOT.parent / "shared" / "vocab")))
    before = calls(server)
    kg.process("t", TIKTOKEN_CACHE_DIR=str(tmp_path / "nothing"))
    assert calls(server) == before


def test_law_3_an_unchanged_document_keeps_its_chunks_whatever_the_size_is_now(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 1)
    before = kg.process("t")
    kept = kg.process("t", "--chunk-size", 600)
    assert kept["chunks"]["reused"] == before["chunks"]["total"] == kept["chunks"]["total"]
    cut_anew = kg.process("t", "--chunk-size", 600, "--rechunk")
    assert cut_anew["chunks"]["total"] > before["chunks"]["total"]


# --- law 4: documents are known by path, then by content -------------------------------------------------------------


def test_law_4_a_renamed_file_is_not_new(kg, server, tmp_path):
    first, _ = write_meetings(tmp_path / "t", 2)
    kg.process("t")
    before, documents = calls(server), _document_ids(kg)
    first.rename(tmp_path / "t" / "renamed.txt")
    report = kg.process("t")
    assert calls(server) == before
    assert report["documents"]["renamed"] == 1
    assert report["documents"]["new"] == 0
    assert _document_ids(kg) == documents
    assert "renamed.txt" in {row["path"] for row in kg.graph()["documents"]}


def test_law_4_the_same_name_in_two_folders_is_two_documents(kg, tmp_path):
    for folder, number in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.txt").write_text("\n".join(meeting(number)), encoding="utf-8")
    assert kg.process("a")["documents"]["new"] == 1
    assert kg.process("b")["documents"] | {"new": 1, "changed": 0} == kg.process("b")["documents"] | {
        "new": 1,
        "changed": 0,
    }
    report = kg.process("a", "b")
    assert report["documents"]["seen"] == 2
    assert report["documents"]["changed"] == 0
    assert len(_document_ids(kg)) == 2


def test_law_4_nothing_is_removed_but_with_prune_and_never_for_an_empty_folder(kg, tmp_path):
    first, second = write_meetings(tmp_path / "t", 2)
    kg.process("t")
    first.unlink()
    report = kg.process("t")
    assert report["documents"]["vanished"] == 1
    assert len(_document_ids(kg)) == 2
    report = kg.process("t", "--prune")
    assert report["documents"]["removed"] == 1
    assert len(_document_ids(kg)) == 1 == len(kg.graph()["documents"])
    second.unlink()
    assert kg("process", "t", "--prune").code == 1
    assert len(_document_ids(kg)) == 1


def test_law_4_a_folder_below_that_is_empty_removes_nothing_either(kg, tmp_path):
    write_meetings(tmp_path / "t", 1)
    (there,) = write_meetings(tmp_path / "t" / "disk", 1, turns=20)
    kg.process("t")
    kept = there.rename(tmp_path / "m0.txt")  # as if the disk were not mounted there
    report = kg.process("t", "--prune")
    assert (report["documents"]["removed"], report["vanished"]) == (0, ["disk/m0.txt"])
    assert len(_document_ids(kg)) == 2
    kept.unlink()
    there.parent.rmdir()
    assert kg.process("t", "--prune")["documents"]["removed"] == 1


def test_law_4_a_removed_document_takes_its_facts_along_and_brings_them_back_for_free(kg, server, tmp_path):
    paths = write_meetings(tmp_path / "t", 2)
    kg.process("t")
    whole = kg.graph()
    kept = paths[0].read_text(encoding="utf-8")
    paths[0].unlink()
    kg.process("t", "--prune")
    assert len(kg.graph()["chunks"]) < len(whole["chunks"])
    before = calls(server)
    paths[0].write_text(kept, encoding="utf-8")
    kg.process("t")
    assert calls(server) == before
    assert kg.graph() == whole


def test_law_4_repeated_text_within_a_document_makes_chunks_of_its_own(kg, tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "again.txt").write_text("\n".join(meeting(1, 30) * 3), encoding="utf-8")
    report = kg.process("t")
    assert len({row["id"] for row in kg.graph()["chunks"]}) == report["chunks"]["total"]


# --- law 5: one current answer ---------------------------------------------------------------------------------------


def test_law_5_another_model_replaces_and_going_back_is_free(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 1)
    kg.process("t")
    first = kg.graph()
    kg.process("t", "--no-model")
    assert kg.graph() != first
    before = calls(server)
    kg.process("t")
    assert calls(server) == before
    assert kg.graph() == first


def test_law_5_a_dead_question_is_asked_again_only_by_retry(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 1)
    server.configure(faults=[{"kind": "left_out", "match": "point 20,", "stage": "chat"}])
    report = kg.process("t", code=2)
    assert report["chunks"]["dead"] == 1
    assert report["chunks"]["written"] == report["chunks"]["total"] - 1
    assert report["dead_letters"][0]["reason"] == "left_out"
    server.configure(faults=[])
    before = calls(server)
    again = kg.process("t")
    assert calls(server) == before
    assert again["chunks"]["dead"] == 1
    retried = kg("retry", "--json")
    assert retried.code == 0, retried.err
    assert calls(server) == before + 1
    assert kg.process("t")["chunks"]["dead"] == 0


def test_law_5_a_passing_failure_leaves_the_question_open(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 1)
    server.configure(faults=[{"kind": "http500", "match": "point 20,", "stage": "chat"}])
    report = kg.process("t", "--retries", 0, "--embedder", "none", code=5)
    assert report["chunks"]["dead"] == 0
    assert report["chunks"]["pending"] > 0
    server.configure(faults=[])
    report = kg.process("t", "--embedder", "none")
    assert report["chunks"]["pending"] == 0


# --- law 6: mentions are atoms, entities are components --------------------------------------------------------------


def test_law_6_the_graph_is_the_same_whatever_order_and_company_the_files_came_in(kg, server, tmp_path):
    write_meetings(tmp_path / "t", 4)
    kg.process("t", "--batch-size", 10, "-w", "at-once")
    for number in (2, 0, 3, 1):
        kg.process(f"t/m{number}.txt", "--batch-size", 3, "-w", "one-by-one")
    assert _without_workspace(kg.graph("at-once")) == _without_workspace(kg.graph("one-by-one"))


def test_law_6_a_merge_and_its_undoing_leave_no_trace(tmp_path):
    with Ledger(tmp_path / "l.sqlite3") as ledger:
        atoms = [f"00000000-0000-5000-8000-00000000000{n}" for n in (1, 2, 3)]
        ledger.write(_three_atoms, atoms)
        before = _entities(ledger)
        ledger.write(_merge, atoms[0], atoms[1])
        ledger.write(_merge, atoms[2], atoms[1])
        assert set(_entities(ledger).values()) == {entity_id(atoms[0])}
        ledger.write(_unmerge, atoms[0], atoms[1])
        assert set(_entities(ledger).values()) == {entity_id(atoms[0]), entity_id(atoms[1])}
        ledger.write(_unmerge, atoms[1], atoms[2])
        assert _entities(ledger) == before


def _merge(db, one, other):
    corrections.merge(db, to_blob(one), to_blob(other), "hand")
    settle(db, [to_blob(one), to_blob(other)])


def _unmerge(db, one, other):
    corrections.unmerge(db, [to_blob(one)], [to_blob(other)])
    settle(db, [to_blob(one), to_blob(other)])


def test_law_6_a_role_label_is_another_entity_in_each_document(kg, tmp_path):
    (tmp_path / "t").mkdir()
    for number in (1, 2):
        turns = [
            {"speaker": "Project Manager", "text": f"We meet about plan {number} in Lisbon, item {n}."}
            for n in range(9)
        ]
        (tmp_path / "t" / f"m{number}.json").write_text(json.dumps(turns), encoding="utf-8")
    kg.process("t")
    assert sum(row["name"] == "Project Manager" for row in kg.graph()["entities"]) == 2


# --- law 7: stores are written by difference -------------------------------------------------------------------------


def test_law_7_a_rerun_writes_nothing_and_says_so(kg, tmp_path):
    write_meetings(tmp_path / "t", 2)
    kg.process("t")
    report = kg.process("t")
    assert report["graph"]["units_written"] == report["graph"]["units_deleted"] == 0
    assert report["vectors"]["new"] == report["vectors"]["changed"] == 0
    assert "nothing was new" in kg("process", "t").out


def test_law_7_a_new_file_writes_only_what_differs(kg, tmp_path):
    write_meetings(tmp_path / "t", 6)
    first = kg.process("t")
    (tmp_path / "t" / "other.txt").write_text(
        "Zoe Quist: Hello Vilnius.\nIvo Brandt: Hello Zoe Quist.\n", encoding="utf-8"
    )
    report = kg.process("t")
    assert report["chunks"]["written"] == 1
    assert 0 < report["graph"]["units_written"] < first["graph"]["units_written"] / 10
    assert report["vectors"]["new"] == 1


@pytest.mark.parametrize("store", ["graph.sqlite3", "vectors"])
def test_law_7_a_wiped_store_is_noticed_and_made_whole(kg, server, tmp_path, store):
    write_meetings(tmp_path / "t", 2)
    kg.process("t")
    whole = kg.graph()
    before = calls(server)
    _remove(tmp_path / ".kg" / "default" / store)
    report = kg.process("t")
    assert any("all of it is written" in note for note in report["notes"])
    assert calls(server) == before
    assert report["vectors"]["points"] == report["chunks"]["total"]
    assert kg.graph() == whole


def test_law_7_a_store_restored_from_an_old_copy_is_noticed(kg, tmp_path):
    write_meetings(tmp_path / "t", 2)
    kg.process("t")
    folder = tmp_path / ".kg" / "default"
    for name in ("graph.sqlite3",):
        shutil.copy(folder / name, tmp_path / name)
    write_meetings(tmp_path / "t", 3)
    kg.process("t")
    whole = kg.graph()
    _remove(folder / "graph.sqlite3")
    shutil.copy(tmp_path / "graph.sqlite3", folder / "graph.sqlite3")
    kg.process("t")
    assert kg.graph() == whole


def test_law_7_a_store_between_two_generations_is_still_known(tmp_path):
    with Ledger(tmp_path / "l.sqlite3") as ledger:
        state = ledger.write(stores.meet, StoreMark("e", 4), "s", "graph")
        ledger.write(stores.synced, state.no, 9)
        ledger.write(stores.announce, state.no, 5)
        # Killed before the store heard of it, or after: both are the same store.
        assert not ledger.write(stores.meet, StoreMark("e", 4), "s", "graph").fresh
        assert not ledger.write(stores.meet, StoreMark("e", 5), "s", "graph").fresh
        assert ledger.write(stores.meet, StoreMark("e", 3), "s", "graph").fresh


# --- law 8: durable in order -----------------------------------------------------------------------------------------


def test_law_8_the_ledger_syncs_every_commit(tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    script = (
        "import sys; from pathlib import Path; from core_engine.ledger.ledger import Ledger\n"
        "with Ledger(Path(sys.argv[1])) as ledger:\n"
        "    for n in range(20):\n"
        "        ledger.write(lambda db, n=n: db.execute('INSERT INTO meta VALUES (?, ?)', (str(n), '')))\n"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=fsync,fdatasync,openat", "-o", str(trace), sys.executable, "-c", script]
    done = subprocess.run(
        [*command, str(tmp_path / "l.sqlite3")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "ptrace" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    assert trace.read_text().count("sync(") >= 20


def test_law_8_a_unit_is_marked_as_written_only_after_the_store_has_it(kg, server, tmp_path, monkeypatch):
    from core_engine.errors import StoreError
    from core_engine.kg.stores.embedded import EmbeddedGraphStore

    monkeypatch.setattr("core_engine.projector._GIVE_UP_AFTER_S", 0.0)

    async def refuse(self, changes):
        raise StoreError("the disk is full")

    write_meetings(tmp_path / "t", 1)
    with monkeypatch.context() as broken:
        broken.setattr(EmbeddedGraphStore, "apply", refuse)
        report = kg.process("t", code=5)
    assert report["chunks"]["pending"] == report["chunks"]["total"]
    assert "the disk is full" in report["store_errors"][0]
    graph_units = "SELECT count(*) FROM projected p JOIN store s ON s.no = p.store WHERE s.role = 'graph'"
    assert kg.ledger().execute(graph_units).fetchone() == (0,)
    before = calls(server)
    kg.process("t")
    assert calls(server) == before
    assert kg.ledger().execute(graph_units).fetchone()[0] == sum(
        len(kg.graph()[kind]) for kind in ("documents", "entities", "chunks", "relationships")
    )


# --- law 9: one writer -----------------------------------------------------------------------------------------------


def test_law_9_a_second_run_of_the_workspace_leaves_at_once_and_names_the_holder(kg, tmp_path):
    write_meetings(tmp_path / "t", 1)
    (tmp_path / ".kg" / "default").mkdir(parents=True)
    with RunLock(tmp_path / ".kg" / "default" / "lock"):
        ran = kg("process", "t")
        assert ran.code == 4
        assert f"pid {os.getpid()}" in ran.err
        assert kg("process", "t", "-w", "other").code == 0
    assert kg("process", "t").code == 0


def test_law_9_a_change_that_fails_takes_only_itself_back(tmp_path):
    with Ledger(tmp_path / "l.sqlite3") as ledger:

        def put(db: sqlite3.Connection, name: str, fail: bool) -> None:
            db.execute("INSERT INTO meta VALUES (?, '')", (name,))
            if fail:
                raise ValueError(name)

        futures: list[Future[None]] = [ledger.submit(put, f"n{n}", fail=n % 3 == 0) for n in range(30)]
        failed = [n for n, future in enumerate(futures) if future.exception()]
        assert failed == list(range(0, 30, 3))
        with ledger.reading() as db:
            assert db.execute("SELECT count(*) FROM meta WHERE key LIKE 'n%'").fetchone() == (20,)


def test_law_9_another_process_may_write_while_the_ledger_is_open(tmp_path):
    with Ledger(tmp_path / "l.sqlite3") as ledger:
        with sqlite3.connect(tmp_path / "l.sqlite3", isolation_level=None) as other:
            other.execute("INSERT INTO meta VALUES ('theirs', '')")
        other.close()
        ledger.write(lambda db: db.execute("INSERT INTO meta VALUES ('ours', '')"))
        with ledger.reading() as db:
            assert db.execute("SELECT count(*) FROM meta WHERE key IN ('ours', 'theirs')").fetchone() == (2,)


# --- helpers ---------------------------------------------------------------------------------------------------------


def _wait_until(true, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _document_ids(kg: Kg) -> set[str]:
    return {to_id(row[0]) for row in kg.ledger().execute("SELECT id FROM document")}


def _without_workspace(dump: dict) -> dict:
    """The graph by what it says: ids hold the workspace's name."""
    names = {row["id"]: row["name"] for row in dump["entities"]}
    return {
        "entities": sorted((row["name"], row["labels"], row["aliases"], row["weight"]) for row in dump["entities"]),
        "relationships": sorted(
            (names[row["source_id"]], row["type"], names[row["target_id"]], row["weight"])
            for row in dump["relationships"]
        ),
        "chunks": sorted((row["text"], row["index"]) for row in dump["chunks"]),
    }


def _three_atoms(db: sqlite3.Connection, atoms: list[str]) -> None:
    for atom in atoms:
        values = (to_blob(atom), atom, to_blob(entity_id(atom)))
        db.execute("INSERT INTO atom (id, scope, norm, entity) VALUES (?, '', ?, ?)", values)


def _entities(ledger: Ledger) -> dict[str, str]:
    with ledger.reading() as db:
        return {to_id(atom): to_id(entity) for atom, entity in db.execute("SELECT id, entity FROM atom")}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        for file in path.parent.glob(path.name + "*"):
            file.unlink()
