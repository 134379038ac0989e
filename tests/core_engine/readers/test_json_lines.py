import json
import tracemalloc

import pytest

from core_engine.errors import NotATranscript, Unreadable
from core_engine.readers import json_lines
from core_engine.readers.registry import read
from core_engine.types import Problem, ReadyChunk, Transcript
from tests.core_engine.readers.reading import items_of, said, timed, transcript_of, written


def lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


TURNS = [{"speaker": "Ann", "content": "Hi."}, {"speaker": "Bob", "content": "Ho."}]
SAID = [("Ann", "Hi."), ("Bob", "Ho.")]


def test_a_document_a_line(tmp_path):
    file = lines(
        {"meeting_id": "m1", "domain": "x", "turns": TURNS},
        {"id": 2, "title": "Two", "segments": TURNS},
        {"turns": TURNS},
    )
    items = items_of(tmp_path, "a.jsonl", file)
    assert [item.record for item in items] == ["m1", "2", "line 3"]
    assert [item.title for item in items] == [None, "Two", None]
    assert all(said(item) == SAID for item in items)
    assert (items[1].turns[1].place.line, items[1].turns[1].place.pointer) == (2, "/segments/1/content")
    assert items[0].metadata == {"meeting_id": "m1", "domain": "x"}


def test_a_document_that_is_a_text_with_an_id(tmp_path):
    text = "Ann: Hi.\nBob: Ho."
    item, _ = items_of(tmp_path, "a.jsonl", lines({"id": "x", "text": text}, {"id": "y", "text": text}))
    assert (item.record, said(item)) == ("x", SAID)
    assert [text[turn.place.start : turn.place.end] for turn in item.turns] == ["Hi.", "Ho."]


def test_a_turn_a_line_is_one_document(tmp_path):
    file = lines(
        {"speaker": "Ann", "text": "Hi.", "start": 1, "end": 2}, {"speaker": "Bob", "text": "Ho.", "start": 2, "end": 3}
    )
    transcript = transcript_of(tmp_path, "a.jsonl", file)
    assert (transcript.record, said(transcript)) == ("", SAID)
    assert timed(transcript) == [("Ann", 1.0, 2.0), ("Bob", 2.0, 3.0)]
    assert [(turn.place.line, turn.place.pointer) for turn in transcript.turns] == [(1, "/text"), (2, "/text")]


def test_turns_may_name_their_document(tmp_path):
    file = lines(*({"id": i, "document": f"d{i // 2}", "speaker": "Ann", "text": f"{i}"} for i in range(4)))
    assert [(item.record, len(item.turns)) for item in items_of(tmp_path, "a.jsonl", file)] == [("d0", 2), ("d1", 2)]


def chunk(document: str, seq: int, text: str, **more: object) -> dict[str, object]:
    return {"chunk_id": f"{document}#{seq}", "meeting_id": document, "seq": seq, "text": text, **more}


def test_ready_chunks_are_kept_as_they_are(tmp_path):
    file = lines(
        chunk("m", 1, "Bob: Three.\nNote: four.\nAnn: Five.", speakers=["Ann", "Bob"]),
        chunk("m", 0, "Ann: One.\nBob: Two.", speakers=["Ann", "Bob"]),
        chunk("n", 0, "Carl: Six.", speakers=["Carl"]),
    )
    first, second = items_of(tmp_path, "a.jsonl", file)
    assert said(first) == [("Ann", "One."), ("Bob", "Two."), ("Bob", "Three.\nNote: four."), ("Ann", "Five.")]
    assert first.ready == (ReadyChunk("m#0", 0, 2), ReadyChunk("m#1", 2, 4))
    assert (second.record, second.ready) == ("n", (ReadyChunk("n#0", 0, 1),))
    place = first.turns[2].place
    assert (place.line, place.pointer, place.start, place.end) == (1, "/text", 5, 23)


def test_without_a_list_of_speakers_the_pattern_of_the_document_decides(tmp_path):
    texts = ["Ann: One.\nBob: Two.", "Bob: Three.\nNote: four.\nAnn: Five.", "Ann: Six."]
    file = lines(*(chunk("m", i, text) for i, text in enumerate(texts)))
    transcript = transcript_of(tmp_path, "a.jsonl", file)
    assert said(transcript)[2:4] == [("Bob", "Three.\nNote: four."), ("Ann", "Five.")]
    prose = lines(*({"id": i, "document": "d", "text": f"Here is the thing {i}: it rained.\nAgain."} for i in range(3)))
    assert said(transcript_of(tmp_path, "b.jsonl", prose))[0] == (None, "Here is the thing 0: it rained.\nAgain.")


