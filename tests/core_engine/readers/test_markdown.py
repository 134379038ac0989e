import pytest

from core_engine.errors import NotATranscript
from core_engine.readers.registry import read
from tests.core_engine.readers.reading import said, timed, transcript_of, written

EXPECTED = [("Ann Lee", "Hi there."), ("Bob", "Hello."), ("Ann Lee", "Bye.")]
HABITS = {
    "**Name:** text": "**Ann Lee:** Hi there.\n\n**Bob:** Hello.\n\n**Ann Lee:** Bye.\n",
    "**Name**: text": "**Ann Lee**: Hi there.\n\n**Bob**: Hello.\n\n**Ann Lee**: Bye.\n",
    "__Name:__ text": "__Ann Lee:__ Hi there.\n\n__Bob:__ Hello.\n\n__Ann Lee:__ Bye.\n",
    "**Name** above": "**Ann Lee**\n\nHi there.\n\n**Bob**\n\nHello.\n\n**Ann Lee**\n\nBye.\n",
    "Name: text": "Ann Lee: Hi there.\n\nBob: Hello.\n\nAnn Lee: Bye.\n",
}
TIMED_HABITS = {
    "**Name** (time): text": "**Ann Lee** (00:01): Hi there.\n\n**Bob** (00:05): Hello.\n\n**Ann Lee** (1:02:03): Bye.\n",
    "**Name (time):** text": "**Ann Lee (00:01):** Hi there.\n\n**Bob (00:05):** Hello.\n\n**Ann Lee (1:02:03):** Bye.\n",
    "**Name** [time] above": "**Ann Lee** [00:01]\nHi there.\n\n**Bob** [00:05]\nHello.\n\n**Ann Lee** [1:02:03]\nBye.\n",
    "## Name time": "## Ann Lee 00:01\n\nHi there.\n\n## Bob 00:05\n\nHello.\n\n## Ann Lee 1:02:03\n\nBye.\n",
    "Name: time above": "Ann Lee: 00:00:01\n\nHi there.\n\nBob: 00:00:05\n\nHello.\n\nAnn Lee: 01:02:03\n\nBye.\n",
}


@pytest.mark.parametrize("talk", [*HABITS.values(), *TIMED_HABITS.values()], ids=[*HABITS, *TIMED_HABITS])
def test_speakers_are_found_in_every_habit(tmp_path, talk):
    assert said(transcript_of(tmp_path, "a.md", talk)) == EXPECTED


@pytest.mark.parametrize("talk", TIMED_HABITS.values(), ids=TIMED_HABITS)
def test_times_are_found_in_every_habit(tmp_path, talk):
    assert [start for _, start, _ in timed(transcript_of(tmp_path, "a.md", talk))] == [1.0, 5.0, 3723.0]


FRONT = """---
title: "Lightning: privacy"
date: '2022-02-17'
speakers:
  - Sergei T.
  - Mary Ann
tags: [a, "b c"]
resources:
  - title: nested
    url: https://example.org/
---
# Another title

Sergei T.: Hi.

Mary Ann: Ho.
"""


def test_front_matter_is_title_and_metadata(tmp_path):
    transcript = transcript_of(tmp_path, "a.md", FRONT)
    assert transcript.title == "Lightning: privacy"
    assert dict(transcript.metadata) == {
        "date": "2022-02-17",
        "participants": "Sergei T., Mary Ann",
        "speakers": "Sergei T., Mary Ann",
        "tags": "a, b c",
    }
    assert said(transcript) == [("Sergei T.", "Hi."), ("Mary Ann", "Ho.")]
    assert [turn.place.line for turn in transcript.turns] == [14, 16]
    assert [FRONT[turn.place.start : turn.place.end] for turn in transcript.turns] == ["Hi.", "Ho."]


def test_headings_are_said_by_nobody_and_the_speaker_goes_on_below(tmp_path):
    talk = "# Standup\n\n**Ann:** One.\n\n## Budget\n\nTwo.\n\n---\n\n**Bob:** Three.\n\n**Ann:** Four.\n"
    transcript = transcript_of(tmp_path, "a.md", talk)
    assert transcript.title == "Standup"
    assert said(transcript) == [("Ann", "One."), ("Ann", "Two."), ("Bob", "Three."), ("Ann", "Four.")]


def test_paragraphs_belong_to_the_speaker_above(tmp_path):
    talk = "**Ann:** One.\n\nTwo: more.\n\n**Bob:** Three.\n\n**Ann:** Four.\n"
    assert said(transcript_of(tmp_path, "a.md", talk))[0] == ("Ann", "One.\n\nTwo: more.")


def test_escaped_times_are_marks(tmp_path):
    talk = "**Ann:** One.\n\n\\[08:12\\] Two.\n\n**Bob:** \\[10:00\\] Three. \\[laughter\\]\n"
    ann, bob = transcript_of(tmp_path, "a.md", talk).turns
    assert [(mark.at, mark.start) for mark in ann.marks] == [(6, 492.0)]
    assert bob.start == 600.0


def test_markdown_is_known_by_its_bold_names_whatever_its_name(tmp_path):
    reading = read(written(tmp_path, "a.txt", HABITS["**Name:** text"]))
    assert (reading.format, reading.reason) == ("markdown", "named .txt, but has bold names before colons")


def test_notes_are_skipped(tmp_path):
    notes = "# Plan\n\n- one\n- two\n\n## Later\n\n1. three\n2. four\n\n```\ncode\n```\n"
    with pytest.raises(NotATranscript, match="notes"):
        read(written(tmp_path, "plan.md", notes))


def test_prose_is_read(tmp_path):
    prose = "# A talk\n\nIt was a long day. We went home.\n\nThen we slept. It rained.\n"
    assert said(transcript_of(tmp_path, "a.md", prose)) == [
        (None, "It was a long day. We went home."),
        (None, "Then we slept. It rained."),
    ]


def test_a_front_matter_that_never_ends_is_text(tmp_path):
    assert transcript_of(tmp_path, "a.md", "---\n\nAnn: Hi.\n\nBob: Ho.\n").metadata == {}
