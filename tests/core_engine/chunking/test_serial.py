"""Chunks survive the ledger, whatever characters they hold, and the same question has the same key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_engine.chunking.serial import pack_turns, unpack_turns
from core_engine.types import ChunkTurn

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
