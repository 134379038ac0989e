"""Chunks survive the ledger, whatever characters they hold, and the same question has the same key."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core_engine.chunking.cut import cut
from core_engine.chunking.serial import content_key, pack_turns, unpack_turns
from core_engine.types import Chunk, ChunkTurn, Turn

anything = st.text(st.characters(codec=None))
times = st.none() | st.floats(0, 1e6)
numbers = st.none() | st.integers(0, 2**40)
cuts = st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)), max_size=5).map(tuple)
chunk_turns = st.builds(
    ChunkTurn,
    st.none() | anything,
    anything,
    anything,
    st.integers(0, 2**31),
    times,
    times,
    cuts,
    numbers,
    numbers,
    anything,
)


@given(st.lists(chunk_turns, max_size=5).map(tuple))
def test_turns_come_back_as_they_went_in(turns: tuple[ChunkTurn, ...]) -> None:
    assert unpack_turns(pack_turns(turns)) == turns


def test_unpaired_surrogates_side_by_side_are_not_joined() -> None:
    turns = (ChunkTurn("A\udc00", "\ud83d\ude00", "\ud83d\ude00", 0, cuts=((0, 0),)),)
    assert unpack_turns(pack_turns(turns)) == turns


def test_chunks_that_ask_the_same_have_one_key_whatever_their_place() -> None:
    one, two = (cut("d", [Turn(text, "Ann", 1.0)])[0] for text in ("Um , we  buy .", "{pause} Um, we buy."))
    assert one.id != two.id
    assert content_key(one) == content_key(two)
    assert content_key(one) == content_key(replace(one, seq=7, document_id="e", name="x"))


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
    assert len({content_key(each) for each in [chunk, *others]}) == len(others) + 1
