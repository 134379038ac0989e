"""Names that mean the same have one normal form, and names that don't have two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine.kg.normalise import normal_form
from core_engine.kg.scope import is_role_label, scope_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Acme", "ACME"),
        ("Acme", " the  Acme "),
        ("Acme", "Acme's"),
        ("Acme", "Acme\u2019s"),
        ("ＡＣＭＥ", "acme"),
        ("Acme, Inc.", "Acme Inc"),
        ("U.S.", "US"),
        ("U.S", "US"),
        ("T V", "TV"),
        ("L_C_D_", "LCD"),
        ("J. P. Morgan", "J.P. Morgan"),
        ("Dr. Chen", "Chen"),
        ("Prof. Dr. Wei Chen", "Wei Chen"),
        ("our team", "team"),
        ("My team", "team"),
        ("an offer", "offer"),
        ("action items", "action item"),
        ("batteries", "battery"),
        ("boxes", "box"),
        ("APIs", "API"),
        ("10,000", "10000"),
        ("Müller", "Mu\u0308ller"),
        ("co\u00adop", "coop"),
        ("O'Brien", "O\u2019Brien"),
        ("R & D", "R and D"),
        ("Jean-Luc", "Jean Luc"),
        ("Straße", "STRASSE"),
    ],
)
def test_two_ways_to_write_a_name_are_one(one, other):
    assert normal_form(one) == normal_form(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("C", "C#"),
        ("$5 million", "5 million"),
        ("William", "Williams"),
        ("team", "Teams"),
        ("window", "Windows"),
        ("José", "Jose"),
        ("GPT-3", "GPT-4"),
        ("An Wang", "Wang"),
        ("My Linh", "Linh"),
        ("हिन्दी", "हद"),
    ],
)
def test_two_names_that_look_alike_stay_two(one, other):
    assert normal_form(one) != normal_form(other)


@pytest.mark.parametrize("name", ["James", "Texas", "AWS", "Paris", "Kubernetes", "business", "news", "series", "gas"])
def test_an_s_that_is_part_of_the_name_stays(name):
    assert normal_form(name) == name.casefold()


@pytest.mark.parametrize("name", ["the", "The The", "Dr", "A&E", "A and E"])
def test_a_name_is_never_stripped_to_nothing(name):
    assert normal_form(name)


def test_an_article_before_and_is_a_letter():
    assert normal_form("A&E") == normal_form("a and e") == "a and e"


@pytest.mark.parametrize("name", ["", " ", "...", "—", "🙂", "\x00", "\u200b", "\ud800", "++", "__"])
def test_what_has_no_letter_or_digit_has_no_normal_form(name):
    assert normal_form(name) == ""


@given(st.text(max_size=60))
def test_a_normal_form_is_clean_whatever_the_name_is(name):
    norm = normal_form(name)
    assert norm == " ".join(norm.split())
    assert all(char.isprintable() for char in norm)
    assert normal_form(f"  {name}\n") == norm


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0x24F), min_size=1, max_size=20))
def test_words_of_letters_and_digits_always_have_a_normal_form(name):
    assert normal_form(name)


@pytest.mark.parametrize(
    "name",
    [
        "Project Manager",
        "Speaker 3",
        "SPEAKER_00",
        "Grad C",
        "Moderator",
        "Unknown",
        "Head of Product",
        "PhD F",
        "Q",
        "Marketing",
    ],
)
def test_a_role_label_means_someone_else_in_each_document(name):
    norm = normal_form(name)
    assert is_role_label(norm)
    assert scope_of(norm, "Person", speaker=True) == "document"


@pytest.mark.parametrize("name", ["Ann", "Dr. Chen", "Ann (host)", "Ann L.", "小明", "Chair Powell"])
def test_a_lone_name_means_someone_else_in_each_document(name):
    assert scope_of(normal_form(name), "Person", speaker=False) == "document"


@pytest.mark.parametrize("name", ["Ann Lee", "Dr. Wei Chen", "王小明", "Ann Lee (host)"])
def test_a_full_name_is_known_in_the_whole_workspace(name):
    assert scope_of(normal_form(name), "Person", speaker=True) == "workspace"


def test_only_people_are_told_apart_by_document():
    assert scope_of("acme", "Organization", speaker=False) == "workspace"
    assert scope_of("project manager", "Role", speaker=False) == "workspace"
