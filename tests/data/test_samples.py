"""The samples in data/ are read as they were written, and their gold stands in them."""

import csv
import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from core_engine.kg.ontology import Ontology
from core_engine.readers.registry import discover, formats, read
from core_engine.types import Transcript, Turn

DATA = Path(__file__).parents[2] / "data"
TRANSCRIPTS, GOLD, PAIRS = DATA / "transcripts", DATA / "gold" / "conversations.jsonl", DATA / "gold" / "same.tsv"

# Counted in what was written and in the raw files, not by our readers: format; when the first turn begins and the last
# one ends (begins, where the format has no ends); how often each speaker takes the word (without speakers: paragraphs
# that must come out at least; `nobody`: what is told about the talk).
TABLE = """
all-hands-2026-02-12.txt.gz | text |  | Carmen Ibarra 19, Imogen Tarrant 9, Dele Adeyemi 6, Wei-Lin Zhao 5, Michael Osei 6, Priya Raman 7, Nadia Strand 1, Johanna Lindqvist 6, Leonie Maas 2
app-2026-01-20.txt | text | 1 45 | Michael Osei 4, Leonie Maas 4, Tomasz Wilk 3
app-test-2026-02-09.json | json | 1.0 42.76 | Dele Adeyemi 5, Leonie Maas 5
board-2025-11-12.vtt | webvtt | 6.6 385.16 | Hester Okafor 19, Imogen Tarrant 17, Priya Raman 11, Laurence Digby 13, Wei-Lin Zhao 5, Carmen Ibarra 13
cable-2025-10-28.json | json | 1.0 57.49 | Speaker 0 7, Speaker 1 6
chat-2026-02-24.txt | text | 72 573 | Jo Lindqvist 2, Leonie Maas 2, Tomasz Wilk 3, Dele Adeyemi 2, Saskia Brandt 2, Priya Raman 1
council-2025-10-02.md | markdown |  | Councillor Holm 22, Clerk 3, Imogen Tarrant 15, Councillor Aldous 8, Councillor Mansour 7, Rowan Tarrant 6, Lucia Ferrant 7, Walter Keene 6
council-2025-11-20.ttml | ttml | 1.0 41.26 | Beatrice Holm 3, Rowan Tarrant 4, Tom Aldous 2
council-2025-11-27.xml | xml |  | Beatrice Holm 2, Tom Aldous 1, Lucia Ferrant 1, nobody 1, Farid Mansour 1
design-2025-12-03.json | json |  | Project Manager 26, Firmware Engineer 19, Industrial Designer 16, Test Engineer 21, Marketing 15
earnings-2026-01-22.jsonl | jsonl |  | Operator 5, Verena Lott 2, Ruth Ostermann 10, Dilip Marathe 4, Conrad Ashby 5, Joana Prates 8
firmware-2026-01-14.vtt | webvtt | 1.0 43.45 | Wei-Lin Zhao 4, Tomasz Wilk 4, Dele Adeyemi 3
hearing-2026-02-17.txt | text |  | nobody 2, MR. ALDOUS 3, Q 4, A 6, MR. KEENE 2
interview-2025-12-11.jsonl | jsonl | 4.3 276.97 | Odile Kranz 27, Annika Voss 18, Graham Pell 13
introduction-2025-12-09.docx | docx | 1 36 | Ines Falk 4, Priya Raman 3, Sofia Petrakis 2
label-trial-2025-10-02.json | json | 1.0 72.19 | SPEAKER_00 7, SPEAKER_01 7
makers-evening-talk.txt | text |  | 15
night-desk-2025-12-05.json | json | 1.0 47.87 | spk_0 5, spk_1 5
pilot-2025-10-21.srt | srt | 2.9 347.9 | Graham Pell 16, Priya Nair 17, Michael Osei 13, Wei-Lin Zhao 15, Annika Voss 14
podcast-31.md | markdown | 0 398 | Elsie Marchetti 34, Imogen Tarrant 33
podcast-32-mail.json | json | 1.0 51.83 | Bertrand Yao 5, Elsie Marchetti 5
podcast-33.html | html | 1 33 | Elsie Marchetti 3, Anouk Delacroix 5, Bertrand Yao 2
renewal-2025-12-16.json | json | 1.0 46.19 | Speaker 1 5, Speaker 2 5
signatures-2025-12-18.csv | csv | 1.0 33.68 | Hester Okafor 3, Imogen Tarrant 1, Carmen Ibarra 1, Laurence Digby 1, Nadia Strand 1
site-visit-memo.json | json | 1.4 273.72 | 15
standup-2025-09-08.txt | text |  | Wei-Lin 23, Tomasz 10, Dele 11, Priya 10, Jo 13, Michael 8
supplier-2025-09-17.txt | text | 4 396 | Michael Brandt 26, Priya Raman 25, Sofia Petrakis 16, Michael Osei 17
supplier-2026-03-03.json | json | 6.4 343.84 | Michael Brandt 11, Priya Raman 18, Carmen Ibarra 16, Ines Falk 11, Sofia Petrakis 12, Michael Osei 8
support-2025-11-04.vtt | webvtt | 1.15 359.45 | Jo Lindqvist 32, Gwen Parrish 26, Joe Bannister 15
support-2025-11-18.json | json | 1.0 61.9 | Speaker A 6, Speaker B 6
travel-2025-10-14.sbv | sbv | 1.0 38.6 | Nadia Strand 4, Carmen Ibarra 3, Priya Raman 3
update-2026-03-10.nlp | nlp | 1.0 30.62 | Speaker 1 2, Speaker 2 3, Speaker 3 2
works-film.en.vtt | webvtt | 1.0 29.7 | 1
"""


