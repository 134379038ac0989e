"""What every vector store promises, each promise tried on each store."""

from __future__ import annotations

import random
import struct
import uuid

import pytest

from core_engine.embeddings.bm25 import Bm25Encoder
from core_engine.errors import StoreError
from core_engine.types import Point, SparseVector

BM25 = Bm25Encoder()
NOTHING = SparseVector((), ())


def chunk(number: int, text: str, dense: list[float] | None = None, **payload) -> Point:
    point_id = str(uuid.UUID(int=number))
    packed = None if dense is None else struct.pack(f"<{len(dense)}f", *dense)
    held = {"id": point_id, "workspace": "default", "document_id": str(uuid.UUID(int=9)), "text": text, **payload}
    return Point(point_id, BM25.document(text), packed, held)


def numbers(hits) -> list[int]:
    return [uuid.UUID(h.id).int for h in hits]


async def test_what_is_written_is_counted_and_found_with_its_payload(place):
    store = place.store()
    await store.open()
    await store.upsert(
        [
            chunk(1, "The budget was approved.", chunk_index=3, speakers=("Ann", "Bo"), start=1.5, end=None),
            chunk(2, "Remote controls need batteries."),
        ]
    )
    await store.flush()
    assert await store.count() == 2
    (hit,) = await store.search(BM25.query("budget"), None, 5)
    assert hit.id == str(uuid.UUID(int=1))
    assert hit.payload == {
        "id": str(uuid.UUID(int=1)),
        "workspace": "default",
        "document_id": str(uuid.UUID(int=9)),
        "text": "The budget was approved.",
        "chunk_index": 3,
        "speakers": ["Ann", "Bo"],
        "start": 1.5,
        "end": None,
    }
    assert hit.score > 0


async def test_a_point_written_again_replaces_the_old_one_whole(place):
    store = place.store()
    await store.open()
    await store.upsert([chunk(1, "budget", title="old")])
    await store.upsert([chunk(1, "battery")])
    await store.flush()
    assert await store.count() == 1
    assert await store.search(BM25.query("budget"), None, 5) == []
    (hit,) = await store.search(BM25.query("battery"), None, 5)
    assert "title" not in hit.payload


async def test_deleted_points_are_gone_and_unknown_ids_do_not_matter(place):
    store = place.store()
    await store.open()
    await store.upsert([chunk(1, "budget"), chunk(2, "budget")])
    await store.delete([str(uuid.UUID(int=1)), str(uuid.UUID(int=77))])
    await store.delete([])
    await store.flush()
    assert await store.count() == 1
    assert numbers(await store.search(BM25.query("budget"), None, 5)) == [2]


async def test_a_store_opened_again_is_the_same_store(place):
    store = place.store()
    first = await store.open()
    await store.begin(1)
    await store.upsert([chunk(1, "budget")])
    await store.flush()
    await store.close()
    again = place.store()
    second = await again.open()
    assert second.epoch == first.epoch
    assert await again.count() == 1


async def test_the_generation_is_the_last_one_begun(place):
    store = place.store()
    assert (await store.open()).generation == 0
    await store.begin(7)
    await store.close()
    assert (await place.store().open()).generation == 7


async def test_a_wiped_store_is_another_store(place):
    store = place.store()
    first = await store.open()
    await store.begin(3)
    await store.upsert([chunk(1, "budget")])
    await store.flush()
    await store.close()
    place.wipe()
    again = place.store()
    second = await again.open()
    assert second.epoch != first.epoch
    assert second.generation == 0
    assert await again.count() == 0


async def test_each_model_and_size_has_a_store_of_its_own(place):
    by_words = await place.store().open()
    by_meaning = await place.store(4, "small").open()
    assert len({by_words.epoch, by_meaning.epoch, (await place.store(8, "small").open()).epoch}) == 3


async def test_hybrid_search_puts_first_what_both_words_and_meaning_find(place):
    store = place.store(4, "small")
    await store.open()
    await store.upsert(
        [
            chunk(1, "The budget was approved.", [0.0, 0.0, 1.0, 0.0]),
            chunk(2, "The budget was approved on Monday.", [1.0, 0.1, 0.0, 0.0]),
            chunk(3, "Money was granted.", [1.0, 0.0, 0.0, 0.0]),
            *(chunk(n, "Nothing of the kind.", [0.2, 1.0, 0.0, 0.0]) for n in range(4, 40)),
        ]
    )
    await store.flush()
    found = await store.search(BM25.query("budget"), [1.0, 0.0, 0.0, 0.0], 3)
    assert numbers(found)[0] == 2
    assert set(numbers(found)) == {1, 2, 3}
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert numbers(await store.search(NOTHING, [1.0, 0.0, 0.0, 0.0], 1)) == [3]
    assert numbers(await store.search(BM25.query("granted"), None, 5)) == [3]


