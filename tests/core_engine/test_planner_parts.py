"""What the planner makes of files that grow too large to be held whole, or shrink again, and of archives' files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from core_engine.ledger.ledger import Ledger
from core_engine.readers import parts
from tests.core_engine.test_planner import RUN, planned
from tests.kg import meeting, write_meetings

PEOPLE = ("Ann Lee", "Bob Marsh", "Carla Diaz")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(parts, "LARGEST", 40_000)
    monkeypatch.setattr(parts, "LEAST", 20_000)


def said(n: int) -> str:
    return f"point {n}: the {n * 7919 % 9973}rd crate went to Oslo with {'very ' * (n % 5)}much care, as we agreed."


def text(first: int, last: int) -> str:
    return "".join(f"{PEOPLE[n % 3]}: {said(n)}\n\n" for n in range(first, last))


def captions(first: int, last: int) -> str:
    return "".join(
        f"{n}\n00:{n // 60:02}:{n % 60:02},000 --> 00:{n // 60:02}:{n % 60:02},900\n{PEOPLE[n // 5 % 3]}: {said(n)}\n\n"
        for n in range(first, last)
    )


def table(first: int, last: int) -> str:
    rows = "".join(f'{n},{PEOPLE[n % 3]},"{said(n)}"\n' for n in range(first, last))
    return f"start,speaker,text\n{rows}"


def segments(first: int, last: int) -> str:
    return json.dumps(
        {"segments": [{"start": n, "speaker": PEOPLE[n % 3], "text": said(n)} for n in range(first, last)]}
    )


def lines(first: int, last: int) -> str:
    return "".join(
        json.dumps({"meeting": "m", "speaker": PEOPLE[n % 3], "text": said(n)}) + "\n" for n in range(first, last)
    )


FILES = {"a.txt": text, "a.md": text, "a.srt": captions, "a.csv": table, "a.json": segments, "a.jsonl": lines}
LAST = {"a.txt": 430, "a.md": 430, "a.srt": 340, "a.csv": 420, "a.json": 340, "a.jsonl": 290}
"""So many turns that the file is just held whole."""


def stored(ledger: Ledger) -> dict[str, list[bytes]]:
    """The ids of each record's document and its chunks."""
    with ledger.reading() as db:
        found = db.execute("SELECT record, id, no FROM document ORDER BY no").fetchall()
        return {
            record: [identity, *(row[0] for row in db.execute("SELECT id FROM chunk WHERE document = ?", (no,)))]
            for record, identity, no in found
        }


def answer_all(ledger: Ledger) -> None:
    """As if a model had answered all that was asked so far."""
    ledger.write(lambda db: db.execute("UPDATE question SET state = 2"))


def asked(ledger: Ledger, path: Path, run: str = RUN) -> tuple[int, int]:
    """How many chunks a run would buy, and how many there are."""
    batches, progress = planned(ledger, path, run=run)
    assert not progress.unreadable
    assert not progress.vanished
    answer_all(ledger)
    return sum(len(batch.items) for batch in batches), progress.chunks


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_grows_too_large_stays_the_same_document_and_buys_only_what_is_new(ledger, tmp_path, name):
    path = tmp_path / name
    path.write_text(FILES[name](100, LAST[name]))
    before, _ = asked(ledger, path)
    (whole,) = stored(ledger).values()
    path.write_text(FILES[name](100, 900))
    bought, there = asked(ledger, path)
    after = stored(ledger)
    first = next(iter(after))
    assert len(after) > 1
    assert first.endswith("part 1")
    assert after[first][0] == whole[0]
    assert len(set(after[first]) & set(whole)) >= min(len(after[first]), len(whole)) - 3
    # (New are what was added, and at the end and at each cut the chunks around.)
    assert bought <= there - before + 3 * len(after)
    assert asked(ledger, path) == (0, there)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_shrinks_is_one_document_again_and_buys_nothing_but_its_seams(ledger, tmp_path, name):
    path = tmp_path / name
    path.write_text(FILES[name](100, 900))
    asked(ledger, path)
    several = stored(ledger)
    path.write_text(FILES[name](100, LAST[name]))
    bought, there = asked(ledger, path)
    ((record, whole),) = stored(ledger).items()
    assert record in ("", "m")
    assert whole[0] == next(iter(several.values()))[0]
    assert bought <= 6
    assert asked(ledger, path) == (0, there)


def test_a_run_that_stops_on_the_way_from_one_document_to_parts_loses_no_answer(ledger, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(text(100, 290))
    before, _ = asked(ledger, path)
    path.write_text(text(60, 900))
    planned(ledger, path, limit=5)
    answer_all(ledger)
    bought, there = asked(ledger, path)
    assert bought <= there - before + 12


def test_a_file_of_an_archive_that_was_not_in_this_run_has_not_vanished(ledger, tmp_path):
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as packed:
            packed.writestr("in/m.txt", "\n".join(meeting(1)))
    planned(ledger, tmp_path / "a.zip")
    _, progress = planned(ledger, tmp_path / "b.zip")
    assert (progress.documents["new"], progress.documents["renamed"]) == (1, 0)
    assert len(stored_paths(ledger)) == 2


def test_a_file_that_moves_into_another_archive_is_the_same_document(ledger, tmp_path):
    for name, member in (("a.zip", "in/m.txt"), ("b.zip", "in/m.txt"), ("a.zip", "in/other.txt")):
        with zipfile.ZipFile(tmp_path / name, "w") as packed:
            packed.writestr(member, "\n".join(meeting(len(member))))
        if name == "a.zip" and member == "in/m.txt":
            planned(ledger, tmp_path / "a.zip")
    _, progress = planned(ledger, tmp_path / "b.zip")
    assert (progress.documents["new"], progress.documents["renamed"]) == (0, 1)


def test_nothing_is_taken_out_because_its_archive_is_broken(ledger, tmp_path):
    folder = tmp_path / "t"
    write_meetings(folder, 1)
    with zipfile.ZipFile(folder / "a.zip", "w") as packed:
        packed.writestr("in/m.txt", "\n".join(meeting(7)))
    planned(ledger, folder)
    whole = (folder / "a.zip").read_bytes()
    (folder / "a.zip").write_bytes(whole[:100])
    _, progress = planned(ledger, folder, prune=True)
    assert (progress.documents["removed"], progress.vanished) == (0, [])
    assert progress.unreadable
    (folder / "a.zip").unlink()
    _, progress = planned(ledger, folder, prune=True)
    assert progress.documents["removed"] == 1


def test_a_file_taken_out_of_its_archive_has_vanished(ledger, tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    for names in (("m1.txt", "m2.txt"), ("m1.txt",)):
        with zipfile.ZipFile(folder / "a.zip", "w") as packed:
            for name in names:
                packed.writestr(name, "\n".join(meeting(int(name[1]))))
        _, progress = planned(ledger, folder)
    assert progress.vanished == ["a.zip/m2.txt"]


def test_a_transcript_that_became_something_else_has_vanished(ledger, tmp_path):
    folder = tmp_path / "t"
    (path, _) = write_meetings(folder, 2)
    planned(ledger, folder)
    path.write_text("a\tb\tc\nd\te\tf\ng\th\ti\n")
    _, progress = planned(ledger, folder)
    assert progress.vanished == ["m0.txt"]
    _, progress = planned(ledger, folder, prune=True)
    assert progress.documents["removed"] == 1


def stored_paths(ledger: Ledger) -> list[str]:
    with ledger.reading() as db:
        return [row[0] for row in db.execute("SELECT path FROM document ORDER BY path")]
