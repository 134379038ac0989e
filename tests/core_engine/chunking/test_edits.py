"""Law 3: an edit of one turn makes at most three chunks new, whatever the transcript looks like."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from core_engine.chunking.cut import cut, recut
from core_engine.keys import content as content_key
from core_engine.types import Chunk, Turn

SIZE = 80
SPEAKERS = st.sampled_from(["Ann", "Bo", None])

words = st.sampled_from(
    ["we", "should", "um,", "buy", "the", "the", "Duran", "yeah", "plan.", "No!", "twenty", "{pause}"]
)
sentences = st.lists(words, min_size=1, max_size=9).map(" ".join)
short_texts = st.one_of(st.sampled_from(["Yeah.", "Mm-hmm.", "", "No.", "Yes, Ann."]), sentences)
solid_texts = st.text("ab中", min_size=1, max_size=500)
long_texts = st.one_of(
    st.lists(sentences, min_size=10, max_size=30).map(" ".join),
    st.lists(sentences, min_size=10, max_size=30).map(". ".join),
    solid_texts,
)
short_turns = st.builds(Turn, short_texts, SPEAKERS)
turns = st.one_of(short_turns, short_turns, short_turns, st.builds(Turn, long_texts, SPEAKERS))
transcripts = st.one_of(
    st.lists(turns, min_size=1, max_size=40),
    st.lists(st.sampled_from([Turn("Yeah.", "Ann"), Turn("We go.", "Bo")]), min_size=1, max_size=120),
    st.lists(
        st.sampled_from([Turn("a" * 77, None), Turn("b" * 41, None), Turn("b" * 30, None)]), max_size=40, min_size=1
    ),
)
# Nothing that alone is larger than a chunk: that many chunks would have to be new.
new_turns = st.builds(
    lambda text, speaker: Turn(text[:70], speaker), st.one_of(short_texts, solid_texts, long_texts), SPEAKERS
)


def new_chunks(before: list[Chunk], after: list[Chunk]) -> int:
    known = {(chunk.id, chunk.context) for chunk in before}
    return sum((chunk.id, chunk.context) not in known for chunk in after)


def bought(before: list[Chunk], after: list[Chunk]) -> int:
    known = {content_key(chunk) for chunk in before}
    return len({content_key(chunk) for chunk in after} - known)


@st.composite
def edits(draw: st.DrawFn, transcript: list[Turn]) -> list[Turn]:
    at = draw(st.integers(0, len(transcript) - 1))
    kind = draw(st.sampled_from(["replace", "insert", "delete", "within"]))
    event(kind)
    new = draw(new_turns)
    if kind == "replace":
        return [*transcript[:at], new, *transcript[at + 1 :]]
    if kind == "insert":
        return [*transcript[:at], new, *transcript[at:]]
    if kind == "delete":
        return [*transcript[:at], *transcript[at + 1 :]]
    text = transcript[at].text
    first = draw(st.integers(0, len(text)))
    last = draw(st.integers(first, min(len(text), first + 200)))
    edited = replace(transcript[at], text=text[:first] + draw(short_texts)[:30] + text[last:])
    return [*transcript[:at], edited, *transcript[at + 1 :]]


def rebuilt(chunks: list[Chunk]) -> list[tuple[str | None, str]]:
    found: dict[int, tuple[str | None, str]] = {}
    for chunk in chunks:
        for turn in chunk.turns:
            found[turn.turn] = (turn.speaker, found.get(turn.turn, (None, ""))[1] + turn.raw)
    return [found[number] for number in sorted(found)]


def check_whole(chunks: list[Chunk], transcript: list[Turn]) -> None:
    assert rebuilt(chunks) == [(turn.speaker, turn.text) for turn in transcript]
    assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert all(turn.raw or not transcript[turn.turn].text for chunk in chunks for turn in chunk.turns)
    order = [turn.turn for chunk in chunks for turn in chunk.turns]
    assert order == sorted(order)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_an_edit_of_one_turn_makes_at_most_three_chunks_new(data: st.DataObject) -> None:
    transcript = data.draw(transcripts)
    before = cut("d", transcript, size=SIZE)
    for _ in range(data.draw(st.integers(1, 3))):
        transcript = data.draw(edits(transcript)) or transcript
        after = recut("d", transcript, before, size=SIZE)
        check_whole(after, transcript)
        assert new_chunks(before, after) <= 3
        assert bought(before, after) <= 3
        before = after


@given(transcripts, st.booleans())
@settings(max_examples=50, deadline=None)
def test_an_unchanged_document_keeps_all_its_chunks(transcript: list[Turn], clean: bool) -> None:
    chunks = cut("d", transcript, size=SIZE, clean=clean)
    check_whole(chunks, transcript)
    assert recut("d", transcript, chunks, size=SIZE, clean=clean) == chunks


@given(transcripts, st.data())
@settings(max_examples=100, deadline=None)
def test_any_number_of_edits_gives_the_whole_document(transcript: list[Turn], data: st.DataObject) -> None:
    before = cut("d", transcript, size=SIZE)
    after_turns = data.draw(st.lists(st.one_of(st.sampled_from(transcript), new_turns), max_size=60))
    check_whole(recut("d", after_turns, before, size=SIZE), after_turns)
