"""Captions as YouTube, Zoom, Teams, Meet and broadcasters write them, and the faults that they come with."""

import pytest

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.registry import read
from tests.core_engine.readers.places import assert_in_place
from tests.core_engine.readers.reading import said, timed, transcript_of, written

YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.350 align:start position:0%
\x20
so<00:00:00.480><c> the</c><00:00:00.640><c> sensor</c>

00:00:02.350 --> 00:00:02.360 align:start position:0%
so the sensor
\x20

00:00:02.360 --> 00:00:04.309 align:start position:0%
so the sensor
hears<00:00:02.520><c> the</c><00:00:02.720><c> leak</c>

00:00:04.309 --> 00:00:04.319 align:start position:0%
hears the leak
\x20

00:00:04.319 --> 00:00:06.000 align:start position:0%
hears the leak
the<00:00:04.600><c> leak</c><00:00:04.900><c> we</c>

00:00:06.000 --> 00:00:06.010 align:start position:0%
the leak we
\x20
"""


def srt(*cues: tuple[str, str, str]) -> str:
    return "".join(f"{n}\n{start} --> {end}\n{text}\n\n" for n, (start, end, text) in enumerate(cues, 1))


def test_rolling_captions_are_read_once_with_the_time_of_their_first_showing(tmp_path):
    transcript = transcript_of(tmp_path, "a.vtt", YOUTUBE)
    (turn,) = transcript.turns
    assert turn.text == "so the sensor hears the leak the leak we"
    assert [(turn.text[mark.at :].split()[0], mark.start) for mark in turn.marks] == [("so", 0.16), ("hears", 2.36), ("the", 4.319)]  # fmt: skip
    assert_in_place(YOUTUBE, transcript)


def test_rolling_captions_without_tags_are_read_once(tmp_path):
    file = srt(
        ("00:00:00,000", "00:00:02,000", "one two"),
        ("00:00:02,000", "00:00:04,000", "one two\nthree four"),
        ("00:00:04,000", "00:00:06,000", "three four\nfive six"),
        ("00:00:06,000", "00:00:08,000", "five six\nseven"),
    )
    transcript = transcript_of(tmp_path, "a.srt", file)
    assert said(transcript) == [(None, "one two three four five six seven")]
    assert_in_place(file, transcript)


def test_captions_that_grow_word_by_word_are_read_once(tmp_path):
    texts = ["we", "we moved", "we moved the <i>boards</i>", "we moved the <i>boards</i> &amp; back"]
    file = srt(*((f"00:00:0{i},000", f"00:00:0{i + 1},000", text) for i, text in enumerate(texts)))
    transcript = transcript_of(tmp_path, "a.srt", file)
    assert said(transcript) == [(None, "we moved the boards & back")]
    assert_in_place(file, transcript)


def test_what_someone_says_twice_is_said_twice(tmp_path):
    file = srt(
        ("00:00:00,000", "00:00:01,000", "No."),
        ("00:00:01,000", "00:00:02,000", "No."),
        ("00:00:02,000", "00:00:03,000", "No.\nReally not."),
        ("00:00:03,000", "00:00:04,000", "Well."),
        ("00:00:04,000", "00:00:05,000", "Fine then."),
    )
    assert said(transcript_of(tmp_path, "a.srt", file)) == [(None, "No. No. No. Really not. Well. Fine then.")]


def test_overlapping_cues_keep_their_words_and_times_without_a_warning(tmp_path):
    file = srt(("00:00:00,000", "00:00:04,000", "one"), ("00:00:02,000", "00:00:06,000", "two"))
    transcript = transcript_of(tmp_path, "a.srt", file)
    assert timed(transcript) == [(None, 0.0, 6.0)]
    assert transcript.warnings == ()


def test_cues_out_of_order_are_kept_as_they_stand_and_told_with_their_line(tmp_path):
    file = srt(("00:00:20,000", "00:00:21,000", "one"), ("00:00:05,000", "00:00:06,000", "two"))
    transcript = transcript_of(tmp_path, "a.srt", file)
    assert said(transcript)[0][1].startswith("one")
    assert transcript.warnings == ("line 6: a cue starts before the one above it; the order of the file is kept",)


def test_negative_times_and_ends_before_their_starts_are_told_with_their_line(tmp_path):
    file = srt(("-00:00:01,000", "00:00:01,000", "one"), ("00:00:05,000", "00:00:04,000", "two"), ("00:00:06,000", "00:00:05,000", "three"))  # fmt: skip
    assert transcript_of(tmp_path, "a.srt", file).warnings == (
        "line 6 (and 1 more): a cue ends before it starts; its end is left out",
        "line 2: a cue starts at a negative time, which is left out",
    )


def test_srt_without_numbers_with_hours_over_99_and_without_an_end_is_read(tmp_path):
    file = "00:00:01,000 --> 00:00:02,000\nOne.\n\n123:00:01,000 --> 123:00:02,000\nTwo.\n\n123:00:03,000 -->\nThree.\n"
    assert timed(transcript_of(tmp_path, "a.srt", file)) == [(None, 1.0, 2.0), (None, 442801.0, 442803.0)]


TEAMS = """WEBVTT

