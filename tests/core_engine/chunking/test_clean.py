"""What cleaning takes out, what it must never touch, and that every character leads back to where it was read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine.chunking.clean import clean, from_raw, to_raw, uncleaned


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("did {disfmarker} did did it", "did it"),
        ("Did {disfmarker} did {disfmarker} did it {disfmarker} ? I didn't", "Did it? I didn't"),
        ("how much w how easy", "how much how easy"),
        ("I I think", "I think"),
        ("I, I think", "I think"),
        ("we just p picked", "we just picked"),
        ("th- the thing", "the thing"),
        ("I 'm {disfmarker} I 'm familiar", "I'm familiar"),
        ("over the last, uh, over the last five", "over the last five"),
        ("from- from your experience", "from your experience"),
        ("the… the plan", "the plan"),
        ("Yeah , it 's", "Yeah, it's"),
        ("Dave Gelbart 's program", "Dave Gelbart's program"),
        ("The L_C_D_ and the T_V_ .", "The LCD and the TV."),
        ("the P_D_A_s", "the PDAs"),
        ("So , um , we do , uh , three", "So, we do, three"),
        ("Um , we do", "we do"),
        ("right . Um . We should", "right. We should"),
        ("You know , I discovered it", "I discovered it"),
        ("Yeah . Yeah , okay . So we go", "Yeah. So we go"),
        ("{vocalsound} so [laughter] we (inaudible 00:12) go ♪", "so we go"),
        ("a  \n\t b", "a b"),
    ],
)
def test_what_says_nothing_is_taken_out(raw: str, text: str) -> None:
    assert clean(raw).text == text


@pytest.mark.parametrize(
    "raw",
    ["Yeah .", "Mm - hmm . Mm - hmm .", "Okay, right.", "{vocalsound}", "Uh-huh.", "so {disfmarker}", "?", "  ", ""],
)
def test_a_turn_that_only_says_that_someone_listens_becomes_empty(raw: str) -> None:
    assert clean(raw).text == ""
    assert clean(raw).cuts == ()


@pytest.mark.parametrize(
    "raw",
    [
        "Duran Duran played in New York, New York",
        "New {disfmarker} New York".replace("{disfmarker}", "and"),
        "one one two, twenty twenty, double oh seven",
        "what he had had was that that is is",
        "very very good, no no no",
        "World War I I think",
        "the c code of plan b but not vitamin c",
        "a t test",
        "Dr. Er and the Um family saw it in the ER",
        "do you know, that I know what I mean, exactly that",
        "it is 5 mm long",
        "uh-oh, the plan",
        "MAX_VALUE and X_1",
        'he said "the the, um, you know, I I"',
        "the 's' key",
        "We use .NET and 3.5 , 6".replace(" ,", ","),
        "the 5 -- 5 people",
        "Yes.",
        "No.",
        "Johnny Mandel (music) and the band",
    ],
)
def test_names_numbers_and_quotes_stay(raw: str) -> None:
    assert clean(raw).text == raw


@pytest.mark.parametrize(
    "raw",
    [
        "Er ist um zwei da, um das zu sehen.",
        "um, dois, três",
        "Le problème, c'est que je je ne sais pas.",
        "Я я не знаю, к кому.",
        "我们我们去北京, 好的。",
        "Hablo con un niño y yo.",
        "z zakładem w Warszawie",
    ],
)
def test_other_languages_lose_no_letter(raw: str) -> None:
    assert clean(raw).text == raw


def test_repeated_words_on_both_sides_of_a_cut_off_stay_if_they_are_names_or_numbers() -> None:
    assert clean("New {disfmarker} New York has 5 {disfmarker} 5 people").text == "New New York has 5 5 people"


def test_control_characters_and_unpaired_surrogates_are_text() -> None:
    raw = "a\x00b \ud800 the \x1bend <|endoftext|> {name}"
    assert clean(raw).text == raw


def test_uncleaned_text_maps_to_itself() -> None:
    plain = uncleaned("Um , yes")
    assert (plain.text, to_raw(plain.cuts, 3), from_raw(plain.cuts, 3)) == ("Um , yes", 3, 3)


FRAGMENTS = (
    "um uh er the the I I I'm 'm we th- w how {disfmarker} {vocalsound} [laughter] , . ? ! -- … - Yeah okay . Mm - hmm "
    'L_C_D_ A_ " “ ” you know , I mean , New York 5 twenty ♪ @ @ \n \t \x1d \x1e \x1f \ud800 中文 Я я é'
)
fragments = st.sampled_from(FRAGMENTS.split(" "))
texts = st.one_of(
    st.text(), st.lists(fragments, max_size=40).map(" ".join), st.lists(fragments, max_size=40).map("".join)
)


@given(texts)
def test_every_character_that_is_kept_maps_back_to_itself(raw: str) -> None:
    cleaned = clean(raw)
    places = [to_raw(cleaned.cuts, at) for at in range(len(cleaned.text))]
    assert places == sorted(set(places))
    assert all(0 <= place < len(raw) for place in places)
    assert all(
        raw[place] == character for place, character in zip(places, cleaned.text, strict=True) if character != " "
    )
    assert [from_raw(cleaned.cuts, place) for place in places] == list(range(len(places)))


@given(texts)
def test_the_cuts_are_where_runs_of_unchanged_characters_begin(raw: str) -> None:
    cleaned = clean(raw)
    assert list(cleaned.cuts) == sorted(set(cleaned.cuts))
    assert all(text < len(cleaned.text) for text, _ in cleaned.cuts)
    assert cleaned.cuts[:1] == () if not cleaned.text else cleaned.cuts[0][0] == 0


@given(texts)
def test_no_line_break_and_no_double_space_is_left(raw: str) -> None:
    text = clean(raw).text
    assert "\n" not in text
    assert "  " not in text
    assert text == text.strip()


@pytest.mark.parametrize(
    "unit", [" ", "\n", ".", "a ", "um ", "{disfmarker} ", ", um ", "I -- ", '"', "[", "aaaa", "A_", "’", "- a"]
)
def test_a_long_monotonous_turn_is_cleaned_in_linear_time(unit: str) -> None:
    clean(unit * (200_000 // len(unit)))
