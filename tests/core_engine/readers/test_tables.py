"""Tables of turns: CSV and TSV by the names of their columns, and Rev's token files."""

import pytest

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers.registry import read
from core_engine.types import Problem, Transcript
from tests.core_engine.readers.places import assert_in_place
from tests.core_engine.readers.reading import items_of, reading_of, said, timed, transcript_of, written

SAID = [("Ann", "Hi, Bob."), ("Bob", 'He said "no".'), ("Ann", "So.")]


@pytest.mark.parametrize("header", ["speaker,start,end,text", "Speaker Name,Start Time,End Time,Transcript", "WHO,begin (s),End_s,Utterance", "name,in,out,dialogue", "user,timestamp,stop,message"])  # fmt: skip
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_are_known_by_their_many_names(tmp_path, header, separator, end):
    rows = [header, 'Ann,0.5,1,"Hi, Bob."', 'Bob,1,2,"He said ""no""."', "Ann,0:02,00:00:03.5,So."]
    table = end.join(separator.join(_cells(row)) for row in rows) + end
    transcript = transcript_of(tmp_path, "a.csv", table)
    assert said(transcript) == SAID
    assert timed(transcript) == [("Ann", 0.5, 1.0), ("Bob", 1.0, 2.0), ("Ann", 2.0, 3.5)]
    assert [turn.place.line for turn in transcript.turns] == [2, 3, 4]
    assert_in_place(table, transcript)


def _cells(row: str) -> list[str]:
    speaker, start, end, text = row.split(",", 3)
    return [speaker, start, end, text]


def test_milliseconds_and_durations_are_understood(tmp_path):
    table = "speaker,start_ms,duration_ms,text\n1,1500,2500,Hi.\n2,4000,500,Ho.\n"
    assert timed(transcript_of(tmp_path, "a.csv", table)) == [("Speaker 1", 1.5, 4.0), ("Speaker 2", 4.0, 4.5)]


def test_a_cell_may_hold_lines_and_the_lines_below_keep_their_numbers(tmp_path):
    table = 'text,speaker\n"One\ntwo.",Ann\n\nThree.,Bob\n'
    transcript = transcript_of(tmp_path, "a.csv", table)
    assert said(transcript) == [("Ann", "One\ntwo."), ("Bob", "Three.")]
    assert [turn.place.line for turn in transcript.turns] == [2, 5]


def test_ragged_rows_are_named_with_their_line_and_the_rest_is_read(tmp_path):
    items = items_of(tmp_path, "a.csv", "speaker,text\nAnn,Hi.\nBob,Well, no.\nAnn\nBob,Ho.,,\n")
    (transcript,) = (item for item in items if isinstance(item, Transcript))
    assert said(transcript) == [("Ann", "Hi."), ("Bob", "Ho.")]
    assert [item for item in items if isinstance(item, Problem)] == [
        Problem("3 cells in a row where the first one has 2", 3),
        Problem("1 cells in a row where the first one has 2", 4),
    ]


def test_a_column_of_meetings_parts_a_table_into_conversations(tmp_path):
    table = "meeting_id,speaker,text\na,Ann,Hi.\nb,Bob,Ho.\na,Bob,So.\n"
    items = items_of(tmp_path, "a.csv", table)
    assert [(item.record, said(item)) for item in items] == [
        ("a", [("Ann", "Hi."), ("Bob", "So.")]),
        ("b", [("Bob", "Ho.")]),
    ]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("original\tcorrected\tconfidence\nFossil\tFOCIL\thigh\n", r"a table without a column of text \(it has original, corrected, confidence\)"),
        ("a,b,c\n1,2,3\n", "a table without a column of text"),
        ("text,label\nGood.,1\n", "a table without a column of speakers or times"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_tables_of_other_things_are_skipped_with_what_they_have(tmp_path, table, reason, name):
    with pytest.raises(NotATranscript, match=reason):
        read(written(tmp_path, name, table))


def test_a_table_without_rows_is_unreadable(tmp_path):
    with pytest.raises(Unreadable, match=r"a\.csv: nothing is said in it: a header without rows"):
        read(written(tmp_path, "a.csv", "speaker,text\nAnn,\n"))


def test_a_table_is_known_by_its_first_row_where_its_name_says_nothing(tmp_path):
    assert reading_of(tmp_path, "a.txt", "speaker,text\nAnn,Hi.\n").format == "csv"


@pytest.mark.parametrize("stray", ['"', 'a"', '"a"b', '""', '","'])
def test_stray_quotes_take_linear_time_and_lose_no_row(tmp_path, stray):
    table = "speaker,text\n" + f"Ann,{stray}x\n" * 50_000
    items = items_of(tmp_path, "a.csv", table)
    turns = sum(len(item.turns) for item in items if isinstance(item, Transcript))
    assert turns + sum(isinstance(item, Problem) for item in items) >= 25_000


def test_ten_thousand_speakers_are_read(tmp_path):
    table = "speaker,text\n" + "".join(f"Person {i},Word {i}.\n" for i in range(10_000))
    assert len({turn.speaker for turn in transcript_of(tmp_path, "a.csv", table).turns}) == 10_000


NLP = """token|speaker|ts|endTs|punctuation|case|tags|wer_tags
Good|0|0.5|0.8||UC|[]|[]
morning|0|0.9|1.4|.|LC|[]|[]
Hello|1|1.5|1.9|,|UC|[]|[]
Ann|1|2.0|2.4|.|UC|[]|['1']
We|0||||UC|[]|[]
shall|0|||.|LC|[]|[]
"""


def test_revs_tokens_are_joined_with_their_punctuation(tmp_path):
    transcript = transcript_of(tmp_path, "a.nlp", NLP)
    assert said(transcript) == [
        ("Speaker 0", "Good morning."),
        ("Speaker 1", "Hello, Ann."),
        ("Speaker 0", "We shall."),
    ]
    assert timed(transcript)[:2] == [("Speaker 0", 0.5, 1.4), ("Speaker 1", 1.5, 2.4)]
    assert [turn.place.line for turn in transcript.turns] == [2, 4, 6]
    assert [NLP[t.place.start : t.place.end].split("|", 1)[0] for t in transcript.turns] == ["Good", "Hello", "We"]
    assert NLP[: transcript.turns[0].place.end].endswith("morning")


def test_a_token_line_with_other_columns_is_a_problem(tmp_path):
    items = items_of(tmp_path, "a.nlp", NLP + "oops|1\n")
    assert items[1:] == [Problem("2 columns where the first line has 8", 8)]


@pytest.mark.parametrize(("file", "reason"), [("just words\n", r"no columns `token\|speaker"), (NLP.split("\n", 1)[0], "a header without tokens")])  # fmt: skip
def test_token_files_without_tokens_are_unreadable(tmp_path, file, reason):
    with pytest.raises(Unreadable, match=reason):
        read(written(tmp_path, "a.nlp", file))
