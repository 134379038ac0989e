import pytest

from core_engine.errors import NotATranscript
from core_engine.readers.registry import read
from core_engine.types import Place
from tests.core_engine.readers.reading import reading_of, said, timed, transcript_of, written

HABITS = {
    "Name: text": "Ann Lee: Hi there.\nBob: Hello.\nAnn Lee: Bye.\n",
    "Name: text, blank lines between": "Ann Lee: Hi there.\n\nBob: Hello.\n\nAnn Lee: Bye.\n",
    "NAME: text": "ANN LEE: Hi there.\nBOB: Hello.\nANN LEE: Bye.\n",
    "text on the next line": "Ann Lee:\nHi there.\n\nBob:\nHello.\n\nAnn Lee:\nBye.\n",
    ">> NAME: text": ">> Ann Lee: Hi there.\n>> Bob: Hello.\n>> Ann Lee: Bye.\n",
    "a blank that doesn't break": "Ann\u00a0Lee:\u00a0Hi there.\nBob:\u00a0Hello.\nAnn\u00a0Lee:\u00a0Bye.\n",
    "questions with their numbers": "1. Ann Lee: Hi there.\nBob: Hello.\nT2. Ann Lee: Bye.\n",
    "full-width colon": "Ann Lee\uff1aHi there.\nBob\uff1aHello.\nAnn Lee\uff1aBye.\n",
}
TIMED_HABITS = {
    "[time] Name: text": "[00:00:01] Ann Lee: Hi there.\n[00:00:05] Bob: Hello.\n[01:02:03] Ann Lee: Bye.\n",
    "(time) Name: text": "(00:01) Ann Lee: Hi there.\n(00:05) Bob: Hello.\n(1:02:03) Ann Lee: Bye.\n",
    "time Name: text": "00:00:01 Ann Lee: Hi there.\n00:00:05 Bob: Hello.\n01:02:03 Ann Lee: Bye.\n",
    "Name  time above": "Ann Lee  0:01\nHi there.\n\nBob  0:05\nHello.\n\nAnn Lee  1:02:03\nBye.\n",
    "Name: time above": "Ann Lee: 00:00:01\n\nHi there.\n\nBob: 00:00:05\n\nHello.\n\nAnn Lee: 01:02:03\n\nBye.\n",
    "Name (time): text": "Ann Lee (00:01): Hi there.\nBob (00:05): Hello.\nAnn Lee (1:02:03): Bye.\n",
    "Name (time): above": "Ann Lee (00:01):\nHi there.\n\nBob (00:05):\nHello.\n\nAnn Lee (1:02:03):\nBye.\n",
    "Name [time] above": "Ann Lee [00:00:01]\nHi there.\nBob [00:00:05]\nHello.\nAnn Lee [01:02:03]\nBye.\n",
    "time - Name above (Fathom, Fireflies)": "0:01 - Ann Lee\n  Hi there.\n\n0:05 - Bob\n  Hello.\n\n1:02:03 - Ann Lee\n  Bye.\n",
    "[time] Name above (Trint)": "[00:00:01] Ann Lee\nHi there.\n\n[00:00:05] Bob\nHello.\n\n[01:02:03] Ann Lee\nBye.\n",
    "[time] - Name above (Happy Scribe)": "[00:00:01.00] - Ann Lee\nHi there.\n\n[00:00:05.00] - Bob\nHello.\n\n[01:02:03.00] - Ann Lee\nBye.\n",
    "[Name] time above (Zoom's captions)": "[Ann Lee] 00:00:01\nHi there.\n\n[Bob] 00:00:05\nHello.\n\n[Ann Lee] 01:02:03\nBye.\n",
    "Name (time.ms) above (Riverside)": "Ann Lee (00:01.000)\nHi there.\n\nBob (00:05.000)\nHello.\n\nAnn Lee (01:02:03.000)\nBye.\n",
    "columns (Rev)": "Ann Lee    00:00:01    Hi there.\nBob    00:00:05    Hello.\nAnn Lee    01:02:03    Bye.\n",
    "columns behind a colon (Temi)": "Ann Lee:      00:01           Hi there.\n\nBob:      00:05           Hello.\n\nAnn Lee:      1:02:03           Bye.\n",
    "chat": "00:00:01\tAnn Lee:\tHi there.\n00:00:05\tBob:\tHello.\n01:02:03\tAnn Lee:\tBye.\n",
    "older chat": "00:00:01\t From Ann Lee to Everyone : Hi there.\n00:00:05\t From Bob : Hello.\n01:02:03\t From Ann Lee : Bye.\n",
}
EXPECTED = [("Ann Lee", "Hi there."), ("Bob", "Hello."), ("Ann Lee", "Bye.")]


