"""More habits of plain text: chats, questioning, changes of speaker without names, and lines that nobody says."""

import pytest

from core_engine.errors import NotATranscript
from core_engine.readers.registry import read
from tests.core_engine.readers.reading import said, timed, transcript_of, written


def assert_slices(raw, transcript):
    assert [raw[turn.place.start : turn.place.end] for turn in transcript.turns] == [
        turn.text for turn in transcript.turns
    ]
    assert [raw.count("\n", 0, turn.place.start) + 1 for turn in transcript.turns] == [t.place.line for t in transcript.turns]  # fmt: skip


CHATS = {
    "Zoom": "00:06:06\tAnn Lee:\tOne\nmore\r\n00:06:51\tBob (he/him):\tTwo\r\n01:00:00\tAnn Lee:\tThree\r\n",
    "Zoom, direct": "18:03:21\t From Ann Lee to Everyone:\n\tOne\nmore\n18:04:00\t From Bob (he/him) to Ann Lee(Direct Message):\n\tTwo\n18:05:00\t From Ann Lee to Everyone:\n\tThree\n",
    "Zoom, spaces": "18:03:21 From Ann Lee to Everyone : One\nmore\n18:04:00 From Bob (he/him) : Two\n18:05:00 From Ann Lee : Three\n",
    "WhatsApp": "12/01/2026, 18:03 - Ann Lee: One\nmore\n12/01/2026, 18:04 - Bob (he/him): Two\n12/01/2026, 18:05 - Ann Lee: Three\n",
    "WhatsApp, with what it says itself": "12/01/2026, 18:02 - Messages are encrypted.\n12/01/2026, 18:03 - Ann Lee: One\nmore\n12/01/2026, 18:04 - Bob (he/him): Two\n12/01/2026, 18:05 - Ann Lee: Three\n",
    "WhatsApp, iOS": "[12.01.26, 18:03:21] Ann Lee: One\nmore\n[12.01.26, 18:04:00] Bob (he/him): Two\n[12.01.26, 18:05:00] Ann Lee: Three\n",
}


@pytest.mark.parametrize("raw", CHATS.values(), ids=CHATS)
def test_a_chat_log_is_read_as_another_channel(tmp_path, raw):
    transcript = transcript_of(tmp_path, "a.txt", raw)
    assert [(who, " ".join(text.split())) for who, text in said(transcript) if who] == [("Ann Lee", "One more"), ("Bob (he/him)", "Two"), ("Ann Lee", "Three")]  # fmt: skip
    assert transcript.metadata["channel"] == "chat"
    assert_slices(raw, transcript)


def test_a_talk_is_no_chat(tmp_path):
    assert "channel" not in transcript_of(tmp_path, "a.txt", "Ann: Hi.\nBob: Ho.\nAnn: So.\n").metadata


OTTER = "Ann Lee  0:00  \nGood morning. \n\nSpeaker 2  0:07  \nHello.\nHow are you?\n\nAnn Lee  1:00:02  \nFine.\n\nTranscribed by https://otter.ai\n"


def test_otters_text_is_read_without_its_footer(tmp_path):
    transcript = transcript_of(tmp_path, "a.txt", OTTER)
    assert said(transcript) == [
        ("Ann Lee", "Good morning."),
        ("Speaker 2", "Hello.\nHow are you?"),
        ("Ann Lee", "Fine."),
    ]
    assert [start for _, start, _ in timed(transcript)] == [0.0, 7.0, 3602.0]
    assert_slices(OTTER, transcript)


PANEL = "0:00\nhello and welcome\n0:04\n4 seconds\nto the show today\nwe talk\n1:02:09\n1 hour, 2 minutes, 9 seconds\nand goodbye\n"


def test_youtubes_panel_has_times_above_the_words(tmp_path):
    transcript = transcript_of(tmp_path, "a.txt", PANEL)
    assert said(transcript) == [
        (None, "hello and welcome"),
        (None, "to the show today\nwe talk"),
        (None, "and goodbye"),
    ]
    assert [start for _, start, _ in timed(transcript)] == [0.0, 4.0, 3729.0]
    assert_slices(PANEL, transcript)


def test_what_teams_and_meet_say_of_themselves_is_no_ones_words(tmp_path):
    teams = (
        "Ann Lee started transcription\n\nAnn Lee   0:03\nHello.\n\nBob   0:09\nHi.\n\nAnn Lee stopped transcription\n"
    )
    assert said(transcript_of(tmp_path, "a.txt", teams)) == [("Ann Lee", "Hello."), ("Bob", "Hi.")]
    end = "Meeting ended after 00:28:11 \U0001f44b\n\nThis editable transcript was computer generated and might contain errors. People can also change the text after it was created.\n"
    meet = f"Ann Lee: Hello.\nBob: Hi.\nAnn Lee: So.\n\n{end}"
    assert said(transcript_of(tmp_path, "a.txt", meet))[-1] == ("Ann Lee", "So.")


