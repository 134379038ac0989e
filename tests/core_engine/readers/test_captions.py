import pytest

from core_engine.errors import Unreadable
from core_engine.readers.registry import read
from tests.core_engine.readers.reading import said, timed, transcript_of, written


def srt(*cues: tuple[float, float, str]) -> str:
    return "".join(f"{n}\n{clock(start)} --> {clock(end)}\n{text}\n\n" for n, (start, end, text) in enumerate(cues, 1))


def vtt(*cues: tuple[float, float, str]) -> str:
    return "WEBVTT\n\n" + "".join(
        f"{clock(s).replace(',', '.')} --> {clock(e).replace(',', '.')}\n{t}\n\n" for s, e, t in cues
    )


def clock(time: float) -> str:
    ms = round(time * 1000)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def test_cues_of_one_sentence_are_one_turn_and_keep_their_times(tmp_path):
    file = srt((0.5, 1, "When you first"), (1, 2, "get\nstarted"), (2, 3.25, "in podcasting."))
    (turn,) = transcript_of(tmp_path, "a.srt", file).turns
    assert turn.text == "When you first get started in podcasting."
    assert (turn.start, turn.end) == (0.5, 3.25)
    assert [(turn.text[m.at :].split(" ")[0], m.start, m.end) for m in turn.marks] == [
        ("When", 0.5, 1.0),
        ("get", 1.0, 2.0),
        ("in", 2.0, 3.25),
    ]
    assert [file[m.place.start : m.place.end] for m in turn.marks] == [
        "When you first",
        "get\nstarted",
        "in podcasting.",
    ]
    assert [m.place.line for m in turn.marks] == [3, 7, 12]
    assert file[turn.place.start : turn.place.end].startswith("When")


def test_a_pause_ends_a_turn(tmp_path):
    assert len(transcript_of(tmp_path, "a.srt", srt((0, 1, "One"), (5, 6, "two"), (10.1, 11, "three"))).turns) == 2


def test_a_long_turn_ends_with_its_sentence_and_a_very_long_one_anyway(tmp_path):
    sentences = srt(*((i, i + 1, "x" * 60 + ".") for i in range(9)))
    assert [len(t.marks) for t in transcript_of(tmp_path, "a.srt", sentences).turns] == [3, 3, 3]
    endless = srt(*((i, i + 1, "x" * 60) for i in range(12)))
    assert [len(t.marks) for t in transcript_of(tmp_path, "b.srt", endless).turns] == [5, 5, 2]


def test_names_before_colons_are_speakers_when_they_come_again(tmp_path):
    file = vtt((0, 1, "Ann: One."), (1, 2, "Bob: Two."), (2, 3, "Bob: Three."), (3, 4, "Ann: Note: four."))
    assert said(transcript_of(tmp_path, "a.vtt", file)) == [
        ("Ann", "One."),
        ("Bob", "Two. Three."),
        ("Ann", "Note: four."),
    ]


def test_where_only_changes_are_named_a_cue_belongs_to_the_speaker_before(tmp_path):
    texts = ["Ann: One"] + ["more"] * 20 + ["Bob: Two"] + ["more"] * 20 + ["Ann: Three", "Bob: Four"]
    file = srt(*((i, i + 1, text) for i, text in enumerate(texts)))
    assert {speaker for speaker, _ in said(transcript_of(tmp_path, "a.srt", file))} == {"Ann", "Bob"}


def test_where_every_cue_is_named_one_without_a_name_is_nobodys(tmp_path):
    texts = ["Ann: One.", "Bob: Two."] * 5 + ["Three."] + ["jvn: Four."]
    file = vtt(*((i, i + 1, text) for i, text in enumerate(texts)))
    assert said(transcript_of(tmp_path, "a.vtt", file))[-2:] == [(None, "Three."), ("jvn", "Four.")]


def test_voices_are_speakers_and_may_change_within_a_cue(tmp_path):
    file = vtt((0, 1, "<v.loud Ann Lee>Hi <i>all</i></v>\n<v Bob>Ho &amp; so"), (1, 2, "<v Bob>on"))
    transcript = transcript_of(tmp_path, "a.vtt", file)
    assert said(transcript) == [("Ann Lee", "Hi all"), ("Bob", "Ho & so on")]
    assert timed(transcript) == [("Ann Lee", 0.0, 1.0), ("Bob", 0.0, 2.0)]


