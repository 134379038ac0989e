"""Names in their parts, and which of them one person may bear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine.kg.resolver.names import PersonName, clash, compatible, person_name, same_given
from core_engine.kg.resolver.nicknames import related
from core_engine.kg.resolver.spelling import compact, plain, sound


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Wei-Lin Zhao", PersonName("wei lin", (), "zhao")),
        ("Dr. Chen", PersonName(surname="chen")),
        ("Chen", PersonName(lone="chen")),
        ("Mr. Vance-Harrow", PersonName(surname="vance harrow")),
        ("Senator Whitlock", PersonName(surname="whitlock", title="senator")),
        ("Senator", PersonName(title="senator")),
        ("Senator Adele Whitlock", PersonName("adele", (), "whitlock", title="senator")),
        ("J. T. Mercer", PersonName("j", ("t",), "mercer")),
        ("JT Mercer", PersonName("j", ("t",), "mercer")),
        ("Jo Lindqvist", PersonName("jo", (), "lindqvist")),
        ("Saar de Wit", PersonName("saar", (), "de wit")),
        ("Ms. de Wit", PersonName(surname="de wit")),
        ("George Pemberton Jr.", PersonName("george", (), "pemberton", generation="jr")),
        ("Zdeněk Kolář", PersonName("zdenek", (), "kolar")),
        ("Anna B", PersonName("anna", (), "b")),
        ("Speaker 1", None),
        ("Project Manager", None),
        ("...", None),
        ("", None),
    ],
)
def test_a_name_is_read_in_its_parts(said, name):
    assert person_name(said) == name


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_none(text):
    name = person_name(text)
    assert name is None or isinstance(name, PersonName)
    assert isinstance(sound(text), str)
    assert isinstance(compact(text), str)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Wei Chen", "Wei-Lin Chen"),
        ("John Mercer", "J. T. Mercer"),
        ("John T. Mercer", "John Thomas Mercer"),
        ("Mike Osei", "Michael Osei"),
        ("Liz Moreau", "Elizabeth Moreau"),
        ("Saar de Wit", "Saar Wit"),
    ],
)
def test_names_of_one_person_are_compatible(one, other):
    assert compatible(person_name(one), person_name(other))
    assert not clash(person_name(one), person_name(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Michael Osei", "Michael Brandt"),
        ("Luc Fournier", "Marc Fournier"),
        ("George Pemberton", "George Pemberton Jr."),
        ("John A. Mercer", "John B. Mercer"),
        ("Dan Brown", "Don Brown"),
    ],
)
def test_full_names_that_do_not_go_together_are_two_persons(one, other):
    assert clash(person_name(one), person_name(other))


def test_a_part_of_a_name_clashes_with_nobody():
    assert not clash(person_name("Wei"), person_name("Ann Lee"))
    assert not clash(person_name("Dr. Chen"), person_name("Ann Lee"))


def test_nicknames_are_related_to_their_names_only():
    assert related("mike", "michael")
    assert related("kathy", "katherine")
    assert related("kathy", "kathleen")
    assert not related("katherine", "kathleen")
    assert not related("mike", "mark")
    assert same_given("sasha", "alexandra")


def test_spellings_that_differ_in_accents_spaces_and_numerals_are_compact_alike():
    assert plain("Zdeněk Kolář") == "zdenek kolar"
    assert compact("petrel two") == compact("petrel 2")
    assert compact("pack right") == compact("packright")
    assert sound("hegota") == sound("hakota")
    assert sound("osei") != sound("brandt")
