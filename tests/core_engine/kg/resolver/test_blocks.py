"""Which names of a workspace rules make one, whatever document they are in."""

from __future__ import annotations

import pytest

from core_engine.kg.ontology import Ontology
from core_engine.kg.resolver.blocks import MOST
from core_engine.kg.resolver.organizations import initials_of, is_acronym, shortens, without_legal_form
from tests.core_engine.kg.resolver.world import World

NASA = "National Aeronautics and Space Administration"


def test_an_acronym_is_the_one_name_with_its_initials(world):
    world.write("a", f"Ann Lee: I am with the {NASA}.", Organization=[NASA])
    world.write("b", "Bob Marsh: NASA says no.", Organization=["NASA"])
    world.resolve()
    assert world.together("nasa", NASA)
    assert world.reasons("nasa", NASA) == {"acronym"}


def test_an_acronym_of_two_names_is_neither_unless_a_document_says_one_beside_it(world):
    two = ["Rural Clinic Alliance", "Radio Carriers Association"]
    world.write("a", f"Ann Lee: The {two[0]} pays.", Organization=two[:1])
    world.write("b", f"Bob Marsh: The {two[1]} votes.", Organization=two[1:])
    world.write("c", "Cy Dorn: The RCA is late.", Organization=["RCA"])
    world.resolve()
    assert world.groups() == set()
    world.write("d", f"Dee Ernst: The RCA, or {two[0]}, is early.", Organization=["RCA", two[0]])
    world.resolve()
    assert world.groups() == {frozenset({"rca", "rural clinic alliance"})}


def test_what_is_an_acronym_and_of_what():
    assert is_acronym("NASA")
    assert is_acronym("U.S.")
    assert not is_acronym("Nasa")
    assert not is_acronym("A")
    assert not is_acronym("2021")
    assert "nasa" in initials_of("national aeronautics and space administration")
    assert {"dod"} <= initials_of("department of defense")
    assert initials_of("rajan the marketing expert") == frozenset()


def test_legal_forms_are_no_difference_unless_two_firms_have_two(world):
    world.write("a", "Ann Lee: Acme Corp is late, Acme is always late.", Organization=["Acme Corp", "Acme"])
    world.write("b", "Bob Marsh: Lumen Inc. and Lumen GmbH are two. Lumen is neither.",
                Organization=["Lumen Inc.", "Lumen GmbH", "Lumen"])  # fmt: skip
    world.resolve()
    assert world.groups() == {frozenset({"acme", "acme corp"})}
    assert without_legal_form("delivery company") == ("delivery", "co")
    assert without_legal_form("company") == ("company", "")


def test_spellings_of_one_name_are_one(world):
    world.write("a", "Zdeněk Kolář: Petrel-2 of Packright flies.", Product=["Petrel-2"], Organization=["Packright"])
    world.write("b", "Zdenek Kolar: Petrel Two of Pack Right crashed.",
                Product=["Petrel Two"], Organization=["Pack Right"])  # fmt: skip
    world.resolve()
    assert world.together("zdeněk kolář", "zdenek kolar")
    assert world.together("petrel 2", "petrel two")
    assert world.together("packright", "pack right")


def test_a_short_name_is_the_one_long_name_that_documents_say_beside_it(world):
    world.write("a", "Ann Lee: The Harrowmere Water Authority pays. The Water Authority is slow.",
                Organization=["Harrowmere Water Authority", "Water Authority"])  # fmt: skip
    world.resolve()
    assert world.together("water authority", "harrowmere water authority")
    world.write("b", "Bob Marsh: The Water Authority, I mean the Averley Water Authority.",
                Organization=["Averley Water Authority", "Water Authority"])  # fmt: skip
    world.resolve()
    assert world.groups() == set()


def test_the_board_is_everybodys(world):
    world.write(
        "a", "Ann Lee: The Supervisory Board met. The Board agreed.", Organization=["Supervisory Board", "Board"]
    )
    world.resolve()
    assert world.together("board", "supervisory board")
    world.write("b", "Bob Marsh: Our Board met.", Organization=["Board"])
    world.resolve()
    assert world.groups() == set()