4f1d2a6e-1c9b-4a58-9d0f-0d9a3b1c2e44/12-0
00:00:03.120 --> 00:00:05.480
<v Wei-Lin Zhao>Right, so the gateway
dropped twice.</v>

4f1d2a6e-1c9b-4a58-9d0f-0d9a3b1c2e44/12-1
00:00:05.480 --> 00:00:07.000
<v Wei-Lin Zhao>Both at night.</v>

4f1d2a6e-1c9b-4a58-9d0f-0d9a3b1c2e44/15-0
00:00:07.400 --> 00:00:08.900
<v Tomasz Wilk>I have the log.</v>
"""


def test_teams_names_its_speakers_in_voices_and_its_cues_by_ids(tmp_path):
    transcript = transcript_of(tmp_path, "a.vtt", TEAMS)
    assert timed(transcript) == [("Wei-Lin Zhao", 3.12, 7.0), ("Tomasz Wilk", 7.4, 8.9)]
    assert said(transcript)[0][1] == "Right, so the gateway dropped twice. Both at night."
    assert_in_place(TEAMS, transcript)


ZOOM = """WEBVTT

1
00:00:16.239 --> 00:00:18.110
Priya Raman: Morning. Can you hear me?

2
00:00:18.650 --> 00:00:20.000
Dele Adeyemi (he/him): We can: loud and clear.

