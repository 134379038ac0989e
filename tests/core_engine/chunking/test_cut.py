"""How transcripts are cut: by whole turns, at sentence ends where a turn is long, with times, places and context."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_engine import identity
from core_engine.chunking.cut import cut, keep_ready, recut
from core_engine.keys import content as content_key
from core_engine.types import Chunk, ChunkTurn, Mark, Place, ReadyChunk, Transcript, Turn


def rendered(chunk: Chunk) -> str:
    return "\n".join(f"{turn.speaker}: {turn.raw}" if turn.speaker else turn.raw for turn in chunk.turns)


def meeting(count: int) -> list[Turn]:
    return [Turn(f"Sentence number {i} of this meeting is about plan {i % 7}.", "AB"[i % 2]) for i in range(count)]


def lecture(sentences: int) -> Turn:
    return Turn(" ".join(f"This is what Mr. Li said in his sentence {i}." for i in range(sentences)), "Ann")


def test_whole_turns_are_packed_up_to_the_size() -> None:
    chunks = cut("d", meeting(100), size=400)
    assert all(300 < len(rendered(chunk)) <= 400 for chunk in chunks[:-1])
    assert [turn.turn for chunk in chunks for turn in chunk.turns] == list(range(100))


def test_the_id_is_that_of_the_raw_text_and_its_occurrence() -> None:
    chunks = cut("d", [Turn("x" * 90, "A")] * 3, size=100)
    text = "A: " + "x" * 90
    assert [chunk.id for chunk in chunks] == [identity.chunk_id("d", text, i) for i in range(3)]


def test_a_long_turn_is_split_at_sentence_ends_and_not_in_names() -> None:
    chunks = cut("d", [lecture(60)], size=300)
    assert len(chunks) > 5
    assert all(chunk.turns[0].raw.rstrip().endswith(".") for chunk in chunks)
    assert not any(chunk.turns[0].raw.rstrip().endswith("Mr.") for chunk in chunks)
    assert "".join(chunk.turns[0].raw for chunk in chunks) == lecture(60).text


def test_a_long_sentence_is_split_between_words_and_solid_text_anywhere() -> None:
    words = cut("d", [Turn("some words go on and on " * 200, None)], size=300)
    assert all(chunk.turns[0].raw.endswith(" ") for chunk in words)
    solid = cut("d", [Turn("语" * 1000, None)], size=300)
    assert max(len(rendered(chunk)) for chunk in solid) <= 300
    assert "".join(rendered(chunk) for chunk in solid) == "语" * 1000


def test_the_cuts_in_a_long_sentence_fall_together_again_after_an_edit() -> None:
    text = " ".join(f"word{i * i}" for i in range(6000))
    old = {rendered(chunk) for chunk in cut("d", [Turn(text)], size=300)}
    new = {rendered(chunk) for chunk in cut("d", [Turn("so " + text)], size=300)}
    assert len(new - old) < len(new) / 4


def test_a_combined_character_is_not_torn_apart() -> None:
    chunks = cut("d", [Turn("e\u0301" * 500)], size=101)
    assert all(not chunk.turns[0].raw.startswith("\u0301") for chunk in chunks)


def test_no_chunk_is_tiny_where_small_turns_stand_between_large_ones() -> None:
    turns = [Turn(text, "A") for _ in range(20) for text in ("Why?", "b" * 390)] + [Turn("Bye then, Ann.", "A")]
    chunks = cut("d", turns, size=400)
    assert all(100 <= len(rendered(chunk)) <= 600 for chunk in chunks)


def test_a_speaker_label_of_thousands_of_characters_does_not_shred_the_text() -> None:
    chunks = cut("d", [Turn("words " * 500, "S" * 5000)], size=1200)
    assert len(chunks) < 10


def test_an_empty_transcript_has_no_chunks() -> None:
    assert cut("d", []) == []
    assert recut("d", [], cut("d", meeting(3)), size=100) == []
    assert recut("d", meeting(3), [], size=100) == cut("d", meeting(3), size=100)


def test_pieces_carry_the_times_of_the_captions_they_cover() -> None:
    captions = [f"Caption {i} says this." for i in range(40)]
    text = " ".join(captions)
    starts = [text.index(caption) for caption in captions]
    marks = tuple(Mark(at, i * 2.0, i * 2.0 + 1.5, Place(1000 * i, None, 10 + i)) for i, at in enumerate(starts))
    turn = Turn(text, "A", 0.0, 79.5, Place(0, 99_999, 10), marks)
    pieces = [chunk.turns[0] for chunk in cut("d", [turn], size=200)]
    assert len(pieces) > 3
    begins = 0
    for piece in pieces:
        number = captions.index(piece.raw[: piece.raw.index(".") + 1])
        count = piece.raw.count("Caption")
        assert (piece.start, piece.end) == (number * 2.0, (number + count - 1) * 2.0 + 1.5)
        assert (piece.line, piece.offset) == (10 + number, 1000 * number)
        begins += len(piece.raw)
    assert begins == len(text)


def test_pieces_of_a_turn_without_marks_carry_its_times_and_their_offset() -> None:
    turn = replace(lecture(30), start=3.0, end=90.0, place=Place(50, 50 + len(lecture(30).text), 4))
    at = 50
    for chunk in cut("d", [turn], size=300):
        piece = chunk.turns[0]
        assert (piece.start, piece.end, piece.line, piece.offset) == (3.0, 90.0, 4, at)
        at += len(piece.raw)


def test_marks_without_an_end_end_where_the_next_begins() -> None:
    text = "One sentence here. " * 20
    marks = tuple(Mark(19 * i, float(i), None) for i in range(20))
    first = cut("d", [Turn(text, None, 0.0, None, marks=marks)], size=100)[0].turns[0]
    assert first.end == len(first.raw) / 19


def test_the_context_is_the_last_two_turns_of_the_chunk_before() -> None:
    chunks = cut("d", meeting(60), size=1000)
    for before, chunk in pairwise(chunks):
        assert chunk.context == tuple((turn.speaker, turn.text) for turn in before.turns[-2:])
    assert chunks[0].context == ()


def test_the_context_skips_empty_turns_and_is_at_most_400_characters() -> None:
    turns = [Turn("alpha beta " * 80, "A"), Turn("Yeah.", "B"), Turn("gamma " * 150, "C")]
    chunk = cut("d", turns, size=1000)[1]
    ((speaker, text),) = chunk.context
    assert speaker == "A"
    assert 300 < len(text) <= 400
    assert set(text.split()) == {"alpha", "beta"}


def test_without_cleaning_the_text_is_as_read() -> None:
    chunk = cut("d", [Turn("Um , yes .", "A")], clean=False)[0]
    assert chunk.turns[0].text == "Um , yes ."
    assert chunk.turns[0].cuts == ((0, 0),)


def test_ready_chunks_are_kept_exactly_as_they_are() -> None:
    turns = (*meeting(5), lecture(200))
    transcript = Transcript(turns, ready=(ReadyChunk("x#0", 0, 1), ReadyChunk("x#1", 1, 5), ReadyChunk("x#2", 5, 6)))
    chunks = keep_ready("d", transcript)
    assert [(chunk.name, len(chunk.turns), chunk.seq) for chunk in chunks] == [
        ("x#0", 1, 0),
        ("x#1", 4, 1),
        ("x#2", 1, 2),
    ]
    assert chunks[2].turns[0].raw == turns[5].text
    assert len(chunks[1].context) == 1


def test_kept_chunks_keep_their_cleaned_text_and_take_new_places() -> None:
    turns = meeting(40)
    old = [
        replace(chunk, turns=tuple(replace(turn, text=f"cleaned before: {turn.raw}") for turn in chunk.turns))
        for chunk in cut("d", turns, size=400)
    ]
    new = recut(
        "d",
        [replace(turn, start=i, place=Place(line=i)) for i, turn in enumerate([Turn("Hi!"), *turns])],
        old,
        size=400,
    )
    kept = [chunk for chunk in new if chunk.id in {each.id for each in old}]
    assert len(kept) == len(old)
    for chunk in kept:
        for turn in chunk.turns:
            assert turn.text == f"cleaned before: {turn.raw}"
            assert turn.turn == turn.line == turn.start
            assert turn.raw == turns[turn.turn - 1].text


def test_another_size_keeps_what_an_edit_leaves_standing() -> None:
    turns = [*meeting(40), lecture(100), *meeting(40)]
    old = cut("d", turns, size=400)
    new = recut("d", [*turns[:20], Turn("New.", "A"), *turns[21:]], old, size=900)
    assert len({chunk.id for chunk in new} & {chunk.id for chunk in old}) == len(old) - 1


def test_several_edits_buy_only_their_own_surroundings() -> None:
    turns = [turn for i in range(30) for turn in (*meeting(10), lecture(10 + i))]
    old = cut("d", turns, size=500)
    edited = list(turns)
    for at in (3, 100, 101, 250):
        edited[at] = replace(edited[at], text="Something else. " + edited[at].text)
    new = recut("d", edited, old, size=500)
    asked = {content_key(chunk) for chunk in old}
    assert sum(content_key(chunk) not in asked for chunk in new) <= 12


def test_moved_turns_keep_the_larger_part() -> None:
    turns = [Turn(f"Turn {i} says {i * i} times something about {i}.", "A") for i in range(400)]
    old = cut("d", turns, size=400)
    new = recut("d", turns[300:] + turns[:300], old, size=400)
    assert len({chunk.id for chunk in new} & {chunk.id for chunk in old}) >= len(old) * 0.7


def test_equal_new_chunks_take_the_numbers_that_kept_ones_leave_free() -> None:
    same = Turn("y" * 90, "A")
    old = cut("d", [same, Turn("between " * 11, "B"), same, same], size=100)
    new = recut("d", [Turn("between " * 11, "B"), same, same, same], old, size=100)
    assert len({chunk.id for chunk in new}) == len(new)


@given(st.lists(st.builds(Turn, st.text(), st.none() | st.text(max_size=3)), max_size=30), st.integers(20, 200))
def test_no_text_is_lost_or_doubled(turns: list[Turn], size: int) -> None:
    chunks = cut("d", turns, size=size)
    assert "".join(turn.raw for chunk in chunks for turn in chunk.turns) == "".join(turn.text for turn in turns)
    assert all(len(rendered(chunk)) <= 1.5 * size + 6 for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == len(chunks)


@pytest.mark.parametrize("unit", ["a ", ". ", ".", "\n", " ", "语", "x", "I -- "])
def test_a_huge_turn_is_cut_in_linear_time_and_its_edit_stays_local(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    old = cut("d", [Turn(text, "A")])
    new = recut("d", [Turn(text[:1001] + "Oh, no! " + text[1001:], "A")], old, size=1200)
    known = {(chunk.id, chunk.context) for chunk in old}
    assert sum((chunk.id, chunk.context) not in known for chunk in new) <= 3


def shared_data() -> Path | None:
    path = Path(os.environ.get("KG_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data")
    return path if path.is_dir() else None


def test_an_edit_in_a_real_meeting_buys_at_most_three_chunks() -> None:
    data = shared_data()
    if data is None:
        pytest.skip("the shared transcripts are not on this machine")
    with gzip.open(data / "transcripts/large/qmsum_meetings_197.jsonl.gz", "rt", encoding="utf-8") as lines:
        turns = [Turn(turn["content"], turn["speaker"]) for turn in json.loads(next(lines))["turns"]]
    old = cut("d", turns)
    asked = {content_key(chunk) for chunk in old}
    for at in range(0, len(turns), 37):
        new = recut(
            "d", [*turns[:at], Turn("We decided otherwise, said Ann.", "Ann"), *turns[at + 1 :]], old, size=1200
        )
        assert sum(content_key(chunk) not in asked for chunk in new) <= 3


def test_a_chunk_turn_knows_its_turn() -> None:
    turn: ChunkTurn = cut("d", [Turn("Hello there, Ann.", "Bo", 1.0, 2.0, Place(3, 20, 1, "/x"))])[0].turns[0]
    assert (turn.speaker, turn.turn, turn.start, turn.end) == ("Bo", 0, 1.0, 2.0)
    assert (turn.line, turn.offset, turn.pointer) == (1, 3, "/x")
