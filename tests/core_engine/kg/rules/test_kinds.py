"""What a name is by its own words."""

import pytest

from core_engine.kg.rules.kinds import kind


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("Ann Lee", "Person"),
        ("Carlos Garcia-Alarcon", "Person"),
        ("Joseph O'Rourke", "Person"),
        ("Maria van den Berg", "Person"),
        ("George W. Bush", "Person"),
        ("Martin Luther King Jr.", "Person"),
        ("Ann", "Entity"),
        ("Quill Ann", "Entity"),
        ("Robert Bosch GmbH", "Organization"),
        ("John Hancock Tower", "Entity"),
        ("Rachel IBM", "Entity"),
        ("Tom 2", "Entity"),
        ("Lisa and the Band of the Year", "Entity"),
        ("Acme Securities", "Organization"),
        ("University of Oslo", "Organization"),
        ("Cooper Street", "Place"),
        ("CFO", "Role"),
        ("Falcon", "Entity"),
    ],
)
def test_a_type_is_told_by_the_names_words_or_not_at_all(name, type_):
    assert kind(name, frozenset()) == type_


def test_who_speaks_is_a_person():
    assert kind("Falcon", frozenset({"falcon"})) == "Person"
