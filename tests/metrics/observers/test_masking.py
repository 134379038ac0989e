"""What masking takes out of content, and what it leaves."""

from __future__ import annotations

import pytest

from metrics.observers.masking import LEFT_OUT, masked
from tests.metrics.observers.test_tree import call


def text_of(text: str, *speakers: str, stage: str = "extract") -> str:
    return masked(call("b", stage, asked=text, speakers=speakers)).asked


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ann.lee+x@mail.example.co.uk today", "write to [email] today"),
        ("call +44 (0)20 7946 0958 now", "call [phone] now"),
        ("call 030/901820-0", "call [phone]"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        ("card 4111-1111-1111-1111", "card [card]"),
        ("not a card 1234567890123456", "not a card [phone]"),
        ("on 2026-11-30 and 30.11.2026", "on 2026-11-30 and 30.11.2026"),
        ("in 2025, 1,250 of 30,000 units, week 12", "in 2025, 1,250 of 30,000 units, week 12"),
        ("at 10:32:05 it was 99.5 %", "at 10:32:05 it was 99.5 %"),
        ("", ""),
    ],
)
def test_emails_phone_numbers_and_cards(text, left):
    assert text_of(text) == left


def test_names_of_speakers_whole_in_part_and_in_any_case():
    said = text_of("A Ann Lee\n1 A: Ann asked ANN LEE and Lee; annual leeway stays.", "Ann Lee", "Dr. Wei Chen")
    assert said == "A [speaker]\n1 A: [speaker] asked [speaker] and [speaker]; annual leeway stays."


def test_a_reply_is_masked_like_a_prompt_and_the_speakers_go():
    found = masked(call("b", replied='{"e":[["Ann Lee","Person"]]}', speakers=("Ann Lee",)))
    assert found.replied == '{"e":[["[speaker]","Person"]]}'
    assert found.speakers == ()


def test_questions_about_names_are_left_out_whole():
    found = masked(call("b", "resolve", asked="Is Ann Lee A. Lee?", replied="yes"))
    assert (found.asked, found.replied) == (LEFT_OUT, LEFT_OUT)


def test_a_call_without_content_stays_as_it_is():
    one = call("b")
    assert masked(one) is one


@pytest.mark.parametrize("text", ["1 " * 20_000, "a@" * 20_000, "(" * 20_000, "9" * 50_000, "a." * 30_000 + "@"])
def test_no_text_takes_long(text):
    text_of(text, "Ann Lee")