3
00:00:20.100 --> 00:00:21.000
Priya Raman: Good.
"""


def test_zoom_names_its_speakers_before_a_colon(tmp_path):
    transcript = transcript_of(tmp_path, "GMT20260112_Recording.transcript.vtt", ZOOM)
    assert said(transcript) == [
        ("Priya Raman", "Morning. Can you hear me?"),
        ("Dele Adeyemi (he/him)", "We can: loud and clear."),
        ("Priya Raman", "Good."),
    ]
    assert_in_place(ZOOM, transcript)


def test_webex_names_its_speakers_in_the_ids_of_the_cues(tmp_path):
    cue = '{0} "{1}" (2872939520)\n00:00:0{0}.000 --> 00:00:0{2}.000\nPoint {0}: go.\n\n'
    raw = "WEBVTT\n\n" + cue.format(1, "Ann Lee", 2) + cue.format(2, "Bob Marsh", 3) + cue.format(3, "Ann Lee", 4)
    transcript = transcript_of(tmp_path, "a.vtt", raw)
    assert said(transcript) == [("Ann Lee", "Point 1: go."), ("Bob Marsh", "Point 2: go."), ("Ann Lee", "Point 3: go.")]


def test_a_sign_for_a_change_of_speaker_ends_a_turn_and_is_no_word(tmp_path):
    file = "WEBVTT\n\n00:00.000 --> 00:02.000\n&gt;&gt; Where was it? &gt;&gt; In the\n\n00:02.000 --> 00:03.000\ncellar.\n\n00:03.000 --> 00:04.000\n>> ANN: Mine.\n>> BOB: No.\n\n00:04.000 --> 00:05.000\n>> ANN: Yes.\n>> BOB: No.\n"  # fmt: skip
    transcript = transcript_of(tmp_path, "a.vtt", file)
    assert said(transcript) == [
        (None, "Where was it?"), (None, "In the cellar."), ("ANN", "Mine."), ("BOB", "No."), ("ANN", "Yes."), ("BOB", "No."),
    ]  # fmt: skip
    assert_in_place(file, transcript)


def test_a_voice_with_a_name_of_5000_characters_is_cut_and_told_with_its_line(tmp_path):
    file = f"WEBVTT\n\n00:00.000 --> 00:01.000\n<v {'A' * 5000}>Hi.\n\n00:01.000 --> 00:02.000\n<v Bob>Ho.\n"
    transcript = transcript_of(tmp_path, "a.vtt", file)
    assert said(transcript) == [("A" * 200, "Hi."), ("Bob", "Ho.")]
    assert transcript.warnings == ("line 4: a speaker's name of 5000 characters is cut to 200",)


SBV = "0:00:00.599,0:00:04.160\nAnn Lee: Hi, everyone.\nWelcome back.\n\n0:00:04.160,0:00:05.000\nBob: Thanks.\n\n0:00:05.500,0:00:06.000\nAnn Lee: So.\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sbv_as_meet_and_youtube_write_it(tmp_path, end):
    raw = SBV.replace("\n", end)
    transcript = transcript_of(tmp_path, "a.sbv", raw)
    assert said(transcript) == [("Ann Lee", "Hi, everyone. Welcome back."), ("Bob", "Thanks."), ("Ann Lee", "So.")]
    assert timed(transcript)[0] == ("Ann Lee", 0.599, 4.16)
    assert_in_place(raw, transcript)
    assert read(written(tmp_path, "a.txt", raw)).reason == "named .txt, but begins with an SBV cue"


TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttm="http://www.w3.org/ns/ttml#metadata"
    xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:frameRate="25" ttp:tickRate="10000000" xml:lang="en">
  <head>
    <metadata><ttm:title>Site visit</ttm:title>
      <ttm:agent xml:id="ann" type="person"><ttm:name type="full">Ann Lé</ttm:name></ttm:agent></metadata>
    <styling><style xml:id="s1" tts:color="white" xmlns:tts="http://www.w3.org/ns/ttml#styling"/></styling>
  </head>
  <body><div>
    <p begin="00:00:01.5" end="00:00:02:05" ttm:agent="ann">It was the <span style="s1">va</span>lve,<br/>
       I&#39;d say &amp; swear.</p>
    <p begin="3s" dur="500ms" ttm:agent="bob">Ünd?</p>
    <p begin="40000000t" end="0.1m">&gt;&gt; Nothing.</p>
    <p begin="7s" end="8s"> </p>
  </div></body>
</tt>
"""


def test_ttml_has_agents_breaks_and_times_in_all_its_units(tmp_path):
    transcript = transcript_of(tmp_path, "a.ttml", TTML)
    assert said(transcript) == [("Ann Lé", "It was the valve, I'd say & swear."), ("bob", "Ünd?"), (None, "Nothing.")]
    assert timed(transcript) == [("Ann Lé", 1.5, 2.2), ("bob", 3.0, 3.5), (None, 4.0, 6.0)]
    assert transcript.title == "Site visit"
    assert_in_place(TTML, transcript)
    assert read(written(tmp_path, "b.xml", TTML)).reason.endswith("begins with <tt>")


def test_ttml_may_name_speakers_before_a_colon_and_count_times_from_the_body(tmp_path):
    file = '<tt xmlns="http://www.w3.org/ns/ttml"><body begin="10s"><div><p begin="1s" end="2s">ANN: Hi.</p><p begin="2s" end="3s">BOB: Ho.</p><p begin="3s" end="4s">ANN: So.</p></div></body></tt>'  # fmt: skip
    assert timed(transcript_of(tmp_path, "a.dfxp", file)) == [
        ("ANN", 11.0, 12.0),
        ("BOB", 12.0, 13.0),
        ("ANN", 13.0, 14.0),
    ]


BOMB = (
    '<?xml version="1.0"?>\n<!DOCTYPE tt [\n<!ENTITY a "ha">\n<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">\n]>\n'
    '<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="1s" end="2s">&b;</p></div></body></tt>'
)


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (BOMB, r"a\.ttml:2:\d+: XML with a DTD or entities of its own; refused"),
        ('<!DOCTYPE tt SYSTEM "file:///etc/passwd">\n<tt/>', r"a\.ttml:1:\d+: XML with a DTD"),
        ("<tt><body>\n<p>Hi</body></tt>", r"a\.ttml:2:\d+: broken XML: mismatched tag"),
        ("<tt><body><p>&b;</p></body></tt>", r"a\.ttml:1:\d+: broken XML: undefined entity"),
        ("<tt>" + "<div>" * 300, r"a\.ttml:1:\d+: XML nested deeper than 200"),
        ("<tt><body><div/></body></tt>", "captions without a single cue that has words"),
    ],
)
def test_xml_that_is_broken_or_could_grow_is_refused_with_its_place(tmp_path, file, fault):
    with pytest.raises(Unreadable, match=fault):
        read(written(tmp_path, "a.ttml", file))