@pytest.mark.parametrize("talk", [*HABITS.values(), *TIMED_HABITS.values()], ids=[*HABITS, *TIMED_HABITS])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_speakers_are_found_in_every_habit(tmp_path, talk, end):
    turns = said(transcript_of(tmp_path, "a.txt", talk.replace("\n", end)))
    assert [(speaker.title(), text) for speaker, text in turns] == EXPECTED


@pytest.mark.parametrize("talk", TIMED_HABITS.values(), ids=TIMED_HABITS)
def test_times_are_found_in_every_habit(tmp_path, talk):
    assert [start for _, start, _ in timed(transcript_of(tmp_path, "a.txt", talk))] == [1.0, 5.0, 3723.0]


def test_a_span_of_time_gives_start_and_end(tmp_path):
    talk = "[00:01.000 --> 00:02.500]  Hi there.\n[00:02.500 --> 00:04.000]  And so on.\n"
    transcript = transcript_of(tmp_path, "a.txt", talk)
    assert timed(transcript) == [(None, 1.0, 2.5), (None, 2.5, 4.0)]
    assert said(transcript) == [(None, "Hi there."), (None, "And so on.")]


def test_a_turn_goes_on_over_lines_and_paragraphs_until_the_next_speaker(tmp_path):
    talk = "Ann: One\ntwo.\n\nThree.\nBob: Four.\nAnn: Five.\n"
    assert said(transcript_of(tmp_path, "a.txt", talk)) == [
        ("Ann", "One\ntwo.\n\nThree."),
        ("Bob", "Four."),
        ("Ann", "Five."),
    ]


def test_the_text_of_a_turn_stands_at_its_place(tmp_path):
    talk = "Minutes\r\n\r\nAnn:  One \r\n two.  \r\n\r\nBob  (00:05):\r\n\r\nThree.\r\nAnn: x\r\nBob: y\r\n"
    transcript = transcript_of(tmp_path, "a.txt", talk)
    assert [talk[t.place.start : t.place.end] for t in transcript.turns] == [t.text for t in transcript.turns]
    assert [t.place.line for t in transcript.turns] == [1, 3, 8, 9, 10]
    assert transcript.turns[0].place == Place(0, 7, 1)


PROSE = """Here is the thing: we went there and it rained. Note that: nothing.

Note: the report is late. See https://example.org: it works.

It was 12:30 and then: silence. Question: who knows?

He said: "go". The rest: unknown.

The rest: as before.
"""


def test_prose_with_colons_has_no_speakers(tmp_path):
    transcript = transcript_of(tmp_path, "a.txt", PROSE)
    assert {speaker for speaker, _ in said(transcript)} == {None}
    assert len(transcript.turns) == 5


@pytest.mark.parametrize(
    "line",
    [
        "Note: this is late.",
        "Here is the plan: go.",
        "See https://x.org: fine.",
        "12:30: lunch",
        "TODO: tests",
        "Summary: all well.",
    ],
)
def test_a_label_that_is_no_name_stays_in_the_turn(tmp_path, line):
    talk = f"Ann: Hi.\nBob: Hello.\n{line}\nAnn: So.\nBob: Yes.\n"
    assert said(transcript_of(tmp_path, "a.txt", talk))[1] == ("Bob", f"Hello.\n{line}")


