"""The planner: what it reads and what it leaves, one bad file at a time, and how fast it is on many small ones."""

from __future__ import annotations

import json
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest

from core_engine.keys import Spec
from core_engine.ledger import questions
from core_engine.ledger.ledger import Ledger
from core_engine.planner import Asked, Plan, Planner
from core_engine.progress import Progress
from core_engine.types import Batch
from tests.kg import write_meetings

RUN = "20261121-000000-abcdef"


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield ledger


def planned(ledger: Ledger, *paths: Path, run: str = RUN, **plan: object) -> tuple[list[Batch], Progress]:
    """All batches of a run, which is then over: what it claimed is open again."""
    extract, embed = Spec("extract", {"model": "m"}), Spec("embed", {"model": "e"})
    asked = Asked(extract, ledger.write(questions.spec_no, extract), embed, ledger.write(questions.spec_no, embed))
    progress = Progress()
    planner = Planner(ledger, run, Plan("w", tuple(map(str, paths)), **plan), asked, progress)  # type: ignore[arg-type]
    batches = list(planner.batches())
    ledger.write(questions.release, run)
    return batches, progress


def test_batches_hold_every_chunk_once_in_order(ledger, tmp_path):
    write_meetings(tmp_path / "t", 3)
    batches, progress = planned(ledger, tmp_path / "t", batch_size=4)
    items = [item for batch in batches for item in batch.items]
    assert len({item.chunk.id for item in items}) == len(items) == progress.chunks == progress.to_buy
    assert all(len(batch.items) <= 4 for batch in batches)
    assert [item.number for item in items] == sorted(item.number for item in items)
    assert [item.follows for item in batches[0].items] == [False, True, True, True]
    assert progress.planned


def test_a_stopped_planner_yields_no_more(ledger, tmp_path):
    write_meetings(tmp_path / "t", 3)
    asked = Asked(Spec("extract", {}), ledger.write(questions.spec_no, Spec("extract", {})), None, None)
    progress = Progress()
    planner = Planner(ledger, RUN, Plan("w", (str(tmp_path / "t"),), batch_size=2), asked, progress)
    batches = planner.batches()
    next(batches)
    planner.stop()
    assert len(list(batches)) <= 1
    assert not progress.planned


def test_a_planner_that_is_stopped_in_its_only_file_has_not_planned_all(ledger, tmp_path):
    [path] = write_meetings(tmp_path / "t", 1, turns=200)
    asked = Asked(Spec("extract", {}), ledger.write(questions.spec_no, Spec("extract", {})), None, None)
    progress = Progress()
    planner = Planner(ledger, RUN, Plan("w", (str(path),), batch_size=2), asked, progress)
    next(batches := planner.batches())
    planner.stop()
    list(batches)
    assert not progress.planned


def test_large_ready_chunks_travel_in_small_batches(ledger, tmp_path):
    rows = [
        {"meeting_id": "m", "seq": n, "chunk_id": f"c{n}", "text": f"Part {n}. " + "We ship to Oslo. " * 3_500}
        for n in range(5)
    ]
    (tmp_path / "ready.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    batches, progress = planned(ledger, tmp_path / "ready.jsonl")
    assert progress.chunks == 5
    assert [len(batch.items) for batch in batches] == [1] * 5
    assert all(len(batch.items[0].chunk.text) > 50_000 for batch in batches)


def test_the_same_text_twice_is_asked_once_and_counted_twice(ledger, tmp_path):
    [path] = write_meetings(tmp_path / "t", 1)
    (tmp_path / "t" / "n0.txt").write_bytes(path.read_bytes())
    batches, progress = planned(ledger, tmp_path / "t")
    asked = sum(len(batch.items) for batch in batches)
    assert progress.chunks == 2 * asked
    assert progress.to_buy == asked
    assert progress.reused == 0


def test_the_same_name_in_two_folders_is_two_documents(ledger, tmp_path):
    for folder, count in (("a", 1), ("b", 2)):
        write_meetings(tmp_path / folder, count)
    _, progress = planned(ledger, tmp_path / "a", tmp_path / "b")
    assert progress.documents["seen"] == progress.documents["new"] == 3
    _, progress = planned(ledger, tmp_path / "a", tmp_path / "b")
    assert progress.documents["new"] == progress.documents["changed"] == progress.documents["renamed"] == 0


def test_a_mistake_of_ours_about_one_file_takes_no_other_down(ledger, tmp_path, monkeypatch):
    from core_engine import planner

    real = planner.cut

    def trips(identity, turns, **recipe):
        if "Falcon" in turns[0].text and "meeting 1" in turns[0].text:
            raise ZeroDivisionError("in the middle of it")
        return real(identity, turns, **recipe)

    monkeypatch.setattr(planner, "cut", trips)
    write_meetings(tmp_path / "t", 3)
    _, progress = planned(ledger, tmp_path / "t")
    [trouble] = progress.unreadable
    assert trouble.where.endswith("m1.txt")
    assert "ZeroDivisionError" in trouble.reason
    assert progress.documents["new"] == 2
    assert progress.planned


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_names_that_a_terminal_would_act_on_are_named_with_escapes(ledger, tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "\x1b[31mred\nblue.txt").write_bytes(b"")
    _, progress = planned(ledger, folder)
    [trouble] = progress.unreadable
    assert trouble.where.endswith(r"\x1b[31mred\nblue.txt")


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="names are Unicode there")
def test_a_name_that_is_no_utf_8_is_known_again_and_never_taken_for_vanished(ledger, tmp_path):
    folder = tmp_path / "t"
    [path] = write_meetings(folder, 1)
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt"))
    path.rename(odd)
    planned(ledger, folder)
    _, progress = planned(ledger, folder, exclude=("caf*",), prune=True)
    assert progress.documents["removed"] == 0
    (tmp_path / "copy.txt").write_bytes(odd.read_bytes())
    _, progress = planned(ledger, tmp_path / "copy.txt")
    assert progress.documents["renamed"] == 0
    assert progress.documents["new"] == 1


