"""The projector with stores of our own over a real ledger: in which order it writes, and that it writes differences."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

from core_engine import identity, keys, projector
from core_engine.errors import Stopped, StoreError
from core_engine.ledger import checkpoints, documents, graph, moment, overview, questions
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.moment import Moment
from core_engine.ledger.questions import Wanted
from core_engine.projector import Projection, Projector
from core_engine.types import Chunk, ChunkTurn, GraphChanges, GraphCounts, Point, SparseVector, StoreMark, VectorKind

SPEC = keys.Spec("extract", {"model": "m"})
EMBED = keys.Spec("embed", {"model": "e"})
OURS = VectorKind("e", 1)


@dataclass
class Graph:
    """A GraphStore that holds sets of ids and checks that every id referred to is there."""

    name: str = "a graph of ours"
    mark: StoreMark = field(default_factory=lambda: StoreMark("graph-epoch", 0))
    log: list[tuple[str, int]] = field(default_factory=list)
    held: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {k: {} for k in ("documents", "entities", "chunks", "relationships")}
    )
    failures: list[Exception] = field(default_factory=list)
    fails: threading.Event = field(default_factory=threading.Event)
    began: list[int] = field(default_factory=list)
    closed: int = 0

    async def open(self) -> StoreMark:
        return self.mark

    async def check_writable(self) -> None:
        """It always is."""

    async def begin(self, generation: int) -> None:
        self.began.append(generation)
        self.mark = StoreMark(self.mark.epoch, generation)

    async def apply(self, changes: GraphChanges) -> None:
        if self.fails.is_set():
            raise StoreError("the graph store is down")
        assert self.began, "a session begins before anything is written"
        for item in fields(changes):
            rows = getattr(changes, item.name)
            if not rows:
                continue
            self.log.append((item.name, len(rows)))
            if item.name.startswith("deleted_"):
                for gone in rows:
                    del self.held[item.name.removeprefix("deleted_")][getattr(gone, "id", gone)]
            else:
                self.held[item.name] |= {row.id: row for row in rows}
        self.check()

    def check(self) -> None:
        entities, held = self.held["entities"], self.held
        for chunk in held["chunks"].values():
            assert chunk.document_id in held["documents"]
            assert chunk.next_id is None or chunk.next_id in held["chunks"]
            assert all(mention.entity_id in entities for mention in chunk.mentions)
            assert all(s.subject_id in entities and s.object_id in entities for s in chunk.statements)
        for row in held["relationships"].values():
            assert row.source_id in entities
            assert row.target_id in entities

    async def counts(self) -> GraphCounts:
        return GraphCounts(entities=len(self.held["entities"]), chunks=len(self.held["chunks"]))

    async def find_entities(self, words: str, limit: int) -> list[Any]:
        return []

    async def neighbours(self, entity_id: str, limit: int) -> list[Any]:
        return []

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Vectors:
    """A VectorStore that notes its steps: what is upserted counts only once it is flushed."""

    name: str = "vectors of ours"
    mark: StoreMark = field(default_factory=lambda: StoreMark("vectors-epoch", 0))
    log: list[str] = field(default_factory=list)
    held: dict[str, Point] = field(default_factory=dict)
    fails: threading.Event = field(default_factory=threading.Event)
    closed: int = 0

    async def open(self) -> StoreMark:
        return self.mark

    async def begin(self, generation: int) -> None:
        self.log.append("begin")
        self.mark = StoreMark(self.mark.epoch, generation)

    async def upsert(self, points: Sequence[Point]) -> None:
        if self.fails.is_set():
            raise StoreError("the vector store is down")
        self.log.append("upsert")
        self.held |= {point.id: point for point in points}

    async def delete(self, ids: Sequence[str]) -> None:
        self.log.append("delete")
        for identity_ in ids:
            del self.held[identity_]

    async def flush(self) -> None:
        self.log.append("flush")

    async def published(self) -> bool:
        return "publish" in self.log

    async def publish(self) -> None:
        self.log.append("publish")

    async def count(self) -> int:
        return len(self.held)

    async def search(self, sparse: SparseVector, dense: Sequence[float] | None, limit: int) -> list[Any]:
        return []

    async def close(self) -> None:
        self.closed += 1


class Words:
    """A Deriver: every capitalised word of a chunk is an entity, each related to the one before it."""

    def derive(self, stale: graph.StaleChunk, chunk: Chunk) -> graph.DerivedChunk:
        names = list(dict.fromkeys(word.strip(".") for word in chunk.text.split() if word[0].isupper()))
        atoms = [identity.atom_id("w", "", name) for name in names]
        detail = b'{"turns":[1],"offsets":[],"start":null,"end":null}'
        said = b'{"quote":"","speaker":null,"start":null,"end":null}'
        mentions = [
            graph.AtomMention(atom, "", name, name, "Topic", detail) for atom, name in zip(atoms, names, strict=True)
        ]
        pairs = itertools.pairwise(atoms)
        statements = [graph.AtomStatement(a, "KNOWS", b, 1, said) for a, b in pairs]
        return graph.DerivedChunk(
            stale.no, stale.extract, identity.digest(chunk.text, stale.answer.decode()), {}, mentions, statements, ()
        )

    def begin(self, ledger: Ledger) -> None: ...

    def together(self, ledger: Ledger) -> int:
        return 0

    def resolve(self, ledger: Ledger, look_at_the_clock: Any) -> None: ...


class Sparse:
    def document(self, text: str) -> SparseVector:
        return SparseVector((len(text),), (1.0,))


@dataclass
class World:
    """A ledger with documents of answered chunks, and stores."""

    ledger: Ledger
    graph: Graph = field(default_factory=Graph)
    vectors: Vectors = field(default_factory=Vectors)

    def write(self, name: str, *texts: str, answered: bool = True, shown: str | None = None) -> None:
        """Store a document, each text a chunk; ask and answer what is new of it. `shown`: what it is called."""
        document = identity.document_id("w", name)
        chunks = [
            Chunk(identity.chunk_id(document, text, 0), document, n, (ChunkTurn(None, text, text, n),))
            for n, text in enumerate(texts)
        ]
        shown = shown or name
        new = documents.NewDocument(document, f"/{name}", "", shown, name, {}, identity.digest(*texts), "{}")
        self.ledger.write(documents.save_document, new, chunks)
        if answered:
            self.answer()

    def answer(self) -> None:
        specs = [self.ledger.write(questions.spec_no, spec) for spec in (SPEC, EMBED)]
        with self.ledger.reading() as db:
            rows = db.execute("SELECT no, content, words FROM chunk WHERE extract IS NULL").fetchall()
        wanted = [Wanted(no, keys.key(SPEC.hash, content), keys.key(EMBED.hash, words)) for no, content, words in rows]
        claimed = self.ledger.write(questions.claim, "run", *specs, wanted)
        answers = [(c.extract[0], b"{}") for c in claimed if c.extract]
        self.ledger.write(questions.answer_extractions, None, answers)
        self.ledger.write(questions.answer_embeddings, "call", [(c.embed[0], b"\0\0\x80?") for c in claimed if c.embed])

    def project(self, *, dense: VectorKind | None = OURS) -> Projection:
        """One whole projection."""
        following = self.projector(dense=dense)
        following.start()
        return following.finish()

    def projector(self, **how: Any) -> Projector:
        how = {"dense": OURS, **how}
        return Projector(self.ledger, "w", Words(), self.graph, self.vectors, Sparse(), **how)

    def names(self) -> set[str]:
        return {row.name for row in self.graph.held["entities"].values()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield World(ledger)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "_GIVE_UP_AFTER_S", 0.0)


# --- order -----------------------------------------------------------------------------------------------------------


def test_units_are_written_in_the_order_in_which_they_need_each_other(world):
    world.write("a", "Ann knows Bob.", "Bob knows Carla.", "Carla knows Ann.")
    world.project()
    assert [kind for kind, _ in world.graph.log] == ["documents", "entities", "chunks", "relationships"]
    assert world.names() == {"Ann", "Bob", "Carla"}


def test_deletions_go_the_other_way_round_after_everything_was_written(world):
    world.write("a", "Ann knows Bob.", "Bob knows Carla.")
    world.write("b", "Ann knows Dora.")
    world.project()
    world.graph.log.clear()
    world.write("a", "Ann knows Bob.", "Bob knows Egon.")
    world.ledger.write(documents.drop_document, 2)
    world.project()
    kinds = [kind for kind, _ in world.graph.log]
    assert kinds == [
        "entities",
        "chunks",
        "relationships",
        "deleted_relationships",
        "deleted_chunks",
        "deleted_entities",
        "deleted_documents",
    ]
    assert world.names() == {"Ann", "Bob", "Egon"}


def test_a_document_longer_than_a_page_never_points_to_a_chunk_that_is_not_there(world, monkeypatch):
    monkeypatch.setattr(projector, "_CHUNK_PAGE", 3)
    monkeypatch.setattr(projector, "_GRAPH_PAGE", 2)
    world.write("a", *(f"Person{n} knows Person{n + 1}." for n in range(20)))
    world.project()
    assert len(world.graph.held["chunks"]) == 20
    assert len({row.next_id for row in world.graph.held["chunks"].values()}) == 20
    assert max(size for _, size in world.graph.log) <= 3


def test_vectors_are_flushed_before_they_are_marked_as_written(world, impatient):
    world.write("a", "Ann knows Bob.")
    flushed: list[int] = []

    async def flush() -> None:
        with world.ledger.reading() as db:
            flushed.append(db.execute("SELECT count(*) FROM projected WHERE store = 2").fetchone()[0])
        raise StoreError("no room on the disk")

    world.vectors.flush = flush  # type: ignore[method-assign]  # this store's disk is full
    assert "no room" in world.project().errors[0]
    assert flushed == [0]
    assert _marked(world, "vectors") == 0


def test_a_chunk_without_an_embedding_is_a_point_only_where_none_have_one(world):
    world.write("a", "Ann knows Bob.")
    world.write("b", "Carla left.")
    world.ledger.write(lambda db: db.execute("UPDATE chunk SET embed = NULL WHERE no = 2"))
    assert world.project().points == 1
    world.ledger.write(overview.distrust, "vectors")
    assert world.project(dense=None).points == 2
    assert all(point.dense is None for point in world.vectors.held.values())


@pytest.mark.parametrize("size", [1, 2])
def test_vectors_of_the_model_before_are_not_written_into_the_store_of_the_next(world, size):
    world.write("a", "Ann knows Bob.", "Bob knows Carla.")
    other = keys.Spec("embed", {"model": "f"})
    specs = [world.ledger.write(questions.spec_no, spec) for spec in (SPEC, other)]
    with world.ledger.reading() as db:
        no, words = db.execute("SELECT no, words FROM chunk ORDER BY seq").fetchone()
    [claimed] = world.ledger.write(questions.claim, "run", *specs, [Wanted(no, None, keys.key(other.hash, words))])
    world.ledger.write(questions.answer_embeddings, "call", [(claimed.embed[0], b"\0\0\x80?" * size)])
    projected = world.project(dense=VectorKind("f", size))
    assert (projected.errors, projected.points) == ([], 1)
    assert "publish" not in world.vectors.log
    assert [point.dense for point in world.vectors.held.values()] == [b"\0\0\x80?" * size]


def test_vectors_are_published_once_all_that_can_be_had_are_there(world):
    world.write("a", "Ann knows Bob.", "Bob left.")
    other = keys.Spec("embed", {"model": "f"})
    specs = [world.ledger.write(questions.spec_no, spec) for spec in (SPEC, other)]
    with world.ledger.reading() as db:
        chunks = db.execute("SELECT no, words FROM chunk ORDER BY seq").fetchall()
    wanted = [Wanted(no, None, keys.key(other.hash, words)) for no, words in chunks]
    one, two = (claimed.embed[0] for claimed in world.ledger.write(questions.claim, "run", *specs, wanted))
    world.ledger.write(questions.answer_embeddings, "call", [(one, b"\0\0\x80?")])
    world.project(dense=VectorKind("f", 1))
    assert "publish" not in world.vectors.log
    world.ledger.write(questions.bury, two, "content_filter", None)
    world.project(dense=VectorKind("f", 1))
    assert world.vectors.log[-1] == "publish"


# --- differences -----------------------------------------------------------------------------------------------------


def test_what_is_as_it_was_is_not_written_again(world):
    world.write("a", "Ann knows Bob.")
    first = world.project()
    assert (first.graph.total, first.vectors.total) == (5, 1)
    world.graph.log.clear()
    world.vectors.log.clear()
    # Everything is touched, nothing differs.
    world.ledger.write(lambda db: db.execute("UPDATE unit SET changed = changed + 1000"))
    world.ledger.write(lambda db: db.execute("UPDATE meta SET value = value + 1000 WHERE key = 'clock'"))
    again = world.project()
    assert (again.graph.total, again.vectors.total) == (0, 0)
    assert (world.graph.log, world.vectors.log) == ([], ["publish"])
    assert world.graph.began == [1]


def test_a_change_writes_what_differs_and_no_more(world):
    world.write("a", "Ann knows Bob.")
    world.write("b", "Carla knows Dora.")
    world.project()
    world.write("c", "Bob knows Egon.")
    again = world.project()
    assert again.graph.new == {"documents": 1, "entities": 1, "chunks": 1, "relationships": 1}
    assert again.graph.changed == {"entities": 1}  # Bob's weight
    assert again.vectors.new == {"points": 1}


@pytest.mark.parametrize("order", ["ACBD", "DABC", "ACD", "ABXCD", "AXCBD", "CXD", "BAX"])
def test_each_chunk_points_to_the_next_one_after_an_edit_too(world, order):
    texts = {letter: f"Person{letter} knows Zoe." for letter in "ABCD"}
    world.write("a", *texts.values())
    world.project()
    texts["X"] = "Somebody new knows Zoe."
    for answered in (False, True):  # before and after what is new is in the graph
        world.write("a", *(texts[letter] for letter in order), answered=answered)
        world.project()
        chunks = world.graph.held["chunks"]
        row = next(row for row in chunks.values() if row.text == texts[order.strip("X")[0]])
        said = [row.text]
        while row.next_id:
            row = chunks[row.next_id]
            said.append(row.text)
        assert said == [texts[letter] for letter in order if answered or letter != "X"]


def test_points_bear_the_new_name_of_a_document_that_is_read_from_elsewhere(world):
    world.write("a", "Ann knows Bob.", "Bob left.", "Bob knows Carla.")
    world.project()
    world.write("a", "Ann knows Bob.", "Bob left.", "Bob knows Dora.", shown="meetings/a")
    world.project()
    assert {point.payload["document"] for point in world.vectors.held.values()} == {"meetings/a"}


def test_each_run_that_writes_is_a_generation_and_one_that_does_not_is_none(world):
    world.write("a", "Ann knows Bob.")
    world.project()
    world.project()
    world.write("b", "Carla knows Dora.")
    world.project()
    assert world.graph.began == [1, 2]


@pytest.mark.parametrize("mark", [StoreMark("another", 0), StoreMark("graph-epoch", 1)])
def test_another_store_or_an_older_copy_of_it_gets_everything(world, mark):
    for text in ("Ann knows Bob.", "Carla knows Dora.", "Egon left."):
        world.write(text[:3], text)
        world.project()
    world.graph = Graph(mark=mark)
    result = world.project()
    assert any("all of it is written" in note for note in result.notes)
    assert world.names() == {"Ann", "Bob", "Carla", "Dora", "Egon"}
    assert result.vectors.total == 0


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_graph_store_that_fails_does_not_stop_the_vectors(world, impatient):
    world.write("a", "Ann knows Bob.")
    world.graph.fails.set()
    result = world.project()
    assert ["is down" in error and "rebuild" in error for error in result.errors] == [True]
    assert result.points == 1
    assert result.counts is None
    assert world.graph.closed == world.vectors.closed == 1
    assert _marked(world, "graph") == 0
    world.graph.fails.clear()
    assert world.project().graph.total == 5


def test_vectors_that_fail_do_not_stop_the_graph(world, impatient):
    world.write("a", "Ann knows Bob.")
    world.vectors.fails.set()
    result = world.project()
    assert len(result.errors) == 1
    assert world.names() == {"Ann", "Bob"}
    world.vectors.fails.clear()
    assert world.project().vectors.total == 1


def test_a_store_that_comes_back_is_written_without_a_word_in_the_report(world, monkeypatch):
    tries = []
    world.write("a", "Ann knows Bob.")
    apply = world.graph.apply

    async def at_the_second_try(changes: GraphChanges) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise StoreError("a leader is being elected")
        await apply(changes)

    world.graph.apply = at_the_second_try  # type: ignore[method-assign]  # this store has a bad moment
    result = world.project()
    assert result.errors == []
    assert result.graph.failed == 1
    assert world.names() == {"Ann", "Bob"}


def test_patience_is_counted_from_when_a_store_began_to_fail(world, monkeypatch):
    monkeypatch.setattr(projector, "_GIVE_UP_AFTER_S", 0.3)
    monkeypatch.setattr(projector, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(projector, "_CHUNK_PAGE", 2)
    world.write("a", *(f"Person{n} knows Person{n + 1}." for n in range(10)))
    apply, calls = world.graph.apply, itertools.count(1)

    async def slow(changes: GraphChanges) -> None:
        await asyncio.sleep(0.1)
        if next(calls) in {6, 9}:
            raise StoreError("it was started anew")
        await apply(changes)

    world.graph.apply = slow  # type: ignore[method-assign]  # this store takes longer than we are patient
    result = world.project()
    assert (result.errors, result.graph.failed) == ([], 2)
    assert len(world.graph.held["chunks"]) == 10


def test_a_store_that_is_away_for_most_of_a_run_is_caught_up_and_the_other_follows_meanwhile(world, monkeypatch):
    monkeypatch.setattr(projector, "_EVERY_S", 0.01)
    monkeypatch.setattr(projector, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(projector, "_LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(projector, "_GIVE_UP_AFTER_S", 0.0)  # at the end; before it nothing is given up
    world.graph.fails.set()
    following = world.projector()
    following.start()
    for n in range(5):
        world.write(f"d{n}", f"Person{n} knows Zoe.")
        _until(lambda n=n: following.result.graph.failed > n and len(world.vectors.held) == n + 1)
    world.graph.fails.clear()
    _until(lambda: len(world.graph.held["chunks"]) == 5)
    result = following.finish()
    assert result.errors == []
    assert world.names() == {"Zoe", *(f"Person{n}" for n in range(5))}


def test_in_a_hurry_nobody_waits_for_a_store_that_stays_away(world):
    world.write("a", "Ann knows Bob.")
    world.graph.fails.set()
    following = world.projector()
    following.start()
    stopping = threading.Timer(0.2, lambda: following.finish(hurry=True))
    following._wake.set()  # as if three seconds had gone by
    stopping.start()
    stopping.join(20)
    assert not stopping.is_alive()
    assert following.result.errors
    assert world.graph.closed == 1


@pytest.mark.parametrize("step", ["apply", "close"])
def test_in_a_hurry_a_store_that_never_answers_is_let_go(world, monkeypatch, step):
    monkeypatch.setattr(projector, "_GRACE_S", 0.4)
    world.write("a", "Ann knows Bob.")
    reached = threading.Event()

    async def for_ever(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    following = world.projector()
    setattr(world.graph, step, for_ever)
    following.start()
    following._wake.set()  # as if three seconds had gone by
    if step == "apply":
        assert reached.wait(20)
    assert any("stopped at once" in error for error in following.finish(hurry=True).errors)
    assert not following._thread.is_alive()
    assert world.vectors.closed == 1


def test_a_store_that_cannot_be_opened_is_told_at_the_start_and_the_other_is_closed(world):
    async def closed() -> StoreMark:
        raise StoreError("nobody listens there")

    world.vectors.open = closed  # type: ignore[method-assign]  # this store's server is down
    with pytest.raises(StoreError, match="nobody listens"):
        world.projector().start()
    _until(lambda: world.graph.closed == 1)


def test_a_mistake_of_ours_in_the_projection_is_in_the_report(world):
    world.write("a", "Ann knows Bob.")

    async def broken(changes: GraphChanges) -> None:
        raise KeyError("a mistake of ours")

    world.graph.apply = broken  # type: ignore[method-assign]  # not a StoreError
    result = world.project()
    assert "the projector stopped" in result.errors[0]
    assert world.graph.closed == world.vectors.closed == 1


# --- deriving when asked ---------------------------------------------------------------------------------------------


def test_what_is_derived_when_asked_is_there_before_it_is_written(world):
    world.write("a", "Ann knows Bob.")
    following = world.projector()
    following.start()
    following.derive().result(20)
    assert _derived(world) == 1
    assert following.finish().errors == []
    assert world.names() == {"Ann", "Bob"}


def test_it_derives_between_the_writes_of_a_cycle_and_does_not_end_it_first(world, monkeypatch):
    monkeypatch.setattr(projector, "_GRAPH_PAGE", 1)
    world.write("a", "Ann knows Bob.")
    world.write("b", "Cem knows Dia.", answered=False)
    following, go_on = _held_up(world)
    world.answer()
    derived = following.derive()
    before = len(world.graph.log)
    go_on.set()
    derived.result(20)
    assert _derived(world) == 2
    assert len(world.graph.log) - before < 4  # the cycle had more than that to write
    assert following.finish().errors == []
    assert world.names() == {"Ann", "Bob", "Cem", "Dia"}


def test_deriving_holds_up_no_log_in_the_middle_of_a_cycle_either(world, monkeypatch):
    held_up: list[int] = []

    def together(self: Words, ledger: Ledger) -> int:
        with contextlib.closing(sqlite3.connect(world.ledger.path)) as db:
            held_up.append(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
        return 0

    world.write("a", "Ann knows Bob.")
    world.write("b", "Cem knows Dia.", answered=False)
    following, go_on = _held_up(world)
    world.answer()
    monkeypatch.setattr(Words, "together", together)
    derived = following.derive()
    go_on.set()
    derived.result(20)
    assert held_up == [0]
    result = following.finish()
    assert (result.errors, result.graph.total) == ([], 10)  # each unit once
    assert world.names() == {"Ann", "Bob", "Cem", "Dia"}


@pytest.mark.parametrize("hurry", [True, False])
def test_who_waits_for_deriving_hears_of_it_where_the_projector_ends(world, hurry):
    following = world.projector()
    following.start()
    following.finish(hurry=hurry)
    with pytest.raises(Stopped if hurry else StoreError):
        following.derive().result(20)


def test_who_waits_for_deriving_hears_of_a_mistake_of_ours(world, monkeypatch):
    def broken(self: Words, ledger: Ledger) -> int:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(Words, "together", broken)
    following = world.projector()
    following.start()
    with pytest.raises(KeyError):
        following.derive().result(20)
    assert "the projector stopped" in following.finish().errors[0]


# --- while others write ----------------------------------------------------------------------------------------------


def test_it_follows_while_the_run_goes_on(world, monkeypatch):
    monkeypatch.setattr(projector, "_EVERY_S", 0.01)
    following = world.projector()
    following.start()
    for n in range(30):
        world.write(f"d{n}", f"Person{n} knows Person{n + 1}.", f"Person{n} met Zoe.")
    _until(lambda: "Zoe" in world.names())
    result = following.finish()
    assert result.errors == []
    assert len(world.graph.held["chunks"]) == result.points == 60
    assert world.names() == {f"Person{n}" for n in range(31)} | {"Zoe"}
    [zoe] = [row for row in world.graph.held["entities"].values() if row.name == "Zoe"]
    assert zoe.weight == 30


def test_documents_that_change_while_it_follows_leave_the_graph_whole(world, monkeypatch):
    monkeypatch.setattr(projector, "_EVERY_S", 0.001)
    following = world.projector()
    following.start()
    for n in range(40):
        world.write("same", *(f"Person{n + k} knows Person{n + k + 1}." for k in range(n % 5 + 1)))
    result = following.finish()
    assert result.errors == []
    assert world.names() == {f"Person{n}" for n in range(39, 45)}
    fresh = Graph(mark=StoreMark("fresh", 0))
    world.graph, before = fresh, world.graph
    world.project()
    assert fresh.held == before.held


def test_the_ledgers_log_does_not_grow_while_a_run_goes_on(world, monkeypatch):
    monkeypatch.setattr(projector, "_EVERY_S", 0.01)
    monkeypatch.setattr(checkpoints, "_EVERY_S", 0.02)
    monkeypatch.setattr(checkpoints, "_AGAIN_S", 0.02)
    world.ledger._checkpoints._next_at = 0.0
    following = world.projector()
    following.start()
    for n in range(150):
        world.write(f"d{n}", *(f"Person{n} said {'word ' * 200}{k}." for k in range(10)))
    log = world.ledger.path.with_name("ledger.sqlite3-wal").stat().st_size
    following.finish()
    # Without copying it would hold every page that was ever written, about 40 MB.
    assert log < 20_000_000


def test_a_run_that_answers_faster_than_is_derived_is_written_in_steps(world, monkeypatch):
    monkeypatch.setattr(projector, "_STALE_PAGE", 5)
    monkeypatch.setattr(projector, "_PAGES_A_CYCLE", 2)
    for n in range(7):
        world.write(f"d{n}", *(f"Person{n} met Guest{k}." for k in range(5)))
    result = world.project()
    assert result.derived == 35
    chunks = [number for kind, number in world.graph.log if kind == "chunks"]
    assert sum(chunks) == 35
    assert max(chunks) <= 10
    assert {f"Person{n}" for n in range(7)} < world.names()


def test_what_is_written_all_anew_does_not_make_the_ledgers_log_long(world, monkeypatch):
    for n in range(60):
        world.write(f"d{n}", *(f"Person{n}x{k} met Guest{n}x{k}." for k in range(20)))
    world.project()
    world.graph, world.vectors = Graph(mark=StoreMark("fresh", 0)), Vectors(mark=StoreMark("fresh", 0))
    monkeypatch.setattr(projector, "_GRAPH_PAGE", 20)
    monkeypatch.setattr(checkpoints, "_EVERY_S", 0.0)
    monkeypatch.setattr(checkpoints, "_AGAIN_S", 0.0)
    world.ledger._checkpoints._next_at = 0.0
    log = world.ledger.path.with_name("ledger.sqlite3-wal")
    with contextlib.closing(sqlite3.connect(world.ledger.path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    most = 0
    written = world.graph.apply

    async def watched(changes: GraphChanges) -> None:
        nonlocal most
        most = max(most, log.stat().st_size)
        await written(changes)

    world.graph.apply = watched  # type: ignore[method-assign]  # it looks at the log
    world.project()
    assert len(world.graph.held["relationships"]) == 1_200
    assert most < 600_000


def test_a_store_that_is_caught_up_while_a_run_goes_on_does_not_hold_up_the_log_for_long(world, monkeypatch):
    moments: list[bool] = []

    class Short(Moment):
        def __init__(self, ledger: Any, *, quiet: bool) -> None:
            moments.append(quiet)
            super().__init__(ledger, quiet=quiet)

    monkeypatch.setattr(projector, "Moment", Short)
    monkeypatch.setattr(moment, "_LONGEST_S", 0.0)
    monkeypatch.setattr(projector, "_GRAPH_PAGE", 4)
    monkeypatch.setattr(projector, "_CHUNK_PAGE", 4)
    for n in range(10):
        world.write(f"d{n}", f"Person{n} knows Friend{n}.")
    following = world.projector()
    following.start()
    following._wake.set()  # as if three seconds had gone by
    _until(lambda: len(world.vectors.held) == 10)
    assert len(moments) > 5
    assert not any(moments)
    result = following.finish()
    assert (result.errors, result.graph.total, result.vectors.total) == ([], 10 + 20 + 10 + 10, 10)
    assert len(world.graph.held["relationships"]) == 10


def test_what_was_begun_while_the_run_went_on_is_ended_by_readings_that_hold_up_nobody(world, monkeypatch):
    monkeypatch.setattr(projector, "_GRAPH_PAGE", 1)
    world.write("a", "Ann knows Bob.")
    quiet: list[bool] = []
    sync = Projector._before_a_page

    def noted(self: Projector, held: Moment) -> None:
        quiet.append(held.quiet)
        sync(self, held)

    monkeypatch.setattr(Projector, "_before_a_page", noted)
    following, go_on = _held_up(world)
    threading.Timer(0.2, go_on.set).start()
    result = following.finish()
    assert (result.errors, result.graph.total) == ([], 5)
    assert quiet[:2] == [False, False]
    assert all(quiet[2:])


def _held_up(world: World) -> tuple[Projector, threading.Event]:
    """A projector in the middle of a cycle, whose store waits at its first write until the event is set."""
    writing, go_on = threading.Event(), threading.Event()
    written = world.graph.apply

    async def slow(changes: GraphChanges) -> None:
        writing.set()
        await asyncio.to_thread(go_on.wait, 20)
        await written(changes)

    world.graph.apply = slow  # type: ignore[method-assign]  # a store that takes its time
    following = world.projector()
    following.start()
    following._wake.set()  # as if three seconds had gone by
    assert writing.wait(20)
    return following, go_on


def _derived(world: World) -> int:
    with world.ledger.reading() as db:
        return int(db.execute("SELECT count(*) FROM chunk WHERE extract IS NOT NULL AND NOT stale").fetchone()[0])


def _marked(world: World, role: str) -> int:
    with world.ledger.reading() as db:
        row = db.execute("SELECT count(*) FROM projected p JOIN store s ON s.no = p.store WHERE s.role = ?", (role,))
        return row.fetchone()[0]


def _until(true: Callable[[], bool]) -> None:
    async def wait() -> None:
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110  another thread's doing
                await asyncio.sleep(0.005)

    asyncio.run(wait())