HEARING = """\
             OPENING STATEMENT OF HON. ANN LEE, CHAIRMAN

    Chairman Lee. The committee will come to order. Good morning,
everybody. Our witness agrees with
Mr. Marsh. Now you may begin, Mr. Marsh.
    Mr. Marsh. Thank you, Chairman Lee.
    Senator Diaz. When was it?
    Mr. Marsh. In May. Mr. Chen knows more.
    Ms. Jackson Lee of Texas. I yield back.
    [Whereupon, at 11:30 a.m., the hearing was adjourned.]
"""
RECORD = """\
                           CRATES OF THE UNION

  The SPEAKER pro tempore. The Chair recognizes the gentleman (Mr. Smith) for 5
minutes.
  Mr. SMITH of New Jersey. Mr. Speaker, I rise today.
  Ms. JACKSON LEE. Will the gentleman yield?
  Mr. SMITH of New Jersey. I yield.
"""
DEBATE = "Crates (debate)\n\nPresident. \u2013 The next item.\n\nAnn Lee, author. \u2013 Madam President, they are here.\n\nBob Marsh (PPE). \u2013 I agree.\n\nPresident. \u2013 It is closed.\n"


@pytest.mark.parametrize(
    ("raw", "speakers"),
    [
        (HEARING, ["Chairman Lee", "Mr. Marsh", "Senator Diaz", "Mr. Marsh", "Ms. Jackson Lee of Texas"]),
        (RECORD, ["The SPEAKER pro tempore", "Mr. SMITH of New Jersey", "Ms. JACKSON LEE", "Mr. SMITH of New Jersey"]),
        (DEBATE, ["President", "Ann Lee", "Bob Marsh", "President"]),
    ],
    ids=["hearing", "Congressional Record", "European Parliament"],
)
def test_records_of_parliaments_name_their_speakers_before_a_full_stop(tmp_path, raw, speakers):
    transcript = transcript_of(tmp_path, "a.txt", raw)
    assert [turn.speaker for turn in transcript.turns if turn.speaker] == speakers
    assert_slices(raw, transcript)


MEET = "00:00:00\n \nAnn Lee: Good morning.\nBob: Hello.\n \n00:05:00\n \nAnn Lee: Fine.\n"


def test_meets_lone_times_are_the_next_turns_and_no_ones_words(tmp_path):
    transcript = transcript_of(tmp_path, "a.txt", MEET)
    assert said(transcript) == [("Ann Lee", "Good morning."), ("Bob", "Hello."), ("Ann Lee", "Fine.")]
    assert [start for _, start, _ in timed(transcript)] == [0.0, None, 300.0]
    assert_slices(MEET, transcript)


@pytest.mark.parametrize("raw", ["Q: Where?\nA: Here.\nQ: Sure?\nA: Yes.\n", "Q. Where?\nA. Here.\nQ. Sure?\nA.\tYes.\n", "Q. Where?\n\nA. Here.\n\nQ. Sure?\n\nA. Yes.\n"])  # fmt: skip
def test_questions_and_answers_have_speakers(tmp_path, raw):
    transcript = transcript_of(tmp_path, "a.txt", raw)
    assert said(transcript) == [("Q", "Where?"), ("A", "Here."), ("Q", "Sure?"), ("A", "Yes.")]
    assert_slices(raw, transcript)


def test_questioning_may_be_mixed_with_names(tmp_path):
    raw = "MR. VICK: Your witness.\nQ. Where?\nA. Here.\nMR. VICK: Objection.\nTHE COURT: Overruled.\nQ. Sure?\nA. Yes.\nMR. VICK: Done.\nTHE COURT: Good.\n"
    assert [who for who, _ in said(transcript_of(tmp_path, "a.txt", raw))] == [
        "MR. VICK", "Q", "A", "MR. VICK", "THE COURT", "Q", "A", "MR. VICK", "THE COURT",
    ]  # fmt: skip


def test_a_list_of_letters_is_no_questioning(tmp_path):
    raw = "We went through the options.\n\nA. Pumps\n\nQ. Valves\n\nThat was all, and we went home early that day.\n"
    assert {who for who, _ in said(transcript_of(tmp_path, "a.txt", raw))} == {None}


