"""`kg entities` as a user has it: what it shows, and that a correction is in the stores when it returns."""

from __future__ import annotations

import json
import sqlite3

import pytest

from core_engine.ledger.lock import RunLock
from core_engine.ledger.schema import MIGRATIONS
from tests.kg import Kg

TALK = """Ann Lee: Wei Chen did it. Thank you, Wei.
Bob Marsh: Dr. Chen always does it. I saw Wei Chen in Rotterdam.
Wei Chen: I did what Ann asked for.
"""
OTHER = "Ann Lee: I met Way Chan in Rotterdam. Way Chan was late.\nBob Marsh: Who is Way Chan?\n"


@pytest.fixture
def kg(tmp_path) -> Kg:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.txt").write_text(TALK)
    (tmp_path / "t" / "b.txt").write_text(OTHER)
    kg = Kg(tmp_path)
    kg.process("t")
    return kg


def names(kg: Kg) -> dict[str, set[str]]:
    return {row["name"]: set(row["aliases"]) for row in kg.graph()["entities"]}


def test_entities_are_listed_with_their_names_and_why_they_are_one(kg):
    ran = kg("entities", "--merged")
    assert ran.code == 0
    assert "given_name" in ran.out
    found = json.loads(kg("entities", "--find", "chen", "--json").out)
    assert [(row["name"], row["merged_by"]) for row in found] == [("Wei Chen", ["given_name", "surname"])]
    assert kg("entities", "--find", "nobody").out == "no entities like that\n"
    assert len(json.loads(kg("entities", "-n", 2, "--json").out)) == 2


def test_one_is_shown_with_its_places(kg):
    ran = kg("entities", "show", "wei chen")
    assert ran.code == 0
    assert "Wei Chen = Wei (a.txt): given_name, in a.txt" in ran.out or "Wei (a.txt) = Wei Chen: given_name" in ran.out
    assert "a.txt Ann Lee: Wei Chen did it." in ran.out
    shown = json.loads(kg("entities", "show", "wei chen", "--json").out)
    assert {one["name"] for one in shown["names"]} == {"Wei Chen", "Wei", "Chen"}


def test_a_correction_is_in_the_stores_at_once_and_holds(kg):
    ran = kg("entities", "merge", "Wei Chen", "Way Chan", "--json")
    assert ran.code == 0, ran.err
    [entity] = json.loads(ran.out)["entities"]
    assert "Way Chan" in {entity["name"], *entity["aliases"]}
    assert json.loads(ran.out)["written"] is True
    assert kg("verify", "--all").code == 0
    before = names(kg)
    assert kg.process("t")["graph"]["units_written"] == 0
    assert kg("rebuild").code == 0
    assert names(kg) == before

    assert kg("entities", "split", "Wei Chen", "Way Chan").code == 0
    assert kg("verify", "--all").code == 0
    assert names(kg)["Wei Chen"] == {"Wei", "Chen"} or names(kg)["Wei Chen"] == {"Wei", "Dr. Chen"}
    assert kg("entities", "alias", "Wei Chen", "Way Chan").code == 1

    assert kg("entities", "alias", "Wei Chen", "Doctor Who").code == 0
    assert "Doctor Who" in names(kg)["Wei Chen"]
    assert kg("entities", "alias", "Wei Chen", "Doctor Who", "--remove").code == 0
    assert "Doctor Who" not in names(kg)["Wei Chen"]
    assert kg("verify", "--all").code == 0
    assert "Way Chan" in kg("entities", "--corrected").out


def test_a_run_that_is_going_on_sees_to_the_stores(kg, tmp_path):
    with RunLock(tmp_path / ".kg" / "default" / "lock"):
        ran = kg("entities", "merge", "Wei Chen", "Way Chan")
    assert ran.code == 0
    assert "the run that is going on" in ran.out
    assert "Way Chan" in names(kg)
    kg.process("t")
    assert len({"Way Chan", "Wei Chen"} & names(kg).keys()) == 1


def test_the_stores_may_be_left_to_the_next_run(kg):
    assert "left alone" in kg("entities", "merge", "Wei Chen", "Way Chan", "--defer-writes").out
    assert kg("verify").code == 2
    kg.process("t")
    assert kg("verify", "--all").code == 0


def test_a_store_that_is_away_leaves_the_correction_in_the_ledger(kg):
    ran = kg("entities", "merge", "Wei Chen", "Way Chan", NEO4J_URI="bolt://127.0.0.1:9")
    assert ran.code == 5
    assert "kept in the ledger" in ran.out
    kg.process("t")
    assert len({"Way Chan", "Wei Chen"} & names(kg).keys()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "Nobody"), "no entity is called 'Nobody'"),
        (("merge", "Wei Chen"), "name two or more"),
        (("split", "Wei Chen"), "give --all"),
        (("split", "Wei Chen", "Wei", "--all"), "give --all"),
        (("merge", "Wei Chen", "--graph-store", "oracle", "Wei"), "choose one of"),
        (("show", "\x1b[31m'; DROP TABLE atom; --"), "no entity is called"),
    ],
)
def test_what_cannot_be_is_told(kg, words, said):
    ran = kg("entities", *words)
    assert ran.code == 1
    assert said in ran.err
    assert "\x1b[31m" not in ran.err


def test_there_is_no_workspace_without_a_run(tmp_path):
    ran = Kg(tmp_path)("entities")
    assert ran.code == 1
    assert "kg process PATHS" in ran.err


def test_a_ledger_from_before_is_brought_up_and_keeps_what_was_merged(kg):
    kg("entities", "merge", "Wei Chen", "Way Chan")
    with kg.ledger() as db:
        _as_before(db)
    report = kg.process("t")
    assert report["exit_code"] == 0
    assert len({"Way Chan", "Wei Chen"} & names(kg).keys()) == 1
    assert kg("verify", "--all").code == 0


def _as_before(db: sqlite3.Connection) -> None:
    """The tables as they were before names were resolved, and brought up again."""
    edges = db.execute("SELECT a, b, reason, undone FROM merge_edge WHERE origin = x''").fetchall()
    for table in ("merge_edge", "apart", "alias", "candidate", "pair", "name_key", "unsettled"):
        db.execute(f"DROP TABLE {table}")
    db.execute("DROP INDEX atom_norm")
    db.execute(
        "CREATE TABLE merge_edge (a BLOB NOT NULL, b BLOB NOT NULL, reason TEXT NOT NULL, "
        "undone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (a, b, reason)) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX merge_edge_back ON merge_edge (b, a)")
    db.executemany("INSERT INTO merge_edge VALUES (?, ?, ?, ?)", edges)
    db.execute("DELETE FROM meta WHERE key GLOB 'resolve*'")
    # The step itself: those behind it have been taken.
    next(step for step in MIGRATIONS if step.__name__ == "m009_resolution")(db)