@pytest.mark.parametrize(
    ("short", "long", "holds"),
    [
        ("brackenfold", "brackenfold instruments", True),
        ("authority", "harrowmere water authority", True),
        ("ministry", "ministry of inland transport", True),
        ("amazon", "amazon web services", False),
        ("tallgrass", "tallgrass capital", False),
        ("heron", "heron two", False),
        ("acme", "acme", False),
    ],
)
def test_what_a_firm_is_called_for_short(short, long, holds):
    assert shortens(short, long) is holds


def test_likeness_alone_merges_nothing(world):
    world.write("a", "Ann Lee: Marsh Brothers, March Brothers, and Hegota.",
                Organization=["Marsh Brothers", "March Brothers"], Product=["Hegota"])  # fmt: skip
    world.write("b", "Bob Marsh: Hagota and the Heron, and the Heron Two.", Product=["Hagota", "Heron", "Heron Two"])
    world.write("c", "Svetlana Orlova: Yes.\nSvetlana Orlowa: No.")
    world.resolve()
    assert world.groups() == set()
    asked = world.candidates()
    assert frozenset({"hegota", "hagota"}) in asked
    assert frozenset({"svetlana orlova", "svetlana orlowa"}) in asked


def test_values_and_tasks_are_never_compared(world):
    world.write(
        "a", "Ann Lee: March 5, 2020, and send the report.", Date=["March 5, 2020"], ActionItem=["send the report"]
    )
    world.write("b", "Ann Lee: March 5 2020, and send report.", Date=["March 5 2020"], ActionItem=["send report"])
    world.resolve()
    assert world.groups() == set()
    assert world.candidates() == set()


def test_a_block_of_too_many_says_nothing(world):
    firms = [f"Acme{n} Water Board" for n in range(MOST + 5)]
    world.write("a", f"Ann Lee: {', '.join(firms)} and the Water Board.", Organization=[*firms, "Water Board"])
    world.resolve()
    assert world.groups() == set()


def test_names_of_the_ontology_are_one_by_the_users_word(tmp_path, world):
    ontology = Ontology.parse(
        '[entities.Person]\n[entities.Organization]\n[names]\n"International Business Machines" = ["Big Blue", "IBM"]\n'
    )
    world.ontology = ontology
    world.write("a", "Ann Lee: Big Blue buys.", Organization=["Big Blue"])
    world.write("b", "Bob Marsh: IBM sells.", Organization=["IBM"])
    world.resolve()
    assert world.groups() == {frozenset({"big blue", "ibm"})}
    world.ontology = Ontology.parse("[entities.Person]\n[entities.Organization]\n")
    world.resolve()
    assert world.groups() == set()


def test_types_of_ones_own_take_part_by_their_aliases(tmp_path, world):
    world.ontology = Ontology.parse(
        '[entities.Human]\naliases = ["Person"]\n[entities.Firm]\naliases = ["Organization"]\n'
    )
    world.write(
        "a", f"Ann Lee: Wei Chen of the {NASA} left. Wei will be missed.", Human=["Wei Chen", "Wei"], Firm=[NASA]
    )
    world.write("b", "Bob Marsh: NASA again.", Firm=["NASA"])
    world.resolve()
    assert world.together("wei@a", "wei chen")
    assert world.together("nasa", NASA)


def test_names_in_any_script_and_odd_ones_do_no_harm(world):
    odd = ["王伟", "Ольга Петрова", "🦊", "a" * 300, "'; DROP TABLE atom; --", "x#w:y", "ÀÉÎ"]
    world.write("a", f"Ann Lee: {' and '.join(odd)}.", Person=odd[:2], Organization=odd[2:])
    world.write("b", "王伟: 是的。\nОльга Петрова: Да, Ольга.", Person=["Ольга"])
    world.resolve()
    assert world.together("ольга@b", "ольга петрова")


def test_an_empty_ledger_has_nobody(tmp_path, world):
    assert isinstance(world, World)
    assert world.resolve() == 0