def test_a_folder_that_is_closed_to_us_takes_nothing_out_and_the_rest_is_planned(ledger, tmp_path, monkeypatch):
    write_meetings(tmp_path / "t" / "closed", 2)
    write_meetings(tmp_path / "t" / "open", 1)
    planned(ledger, tmp_path / "t")
    closed = str(tmp_path / "t" / "closed")

    def denied(before):
        def asked(path, *rest, **how):
            if os.fspath(path).startswith(closed):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return before(path, *rest, **how)

        return asked

    # Its owner can't take these rights from root, as whom tests may run.
    for name in ("lstat", "stat", "scandir", "listdir"):
        monkeypatch.setattr(os, name, denied(getattr(os, name)))
    write_meetings(tmp_path / "t" / "late", 1)
    batches, progress = planned(ledger, tmp_path / "t", closed, prune=True)
    assert (progress.documents["removed"], progress.vanished) == (0, [])
    assert {item.chunk.seq for batch in batches for item in batch.items}
    assert progress.planned


def test_what_vanished_below_a_link_to_a_folder_is_noticed(ledger, tmp_path):
    paths = write_meetings(tmp_path / "where" / "they" / "are", 3)
    (tmp_path / "t").symlink_to(tmp_path / "where" / "they" / "are")
    planned(ledger, tmp_path / "t")
    paths[1].unlink()
    assert len(planned(ledger, tmp_path / "t")[1].vanished) == 1
    _, progress = planned(ledger, tmp_path / "t", tmp_path / "t", prune=True)
    assert progress.documents["removed"] == 1


def test_a_document_is_not_taken_for_the_first_part_of_another_in_its_file(ledger, tmp_path):
    said = {name: f"Ann: This is the {name} about {n} boats." for n, name in enumerate(("a part 1", "a part 2", "a"))}
    rows = [json.dumps({"id": name, "text": text}) for name, text in said.items()]
    (tmp_path / "t.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    _, progress = planned(ledger, tmp_path / "t.jsonl")
    assert progress.documents["new"] == 3
    with ledger.reading() as db:
        records = {row[0] for row in db.execute("SELECT record FROM document")}
    assert records == set(said)


def test_a_zip_with_a_name_that_is_no_text_is_named_and_the_rest_is_read(ledger, tmp_path):
    folder = tmp_path / "t"
    write_meetings(folder, 1)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("tälk.txt", "Ann: Hello there, Bob.\n")
    packed = (folder / "a.zip").read_bytes()
    (folder / "a.zip").write_bytes(packed.replace("tälk".encode(), b"t\xff\xfelk"))
    batches, progress = planned(ledger, folder)
    assert batches
    [trouble] = progress.unreadable
    assert "a.zip" in trouble.where


def test_a_file_that_changes_while_it_is_read_is_said_and_read_again(ledger, tmp_path, monkeypatch):
    from core_engine import planner

    [path] = write_meetings(tmp_path / "t", 1)
    real = planner.fingerprint

    def then_it_changes(source):
        mark = real(source)
        with path.open("a", encoding="utf-8") as file:
            file.write("Ann Lee: One more thing.\n")
        return mark

    with monkeypatch.context() as meddling:
        meddling.setattr(planner, "fingerprint", then_it_changes)
        _, progress = planned(ledger, tmp_path / "t")
    assert "changed while it was read" in progress.unreadable[0].reason
    batches, progress = planned(ledger, tmp_path / "t")
    assert not progress.unreadable
    assert "One more thing" in batches[-1].items[-1].chunk.text


def test_a_file_that_vanishes_before_it_is_read_is_said(ledger, tmp_path, monkeypatch):
    from core_engine import planner

    paths = write_meetings(tmp_path / "t", 2)
    real = planner.fingerprint

    def gone(source):
        paths[0].unlink(missing_ok=True)
        return real(source)

    monkeypatch.setattr(planner, "fingerprint", gone)
    _, progress = planned(ledger, tmp_path / "t")
    assert [trouble.reason for trouble in progress.unreadable] == ["no such file; it vanished"]
    assert progress.documents["new"] == 1


def test_many_tiny_documents_are_planned_in_seconds(ledger, tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    for n in range(1_000):
        (folder / f"d{n}.txt").write_text(f"Ann Lee: Item {n} goes to Oslo.\nBob Marsh: Good.\n", encoding="utf-8")
    began = time.process_time()
    batches, progress = planned(ledger, folder)
    first = time.process_time() - began
    assert progress.documents["new"] == progress.chunks == 1_000
    assert sum(len(batch.items) for batch in batches) == 1_000
    began = time.process_time()
    planned(ledger, folder)
    again = time.process_time() - began
    assert first < 5
    assert again < 2