def test_signs_of_a_change_end_a_turn_whose_speaker_is_not_named(tmp_path):
    raw = ">> Where was it?\n>> In the cellar,\nbehind the boiler.\n>> ANN: Mine?\n>> BOB: No.\n>> ANN: Oh.\n>> BOB: Yes.\n>> Who are you?\n"
    transcript = transcript_of(tmp_path, "a.txt", raw)
    assert said(transcript) == [
        (None, "Where was it?"), (None, "In the cellar,\nbehind the boiler."), ("ANN", "Mine?"), ("BOB", "No."), ("ANN", "Oh."), ("BOB", "Yes."), (None, "Who are you?"),
    ]  # fmt: skip
    assert_slices(raw, transcript)


PRINTED = """HARROWMERE CITY COUNCIL

Ann: The first item is the pump house, which has been
on our list for

Council minutes 2 October
1

a year now.
Bob: Two years.

Council minutes 2 October
2

Ann: Two years, then.
(The clerk handed out the plans.)
We have 12 copies:

Council minutes 2 October
3

AFTERNOON SESSION

Bob: Thank you. [Applause]
12
Ann: Twelve, he says.
"""


def test_page_numbers_what_stands_beside_them_and_headings_are_no_ones_words(tmp_path):
    transcript = transcript_of(tmp_path, "a.txt", PRINTED)
    assert said(transcript) == [
        ("Ann", "The first item is the pump house, which has been\non our list for"),
        ("Ann", "a year now."),
        ("Bob", "Two years."),
        ("Ann", "Two years, then."),
        (None, "(The clerk handed out the plans.)"),
        ("Ann", "We have 12 copies:"),
        ("Bob", "Thank you. [Applause]\n12"),
        ("Ann", "Twelve, he says."),
    ]
    assert_slices(PRINTED, transcript)


def test_pages_that_call_themselves_so_are_no_ones_words(tmp_path):
    raw = "Ann: One\nPage 1 of 2\ntwo.\nBob: Three.\n\f- 2 -\nAnn: Four.\nPage 2 of 2\n"
    transcript = transcript_of(tmp_path, "a.txt", raw)
    assert said(transcript) == [("Ann", "One"), ("Ann", "two."), ("Bob", "Three."), ("Ann", "Four.")]
    assert_slices(raw, transcript)


def test_a_number_that_someone_says_stays(tmp_path):
    raw = "Ann: How many?\nBob:\n12\nAnn: And then?\nBob:\n7\nAnn: Fine.\n"
    assert said(transcript_of(tmp_path, "a.txt", raw))[1::2] == [("Bob", "12"), ("Bob", "7")]


def test_podcast_markdown_with_front_matter_has_title_date_and_speakers_as_metadata(tmp_path):
    raw = "---\ntitle: 'Listening to pipes'\ndate: 2025-10-15\nspeakers: [Elsie Marchetti, Imogen Tarrant]\n---\n\n# Listening\n\n**Elsie Marchetti** [0:01]: Welcome.\n\n**Imogen Tarrant** [0:05]: Thanks.\n\n**Elsie Marchetti** [0:09]: So.\n"
    transcript = transcript_of(tmp_path, "a.md", raw)
    assert transcript.title == "Listening to pipes"
    assert (transcript.metadata["date"], transcript.metadata["speakers"]) == (
        "2025-10-15",
        "Elsie Marchetti, Imogen Tarrant",
    )
    assert timed(transcript) == [
        ("Elsie Marchetti", 1.0, None),
        ("Imogen Tarrant", 5.0, None),
        ("Elsie Marchetti", 9.0, None),
    ]


def test_a_label_of_5000_characters_is_no_speaker_and_its_words_stay(tmp_path):
    raw = "Ann: Hi.\n" + "A" * 5000 + ": Ho.\nBob: So.\nAnn: Yes.\n"
    transcript = transcript_of(tmp_path, "a.txt", raw)
    assert {who for who, _ in said(transcript)} == {"Ann", "Bob"}
    assert sum(len(text) for _, text in said(transcript)) > 5000


def test_ten_thousand_speakers_are_read(tmp_path):
    raw = "".join(f"Person {i}: Hello.\n" for i in range(10_000))
    assert len({who for who, _ in said(transcript_of(tmp_path, "a.txt", raw))}) == 10_000
    assert read(written(tmp_path, "b.txt", raw)).format == "text"


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("a.txt", "[Music]\n\n(Applause)\n\n♪ la la ♪\n"),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n[Music]\n\n2\n00:00:03,000 --> 00:00:04,000\n(laughter) ...\n"),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n[Music]\n"),
    ],
)
def test_a_file_of_only_markers_is_no_transcript(tmp_path, name, raw):
    with pytest.raises(NotATranscript, match=r"nothing is said in it, only markers such as \[Music\]"):
        read(written(tmp_path, name, raw))