def test_a_chunk_may_have_times_and_one_speaker(tmp_path):
    file = lines(chunk("m", 0, "One.\nTwo: x", speaker="Ann", start=5, end="0:09"), chunk("m", 1, "  "))
    transcript = transcript_of(tmp_path, "a.jsonl", file)
    assert said(transcript) == [("Ann", "One.\nTwo: x")]
    assert timed(transcript) == [("Ann", 5.0, 9.0)]
    assert transcript.warnings == ("1 chunks without words are left out",)
    assert len(transcript.ready) == 1


def test_bad_lines_are_problems_and_the_rest_is_read(tmp_path):
    good = [json.dumps({"id": str(i), "turns": TURNS}) for i in range(3)]
    file = "\n".join([good[0], '{"id": "x", "turns": [', "", good[1], "[1]", '{"id": "y"}', good[2]])
    items = items_of(tmp_path, "a.jsonl", file)
    assert [item.record for item in items if isinstance(item, Transcript)] == ["0", "1", "2"]
    problems = [(item.line, item.column) for item in items if isinstance(item, Problem)]
    assert problems == [(2, 23), (5, None), (6, None)]


def test_a_document_that_comes_again_is_a_problem(tmp_path):
    turn = {"speaker": "A", "text": "x"}
    file = lines(
        {"document": "a", **turn}, {"document": "b", **turn}, {"document": "a", **turn}, {"document": "a", **turn}
    )
    a, b, problem = items_of(tmp_path, "a.jsonl", file)
    assert (a.record, b.record) == ("a", "b")
    assert problem == Problem("2 lines of 'a', which was read from line 1 on; its lines must stand together", 3)
    file = lines({"id": "a", "turns": TURNS}, {"id": "a", "turns": TURNS})
    assert items_of(tmp_path, "b.jsonl", file)[1].line == 2


def test_a_broken_line_inside_a_document_does_not_tear_it(tmp_path):
    file = (
        lines(chunk("m", 0, "Ann: One.", speakers=["Ann"]))
        + "{broken\n"
        + lines(chunk("m", 1, "Ann: Two.", speakers=["Ann"]))
    )
    problem, transcript = items_of(tmp_path, "a.jsonl", file)
    assert (problem.line, len(transcript.turns)) == (2, 2)


def test_json_lines_are_known_whatever_their_name(tmp_path):
    file = lines({"id": "a", "turns": TURNS * 30_000}, {"id": "b", "turns": TURNS})
    for name in ("a.json", "a.txt", "a"):
        reading = read(written(tmp_path, name, lines({"id": "a", "turns": TURNS}, {"id": "b", "turns": TURNS})))
        assert reading.format == "jsonl"
        assert len(list(reading.items)) == 2
    assert read(written(tmp_path, "long.jsonl", file)).format == "jsonl"


def test_one_line_is_json_lines_by_its_name(tmp_path):
    one = lines({"id": "a", "turns": TURNS})
    assert read(written(tmp_path, "a.jsonl", one)).format == "jsonl"
    assert read(written(tmp_path, "a.json", one)).format == "json"


def test_other_json_lines_are_no_transcript(tmp_path):
    with pytest.raises(NotATranscript, match="JSON Lines without turns"):
        read(written(tmp_path, "log.jsonl", lines({"level": "info", "msg": "x"}, {"level": "info", "msg": "y"})))


def test_a_file_without_one_good_line_is_unreadable(tmp_path):
    with pytest.raises(Unreadable, match="broken JSON") as caught:
        read(written(tmp_path, "a.jsonl", "\n{x\n{y\n"))
    assert caught.value.line == 2


def test_a_line_that_is_too_long_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 1000)
    good = {"speaker": "A", "text": "x"}
    problem, transcript = items_of(tmp_path, "a.jsonl", lines(good, {"speaker": "A", "text": "y" * 5000}, good, good))
    assert problem.line == 2
    assert [turn.place.line for turn in transcript.turns] == [1, 3, 4]


def test_only_one_document_is_held_at_a_time(tmp_path):
    record = {"turns": [{"speaker": "A", "text": "word " * 40}] * 300}
    with (tmp_path / "a.jsonl").open("w") as file:
        for i in range(100):
            file.write(json.dumps({"id": str(i), **record}) + "\n")
    source = written(tmp_path, "a.jsonl", (tmp_path / "a.jsonl").read_bytes())
    tracemalloc.start()
    try:
        assert sum(1 for _ in read(source).items) == 100
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()
