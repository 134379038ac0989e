"""A name is found where it is said, at its place in the raw words, and nowhere else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine.kg.grounding import Words, fold
from core_engine.kg.normalise import normal_form
from core_engine.types import Chunk, ChunkTurn


def words(*texts: str | tuple[str, str, tuple[tuple[int, int], ...]]) -> Words:
    turns = []
    for number, text in enumerate(texts):
        raw, cleaned, cuts = (text, text, ()) if isinstance(text, str) else text
        turns.append(ChunkTurn("Ann", raw, cleaned, number, cuts=cuts))
    return Words(Chunk("c", "d", 0, tuple(turns)))


def found(name: str, *texts: str) -> list[tuple[int, int, str]]:
    return [(place.turn, place.offset, place.surface) for place in words(*texts).places(name)]


@pytest.mark.parametrize(
    ("name", "text", "surface"),
    [
        ("Acme", "We buy from acme.", "acme"),
        ("the Acme", "We buy from Acme.", "Acme"),
        ("Acme", "That is Acme's offer", "Acme"),
        ("Acme's", "We buy from Acme", "Acme"),
        ("Dr. Chen", "Ask Chen", "Chen"),
        ("Acme Inc", "At Acme, Inc. we", "Acme, Inc"),
        ("US", "in the U.S. market", "U.S."),
        ("U.S.", "in the US market", "US"),
        ("OpenAI", "some Open AI model", "Open AI"),
        ("Open AI", "some OpenAI model", "OpenAI"),
        ("O'Brien", "Mrs. O\u2019Brien said", "O\u2019Brien"),
        ("e-mail", "an email came", "email"),
        ("API", "our APIs are slow", "APIs"),
        ("action item", "two action items", "action items"),
        ("action items", "one action item", "action item"),
        ("box", "two boxes", "boxes"),
        ("LCD", "the L_C_D_ panel", "L_C_D"),
        ("10,000", "it is 10000 now", "10000"),
        ("10000", "it is 10,000 now", "10,000"),
        ("R&D", "the R&D team", "R&D"),
        ("R&D", "the R and D team", "R and D"),
        ("C++", "in C++, say", "C++"),
        ("$5 million", "for $5 million.", "$5 million"),
        ("Müller", "Frau Mu\u0308ller kam", "Mu\u0308ller"),
        ("Mu\u0308ller", "Frau Müller kam", "Müller"),
        ("Straße", "die Straße", "Straße"),
        ("Acme", "ＡＣＭＥ said", "ＡＣＭＥ"),
        ("cooperation", "co\u00adop\u200beration now", "co\u00adop\u200beration"),
        ("New York", "new\u00a0york", "new\u00a0york"),
        ("北京", "我们在北京开会", "北京"),
        ("Москва", "Это МОСКВА!", "МОСКВА"),
        ("हिन्दी", "वे हिन्दी बोलते", "हिन्दी"),
        ("Will", "Will and Ann", "Will"),
        ("IT", "ask IT about it", "IT"),
    ],
)
def test_a_name_is_found_however_it_is_written(name, text, surface):
    assert found(name, text) == [(1, text.index(surface), surface)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ann", "Hannah and Annika planned"),
        ("Acme", "Acmeist poetry"),
        ("Ann Smith", "Ann came, Bob Smith left"),
        ("US", "let us go"),
        ("IT", "it is so"),
        ("Will", "that will do"),
        ("A", "a plan"),
        ("C", "C++ and C#"),
        ("GPT-4", "GPT-3 and 4"),
        ("...", "well..."),
        ("", "well"),
        ("5 million", "15 million"),
    ],
)
def test_a_name_that_is_not_said_is_not_found(name, text):
    assert found(name, text) == []


def test_a_name_that_is_one_odd_character_is_looked_for_and_not_found():
    # "℀" is a symbol, folded to a space; its normal form is "ac" nevertheless.
    assert found("\u2100", "nothing here") == []


def test_no_name_spans_two_turns():
    assert found("Ann Lee", "I saw Ann", "Lee came") == []
    assert found("OpenAI", "Open", "AI") == []


def test_every_place_is_found_in_order():
    assert found("Acme", "Acme and acme", "no", "ACME") == [(1, 0, "Acme"), (1, 9, "acme"), (3, 0, "ACME")]


def test_places_are_those_of_the_raw_words():
    raw = "I {disfmarker} I saw Acme"
    cleaned = words((raw, "I saw Acme", ((0, 0), (2, 17))))
    [place] = cleaned.places("Acme")
    assert raw[place.offset :] == "Acme"


def test_what_cleaning_took_out_is_found_in_the_raw_words():
    taken = words(("Okay Ann", "", ()), ("Acme", "Acme", ()))
    assert [(place.turn, place.offset) for place in taken.places("Ann")] == [(1, 5)]


@given(st.lists(st.text(max_size=40), max_size=4), st.text(max_size=10))
def test_a_place_always_holds_the_name(texts, name):
    for place in words(*texts).places(name):
        assert texts[place.turn - 1].startswith(place.surface, place.offset)
        said, asked = _letters(place.surface), _letters(name)
        # "&" is read as "and", or not at all.
        assert said.startswith(asked[:1]) or not said.isascii() or "&" in name


def _letters(text: str) -> str:
    return "".join(c for c in normal_form(text) if c.isalnum())


@given(st.text(max_size=60))
def test_folding_knows_where_each_character_was(text):
    folded, offsets = fold(text)
    if offsets is None:
        assert len(folded) == len(text)
    else:
        assert len(offsets) == len(folded) + 1
        assert offsets == sorted(offsets)
        assert offsets[-1] == len(text)


@given(st.lists(st.text(alphabet="abcdefgh", min_size=4, max_size=8), min_size=1, max_size=8), st.data())
def test_any_run_of_words_is_found(tokens, data):
    start = data.draw(st.integers(0, len(tokens) - 1))
    end = data.draw(st.integers(start + 1, len(tokens)))
    name = " ".join(tokens[start:end])
    assert name in [surface for _, _, surface in found(name, " ".join(tokens))]


def test_a_huge_turn_is_no_slow_path():
    huge = words("a " * 500_000, "\u0301" * 200_000)
    began = time.process_time()
    for name in ("a", "A A", "b", "a a a", "AAAAAAAA", "x" * 300):
        huge.places(name)
    assert time.process_time() - began < 5
