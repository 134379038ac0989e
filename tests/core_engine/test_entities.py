"""Corrections by hand: what they do, that they hold, and what takes them back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from core_engine import entities
from core_engine.errors import SettingsError
from core_engine.ledger.ledger import Ledger
from tests.core_engine.kg.resolver.world import WORKSPACE, World

TALK = "Ann Lee: Wei Chen did it. Thank you, Wei.\nBob Marsh: Dr. Chen always does."
NAMED = ["Wei Chen", "Wei", "Dr. Chen"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        world = World(ledger)
        world.write("a", TALK, Person=NAMED)
        world.write("b", "Cy Dorn: Way Chan called.", Person=["Way Chan"])
        world.resolve()
        yield world


def merge(world: World, *words: str) -> entities.Corrected:
    return world.ledger.write(entities.merge, list(words))


def split(world: World, word: str, *names: str, each: bool = False) -> entities.Corrected:
    return world.ledger.write(entities.split, word, list(names), each=each)


def test_a_merge_holds_through_reruns_edits_and_rechunks(world):
    done = merge(world, "Wei Chen", "Way Chan")
    assert [row.weight for row in done.entities] == [2]
    whole = frozenset({"wei chen", "wei@a", "chen@a", "way chan"})
    for change in (
        lambda: None,
        lambda: world.write("a", TALK + "\nAnn Lee: Wei Chen is away.", Person=NAMED),
        lambda: world.write("a", TALK, size=40, Person=NAMED),
        lambda: world.write("c", "Dee Ernst: Somebody else.", Person=[]),
    ):
        change()
        world.resolve()
        assert whole in world.groups()
    world.drop("b")
    world.resolve()
    assert whole - {"way chan"} in world.groups()
    world.write("b", "Cy Dorn: Way Chan called again.", Person=["Way Chan"])
    world.derive()  # even before anything is resolved
    assert whole in world.groups()


def test_a_split_holds_against_what_rules_find(world):
    done = split(world, "Wei Chen", "Chen")
    assert {row.name for row in done.entities} == {"Wei Chen", "Chen"}
    world.resolve()
    assert world.groups() == {frozenset({"wei chen", "wei@a"})}
    world.write("a", TALK + "\nAnn Lee: Chen, and Wei Chen.", Person=[*NAMED, "Chen"])
    world.resolve()
    assert world.groups() == {frozenset({"wei chen", "wei@a"})}


def test_names_that_are_taken_out_together_are_one_of_their_own(world):
    split(world, "Wei Chen", "Wei", "Chen")
    world.resolve()
    assert world.groups() == {frozenset({"wei@a", "chen@a"})}
    world.ledger.write(entities.merge, ["Wei Chen", "Wei"])
    world.resolve()
    assert world.groups() == {frozenset({"wei chen", "wei@a", "chen@a"})}


def test_each_name_by_itself_and_all_of_them(world):
    split(world, "Wei Chen", "Wei", "Chen", each=True)
    world.resolve()
    assert world.groups() == set()
    merge(world, "Wei Chen", "Wei", "Chen")
    split(world, "Wei Chen")
    world.resolve()
    assert world.groups() == set()


def test_a_merge_takes_an_earlier_split_back_and_says_so(world):
    split(world, "Wei Chen", "Chen")
    done = merge(world, "Wei Chen", "Chen")
    assert any("split by hand" in note for note in done.notes)
    world.resolve()
    assert world.groups() == {frozenset({"wei chen", "wei@a", "chen@a"})}


def test_a_split_takes_an_earlier_merge_back_and_says_so(world):
    merge(world, "Wei Chen", "Way Chan")
    done = split(world, "Wei Chen", "Way Chan")
    assert done.notes == ["a merge by hand is taken back"]
    world.resolve()
    assert world.groups() == {frozenset({"wei chen", "wei@a", "chen@a"})}


def test_a_split_holds_also_by_way_of_a_name_that_nobody_says_any_more(world):
    world.write("c", "Dee Ernst: Wee Chin.", Person=["Wee Chin"])
    world.resolve()
    merge(world, "Wei Chen", "Wee Chin")
    merge(world, "Wee Chin", "Way Chan")
    world.drop("c")
    world.resolve()
    assert world.together("wei chen", "way chan")
    split(world, "Wei Chen", "Way Chan")
    world.resolve()
    assert not world.together("wei chen", "way chan")


def test_an_alias_reaches_what_bears_the_name_now_and_later(world):
    world.ledger.write(entities.add_alias, WORKSPACE, "Wei Chen", "Way Chan")
    assert world.together("wei chen", "way chan")
    world.ledger.write(entities.add_alias, WORKSPACE, "Wei Chen", "The Boss")
    world.write("c", "Dee Ernst: The Boss is late.", Person=["Boss"])
    world.resolve()
    assert world.together("wei chen", "boss@c")
    with world.ledger.reading() as db:
        found = entities.shown(db, entities.meant(db, "the boss"), 0)
    assert found.name == "Wei Chen"
    assert found.aliases == ["The Boss", "Way Chan"]
    world.ledger.write(entities.drop_alias, WORKSPACE, "Wei Chen", "The Boss")
    world.resolve()
    assert not world.together("wei chen", "boss@c")
    assert world.together("wei chen", "way chan")


def test_an_alias_leaves_a_document_alone_that_knows_another_of_that_name(world):
    world.write("c", "Wei Zhang: Yes.\nDee Ernst: Wei said yes.", Person=["Wei"])
    world.resolve()
    world.ledger.write(entities.add_alias, WORKSPACE, "Wei Chen", "Wei")
    world.write("d", "Dee Ernst: Wei is away.", Person=["Wei"])
    world.resolve()
    assert world.together("wei chen", "wei@a", "wei@d")
    assert world.together("wei zhang", "wei@c")
    assert not world.together("wei zhang", "wei chen")


def test_an_alias_that_contradicts_a_split_is_refused(world):
    split(world, "Wei Chen", "Wei")
    merge(world, "Wei Chen", "Way Chan")
    split(world, "Wei Chen", "Way Chan")
    with pytest.raises(SettingsError, match="split by hand"):
        world.ledger.write(entities.add_alias, WORKSPACE, "Wei Chen", "Way Chan")


def test_a_word_that_means_several_is_refused_with_their_ids(world):
    world.write("c", "Dee Ernst: Wei is away.", Person=["Wei"])
    world.resolve()
    with world.ledger.reading() as db, pytest.raises(SettingsError, match=r"'Wei' are 2 entities: \w{8}.*in c"):
        entities.meant(db, "Wei")
    with world.ledger.reading() as db:
        assert entities.meant(db, "Wei@a") == entities.meant(db, "Wei@a")
        named = entities.shown(db, entities.meant(db, "Wei@a"), 0)
        assert entities.meant(db, named.id[:8]).entity == entities.meant(db, "Wei Chen").entity


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("merge", ["Wei Chen", "Nobody"]), "no entity is called 'Nobody'"),
        (("merge", ["Wei Chen", "Cha"]), r"\('Way Chan'\?\)"),
        (("split", "Wei Chen", ["Ann"]), "'Ann' is no name of 'Wei Chen': its names are"),
        (("split", "Wei Chen", ["Wei Chen", "Wei", "Chen"]), "these are all names"),
        (("split", "Way Chan", []), "one name only"),
    ],
)
def test_what_cannot_be_is_refused_with_words(world, words, said):
    what, *arguments = words
    correction = entities.merge if what == "merge" else partial(entities.split, each=False)
    with pytest.raises(SettingsError, match=said):
        world.ledger.write(correction, *arguments)


@pytest.mark.parametrize("name", ["", "…", "x" * 301])
def test_what_is_no_name_is_no_alias(world, name):
    with pytest.raises(SettingsError, match="can't be a name"):
        world.ledger.write(entities.add_alias, WORKSPACE, "Wei Chen", name)


def test_merging_what_is_one_already_makes_it_last(world):
    merge(world, "Wei Chen", "Wei")
    world.write("a", "Ann Lee: Thank you, Wei.", Person=["Wei"])
    world.write("c", "Dee Ernst: Wei Chen is away.", Person=["Wei Chen"])
    world.resolve()
    assert world.together("wei chen", "wei@a")


def test_corrections_hold_with_no_resolving_at_all(world):
    merge(world, "Wei Chen", "Way Chan")
    world.resolve("none")
    assert world.groups() == {frozenset({"wei chen", "way chan"})}


def test_an_entity_shows_its_names_their_reasons_and_its_places(world):
    split(world, "Wei Chen", "Chen")
    with world.ledger.reading() as db:
        found = entities.shown(db, entities.meant(db, "Wei Chen"), 5)
        names = [(one.name, one.document) for one in found.names]
        listed = entities.listed(db, "wei", type_=None, merged=True, corrected=False, limit=5)
        corrected = entities.listed(db, "", type_="Person", merged=False, corrected=True, limit=5)
    assert names == [("Wei Chen", ""), ("Wei", "a")]
    assert [(g.reason, g.where, g.holds) for g in found.merged] == [("given_name", "a", True), ("surname", "a", False)]
    assert found.apart == ["Chen"]
    assert found.places[0].words.startswith("Wei Chen did it")
    assert [(row.name, why) for row, _, why in listed] == [("Wei Chen", ["given_name"])]
    assert {row.name for row, _, _ in corrected} == {"Wei Chen", "Chen"}