class Count(NamedTuple):
    format: str
    times: tuple[float, ...]
    speakers: dict[str | None, int]
    paragraphs: int


def counted(row: str) -> tuple[str, Count]:
    name, format_, times, said = (cell.strip() for cell in row.split("|"))
    if said.isdigit():
        speakers, paragraphs = {}, int(said)
    else:
        each = (speaker.rsplit(" ", 1) for speaker in said.split(", "))
        speakers, paragraphs = {None if who == "nobody" else who: int(often) for who, often in each}, 0
    return name, Count(format_, tuple(map(float, times.split())), speakers, paragraphs)


COUNTS = dict(map(counted, TABLE.strip().splitlines()))


@dataclass(frozen=True)
class Sample:
    name: str
    format: str
    transcript: Transcript

    @property
    def by_speaker(self) -> list[str | None]:
        """The speakers in turn; what one of them says in several captions is one turn here."""
        return [speaker for speaker, _ in itertools.groupby(turn.speaker for turn in self.transcript.turns)]


@cache
def samples() -> dict[str, Sample]:
    found = {}
    for source in discover([str(TRANSCRIPTS)]):
        reading = read(source)
        (transcript,) = reading.items
        found[source.name] = Sample(source.name, reading.format, transcript)
    return found


@cache
def gold() -> dict[str, dict]:
    documents = [json.loads(line) for line in GOLD.read_text(encoding="utf-8").splitlines()]
    return {document["document"]: document for document in documents}


@cache
def pairs() -> list[dict[str, str]]:
    with PAIRS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def letters(text: str) -> str:
    """Letters and digits alone, words apart, so that a form is found only as whole words."""
    return " " + " ".join(re.findall(r"[^\W_]+", text.lower())) + " "


def mentioned(form: str, turn: Turn) -> bool:
    return letters(form) in letters(turn.text) or letters(form) in letters(turn.speaker or "")


every_sample = pytest.mark.parametrize("name", sorted(COUNTS))
every_annotated_sample = pytest.mark.parametrize("name", sorted(gold()))


def test_every_file_among_the_transcripts_is_one_of_the_samples_and_gold_is_of_them():
    assert set(samples()) == set(COUNTS)
    assert set(gold()) <= set(COUNTS)
    assert len(gold()) == 14


def test_every_format_has_a_sample_and_all_of_them_are_small():
    assert {count.format for count in COUNTS.values()} == set(formats())
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 450_000


@every_sample
def test_a_sample_is_read_in_its_format_with_the_turns_and_speakers_that_were_counted(name):
    sample, count = samples()[name], COUNTS[name]
    assert sample.format == count.format
    assert not sample.transcript.warnings
    if count.speakers:
        assert Counter(sample.by_speaker) == count.speakers
    else:
        assert sample.by_speaker == [None]
        assert len(sample.transcript.turns) >= count.paragraphs


@every_sample
def test_a_sample_has_the_times_that_were_counted(name):
    turns = samples()[name].transcript.turns
    starts = [turn.start for turn in turns if turn.start is not None]
    if not COUNTS[name].times:
        assert starts == []
        return
    assert len(starts) == len(turns)
    assert starts == sorted(starts)
    last = starts[-1] if turns[-1].end is None else turns[-1].end
    assert (starts[0], last) == pytest.approx(COUNTS[name].times)


@every_annotated_sample
def test_an_annotated_sample_is_long_enough_to_be_cut_into_several_chunks(name):
    turns = samples()[name].transcript.turns
    words = sum(len(turn.text.split()) for turn in turns)
    assert 600 <= words <= 2500


