"""The ontology answers for every way of writing a type, and a broken file is told with its place and a remedy."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine.errors import SettingsError
from core_engine.kg.ontology import Ontology, upper_snake

SMALL = """
name = "shop"
[entities.Person]
description = "someone"
aliases = ["Human"]
[entities.Shop]
[relationships.works_at]
description = "has a job there"
ends = ["Person -> Shop", "Shop -> Shop"]
aliases = ["employed by"]
[relationships.knows]
ends = ["Person -> Any"]
"""


def test_the_default_holds_the_types_of_conversations():
    ontology = Ontology.default()
    names = {e.name for e in ontology.entities}
    wanted = "Person Organization Product Technology Place Event Project Decision ActionItem Topic Date Money"
    assert set(wanted.split()) <= names
    assert all(e.description for e in ontology.entities)
    assert ontology.allowed("Person", "works_at", "Organization")
    assert not ontology.allowed("Organization", "works_at", "Person")


@pytest.mark.parametrize(
    ("written", "kind"),
    [("PERSON", "Person"), ("Org", "Organization"), ("company", "Organization"), ("Action Item", "ActionItem")],
)
def test_a_type_is_known_by_any_case_alias_and_separator(written, kind):
    assert Ontology.default().entity_type(written) == kind


@pytest.mark.parametrize("written", ["works_at", "WORKS_AT", "works at", "worksAt", "works-at", "employed by"])
def test_a_relationship_is_known_by_any_case_alias_and_separator(written):
    kind = Ontology.parse(SMALL).relationship(written)
    assert kind is not None
    assert (kind.name, kind.label) == ("works_at", "WORKS_AT")


def test_what_is_not_in_the_ontology_is_not_known():
    ontology = Ontology.parse(SMALL)
    assert ontology.entity_type("Planet") is None
    assert ontology.relationship("orbits") is None
    assert not ontology.allowed("Person", "orbits", "Shop")


def test_any_stands_for_every_type():
    ontology = Ontology.parse(SMALL)
    assert ontology.allowed("Person", "knows", "Shop")
    assert ontology.allowed("Person", "knows", "Person")
    assert not ontology.allowed("Shop", "knows", "Person")


def test_it_renders_as_the_model_reads_it():
    assert Ontology.parse(SMALL).render() == (
        "Entity types:\n- Person: someone\n- Shop\n\n"
        "Relationship types (subject -> object):\n"
        "- works_at (Person -> Shop; Shop -> Shop): has a job there\n"
        "- knows (Person -> Any)"
    )


def test_aliases_and_layout_do_not_change_what_the_model_reads():
    other = SMALL.replace('aliases = ["Human"]', "").replace('["Person -> Any"]', '[ " person->ANY " ]')
    assert Ontology.parse(other).render() == Ontology.parse(SMALL).render()


def test_a_description_cannot_forge_a_line():
    text = '[entities.A]\ndescription = "one\\n- Forged: type"'
    assert Ontology.parse(text).render() == "Entity types:\n- A: one - Forged: type"


def test_a_store_names_relationships_in_upper_snake_case():
    assert [upper_snake(n) for n in ("works_at", "worksAt", "WORKS_AT", "dueOn2")] == [
        "WORKS_AT",
        "WORKS_AT",
        "WORKS_AT",
        "DUE_ON2",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[entities.Person", "end of document"),
        ("[entities.Person]\n[entities.Person]", "line 2"),
        ("name = 'x'", "no entity type"),
        ("name = 3\n[entities.A]", "name must be text"),
        ("[entities.Person]\n[entities.PERSON]", ":2: entities.PERSON: the name is used by entities.Person"),
        ("[entities.'No good']", "entities.No good"),
        ("[entities.1st]", "begins with a letter"),
        (f"[entities.{'a' * 65}]", "at most 64"),
        ("[entities.Document]", "used by the graph itself"),
        ("[entities.A]\naliases = ['Chunk']", "used by the graph itself"),
        ("[entities.A]\n[entities.B]\naliases = ['a']", ":2: entities.B.aliases: 'a' is used by entities.A"),
        ("[entities.A]\naliases = 'b'", "must be a list of texts"),
        ("[entities.A]\naliases = [' ']", "empty alias"),
        ("[entities.A]\ndescripton = 'x'", "Did you mean description?"),
        ("[entities.A]\ndescription = 3", "entities.A.description must be text"),
        (f"[entities.A]\ndescription = '{'x' * 301}'", "longer than 300"),
        ("[entities]\nA = 'x'", ":2: entities.A must be a table"),
        ("entities = []", "must be tables"),
        ("[entity.A]", "entity is not known. Did you mean entities?"),
        ("[entities.A]\n[relationships.r]", "relationships.r.ends is missing"),
        ("[entities.A]\n[relationships.r]\nends = ['A']", "not of the form"),
        ("[entities.A]\n[relationships.r]\nends = ['A -> A -> A']", "not of the form"),
        ("[entities.Person]\n[relationships.r]\nends = ['Person -> Persn']", ":2: relationships.r.ends: 'Persn'"),
        ("[entities.Person]\n[relationships.r]\nends = ['Person -> Persn']", "Did you mean Person?"),
        ("[entities.A]\n[relationships.r]\nends = ['A -> ']", "is no entity type"),
        ("[entities.A]\n[relationships.next_chunk]\nends = ['A -> A']", "used by the graph itself"),
        ("[entities.A]\n[relationships.subject]\nends = ['A -> A']", "used by the graph itself"),
        ("[entities.KgStore]", "used by the graph itself"),
        (
            "[entities.A]\n[relationships.r]\nends=['A->A']\n[relationships.R]\nends=['A->A']",
            "is used by relationships.r",
        ),
    ],
)
def test_a_wrong_file_is_told_with_its_place_and_a_remedy(text, told, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        Ontology.load(path)
    assert str(error.value).startswith(str(path))
    assert told in str(error.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(SettingsError, match="can't be read"):
        Ontology.load(tmp_path / "absent.toml")
    with pytest.raises(SettingsError, match="can't be read"):
        Ontology.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(SettingsError, match="UTF-8"):
        Ontology.load(tmp_path / "latin.toml")


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "bom.toml").write_text(SMALL, encoding="utf-8-sig")
    assert Ontology.load(tmp_path / "bom.toml").name == "shop"


def test_brackets_without_end_are_told():
    with pytest.raises(SettingsError, match="not valid TOML"):
        Ontology.parse("a = " + "[" * 100_000)


@given(st.text(max_size=100))
def test_any_text_is_an_ontology_or_a_settings_error(text):
    with contextlib.suppress(SettingsError):
        Ontology.parse(text)


def test_a_type_that_is_not_asked_about_is_known_and_not_rendered():
    ontology = Ontology.parse(SMALL + '\n[entities.Rate]\naliases = ["Share"]\nasked = false\n')
    assert ontology.render() == Ontology.parse(SMALL).render()
    assert ontology.entity_type("share") == "Rate"


def test_the_types_that_a_model_is_asked_about_are_what_they_were():
    # What is rendered is in every question's key: another text buys every answer again.
    rendered = Ontology.default().render().encode()
    assert hashlib.sha256(rendered).hexdigest() == "c7e6a39b0cd845dbe526ab97ccce8921b6d027ae18f251a5f89de388facb32ed"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[entities.A]\nasked = 'no'", "entities.A.asked must be true or false"),
        ("[entities.A]\nasked = false", "no entity type to ask about"),
    ],
)
def test_a_wrong_asked_is_told(text, told):
    with pytest.raises(SettingsError, match=told):
        Ontology.parse(text)


def test_a_type_of_another_name_is_what_its_alias_says():
    ontology = Ontology.parse(
        '[entities.Deadline]\naliases = ["Date"]\n[entities.Human]\naliases = ["Person"]\n[entities.X]'
    )
    assert [ontology.kind(name) for name in ("Deadline", "Human", "X", "Money")] == ["Date", "Person", "X", "Money"]


def test_names_that_the_user_knows_are_kept_and_not_rendered():
    named = Ontology.parse(SMALL + '[names]\n"Big Blue" = ["IBM", "the firm"]\n')
    assert named.names == {"Big Blue": ("IBM", "the firm")}
    plain = Ontology.parse(SMALL)
    assert (named.render(), named.mark) == (plain.render(), plain.mark)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("names = 3\n", "names must be a table"),
        ('[names]\n"Big Blue" = "IBM"\n', "must be a list of texts"),
        ('[names]\n"Big Blue" = [""]\n', "empty name"),
        ("[nams]\n", "Did you mean names"),
    ],
)
def test_names_of_another_shape_are_told(names, said):
    text = names + SMALL if names.startswith("names =") else SMALL + names
    with pytest.raises(SettingsError, match=said):
        Ontology.parse(text)
