"""docs/formats.md says what the readers do, and the readers find what was counted by hand in the shared transcripts."""

import pytest

from tests.formats import PAGE, SMALL, rows, with_tables

shared = pytest.mark.skipif(
    not SMALL.is_dir(), reason="no shared transcripts beside the repository; set KG_SHARED_DATA"
)

# Counted with grep and by eye, not with our readers. Captions: lines with `-->`, or entries of a list with times.
CAPTIONS = {
    "podcast_namespace/example.json": (5, 2, 0.5, 3.0),
    "podcast_namespace/example.srt": (222, 3, 0.179, 754.769),
    "podcast_namespace/example.vtt": (7, 2, 0.0, 25.35),
    "srt/eng_synfig-01-basics.srt": (52, 0, 0.76, 293.44),
    "srt/eng_synfig-02-first-animation.srt": (74, 0, 0.43, 489.2),
    "srt/eng_synfig-03-rendering.srt": (37, 0, 0.7, 245.26),
    "srt/eng_synfig-04-simple-character.srt": (80, 0, 0.83, 464.7),
    "srt/eng_synfig-05-keyframes.srt": (96, 0, 0.73, 491.86),
    "srt/eng_synfig-06-face-animation.srt": (57, 0, 0.56, 359.0),
    "srt/eng_synfig-07-bones.srt": (125, 0, 0.56, 675.23),
    "srt/eng_synfig-08-skeleton-animation.srt": (51, 0, 0.6, 317.83),
    "srt/eng_synfig-09-walkcycle.srt": (52, 0, 0.6, 273.16),
    "srt/eng_synfig-10-linking-files.srt": (46, 0, 0.4, 278.18),
    "srt/eng_synfig-11-moving-background.srt": (39, 0, 0.48, 211.55),
    "srt/eng_synfig-12-parallax-effect.srt": (54, 0, 0.83, 292.64),
    "srt/eng_synfig-13-converters.srt": (122, 0, 6.51, 633.47),
    "srt/fra_synfig-01-basics.srt": (52, 0, 0.76, 293.44),
    "srt/fra_synfig-02-first-animation.srt": (74, 0, 0.43, 489.2),
    "srt/fra_synfig-03-rendering.srt": (37, 0, 0.7, 245.26),
    "srt/fra_synfig-04-simple-character.srt": (80, 0, 0.83, 464.7),
    "srt/fra_synfig-05-keyframes.srt": (96, 0, 0.73, 491.86),
    "srt/fra_synfig-06-face-animation.srt": (57, 0, 0.56, 359.0),
    "srt/fra_synfig-07-bones.srt": (125, 0, 0.56, 675.23),
    "srt/fra_synfig-08-skeleton-animation.srt": (51, 0, 0.6, 317.83),
    "srt/fra_synfig-09-walkcycle.srt": (52, 0, 0.6, 273.16),
    "srt/pepper-and-carrot-ep6-eng.srt": (98, 0, 1.03, 396.42),
    "srt/pepper-and-carrot-ep6-rus.srt": (98, 0, 1.03, 396.42),
    "vtt/2026-02-10_028_transcript.vtt": (161, 5, 335.37, 1664.95),
    "vtt/2026-03-26_233_transcript.vtt": (678, 33, 244.47, 6241.85),
    "vtt/2026-06-11_180_transcript.vtt": (709, 20, 813.23, 6477.34),
}
# Entries with words, or lines that begin with a name; Breaks and Outros are nobody's.
TURNS = {
    "json/Bdb001.json": (764, 6, None, None),  # 766, two of them without words
    "json/Bed004.json": (374, 4, None, None),
    "json/ES2002a.json": (287, 4, None, None),
    "json/ES2002b.json": (621, 4, None, None),
    "json/covid_0.json": (316, 94, None, None),
    "json/covid_1.json": (338, 92, None, None),
    "md/chaincode-podcast__2020-01-28-pieter-wuille-part1.md": (119, 3, None, None),  # a link before the first
    "md/chaincode-podcast__lightning-privacy.md": (111, 4, 0.0, 3616.0),
    "md/chaincode-podcast__miniscript.md": (118, 3, 15.0, 2698.0),
    "md/go-time-1.md": (88, 3, None, None),
    "md/practical-ai-1.md": (57, 4, 245.0, 1915.0),
    "md/practical-ai-10.md": (42, 2, 246.0, 1697.0),  # 43 bold names, one is a Break
    "md/practical-ai-100.md": (276, 4, 270.0, 4104.21),  # 279 bold names, two Breaks and an Outro
    "podcast_namespace/example.html": (10, 3, 0.0, 691.0),
    "txt/earnings21_4344866.txt": (82, 10, None, None),
    "txt/earnings21_4359732.txt": (114, 13, None, None),
    "txt/earnings21_4365948_speaker_ids.txt": (42, 6, None, None),
    "txt/rev16_no_speakers.txt": (1, 0, None, None),
    "vtt/2026-03-26_233_chat.txt": (663, 94, 366.0, 6246.0),
}
SPEAKERS = {"nlp/earnings21_4344338.nlp": (7, None, None)}  # 51 runs of one speaker; no times in it


@shared
def test_every_transcript_of_the_small_set_is_read_as_it_was_counted_by_hand():
    found = {row.file: row for row in rows()}
    assert {
        name: (r.captions, r.speakers, r.first, r.last) for name, r in found.items() if name in CAPTIONS
    } == CAPTIONS
    assert {name: (r.turns, r.speakers, r.first, r.last) for name, r in found.items() if name in TURNS} == TURNS
    assert {name: (r.speakers, r.first, r.last) for name, r in found.items() if name in SPEAKERS} == SPEAKERS
    assert found.keys() == CAPTIONS.keys() | TURNS.keys() | SPEAKERS.keys()


def test_the_tables_of_the_page_are_what_the_readers_say():
    page = PAGE.read_text("utf-8")
    assert page == with_tables(page), "run `python -m tests.formats`"
