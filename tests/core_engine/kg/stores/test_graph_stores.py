"""What both graph stores promise: the same changes make the same graph in either."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest

from core_engine.errors import StoreError
from core_engine.identity import chunk_id, document_id, entity_id, relationship_id, statement_id
from core_engine.kg.stores.embedded import EmbeddedGraphStore
from core_engine.types import (
    ChunkRow,
    DocumentRow,
    EntityRow,
    GraphChanges,
    GraphCounts,
    MentionRow,
    RelationshipRow,
    StatementRow,
)
from tests.core_engine.kg.stores.conftest import Opener
from tests.core_engine.kg.stores.sample import Size, graph, in_steps

NASTY = [
    "Robert'); MATCH (n) DETACH DELETE n //",
    "`]->() DETACH DELETE n`",
    "{id: 'x'} $rows",
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m\x07",
    'quote " back\\slash \\u0041',
    "زهرا 陳大文 👩‍👩‍👧 \u202e",
    "line\nbreak\ttab\r",
    "%s {0} ${jndi:x}",
    "",
    "N" * 10_000,
]


class Meeting:
    """One document of two chunks, in which Ann works for Acme."""

    def __init__(self, workspace: str) -> None:
        self.document = DocumentRow(document_id(workspace, "a.vtt"), "a.vtt", "Kick-off", {"date": "2026-01-02"})
        self.ann = EntityRow(entity_id(f"{workspace}ann"), "Ann Lee", ("Person",), ("Ann", "Dr. Lee"), 2)
        self.acme = EntityRow(entity_id(f"{workspace}acme"), "Acme", ("Organization", "Customer"), (), 1)
        kind = "WORKS_AT"
        self.works = RelationshipRow(
            relationship_id(self.ann.id, kind, self.acme.id),
            self.ann.id,
            self.acme.id,
            kind,
            1,
            "2026-01-02",
            None,
            current=False,
            until="2026-03-04",
            superseded_by=relationship_id(self.ann.id, kind, self.ann.id),
            contradicted=True,
            stated=4,
            planned=3,
            denied=2,
            asked=1,
            grade="inferred",
        )
        first = chunk_id(self.document.id, "one", 0)
        second = chunk_id(self.document.id, "two", 0)
        self.first = ChunkRow(
            first,
            self.document.id,
            0,
            "Ann: I work at Acme.",
            second,
            ("Ann",),
            0.5,
            4.25,
            (
                MentionRow(self.ann.id, "I", (1,), ((1, 0),), 0.5, 4.25),
                MentionRow(self.acme.id, "Acme", (1, 2), ((1, 10), (2, 3)), 0.5, 4.25, ("Ann", "Bob"), "aligned"),
            ),
            (
                StatementRow(
                    statement_id(first, self.ann.id, kind, self.acme.id, 1),
                    self.ann.id,
                    self.acme.id,
                    kind,
                    "I work at Acme.",
                    "Ann",
                    1,
                    0.5,
                    4.25,
                    "planned",
                    7,
                    "2026-01-02",
                    "inferred",
                ),
            ),
        )
        self.second = ChunkRow(second, self.document.id, 1, "Bob: Hello, Ann.", None, ("Bob", "Ann"))

    def changes(self) -> GraphChanges:
        return GraphChanges((self.document,), (self.ann, self.acme), (self.first, self.second), (self.works,))


async def test_what_is_written_is_there(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    assert await store.counts() == GraphCounts(1, 2, 2, 1, 2, 1)
    dump = await store.dump()
    assert dump["documents"] == [
        {"id": meeting.document.id, "path": "a.vtt", "title": "Kick-off", "metadata": {"date": "2026-01-02"}}
    ]
    first = next(chunk for chunk in dump["chunks"] if chunk["index"] == 0)
    assert first == {
        "id": meeting.first.id,
        "document_id": meeting.document.id,
        "index": 0,
        "text": "Ann: I work at Acme.",
        "next_id": meeting.second.id,
        "speakers": ["Ann"],
        "start": 0.5,
        "end": 4.25,
    }
    acme = next(entity for entity in dump["entities"] if entity["name"] == "Acme")
    assert acme["labels"] == ["Organization", "Customer"]
    mention = next(m for m in dump["mentions"] if m["name"] == "Acme")
    assert mention == {
        "chunk_id": meeting.first.id,
        "entity_id": meeting.acme.id,
        "name": "Acme",
        "turns": [1, 2],
        "offsets": [[1, 10], [2, 3]],
        "start": 0.5,
        "end": 4.25,
        "speakers": ["Ann", "Bob"],
        "grade": "aligned",
    }
    assert dump["relationships"] == [
        {
            "id": meeting.works.id,
            "source_id": meeting.ann.id,
            "target_id": meeting.acme.id,
            "type": "WORKS_AT",
            "weight": 1,
            "first": "2026-01-02",
            "last": None,
            "current": False,
            "until": "2026-03-04",
            "superseded_by": meeting.works.superseded_by,
            "contradicted": True,
            "stated": 4,
            "planned": 3,
            "denied": 2,
            "asked": 1,
            "grade": "inferred",
        }
    ]
    assert dump["statements"] == [
        {
            "id": meeting.first.statements[0].id,
            "chunk_id": meeting.first.id,
            "subject_id": meeting.ann.id,
            "object_id": meeting.acme.id,
            "predicate": "WORKS_AT",
            "quote": "I work at Acme.",
            "speaker": "Ann",
            "turn": 1,
            "start": 0.5,
            "end": 4.25,
            "modality": "planned",
            "offset": 7,
            "date": "2026-01-02",
            "grade": "inferred",
        }
    ]


async def test_writing_the_same_twice_changes_nothing(open_store: Opener, workspace: str) -> None:
    store = await open_store(workspace)
    changes = graph(workspace, Size())
    for step in in_steps(changes, 20):
        await store.apply(step)
    once = await store.dump()
    await store.apply(changes)
    assert await store.dump() == once


async def test_the_same_graph_comes_out_whatever_the_steps(open_store: Opener, workspace: str) -> None:
    store = await open_store(workspace)
    for step in in_steps(graph(workspace, Size()), 7):
        await store.apply(step)
    small = await store.dump()
    everything = graph(workspace, Size())
    await store.apply(
        GraphChanges(
            deleted_relationships=tuple(r.ends for r in everything.relationships),
            deleted_chunks=tuple(c.id for c in everything.chunks),
            deleted_entities=tuple(e.id for e in everything.entities),
            deleted_documents=tuple(d.id for d in everything.documents),
        )
    )
    assert await store.counts() == GraphCounts()
    await store.apply(everything)
    assert await store.dump() == small


async def test_an_entity_is_rewritten_with_other_labels_name_and_weight(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    await store.apply(GraphChanges(entities=(EntityRow(meeting.acme.id, "ACME Inc.", ("Customer",), ("Acme",), 7),)))
    (acme,) = await store.find_entities("acme", 10)
    assert acme == EntityRow(meeting.acme.id, "ACME Inc.", ("Customer",), ("Acme",), 7)
    assert await store.counts() == GraphCounts(1, 2, 2, 1, 2, 1)


async def test_a_chunks_unit_replaces_what_was_there(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    edited = dataclasses.replace(
        meeting.first, text="Ann: Hello.", next_id=None, start=None, mentions=meeting.first.mentions[:1], statements=()
    )
    await store.apply(GraphChanges(chunks=(edited,)))
    assert await store.counts() == GraphCounts(1, 2, 2, 1, 1, 0)
    dump = await store.dump()
    chunk = next(c for c in dump["chunks"] if c["index"] == 0)
    assert (chunk["text"], chunk["next_id"], chunk["start"], chunk["end"]) == ("Ann: Hello.", None, None, 4.25)


async def test_deleting_a_chunk_takes_its_unit_and_the_link_to_it(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    await store.apply(GraphChanges(deleted_chunks=(meeting.second.id,)))
    assert [c["next_id"] for c in (await store.dump())["chunks"]] == [None]
    await store.apply(GraphChanges(deleted_chunks=(meeting.first.id,)))
    assert await store.counts() == GraphCounts(1, 0, 2, 1, 0, 0)


async def test_deleting_an_entity_takes_along_what_hangs_on_it(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    await store.apply(GraphChanges(deleted_entities=(meeting.acme.id,)))
    assert await store.counts() == GraphCounts(1, 2, 1, 0, 1, 0)


async def test_deleting_a_relationship_leaves_its_ends(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    await store.apply(GraphChanges(deleted_relationships=(meeting.works.ends,)))
    assert await store.counts() == GraphCounts(1, 2, 2, 0, 2, 1)


async def test_a_relationship_is_deleted_by_a_store_opened_anew(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    await store.close()
    again = await open_store(workspace)
    await again.apply(GraphChanges(deleted_relationships=(meeting.works.ends,)))
    assert (await again.counts()).relationships == 0


async def test_deleting_what_is_not_there_is_no_error(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(
        GraphChanges(
            deleted_documents=(meeting.document.id,),
            deleted_entities=(meeting.ann.id,),
            deleted_chunks=(meeting.first.id,),
            deleted_relationships=(meeting.works.ends,),
        )
    )
    assert await store.counts() == GraphCounts()


async def test_a_merge_moves_everything_to_one_entity(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    other = EntityRow(entity_id(f"{workspace}other"), "Ann Lee", ("Person",), (), 2)
    first = dataclasses.replace(
        meeting.first,
        mentions=tuple(dataclasses.replace(m, entity_id=other.id) for m in meeting.first.mentions[:1]),
        statements=tuple(dataclasses.replace(s, subject_id=other.id) for s in meeting.first.statements),
    )
    works = dataclasses.replace(
        meeting.works, id=relationship_id(other.id, "WORKS_AT", meeting.acme.id), source_id=other.id
    )
    await store.apply(
        GraphChanges(
            entities=(other,),
            chunks=(first,),
            relationships=(works,),
            deleted_entities=(meeting.ann.id,),
            deleted_relationships=(meeting.works.ends,),
        )
    )
    assert await store.counts() == GraphCounts(1, 2, 2, 1, 1, 1)
    assert (await store.dump())["statements"][0]["subject_id"] == other.id


async def test_a_chunk_may_come_before_the_one_that_follows_it(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    whole = meeting.changes()
    await store.apply(dataclasses.replace(whole, chunks=(meeting.first,)))
    assert (await store.counts()).chunks == 1
    assert [c["next_id"] for c in (await store.dump())["chunks"]] == [None]
    await store.apply(GraphChanges(chunks=(meeting.second,)))
    assert {c["next_id"] for c in (await store.dump())["chunks"]} == {None, meeting.second.id}


@pytest.mark.parametrize("part", ["document", "mention", "statement", "relationship"])
async def test_changes_that_refer_to_nothing_are_refused_whole(open_store: Opener, workspace: str, part: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    bare = dataclasses.replace(meeting.first, mentions=(), statements=())
    changes = {
        "document": GraphChanges(chunks=(bare,)),
        "mention": GraphChanges((meeting.document,), (), (dataclasses.replace(meeting.first, statements=()),)),
        "statement": GraphChanges((meeting.document,), (), (dataclasses.replace(meeting.first, mentions=()),)),
        "relationship": GraphChanges((), (meeting.ann,), (), (meeting.works,)),
    }
    with pytest.raises(StoreError, match="refer"):
        await store.apply(changes[part])
    assert await store.counts() == GraphCounts()


async def test_of_rows_that_come_twice_the_last_counts(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    whole = meeting.changes()
    later = dataclasses.replace(meeting.first, text="later", mentions=(), statements=meeting.first.statements * 2)
    await store.apply(
        dataclasses.replace(
            whole,
            entities=(*whole.entities, dataclasses.replace(meeting.ann, weight=9)),
            chunks=(*whole.chunks, later),
            relationships=(meeting.works, dataclasses.replace(meeting.works, weight=5)),
        )
    )
    assert await store.counts() == GraphCounts(1, 2, 2, 1, 0, 1)
    dump = await store.dump()
    assert {e["weight"] for e in dump["entities"]} == {9, 1}
    assert dump["relationships"][0]["weight"] == 5


async def test_one_entity_may_be_named_twice_in_a_chunk(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    twice = (*meeting.first.mentions, MentionRow(meeting.ann.id, "Ann", (1,)))
    await store.apply(
        dataclasses.replace(
            meeting.changes(), chunks=(dataclasses.replace(meeting.first, mentions=twice), meeting.second)
        )
    )
    assert (await store.counts()).mentions == 3


async def test_names_are_text_and_nothing_else(open_store: Opener, workspace: str) -> None:
    store = await open_store(workspace)
    document = DocumentRow(document_id(workspace, "x"), NASTY[0], NASTY[1], {n[:50]: n for n in NASTY})
    entities = tuple(EntityRow(entity_id(f"{workspace}{n}"), n, ("Person",), (n,), 1) for n in NASTY)
    chunk = chunk_id(document.id, "x", 0)
    changes = GraphChanges(
        (document,),
        entities,
        (
            ChunkRow(
                chunk,
                document.id,
                0,
                "\n".join(NASTY),
                None,
                tuple(NASTY),
                mentions=tuple(MentionRow(e.id, e.name, (1,)) for e in entities),
                statements=tuple(
                    StatementRow(statement_id(chunk, e.id, e.name, e.id, 1), e.id, e.id, e.name, e.name, e.name)
                    for e in entities
                ),
            ),
        ),
        tuple(
            RelationshipRow(relationship_id(e.id, "KNOWS", e.id), e.id, e.id, "KNOWS", 1, e.name, e.name)
            for e in entities
        ),
    )
    await store.apply(changes)
    dump = await store.dump()
    assert {e["name"] for e in dump["entities"]} == set(NASTY)
    assert dump["chunks"][0]["speakers"] == NASTY
    assert {s["quote"] for s in dump["statements"]} == set(NASTY)
    assert dump["documents"][0]["metadata"] == document.metadata


async def test_nul_bytes_and_lone_surrogates_are_replaced(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    broken = "a\0b\ud800c\udfff"
    await store.apply(
        dataclasses.replace(
            meeting.changes(),
            entities=(dataclasses.replace(meeting.ann, name=broken, aliases=(broken,)), meeting.acme),
            documents=(dataclasses.replace(meeting.document, metadata={broken: broken}),),
        )
    )
    assert [e.name for e in await store.find_entities(broken, 5)] == ["a\ufffdb\ufffdc\ufffd"]
    assert (await store.dump())["documents"][0]["metadata"] == {"a\ufffdb\ufffdc\ufffd": "a\ufffdb\ufffdc\ufffd"}


async def test_times_that_are_no_numbers_are_none(open_store: Opener, workspace: str) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    odd = dataclasses.replace(meeting.first, start=math.nan, end=math.inf)
    await store.apply(dataclasses.replace(meeting.changes(), chunks=(odd, meeting.second)))
    assert {(c["start"], c["end"]) for c in (await store.dump())["chunks"]} == {(None, None)}


@pytest.mark.parametrize("label", ["", "1st", "Per son", "Person`", "Pérson", "Person\n", "P" * 65, "KgNode", "Chunk"])
async def test_a_label_that_would_need_escaping_or_is_ours_is_refused(
    open_store: Opener, workspace: str, label: str
) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    with pytest.raises(StoreError, match="label"):
        await store.apply(GraphChanges(entities=(dataclasses.replace(meeting.ann, labels=(label,)),)))
    assert await store.counts() == GraphCounts()


@pytest.mark.parametrize("kind", ["", "A B", "X`]->() DETACH DELETE n //", "FROM_CHUNK", "T" * 65])
async def test_a_type_that_would_need_escaping_or_is_ours_is_refused(
    open_store: Opener, workspace: str, kind: str
) -> None:
    store, meeting = await open_store(workspace), Meeting(workspace)
    await store.apply(meeting.changes())
    with pytest.raises(StoreError, match="type"):
        await store.apply(GraphChanges(relationships=(dataclasses.replace(meeting.works, type=kind),)))
    assert (await store.counts()).relationships == 1


async def test_two_workspaces_stay_apart(open_store: Opener, workspace: str) -> None:
    one, other = await open_store(workspace), await open_store(f"{workspace}-b")
    await one.apply(Meeting(workspace).changes())
    before = await one.dump()
    theirs = Meeting(f"{workspace}-b")
    await other.apply(theirs.changes())
    assert await one.dump() == before
    assert [e.id for e in await other.find_entities("acme", 9)] == [theirs.acme.id]
    await other.apply(GraphChanges(deleted_entities=(theirs.acme.id,), deleted_chunks=(theirs.first.id,)))
    assert await one.dump() == before


async def test_a_store_keeps_its_epoch_and_another_has_another(open_store: Opener, workspace: str) -> None:
    store = await open_store(workspace)
    mark = await store.open()
    assert mark.generation == 0
    await store.begin(3)
    await store.close()
    again = await open_store(workspace)
    assert await again.open() == dataclasses.replace(mark, generation=3)
    other = await open_store(f"{workspace}-b")
    assert (await other.open()).epoch != mark.epoch


async def test_entities_are_found_by_the_words_of_a_name_or_alias_heaviest_first(
    open_store: Opener, workspace: str
) -> None:
    store = await open_store(workspace)
    rows = [
        EntityRow(entity_id(f"{workspace}{n}"), name, ("Person",), aliases, weight)
        for n, (name, aliases, weight) in enumerate(
            [
                ("Wei Chen", ("Dr. Chen",), 3),
                ("CHEN Ltd.", (), 9),
                ("Ångström", ("Élodie",), 1),
                ("Chen", ("Wei",), 2),
                ("100%_sure", (), 1),
            ]
        )
    ]
    await store.apply(GraphChanges(entities=tuple(rows)))

    async def found(words: str, limit: int = 10) -> list[str]:
        return [e.name for e in await store.find_entities(words, limit)]

    assert await found("chen") == ["CHEN Ltd.", "Wei Chen", "Chen"]
    assert await found("chen", 2) == ["CHEN Ltd.", "Wei Chen"]
    assert await found("chen wei") == ["Wei Chen"]  # "Chen" alias "Wei": no single name of it holds both
    assert await found("DR. chen") == ["Wei Chen"]
    assert await found("ÅNG") == ["Ångström"]
    assert await found("élod") == ["Ångström"]
    assert await found("%") == ["100%_sure"]
    assert await found("nobody") == []
    assert len(await found("")) == 5


async def test_neighbours_are_both_ways_heaviest_first(open_store: Opener, workspace: str) -> None:
    store = await open_store(workspace)
    a, b, c = (EntityRow(entity_id(f"{workspace}{n}"), n, ("Person",), (), 1) for n in "abc")

    def related(source: EntityRow, target: EntityRow, weight: int) -> RelationshipRow:
        identity = relationship_id(source.id, "KNOWS", target.id)
        return RelationshipRow(identity, source.id, target.id, "KNOWS", weight, "1", "2")

    out, back, loop, far = related(a, b, 2), related(c, a, 5), related(a, a, 3), related(b, c, 9)
    await store.apply(GraphChanges(entities=(a, b, c), relationships=(out, back, loop, far)))
    assert await store.neighbours(a.id, 10) == [(back, c), (loop, a), (out, b)]
    assert await store.neighbours(a.id, 1) == [(back, c)]
    assert await store.neighbours(entity_id(f"{workspace}nobody"), 10) == []


async def test_a_store_that_is_not_open_says_so(open_store: Opener, workspace: str) -> None:
    store = await open_store(workspace)
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="not open"):
        await store.counts()


async def test_after_any_changes_both_stores_hold_the_same(
    open_store: Opener, workspace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reference = EmbeddedGraphStore(tmp_path_factory.mktemp("reference") / "graph.sqlite3", workspace)
    await reference.open()
    store = await open_store(workspace)
    rng = random.Random(7)
    versions = [graph(workspace, Size(), seed) for seed in range(4)]
    for version in versions:
        doomed = rng.sample(versions[0].entities, 5)
        gone = {e.id for e in doomed}
        for changes in (
            version,
            GraphChanges(deleted_entities=tuple(gone)),
            GraphChanges(
                deleted_chunks=tuple(c.id for c in rng.sample(version.chunks, 4)),
                deleted_relationships=tuple(r.ends for r in rng.sample(version.relationships, 20)),
            ),
        ):
            await reference.apply(changes)
            await store.apply(changes)
        assert await store.counts() == await reference.counts()
    assert await store.dump() == await reference.dump()
    await reference.close()