@pytest.mark.parametrize(
    "name",
    [
        "Ann", "Speaker 3", "SPEAKER_00", "Dr. Ann Lee", "Łukasz Rozmej", "David (dionysuz)", "Lumi | Offchain Labs", "PhD A",
        "Hon. Chrystia Freeland (Deputy Prime Minister)", "Jean-Luc O'Neil Jr.", "王伟", "Ludwig van Beethoven", "Q",
    ],
)  # fmt: skip
def test_names_of_all_kinds_are_speakers(tmp_path, name):
    talk = f"{name}: Hi.\n\nOperator: Hello.\n\n{name}: So.\n\nOperator: Yes.\n"
    assert [speaker for speaker, _ in said(transcript_of(tmp_path, "a.txt", talk))] == [name, "Operator"] * 2


def test_one_strange_label_in_a_file_of_turns_is_not_a_speaker(tmp_path):
    talk = "".join(f"Ann: Talk {i}.\n\nBob: Answer {i}.\n\n" for i in range(10))
    talk = talk.replace("Answer 5.", "Answer 5.\nBitcoin: A Peer-to-Peer System\nwas its name.")
    assert {speaker for speaker, _ in said(transcript_of(tmp_path, "a.txt", talk))} == {"Ann", "Bob"}


def test_without_speakers_paragraphs_are_turns(tmp_path):
    assert said(transcript_of(tmp_path, "a.txt", "One\ntwo.\n\n\nThree.\n")) == [(None, "One\ntwo."), (None, "Three.")]


def test_a_single_line_is_one_turn(tmp_path):
    talk = "All of it in one line. " * 2000
    assert said(transcript_of(tmp_path, "a.txt", talk)) == [(None, talk.strip())]


def test_lines_without_paragraphs_are_cut_at_sentence_ends(tmp_path):
    talk = "This line goes on\nand ends here at last.\n" * 60
    transcript = transcript_of(tmp_path, "a.txt", talk)
    assert all(turn.text.endswith("last.") for turn in transcript.turns)
    assert 5 < len(transcript.turns) < 15


def test_a_time_in_brackets_inside_a_turn_is_a_mark(tmp_path):
    talk = "Ann: One.\n\n[00:10] Two.\nBob: [00:20] Three.\nAnn: Four.\n"
    transcript = transcript_of(tmp_path, "a.txt", talk)
    first, second, _ = transcript.turns
    assert [(mark.at, mark.start) for mark in first.marks] == [(6, 10.0)]
    assert talk[first.marks[0].place.start : first.marks[0].place.end] == "[00:10]"
    assert second.start == 20.0


def test_a_chat_message_may_have_several_lines(tmp_path):
    talk = "00:06:06\tread.ai:\tRed joined.\n\nRead on: yes\n00:06:51\tLumi | Labs:\tgm\n"
    assert said(transcript_of(tmp_path, "a.txt", talk)) == [
        ("read.ai", "Red joined.\n\nRead on: yes"),
        ("Lumi | Labs", "gm"),
    ]


def test_blanks_within_a_name_are_one(tmp_path):
    assert said(transcript_of(tmp_path, "a.txt", "Ann   Lee: Hi.\nBob: Ho.\n"))[0][0] == "Ann Lee"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("README.txt", "Some words about it.\n", "a readme"),
        ("LICENSE", "Permission is granted.\n", "a license"),
        ("README.md", "Ann: x\n\nBob: y\n\nAnn: z\n\nBob: t\n", "a readme"),
        ("words.txt", "original\tcorrected\nFossil\tFOCIL\nPrism\tPrysm\n", "a table of 2 columns"),
        ("words_changelog.tsv", "original\tcorrected\n", "a table"),
        ("points.txt", "Points\n- one\n- two\n- three\n", "notes"),
        ("call.mp3", "ID3", "a sound recording"),
        ("Makefile", "all:\n\techo hello\n", "by its name not a transcript"),
    ],
)
def test_what_is_no_transcript_is_skipped_with_its_reason(tmp_path, name, content, reason):
    with pytest.raises(NotATranscript, match=reason):
        read(written(tmp_path, name, content))


def test_whoever_names_the_format_gets_it_read(tmp_path):
    reading = reading_of(tmp_path, "README.md", "# Hello\n\n- one\n- two\n", format="text")
    assert (reading.format, reading.reason) == ("text", "as asked for")
    assert len(list(reading.items)) == 1