def test_front_matter_headings_and_ready_chunks_are_understood():
    podcast, council = samples()["podcast-31.md"].transcript, samples()["council-2025-10-02.md"].transcript
    assert podcast.title == "The Patient Workshop, episode 31: Listening to pipes"
    assert podcast.metadata["date"] == "2025-10-15"
    assert podcast.metadata["speakers"] == "Elsie Marchetti, Imogen Tarrant"
    assert council.title == "Harrowmere City Council: Planning and Buildings Committee"
    call = samples()["earnings-2026-01-22.jsonl"].transcript
    assert call.record == "quillmere-q3"
    assert [chunk.name for chunk in call.ready or ()] == [f"q3-{n:02}" for n in range(1, 7)]


@every_annotated_sample
def test_every_mention_of_the_gold_stands_in_its_document(name):
    turns = samples()[name].transcript.turns
    forms = [form for entity in gold()[name]["entities"] for form in entity["mentions"]]
    assert [form for form in forms if not any(mentioned(form, turn) for turn in turns)] == []


@every_annotated_sample
def test_an_entity_of_the_gold_has_one_type_of_the_ontology_and_no_form_of_another(name):
    ontology = Ontology.default()
    entities = gold()[name]["entities"]
    assert [e["name"] for e in entities if ontology.entity_type(e["type"]) != e["type"]] == []
    assert [e["name"] for e in entities if e["name"] not in e["mentions"]] == []
    forms = Counter(form for entity in entities for form in entity["mentions"])
    assert [form for form, count in forms.items() if count > 1] == []


@every_annotated_sample
def test_a_relationship_of_the_gold_goes_between_types_that_the_ontology_allows(name):
    ontology = Ontology.default()
    types = {entity["name"]: entity["type"] for entity in gold()[name]["entities"]}
    wrong = [
        r
        for r in gold()[name]["relationships"]
        if ontology.relationship(r["type"]) is None
        or not ontology.allowed(types[r["subject"]], r["type"], types[r["object"]])
    ]
    assert wrong == []


@every_annotated_sample
def test_a_quote_of_the_gold_is_the_words_of_one_turn_and_names_both_ends_or_the_speaker_as_i(name):
    turns = samples()[name].transcript.turns
    forms = {entity["name"]: entity["mentions"] for entity in gold()[name]["entities"]}
    for relationship in gold()[name]["relationships"]:
        quote = relationship["quote"]
        (turn,) = (turn for turn in turns if quote in turn.text)
        for end in (relationship["subject"], relationship["object"]):
            named = any(letters(form) in letters(quote) for form in forms[end])
            speaks = turn.speaker in forms[end] and re.search(r"\b(?:I|me|my|we|our)\b", quote, re.IGNORECASE)
            assert named or speaks, (end, relationship)


def test_no_relationship_of_the_gold_is_said_twice_in_the_same_words():
    for document in gold().values():
        stated = Counter(tuple(relationship.values()) for relationship in document["relationships"])
        assert max(stated.values()) == 1


def test_both_names_of_a_pair_are_forms_in_the_gold_of_their_documents():
    forms = {name: {form for e in document["entities"] for form in e["mentions"]} for name, document in gold().items()}
    for pair in pairs():
        assert pair["name_a"] in forms[pair["document_a"]], pair
        assert pair["name_b"] in forms[pair["document_b"]], pair
        assert pair["verdict"] in {"same", "different"}
        assert pair["reason"]


def test_pairs_contradict_neither_each_other_nor_the_gold():
    owner = {
        (name, form): (name, entity["name"])
        for name, document in gold().items()
        for entity in document["entities"]
        for form in entity["mentions"]
    }
    group = {entity: entity for entity in owner.values()}

    def find(entity: tuple[str, str]) -> tuple[str, str]:
        while group[entity] != entity:
            entity = group[entity]
        return entity

    def ends(pair: dict[str, str]) -> tuple[tuple[str, str], tuple[str, str]]:
        a, b = (owner[pair[f"document_{x}"], pair[f"name_{x}"]] for x in "ab")
        return find(a), find(b)

    for pair in pairs():
        if pair["verdict"] == "same":
            a, b = ends(pair)
            group[a] = b
    merged = [pair for pair in pairs() if pair["verdict"] == "different" and len(set(ends(pair))) == 1]
    assert merged == []


def test_there_are_enough_pairs_to_measure_resolution_with():
    verdicts = Counter(pair["verdict"] for pair in pairs())
    assert verdicts["same"] >= 300
    assert verdicts["different"] >= 100


def test_nothing_in_the_samples_looks_like_an_address_or_a_number_of_a_real_person():
    said = "\n".join(turn.text for sample in samples().values() for turn in sample.transcript.turns)
    assert not re.search(r"\S+@\S+|https?://|\bwww\.", said + (DATA / "README.md").read_text(encoding="utf-8"))
    assert not re.search(r"\+?\d(?:[ ().-]?\d){6,}", said)
