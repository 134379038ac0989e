"""The real files of further formats that lie beside the repository, where they do: counted in the files themselves."""

import itertools
import os
from pathlib import Path

import pytest

from core_engine.errors import NotATranscript
from core_engine.readers.registry import discover, read
from core_engine.types import Transcript
from tests.core_engine.readers.places import assert_in_place, plain

SMALL = (
    Path(os.environ.get("KG_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "transcripts" / "small"
)
pytestmark = pytest.mark.skipif(
    not SMALL.is_dir(), reason="no shared transcripts beside the repository; set KG_SHARED_DATA"
)


def raw(name: str) -> str:
    return (SMALL / name).read_bytes().decode()  # line ends as they are


def transcript_of(name: str) -> Transcript:
    (source,) = discover([str(SMALL / name)])
    (item,) = read(source).items
    assert isinstance(item, Transcript)
    return item


def test_the_whole_folder_is_read_or_skipped_with_a_reason():
    for source in discover([str(SMALL)]):
        if source.name.endswith(("README.md", "_changelog.tsv")):
            with pytest.raises(NotATranscript):
                read(source)
            continue
        (item,) = read(source).items
        assert isinstance(item, Transcript)
        assert item.warnings == ()


def test_the_podcasts_page_has_a_turn_for_each_cite_where_it_stands():
    transcript = transcript_of("podcast_namespace/example.html")
    assert len(transcript.turns) == raw("podcast_namespace/example.html").count("<cite>") == 10
    assert {turn.speaker for turn in transcript.turns} == {"Travis", "Sarah", "Gilon"}
    assert [turn.start for turn in transcript.turns[:2]] == [0.0, 53.0]
    assert_in_place(raw("podcast_namespace/example.html"), transcript)


@pytest.mark.parametrize("name", ["example.srt", "example.vtt", "example.json"])
def test_the_podcasts_captions_stand_at_their_places(name):
    assert_in_place(raw(f"podcast_namespace/{name}"), transcript_of(f"podcast_namespace/{name}"))


def test_every_token_of_revs_file_is_read_once_by_its_speaker():
    rows = [line.split("|") for line in raw("nlp/earnings21_4344338.nlp").splitlines()[1:]]
    transcript = transcript_of("nlp/earnings21_4344338.nlp")
    assert plain("".join(turn.text for turn in transcript.turns)) == plain("".join(row[0] for row in rows))
    said = [speaker for speaker, _ in itertools.groupby(turn.speaker for turn in transcript.turns)]
    assert said == [f"Speaker {speaker}" for speaker, _ in itertools.groupby(row[1] for row in rows)]


def test_the_chat_is_another_channel():
    transcript = transcript_of("vtt/2026-03-26_233_chat.txt")
    assert transcript.metadata["channel"] == "chat"
    assert len(transcript.turns) == 663


@pytest.mark.parametrize("name", ["2026-02-10_028", "2026-03-26_233", "2026-06-11_180"])
def test_every_cue_of_zooms_files_stands_at_its_place(name):
    file = f"vtt/{name}_transcript.vtt"
    assert_in_place(raw(file), transcript_of(file))
