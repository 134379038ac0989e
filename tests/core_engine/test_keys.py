"""The keys of questions: what is part of the question, and what is not."""

from __future__ import annotations

from dataclasses import replace

from core_engine import keys
from core_engine.chunking.cut import cut
from core_engine.types import Chunk, ChunkTurn, Turn


def test_chunks_that_ask_the_same_have_one_key_whatever_their_place() -> None:
    one, two = (cut("d", [Turn(text, "Ann", 1.0)])[0] for text in ("Um , we  buy .", "{pause} Um, we buy."))
    assert one.id != two.id
    assert keys.content(one) == keys.content(two)
    assert keys.content(one) == keys.content(replace(one, seq=7, document_id="e", name="x"))


def test_another_speaker_context_or_word_is_another_question() -> None:
    turns = (ChunkTurn("Ann", "a", "a", 0), ChunkTurn("Bo", "b", "b", 1))
    chunk = Chunk("i", "d", 0, turns, ((None, "c"),))
    others = [
        replace(chunk, context=()),
        replace(chunk, context=(("", "c"),)),
        replace(chunk, context=((None, "c"), ("Ann", "a")), turns=turns[1:]),
        replace(chunk, turns=(replace(turns[0], speaker=None), turns[1])),
        replace(chunk, turns=(replace(turns[0], text="A"), turns[1])),
    ]
    assert len({keys.content(each) for each in [chunk, *others]}) == len(others) + 1


def test_turns_that_cleaning_emptied_number_the_others_and_so_are_part_of_the_question() -> None:
    turn = ChunkTurn("Ann", "We buy.", "We buy.", 1)
    alone = Chunk("i", "d", 0, (turn,))
    second = Chunk("j", "d", 0, (ChunkTurn("Bo", "um", "", 0), turn))
    assert keys.content(alone) != keys.content(second)
    assert keys.words(alone) == keys.words(second)


def test_a_spec_is_its_kind_its_settings_and_its_text() -> None:
    spec = keys.Spec("extract", {"model": "m", "seed": None}, "prompt")
    same = keys.Spec("extract", {"seed": None, "model": "m"}, "prompt")
    others = [
        keys.Spec("embed", {"model": "m", "seed": None}, "prompt"),
        keys.Spec("extract", {"model": "n", "seed": None}, "prompt"),
        keys.Spec("extract", {"model": "m", "seed": 1}, "prompt"),
        keys.Spec("extract", {"model": "m", "seed": None}, "another"),
    ]
    assert spec.hash == same.hash
    assert len({spec.hash, *(other.hash for other in others)}) == 5
