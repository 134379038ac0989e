"""Which edges hold: the stronger ones, as long as nobody is brought together with one that must stay apart."""

from __future__ import annotations

import itertools
import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st

from core_engine.identity import entity_id
from core_engine.kg.resolver.settling import settle
from core_engine.ledger import corrections
from core_engine.ledger.components import entity_of
from core_engine.ledger.schema import migrate
from core_engine.ledger.values import to_blob

ATOMS = [bytes([n]) * 16 for n in range(1, 7)]
REASONS = ("hand", "spelling", "acronym", "given_name", "model")


def ledger(edges, apart) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    for n, atom in enumerate(ATOMS):
        db.execute(
            "INSERT INTO atom (id, scope, norm, entity) VALUES (?, '', ?, ?)", (atom, f"n{n}", entity_of([atom]))
        )
    for (a, b), reason in edges:
        origin = b"" if reason == "hand" else b"#some"
        one, other = sorted((ATOMS[a], ATOMS[b]))
        db.execute("INSERT OR IGNORE INTO merge_edge VALUES (?, ?, ?, ?, 0)", (one, other, reason, origin))
    for a, b in apart:
        corrections.keep_apart(db, [ATOMS[a]], [ATOMS[b]])
    return db


def groups(db) -> set[frozenset[int]]:
    found: dict[bytes, set[int]] = {}
    for atom, entity in db.execute("SELECT id, entity FROM atom"):
        found.setdefault(entity, set()).add(ATOMS.index(atom))
    return {frozenset(each) for each in found.values()}


def test_the_strongest_edges_win_and_the_weakest_give_way():
    db = ledger([((0, 1), "given_name"), ((1, 2), "spelling"), ((0, 3), "model")], [(0, 2)])
    settle(db, ATOMS)
    assert frozenset({1, 2}) in groups(db)
    assert frozenset({0, 3}) in groups(db)
    assert db.execute("SELECT reason FROM merge_edge WHERE undone").fetchall() == [("given_name",)]


def test_a_merge_by_hand_goes_before_all_else():
    db = ledger([((0, 1), "spelling"), ((1, 2), "hand")], [(0, 2)])
    settle(db, ATOMS)
    assert frozenset({1, 2}) in groups(db)
    assert frozenset({0}) in groups(db)


def test_an_entity_is_named_by_its_smallest_atom():
    db = ledger([((4, 2), "acronym"), ((2, 5), "model")], [])
    settle(db, [ATOMS[4], ATOMS[2], ATOMS[5]])
    (entity,) = db.execute(
        "SELECT DISTINCT entity FROM atom WHERE id IN (?, ?, ?)", (ATOMS[2], ATOMS[4], ATOMS[5])
    ).fetchone()
    assert entity == to_blob(entity_id("03030303-0303-0303-0303-030303030303"))


pairs_ = st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda both: both[0] != both[1])
edges_ = st.lists(st.tuples(pairs_, st.sampled_from(REASONS[1:])), max_size=12)


@settings(deadline=None)
@given(edges_, st.lists(pairs_, max_size=4), st.randoms())
def test_whatever_the_order_nobody_is_one_with_whom_he_must_not_be(edges, apart, rng):
    db = ledger(edges, apart)
    settle(db, ATOMS)
    expected = groups(db)
    assert not any({a, b} <= group for a, b in apart for group in expected)
    shuffled = list(edges)
    rng.shuffle(shuffled)
    other = ledger(shuffled, apart)
    for atom in rng.sample(ATOMS, len(ATOMS)):
        settle(other, [atom])
    assert groups(other) == expected
    assert set(other.execute("SELECT * FROM merge_edge")) == set(db.execute("SELECT * FROM merge_edge"))


@settings(deadline=None, max_examples=40)
@given(edges_)
def test_an_edge_that_is_taken_out_leaves_what_the_others_make(edges):
    for gone in range(len(edges)):
        db = ledger(edges, [])
        settle(db, ATOMS)
        (a, b), reason = edges[gone]
        one, other = sorted((ATOMS[a], ATOMS[b]))
        db.execute("DELETE FROM merge_edge WHERE a = ? AND b = ? AND reason = ?", (one, other, reason))
        settle(db, [one, other])
        left = [edge for edge in edges if (frozenset(edge[0]), edge[1]) != (frozenset((a, b)), reason)]
        again = ledger(left, [])
        settle(again, ATOMS)
        assert groups(db) == groups(again)


def test_two_full_names_are_not_joined_by_way_of_one_that_fits_both(world):
    world.write("a", "Michael Cole: Yes.\nAnn Lee: Michael did.", Person=["Michael"])
    world.write("b", "Michael Hart: No.")
    world.resolve()
    with world.ledger.reading() as db:
        atom = dict(db.execute("SELECT norm, id FROM atom").fetchall())

    def say(db) -> None:
        for full in ("michael hart", "michael cole"):
            one, other = sorted((atom["michael"], atom[full]))
            db.execute("INSERT OR IGNORE INTO merge_edge VALUES (?, ?, 'model', x'6d', 0)", (one, other))
        settle(db, [atom["michael"]])

    world.ledger.write(say)
    assert world.groups() == {frozenset({"michael cole", "michael@a"})}


def test_components_of_many_are_settled_in_one_go():
    db = ledger([((a, b), "spelling") for a, b in itertools.pairwise(range(6))], [])
    assert settle(db, [ATOMS[3]]) == 5
    assert groups(db) == {frozenset(range(6))}