def test_xml_of_another_kind_is_no_transcript(tmp_path):
    with pytest.raises(NotATranscript, match="no timed text"):
        read(written(tmp_path, "a.ttml", "<rss><channel>Hi</channel></rss>"))


PODCAST = """<!-- made by hand -->
<cite>Elsie:</cite>
<time>0:00</time>
<p>Welcome &amp; hello. It&#39;s
raining.</p>
<cite>Imogen Tarrant:</cite>
<time>1:02:03</time>
<p>It <b>al</b>ways does.</p>
<p>Here at least.</p>
<cite>Elsie:</cite>
<p>True.</p>
"""


def test_html_captions_of_a_podcast(tmp_path):
    transcript = transcript_of(tmp_path, "a.html", PODCAST)
    assert said(transcript) == [
        ("Elsie", "Welcome & hello. It's raining."),
        ("Imogen Tarrant", "It always does.\nHere at least."),
        ("Elsie", "True."),
    ]
    assert [start for _, start, _ in timed(transcript)] == [0.0, 3723.0, None]
    assert_in_place(PODCAST, transcript)


PAGE = """<!DOCTYPE html>
<html><head><title>Talk at the works &ndash; 4</title><style>p { color: red } /* Ann: no */</style>
<script>if (a < b) { document.write("<p>Ann: never said</p>"); }</script></head>
<body><nav><ul><li>Home</li></ul></nav>
<h1>Talk</h1>
<p><strong>Ann Lee:</strong> Good evening.<br>Sit down.</p>
<p><strong>Bob:</strong> Thank you.</p><script>track("Bob: spy")</script>
<p>And again.</p>
<h2>Questions</h2>
<p><strong>Ann Lee:</strong> Yes?</p>
<footer>Bob: all rights reserved</footer></body></html>
"""


def test_scripts_styles_menus_and_headings_of_a_page_are_no_ones_words(tmp_path):
    transcript = transcript_of(tmp_path, "a.html", PAGE)
    assert said(transcript) == [
        ("Ann Lee", "Good evening.\nSit down."),
        ("Bob", "Thank you.\nAnd again."),
        ("Ann Lee", "Yes?"),
    ]
    assert transcript.title == "Talk at the works \u2013 4"
    assert transcript.turns[0].place.line == 6


@pytest.mark.parametrize(
    "file", ["<html><body><p>We sell pumps.</p><script>1</script></body></html>", "<p>" + "x" * 300]
)
def test_a_page_without_speakers_is_no_transcript(tmp_path, file):
    with pytest.raises(NotATranscript, match="a page of HTML without speakers or times"):
        read(written(tmp_path, "a.html", file))


@pytest.mark.parametrize(
    "piece", ["<", "<p", "<!--", "<script>", "</", "&", "<cite>", "<nav>", "<p>a", "<a href='", "<!"]
)
def test_broken_markup_takes_linear_time(tmp_path, piece):
    file = "<cite>Ann:</cite><p>Hi.</p>" + piece * 100_000
    transcript = transcript_of(tmp_path, "a.html", file)
    assert said(transcript)[0][1].startswith("Hi.")


@pytest.mark.parametrize(
    ("name", "file"),
    [("a.srt", '{"segments": [{"text": "Hi", "start": 0}, {"text": "Ho", "start": 1}]}'), ("a.txt", TEAMS), ("a.srt", SBV), ("a.vtt", PODCAST)],
)  # fmt: skip
def test_a_name_that_lies_is_seen_through(tmp_path, name, file):
    assert read(written(tmp_path, name, file)).reason.startswith(f"named {name[1:]}, but begins")


@pytest.mark.parametrize(("name", "file"), [("a.vtt", "WEBVTT\n"), ("a.sbv", "0:00:00.000,0:00:01.000\n\n"), ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n\n")])  # fmt: skip
def test_a_header_without_cues_and_cues_without_words_are_unreadable(tmp_path, name, file):
    with pytest.raises(Unreadable, match=rf"{name}: captions without a single cue that has words"):
        read(written(tmp_path, name, file))
