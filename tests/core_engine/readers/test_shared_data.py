"""The real transcripts that lie beside the repository, where they do: counted by hand from the files."""

import os
from pathlib import Path

import pytest

from core_engine.errors import NotATranscript
from core_engine.readers.registry import Reading, Source, discover, fingerprint, read
from core_engine.types import Transcript

DATA = Path(os.environ.get("KG_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "transcripts"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="no shared transcripts beside the repository; set KG_SHARED_DATA"
)


def reading_of(name: str) -> Reading:
    (source,) = discover([str(DATA / name)])
    assert isinstance(source, Source)
    return read(source, fingerprint(source))


def transcript_of(name: str) -> Transcript:
    (item,) = reading_of(name).items
    assert isinstance(item, Transcript)
    return item


@pytest.mark.parametrize("folder", ["srt", "vtt", "txt", "md", "json"])
def test_every_transcript_of_the_small_set_is_read_and_the_rest_is_skipped(folder):
    for source in discover([str(DATA / "small" / folder)]):
        assert isinstance(source, Source)
        if source.name.endswith(".tsv"):
            with pytest.raises(NotATranscript, match="a table"):
                read(source)
            continue
        (item,) = read(source, fingerprint(source)).items
        assert isinstance(item, Transcript)
        assert item.turns
        assert item.warnings == ()


@pytest.mark.parametrize("name", ["small/README.md", "large/README.md"])
def test_the_readmes_are_skipped(name):
    with pytest.raises(NotATranscript, match="a readme"):
        reading_of(name)


@pytest.mark.parametrize(
    ("name", "turns", "speakers"),
    [
        ("small/txt/earnings21_4344866.txt", 82, 10),
        ("small/txt/earnings21_4359732.txt", 114, 13),
        ("small/txt/earnings21_4365948_speaker_ids.txt", 42, 6),
        ("small/txt/rev16_no_speakers.txt", 1, 0),
        ("small/md/practical-ai-1.md", 57, 4),
        ("small/md/go-time-1.md", 88, 3),
        ("small/md/chaincode-podcast__lightning-privacy.md", 111, 4),
        ("small/md/chaincode-podcast__miniscript.md", 118, 3),
        ("small/json/Bdb001.json", 764, 6),
        ("small/vtt/2026-03-26_233_chat.txt", 663, 94),
    ],
)
def test_turns_and_speakers(name, turns, speakers):
    transcript = transcript_of(name)
    assert len(transcript.turns) == turns
    assert len({turn.speaker for turn in transcript.turns} - {None}) == speakers


@pytest.mark.parametrize(
    ("name", "cues", "speakers", "first", "last"),
    [
        ("small/vtt/2026-02-10_028_transcript.vtt", 161, 5, 335.37, None),
        ("small/vtt/2026-03-26_233_transcript.vtt", 678, 33, 244.47, None),
        ("small/vtt/2026-06-11_180_transcript.vtt", 709, 20, 813.23, None),
        ("small/srt/eng_synfig-01-basics.srt", 52, 0, 0.76, None),
        ("small/podcast_namespace/example.srt", 222, 3, 0.179, None),
        ("small/podcast_namespace/example.vtt", 7, 2, 0.0, 25.35),
        ("small/podcast_namespace/example.json", 5, 2, 0.5, 3.0),
    ],
)
def test_no_cue_is_lost(name, cues, speakers, first, last):
    transcript = transcript_of(name)
    assert sum(len(turn.marks) for turn in transcript.turns) == cues
    assert len({turn.speaker for turn in transcript.turns} - {None}) == speakers
    assert transcript.turns[0].start == first
    assert last in (None, transcript.turns[-1].end)


def test_front_matter_of_a_real_podcast():
    transcript = transcript_of("small/md/chaincode-podcast__lightning-privacy.md")
    assert transcript.title == "Lightning privacy"
    assert transcript.metadata["date"] == "2022-02-17"
    assert transcript.metadata["speakers"] == "Sergei Tikhomirov"
    assert [turn.start for turn in transcript.turns[:3]] == [0.0, 42.0, 49.0]


def test_the_ready_chunks_of_the_large_set():
    transcripts = list(reading_of("large/qmsum_chunks_8834.jsonl.gz").items)
    assert len(transcripts) == 197
    assert sum(len(item.ready) for item in transcripts) == 8834
    assert sum(len(item.turns) for item in transcripts) == 108_631
    assert all(turn.speaker for item in transcripts for turn in item.turns)
    assert (transcripts[0].record, transcripts[0].ready[1].name) == ("Bdb001", "Bdb001#0001")


def test_the_meetings_of_the_large_set():
    transcripts = list(reading_of("large/qmsum_meetings_197.jsonl.gz").items)
    assert len({item.record for item in transcripts}) == 197
    assert transcripts[0].metadata["domain"] == "academic"
    assert transcripts[0].turns[1].place.pointer == "/turns/1/content"