def test_two_speakers_in_one_cue_are_told_apart(tmp_path):
    file = srt((0, 1, "Ann: One.\nBob: Two."), (1, 2, "Ann: Three."), (2, 3, "Bob: Four."))
    assert said(transcript_of(tmp_path, "a.srt", file))[:2] == [("Ann", "One."), ("Bob", "Two.")]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<i>Hi</i> <font color='red'>you</font>", "Hi you"),
        ("{\\an8}Up here", "Up here"),
        ("<00:00:01.000><c>word</c> <c.x>by</c>", "word by"),
        ("AT&T &lt;3 &#39;x&#39; &nope", "AT&T <3 'x' &nope"),
        ("a < b and <laughs> c > d", "a < b and <laughs> c > d"),
    ],
)
def test_tags_and_entities_go_and_other_signs_stay(tmp_path, raw, text):
    assert said(transcript_of(tmp_path, "a.srt", srt((0, 1, raw)))) == [(None, text)]


def test_notes_styles_and_settings_are_nobodys_words(tmp_path):
    file = (
        "WEBVTT - a title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE a remark\nof two lines\n\n"
        "intro\n00:01.000 --> 00:02.000 align:left position:10%\nHi\n\n"
        "NOTE another\n\n2\n00:03.000 --> 00:04.000\nthere\n"
    )
    assert said(transcript_of(tmp_path, "a.vtt", file)) == [(None, "Hi there")]


def test_in_srt_a_blank_line_may_stand_inside_a_cue(tmp_path):
    file = "1\n00:00:00,000 --> 00:00:01,000\nOne\n\ntwo\n\n2\n00:00:01,000 --> 00:00:02,000\n3\n\n"
    assert said(transcript_of(tmp_path, "a.srt", file)) == [(None, "One two 3")]


@pytest.mark.parametrize(
    ("head", "times"),
    [
        ("00:00:01,5 --> 00:00:02,25", (1.5, 2.25)),
        ("123:00:01.000 --> 123:00:02.000", (442801.0, 442802.0)),
        ("01:02 --> 01:03", (62.0, 63.0)),
        ("00:00:05,000 --> 00:00:04,000", (5.0, 5.0)),
        ("00:00:05,000 -->", (5.0, 5.0)),
        ("-00:00:05,000 --> 00:00:04,000", (4.0, 4.0)),
    ],
)
def test_odd_times_are_read_as_far_as_they_make_sense(tmp_path, head, times):
    (turn,) = transcript_of(tmp_path, "a.srt", f"{head}\nWords\n").turns
    assert turn.text == "Words"
    ((mark),) = turn.marks
    assert (turn.start, turn.end) in (times, (None, times[1]))
    assert mark.start in (times[0], None)


def test_a_cue_that_ends_before_it_starts_is_warned_of(tmp_path):
    assert transcript_of(tmp_path, "a.srt", srt((5, 4, "Words"))).warnings == (
        "line 2: a cue ends before it starts; its end is left out",
    )


def test_cues_without_words_are_left_out(tmp_path):
    assert said(transcript_of(tmp_path, "a.srt", srt((0, 1, ""), (1, 2, "<i> </i>"), (2, 3, "Hi")))) == [(None, "Hi")]


@pytest.mark.parametrize(
    ("name", "file"), [("a.vtt", "WEBVTT\n\n"), ("a.srt", srt((0, 1, ""))), ("b.srt", "just words\n")]
)
def test_captions_without_words_are_unreadable(tmp_path, name, file):
    with pytest.raises(Unreadable, match="without a single cue"):
        read(written(tmp_path, name, file))


@pytest.mark.parametrize(
    ("name", "file", "format_", "reason"),
    [
        ("a.txt", vtt((0, 1, "Hi")), "webvtt", "named .txt, but begins with WEBVTT"),
        ("a.srt", vtt((0, 1, "Hi")), "webvtt", "named .srt, but begins with WEBVTT"),
        ("a.vtt", srt((0, 1, "Hi")), "srt", "named .vtt, but begins with an SRT cue"),
        ("a", srt((0, 1, "Hi")), "srt", "begins with an SRT cue"),
        ("a.SRT", srt((0, 1, "Hi")), "srt", "named .srt, and begins with an SRT cue"),
        ("a.srt", '{"segments": [{"text": "Hi", "start": 0}]}', "json", "named .srt, but begins as JSON does"),
    ],
)
def test_captions_are_known_by_their_content_where_the_name_lies(tmp_path, name, file, format_, reason):
    reading = read(written(tmp_path, name, file))
    assert (reading.format, reading.reason) == (format_, reason)
