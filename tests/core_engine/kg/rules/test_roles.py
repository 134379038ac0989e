"""Who is said to hold which role, on texts written for these tests."""

import pytest

from core_engine.kg.rules.casing import Casing
from core_engine.kg.rules.extractor import read, scan
from core_engine.types import ChunkTurn


def findings(text, speaker=None):
    scanned = scan((ChunkTurn(speaker, text, text, 0),))
    casing = Casing()
    casing.add(scanned)
    return read(scanned, casing)


def facts(text, speaker=None):
    found = findings(text, speaker)
    return [(found.mentions[s].name, p, found.mentions[o].name) for s, p, o, _ in found.facts]


def types(text):
    return {mention.name: mention.type for mention in findings(text).mentions}


@pytest.mark.parametrize(
    "text",
    [
        "and then our CFO, Ann Lee, spoke",
        "so our CFO Ann Lee spoke",
        "so our CFO is Ann Lee now",
        "here is Ann Lee, CFO.",
        "here is Ann Lee, our CFO.",
        "here is Ann Lee, who is our CFO.",
        "so Ann Lee is our CFO, you know",
        "here is Ann Lee (CFO), and",
        "so our CFO, Ms. Ann Lee, spoke",
    ],
)
def test_a_role_beside_a_full_name_is_held_by_it(text):
    assert facts(text) == [("Ann Lee", "has_role", "CFO")]
    assert types(text)["Ann Lee"] == "Person"
    assert types(text)["CFO"] == "Role"


def test_who_says_i_am_holds_the_role():
    assert facts("Hello. I'm the head of engineering, so.", "Ann Lee") == [
        ("Ann Lee", "has_role", "head of engineering")
    ]
    assert facts("Hello. I'm the head of engineering, so.", "Speaker 3") == []
    assert facts("Hello. I'm the head of engineering, so.") == []
    assert facts("And if I'm the CFO, I'd worry, and she said, I'm the CEO.", "Ann Lee") == []


@pytest.mark.parametrize(
    "text",
    [
        "here is Ann Lee, CFO of SiTime, and",
        "here is Ann Lee, analyst at SiTime, and",
        "we asked SiTime's CFO, Ann Lee, about it",
        "here is Ann Lee, the co-founder of SiTime.",
    ],
)
def test_where_the_firm_is_sure_the_person_works_there(text):
    assert ("Ann Lee", "works_at", "SiTime") in facts(text)
    assert types(text)["SiTime"] == "Organization"


def test_a_president_of_something_unknown_and_a_director_of_a_department_work_for_nobody():
    assert facts("here is Ann Lee, president of Videojet, and") == [("Ann Lee", "has_role", "president")]
    assert facts("here is Ann Lee, president of Brazil, and") == [("Ann Lee", "has_role", "president")]


def test_two_roles_of_one_person_are_two():
    text = "and Ann Lee, president and chief executive officer, spoke"
    assert facts(text) == [("Ann Lee", "has_role", "president"), ("Ann Lee", "has_role", "chief executive officer")]


def test_in_a_list_each_name_has_its_own_role_whichever_comes_first():
    after = "today are Ann Lee, president, Bob Ray, CFO, and Cy Moss, Senior Vice President."
    before = "accompanied by chief executive officer, Ann Lee, secretary general, Bob Ray, CFO, Cy Moss and others"
    assert [(who, role) for who, _, role in facts(after)] == [
        ("Ann Lee", "president"),
        ("Bob Ray", "CFO"),
        ("Cy Moss", "Senior Vice President"),
    ]
    assert [(who, role) for who, _, role in facts(before)] == [
        ("Ann Lee", "chief executive officer"),
        ("Bob Ray", "secretary general"),
        ("Cy Moss", "CFO"),
    ]


def test_a_role_in_capitals_is_not_part_of_the_name_beside_it():
    assert facts("then Chief Financial Officer Ann Lee spoke") == [("Ann Lee", "has_role", "Chief Financial Officer")]


@pytest.mark.parametrize(
    "text",
    [
        "we told the CFO, Oslo is closed",
        "our former CFO, Ann Lee, left",
        "here is Ann Lee, former CFO of iRobot, and",
        "we need a CFO. Ann Lee asked",
        "thank you, president. Ann Lee, please",
        "the CFO will answer, and Ann Lee too",
        "she asked the director of Spain, France and Italy",
    ],
)
def test_where_it_is_not_sure_nothing_is_stated(text):
    assert facts(text) == []


def test_the_role_and_its_holder_lead_back_to_their_words():
    text = "and then our CFO, Ann Lee, spoke"
    for mention in findings(text).mentions:
        assert text[mention.start : mention.end] == mention.name


@pytest.mark.parametrize(
    "unit", ["hair", "CEO ", "chief ", "director, ", "our CFO, Ann Lee, ", "VP of sales of ", "I'm the CEO "]
)
def test_a_turn_of_200_000_characters_of_roles_is_read(unit):
    text = (unit * 200_000)[:200_000]
    for mention in findings(text, "Bob Ray").mentions:
        assert mention.speaker or text[mention.start : mention.end]
