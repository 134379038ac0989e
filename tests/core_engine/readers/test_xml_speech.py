"""Debates as parliaments' XML has them, YouTube's captions as XML, and XML that is refused."""

import pytest

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.registry import read
from tests.core_engine.readers.places import assert_in_place
from tests.core_engine.readers.reading import reading_of, said, timed, transcript_of, written

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
DEBATE = (
    HEAD
    + """<publicwhip>
<oral-heading id="a" nospeaker="true">Crates</oral-heading>
<speech id="b" speakername="Ann Lee" time="14:30:00">
<p pid="1">What about <i>crates</i> &amp; boxes?</p>
<p pid="2">Where are they &#8212; in Oslo?</p>
</speech>
<speech id="c" speakername="Carla Diaz"><p>They are here &gt; there.</p></speech>
<speech id="d" nospeaker="true"><p>Question put.</p></speech>
</publicwhip>
"""
)
AKOMA_NTOSO = (
    HEAD
    + """<akomaNtoso xmlns="http://docs.oasis-open.org/legaldocml/ns/akn/3.0"><debate name="x">
<meta><references source="#s"><TLCPerson eId="bob" href="/p/bob" showAs="Bob Marsh"/></references></meta>
<debateBody><debateSection><heading>Crates</heading>
<speech by="#ann"><num>1</num><from>Ann <b>Lee</b> (Leeds):</from><p>What about crates?</p></speech>
<speech by="#bob"><p>They are in Oslo.</p><p>All of them.</p></speech>
</debateSection></debateBody></debate></akomaNtoso>
"""
)
TEI = (
    HEAD
    + """<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><fileDesc><titleStmt><title>Crates: a debate</title></titleStmt></fileDesc>
<profileDesc><particDesc><listPerson><person xml:id="LeeAnn"><persName><forename>Ann</forename><surname>Lee</surname></persName></person>
</listPerson></particDesc></profileDesc></teiHeader>
<text><body><div><u who="#LeeAnn"><seg>What about crates?</seg><note>Applause</note><seg>They matter.</seg></u>
<u who="#MarshBob"><seg>They are in Oslo.</seg></u></div></body></text></TEI>
"""
)
BUNDESTAG = (
    HEAD
    + """<!DOCTYPE dbtplenarprotokoll SYSTEM "dbtplenarprotokoll.dtd">
<dbtplenarprotokoll><sitzungsverlauf><rede id="1"><p klasse="redner"><redner id="2"><name><vorname>Ann</vorname>
<nachname>Lee</nachname><fraktion>X</fraktion></name></redner>Ann Lee (X):</p>
<p klasse="J_1">Die Kisten sind in Oslo.</p><kommentar>(Beifall)</kommentar><p klasse="J">Alle.</p>
<name>Präsident Marsch:</name><p klasse="J">Danke.</p></rede></sitzungsverlauf></dbtplenarprotokoll>
"""
)
DEBATES = {
    "TheyWorkForYou": (
        DEBATE,
        [
            ("Ann Lee", "What about crates & boxes?\nWhere are they \u2014 in Oslo?"),
            ("Carla Diaz", "They are here > there."),
            (None, "Question put."),
        ],
    ),
    "Akoma Ntoso": (
        AKOMA_NTOSO,
        [("Ann Lee (Leeds)", "What about crates?"), ("Bob Marsh", "They are in Oslo.\nAll of them.")],
    ),
    "TEI": (
        TEI,
        [("Ann Lee", "What about crates?"), ("Ann Lee", "They matter."), ("MarshBob", "They are in Oslo.")],
    ),
    "Bundestag": (
        BUNDESTAG,
        [("Ann Lee (X)", "Die Kisten sind in Oslo."), ("Ann Lee (X)", "Alle."), ("Präsident Marsch", "Danke.")],
    ),
}


@pytest.mark.parametrize("name", DEBATES)
@pytest.mark.parametrize("file", ["a.xml", "a.txt"])
def test_each_speech_has_its_speaker_and_stands_at_its_place(tmp_path, name, file):
    raw, spoken = DEBATES[name]
    transcript = transcript_of(tmp_path, file, raw)
    assert said(transcript) == spoken
    assert_in_place(raw, transcript)


def test_the_title_of_a_debate_is_its_title(tmp_path):
    assert transcript_of(tmp_path, "a.xml", TEI).title == "Crates: a debate"


YOUTUBE = {
    "srv1": '<transcript><text start="0.16" dur="2.15">hello &amp;amp; welcome</text><text start="2.32" dur="2.5">to it&amp;#39;s show</text></transcript>',
    "srv3": '<timedtext format="3"><head><ws id="0"/></head><body>\n<p t="160" d="2150"><s>hello</s><s t="300"> &amp;</s><s> welcome</s></p>\n<p t="2310" d="10" a="1">\n</p>\n<p t="2320" d="2500">to it\'s show</p></body></timedtext>',
}


@pytest.mark.parametrize("raw", YOUTUBE.values(), ids=YOUTUBE)
def test_youtubes_captions_are_joined_and_keep_their_times(tmp_path, raw):
    transcript = transcript_of(tmp_path, "a.xml", HEAD + raw)
    assert (said(transcript), timed(transcript)) == ([(None, "hello & welcome to it's show")], [(None, 0.16, 4.82)])
    assert [mark.start for mark in transcript.turns[0].marks] == [0.16, 2.32]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (DEBATE.replace("<publicwhip>", '<!DOCTYPE p [<!ENTITY a "ha">]>\n<publicwhip>'), "entities of its own; refused"),
        (DEBATE[:300], "broken XML"),
        (HEAD + '<publicwhip><speech speakername="Ann Lee"><p> </p></speech></publicwhip>', "nothing is said in it"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_debate_is_said(tmp_path, raw, reason):
    with pytest.raises(Unreadable, match=reason):
        read(written(tmp_path, "a.xml", raw))


def test_other_xml_is_no_transcript(tmp_path):
    with pytest.raises(NotATranscript, match="without speeches or captions"):
        read(written(tmp_path, "a.xml", HEAD + "<rss><channel><title>x</title></channel></rss>"))


def test_timed_text_may_be_called_xml(tmp_path):
    raw = HEAD + '<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="1s" end="2s">Hi.</p></div></body></tt>'
    assert reading_of(tmp_path, "a.xml", raw).format == "ttml"


def test_a_speakers_name_of_5000_characters_is_cut(tmp_path):
    raw = f'{HEAD}<publicwhip><speech speakername="{"A" * 5000}"><p>Hi.</p></speech></publicwhip>'
    assert len(transcript_of(tmp_path, "a.xml", raw).turns[0].speaker) == 200