async def test_rare_words_count_more_than_common_ones(place):
    store = place.store()
    await store.open()
    await store.upsert(
        [chunk(n, f"the meeting about topic{n}") for n in range(1, 30)] + [chunk(30, "zeppelin meeting")]
    )
    await store.flush()
    assert numbers(await store.search(BM25.query("meeting zeppelin"), None, 3))[0] == 30


async def test_equal_hits_come_in_the_order_of_their_ids(place):
    store = place.store()
    await store.open()
    await store.upsert([chunk(n, "the very same words") for n in (5, 3, 9, 1, 7)])
    await store.flush()
    assert numbers(await store.search(BM25.query("words"), None, 5)) == [1, 3, 5, 7, 9]


async def test_a_chunk_without_words_is_stored_and_a_query_without_words_finds_nothing(place):
    store = place.store()
    await store.open()
    await store.begin(1)
    await store.upsert([chunk(1, "..."), chunk(2, "words")])
    await store.flush()
    assert await store.count() == 2
    assert await store.search(BM25.query("the of"), None, 5) == []


async def test_a_chunk_without_an_embedding_lives_beside_those_with_one(place):
    store = place.store(4, "small")
    await store.open()
    await store.upsert([chunk(1, "budget"), chunk(2, "budget", [1.0, 0.0, 0.0, 0.0])])
    await store.flush()
    assert await store.count() == 2
    assert set(numbers(await store.search(BM25.query("budget"), [1.0, 0.0, 0.0, 0.0], 5))) == {1, 2}


@pytest.mark.parametrize(
    "text",
    [
        "nul \x00 word",
        "\x1b]0;title\x07 word",
        "<script>alert('word')</script>",
        "'}) DETACH DELETE word //",
        "word 🙂",
    ],
)
async def test_odd_characters_are_text_and_nothing_else(place, text):
    store = place.store()
    await store.open()
    await store.upsert([chunk(1, text)])
    await store.flush()
    (hit,) = await store.search(BM25.query("word"), None, 1)
    assert hit.payload["text"] == text


async def test_unpaired_surrogates_become_replacement_characters(place):
    store = place.store()
    await store.open()
    await store.upsert([chunk(1, "word \ud800", document="\udc00.txt")])
    await store.flush()
    (hit,) = await store.search(BM25.query("word"), None, 1)
    assert (hit.payload["text"], hit.payload["document"]) == ("word \ufffd", "\ufffd.txt")


async def test_a_vector_of_the_wrong_size_is_refused_by_the_name_of_its_chunk(place):
    store = place.store(4, "small")
    await store.open()
    with pytest.raises(StoreError, match=f"{uuid.UUID(int=1)}.* 3 dimensions where the store has 4"):
        await store.upsert([chunk(1, "word", [1.0, 2.0, 3.0])])
    with pytest.raises(StoreError):
        await store.search(NOTHING, [1.0, 2.0], 3)


async def test_two_thousand_long_vectors_come_back_in_the_right_order(place):
    draw = random.Random(7)
    points = [chunk(n, f"number{n}", [draw.gauss(0, 1) for _ in range(1536)]) for n in range(1, 2001)]
    store = place.store(1536, "text-embedding-3-small")
    await store.open()
    await store.upsert(points)
    await store.flush()
    assert await store.count() == 2000
    for wanted in (points[0], points[1234], points[1999]):
        (hit,) = await store.search(NOTHING, struct.unpack("<1536f", wanted.dense), 1)
        assert hit.id == wanted.id
        assert hit.score == pytest.approx(1.0, abs=1e-4)


async def test_a_store_that_is_not_open_says_so(place):
    with pytest.raises(StoreError, match="not open"):
        await place.store().count()


async def test_closing_twice_is_fine(place):
    store = place.store()
    await store.open()
    await store.close()
    await store.close()
