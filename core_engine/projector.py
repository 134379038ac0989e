"""The projector: turns committed answers into rows of graph and vectors, and writes what differs (laws 5 to 8).

It runs in a thread and an event loop of its own, so that workers never wait for a store; all it shares with them is
the ledger. A store that is away is tried again as long as the run goes on, and a minute beyond; what it misses is in
the ledger, and the next run, or `kg rebuild`, writes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from core_engine.chunking.serial import unpack_turns
from core_engine.embeddings.points import SparseEncoder, point
from core_engine.errors import KGError, Stopped, StoreError
from core_engine.ledger import graph, rows, stores
from core_engine.ledger.behind import OneBehind
from core_engine.ledger.documents import load_chunks
from core_engine.ledger.ledger import LedgerBase
from core_engine.ledger.moment import Moment, Moved
from core_engine.ledger.values import CHUNK, DOCUMENT, ENTITY, RELATIONSHIP, to_id
from core_engine.machine import Used
from core_engine.pages import Spill
from core_engine.ports import GraphStore, VectorStore
from core_engine.recognition import meet_graph, meet_vectors
from core_engine.types import Chunk, GraphChanges, GraphCounts, Point, VectorKind

log = logging.getLogger("kg.projector")

_EVERY_S = 3.0
_PAGES_A_CYCLE = 50  # of stale chunks: what a cycle reads of the ledger, its log has to keep meanwhile
_STALE_PAGE = 100  # what is derived is held in memory until it is committed
_GRAPH_PAGE = 2_000
_CHUNK_PAGE = 500
_VECTOR_PAGE = 512
_GIVE_UP_AFTER_S = 60.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_GRACE_S = 3.0  # for a store, once there is no more time

_KINDS = {DOCUMENT: "documents", ENTITY: "entities", CHUNK: "chunks", RELATIONSHIP: "relationships"}


_READ_ROWS: tuple[tuple[int, Callable[[sqlite3.Connection, Sequence[bytes]], Mapping[bytes, Any]]], ...] = (
    (DOCUMENT, rows.document_rows),
    (ENTITY, rows.entity_rows),
    (CHUNK, rows.chunk_rows),
    (RELATIONSHIP, rows.relationship_rows),
)


class Deriver(Protocol):
    """Checks answers against the text and turns them into mentions and statements."""

    warnings: list[str]  # what a user should know of the answers

    def begin(self, ledger: LedgerBase) -> None:
        """Mark as stale what an older version derived otherwise."""

    def derive(self, stale: graph.StaleChunk, chunk: Chunk) -> graph.DerivedChunk:
        """What a model's answer says."""

    def together(self, ledger: LedgerBase) -> int:
        """Derive the rules' answers, which depend on the whole workspace; the number of chunks that changed."""

    def resolve(self, ledger: LedgerBase, look_at_the_clock: Callable[[], None]) -> None:
        """Find which names are one, once all is derived. `look_at_the_clock` raises where no time is left."""


class _OutOfTime(Exception):
    """There is no more time: the rest is left for the next run."""


@dataclass(slots=True)
class _Away:
    """How long a store that fails is left alone: seconds, and until when by the monotonic clock."""

    pause: float = 0.0
    again_at: float = 0.0

    def longer(self) -> float:
        self.pause = min(self.pause * 2, _LONGEST_PAUSE_S) or _FIRST_PAUSE_S
        self.again_at = time.monotonic() + self.pause
        return self.pause

    def back(self, name: str) -> None:
        if self.pause:
            log.info("%s is back: what it missed is written", name)
            self.pause = self.again_at = 0.0


@dataclass(slots=True)
class Written:
    """What a store was sent in this run, by kind of unit."""

    new: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    calls: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return sum(self.new.values()) + sum(self.changed.values()) + sum(self.deleted.values())

    def count(self, what: dict[str, int], kind: str, number: int) -> None:
        if number:
            what[kind] = what.get(kind, 0) + number


@dataclass(slots=True)
class Projection:
    """What came of a run's projecting. `errors` holds what made us give up a store; `deferred`: there was none to write."""

    graph: Written = field(default_factory=Written)
    vectors: Written = field(default_factory=Written)
    derive_s: float = 0.0
    derived: int = 0
    counts: GraphCounts | None = None
    points: int | None = None
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    deferred: bool = False
    apart: Used | None = None  # of the machine, where the projector had a process of its own
    graph_state: stores.StoreState | None = None
    vector_state: stores.StoreState | None = None


class Projector:
    """Follows the ledger into the stores from start() to finish(). Make one per run."""

    def __init__(
        self,
        ledger: LedgerBase,
        workspace: str,
        deriver: Deriver,
        graph_store: GraphStore | None,
        vector_store: VectorStore | None,
        sparse: SparseEncoder,
        *,
        dense: VectorKind | None,
        deferred: bool = False,
        embeddings_in_graph: bool = False,
    ) -> None:
        self._ledger = ledger
        self._workspace = workspace
        self._deriver = deriver
        self._graph_store = graph_store
        self._vector_store = vector_store
        self._sparse = sparse
        self._dense = dense
        self._embeddings_in_graph = embeddings_in_graph
        self._wake = threading.Event()
        self._ending = False
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._following: asyncio.Task[Any] | None = None
        self._asked: Future[None] | None = None
        self._over = False
        self._behind = False  # more is to be derived than a cycle does
        self._late: threading.Timer | None = None
        self._whole = False
        self._marking = OneBehind(ledger)
        self._begun = {"graph": False, "vectors": False}
        self._away = {"graph": _Away(), "vectors": _Away()}
        self._given_up: set[str] = set()
        self.result = Projection(deferred=deferred)
        if deferred:
            self.result.notes.append("the stores were left alone: the next run, or `kg rebuild`, writes them")

    @property
    def store_names(self) -> dict[str, str]:
        """How the report names the stores."""
        graph_store, vector_store = self._graph_store, self._vector_store
        none = "deferred" if self.result.deferred else "none"
        return {
            "graph_store": graph_store.name if graph_store else none,
            "vector_store": vector_store.name if vector_store else none,
        }

    @property
    def warnings(self) -> list[str]:
        """What a user should know of the answers, once finish() has returned."""
        return self._deriver.warnings

    def start(self) -> None:
        """Open the stores and begin to follow. Raises StoreError if a store can't be opened."""
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="kg-projector", daemon=True)
        self._thread.start()
        opened.result()

    def derive(self) -> Future[None]:
        """Derive all that is answered so far and find who is who, before anything else is written. From any thread.

        The future raises what deriving raised; Stopped in a hurry, StoreError where the projector has ended.
        """
        asked: Future[None] = Future()
        self._asked = asked
        self._wake.set()
        if self._over:
            settle(asked, ended(hurried=self._hurry.is_set()))
        return asked

    def finish(self, *, hurry: bool = False) -> Projection:
        """Project what is left (nothing more, in a hurry), close the stores, and say what was done."""
        self._ending = True
        if hurry:
            self.hurry()
        self._wake.set()
        if self._thread:
            self._thread.join()
        if self._late:
            self._late.cancel()
        if self._hurry.is_set() and not self._whole:
            self.result.errors.append("stopped at once: the next run writes what is missing in the stores")
        return self.result

    def hurry(self) -> None:
        """Leave what is not written yet to the next run. From any thread, while finish() waits or before it."""
        if not self._hurry.is_set():
            self._hurry.set()
            self._wake.set()
            # It may wait for a store that doesn't answer, and be patient.
            self._late = threading.Timer(_GRACE_S, self._cancel)
            self._late.daemon = True
            self._late.start()

    def _look_at_the_clock(self) -> None:
        if self._hurry.is_set():
            raise _OutOfTime

    def _before_a_page(self, moment: Moment) -> None:
        """Raises Moved where somebody waits for deriving, which takes its time, or nobody writes beside us any more."""
        self._look_at_the_clock()
        if self._asked or (self._ending and not moment.quiet):
            raise Moved

    def _cancel(self) -> None:
        if self._loop and self._following:
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._following.cancel)

    def _run(self, opened: Future[None]) -> None:
        try:
            asyncio.run(self._follow(opened))
        except asyncio.CancelledError:
            log.warning("a store did not answer in time, and was let go")
            if not opened.done():
                opened.set_exception(Stopped("stopped while the stores were being opened"))
        except BaseException as error:  # a thread's last word must reach the report
            if not opened.done():
                opened.set_exception(error)
                return
            log.exception("projector stopped")
            self.result.errors.append(f"the projector stopped: {error}")
        finally:
            self._over = True
            if self._asked:
                settle(self._asked, ended(hurried=self._hurry.is_set()))

    async def _follow(self, opened: Future[None]) -> None:
        self._loop, self._following = asyncio.get_running_loop(), asyncio.current_task()
        try:
            await self._open()
            self._deriver.begin(self._ledger)
            opened.set_result(None)
            took = 0.0
            while not self._ending:
                if not self._behind:
                    await asyncio.to_thread(self._wake.wait, max(_EVERY_S, took))
                self._wake.clear()
                self._derive_if_asked()
                if not self._ending:
                    began = time.monotonic()
                    await self._cycle()
                    # Half of the time at most: what is said of often would be written anew each time.
                    took = time.monotonic() - began
            self._look_at_the_clock()
            self._derive_stale()
            while self._behind:
                await self._write()
                self._derive_stale()
            self._derive_together()
            await self._write()
            await self._publish()
            await self._take_stock()
            self._whole = True
        except _OutOfTime:
            return
        finally:
            await self._close()

    async def _open(self) -> None:
        result = self.result
        if self._graph_store:
            result.graph_state = self._met(*await meet_graph(self._ledger, self._graph_store))
        if self._vector_store:
            result.vector_state = self._met(*await meet_vectors(self._ledger, self._vector_store))

    def _met(self, state: stores.StoreState, note: str) -> stores.StoreState:
        if note:
            self.result.notes.append(note)
        return state

    async def _close(self) -> None:
        for store in (self._graph_store, self._vector_store):
            if store:
                try:
                    async with asyncio.timeout(_GRACE_S / 4 if self._hurry.is_set() else None):
                        await store.close()
                except (KGError, TimeoutError) as error:
                    log.warning("closing %s: %s", store.name, error or "no answer in time")

    async def _cycle(self) -> None:
        self._derive_stale()
        await self._write()

    async def _write(self) -> None:
        if self._graph_store and "graph" not in self._given_up:
            await self._with_patience("graph", self._graph_store.name, self._sync_graph)
        if self._vector_store and "vectors" not in self._given_up:
            await self._with_patience("vectors", self._vector_store.name, self._sync_vectors)

    async def _with_patience(self, role: str, name: str, sync: Callable[[], Awaitable[None]]) -> None:
        """Try, and again with growing pauses. While the run goes on, a store that is away is left for a later cycle.

        Once the run has ended it is given up when it has failed for a minute, or at once where we are in a hurry.
        """
        away = self._away[role]
        if not self._ending and time.monotonic() < away.again_at:
            return
        written = self.result.graph if role == "graph" else self.result.vectors
        pages, deadline = written.calls, 0.0
        while True:
            began = time.monotonic()
            try:
                await sync()
            except Moved:
                self._derive_if_asked()
            except StoreError as error:
                written.failed += 1
                pause = away.longer()
                if not deadline or written.calls > pages:  # until then it was well
                    pages, deadline = written.calls, time.monotonic() + _GIVE_UP_AFTER_S
                if self._hurry.is_set() or (self._ending and time.monotonic() + pause > deadline):
                    self._give_up(role, error)
                    return
                log.warning("%s: %s; tried again in %.1f s", name, error, pause)
                if not self._ending:
                    return
                await asyncio.to_thread(self._hurry.wait, pause)
            else:
                away.back(name)
                return
            finally:
                written.seconds += time.monotonic() - began

    def _give_up(self, role: str, error: StoreError) -> None:
        self.result.errors.append(f"{error} (everything is in the ledger; the next run or `kg rebuild` writes it)")
        self._given_up.add(role)

    # --- deriving ---------------------------------------------------------------------------------------------------

    def _derive_stale(self) -> None:
        began = time.monotonic()
        changed, self._behind = derive_pages(self._ledger, self._deriver, self._look_at_the_clock, _PAGES_A_CYCLE)
        self.result.derived += changed
        self.result.derive_s += time.monotonic() - began

    def _derive_together(self) -> None:
        began = time.monotonic()
        self.result.derived += derive_all(self._ledger, self._deriver, self._look_at_the_clock)
        self.result.derive_s += time.monotonic() - began

    def _derive_if_asked(self) -> None:
        asked, self._asked = self._asked, None
        if asked is None:
            return
        try:
            self._derive_together()
        except _OutOfTime:
            settle(asked, ended(hurried=self._hurry.is_set()))
            raise
        except Exception as error:
            settle(asked, error)
            raise
        settle(asked)

    # --- the graph --------------------------------------------------------------------------------------------------

    async def _sync_graph(self) -> None:
        store, state = self._graph_store, self.result.graph_state
        if store is None or state is None:
            return
        self._marking.wait()
        with Moment(self._ledger, quiet=self._ending) as moment:
            upto = moment.clock
            if upto <= state.synced:
                return
            with contextlib.ExitStack() as spilling:
                gone = {kind: spilling.enter_context(Spill()) for kind, _ in _READ_ROWS}
                for kind, read_rows in _READ_ROWS:
                    size = _CHUNK_PAGE if kind == CHUNK else _GRAPH_PAGE
                    with self._changed(moment, state, kind) as changed:
                        for page in changed.pages(size):
                            self._before_a_page(moment)
                            with moment.reading() as db:
                                found = read_rows(db, [key for key, _ in page])
                                embeddings = self._embeddings(db, found) if kind == CHUNK else {}
                            gone[kind].add((key,) for key, before in page if before is not None and key not in found)
                            await self._write_page(store, state.no, moment, kind, page, found, embeddings)
                for kind in (RELATIONSHIP, CHUNK, ENTITY, DOCUMENT):
                    for keys in gone[kind].pages(_GRAPH_PAGE):
                        await self._delete_page(store, state.no, moment, kind, [key for (key,) in keys])
        self._marking.wait()
        self._ledger.write(stores.synced, state.no, upto)
        self.result.graph_state = replace(state, synced=upto, fresh=False)

    def _embeddings(self, db: sqlite3.Connection, chunks: Mapping[bytes, Any]) -> dict[bytes, bytes | None]:
        """The vectors of these chunks (None: not yet), where the graph is to have them too."""
        if not self._embeddings_in_graph:
            return {}
        sources = rows.vector_sources(db, list(chunks), self._dense)
        return {key: sources[key][-1] if key in sources else None for key in chunks}

    async def _write_page(
        self,
        store: GraphStore,
        number: int,
        moment: Moment,
        kind: int,
        page: Sequence[tuple[bytes, bytes | None]],
        found: Mapping[bytes, Any],
        embeddings: Mapping[bytes, bytes | None],
    ) -> None:
        written = self.result.graph
        marks: list[tuple[bytes, bytes]] = []
        changed: list[Any] = []
        vectors: dict[str, bytes | None] = {}
        new = 0
        for key, before in page:
            row = found.get(key)
            if row is None:
                continue
            vector = embeddings.get(key)
            now = _hash(_as_bytes(row), vector) if vector else _hash(_as_bytes(row))
            marks.append((key, now))  # also of what is as it was: who begins anew passes over it
            if now != before:
                changed.append(row)
                new += before is None
                if key in embeddings:
                    vectors[row.id] = vector
        if changed:
            await self._begin("graph")
            await store.apply(GraphChanges(**{_KINDS[kind]: tuple(changed)}, embeddings=vectors))
            written.calls += 1
            written.count(written.new, _KINDS[kind], new)
            written.count(written.changed, _KINDS[kind], len(changed) - new)
        if marks:
            self._marking.write(stores.mark_written, number, kind, marks, moment.clock)
            moment.wrote()

    async def _delete_page(
        self, store: GraphStore, number: int, moment: Moment, kind: int, keys: Sequence[bytes]
    ) -> None:
        written = self.result.graph
        self._before_a_page(moment)
        await self._begin("graph")
        ids: Any = tuple(rows.relationship_ends(key) if kind == RELATIONSHIP else to_id(key) for key in keys)
        await store.apply(GraphChanges(**{f"deleted_{_KINDS[kind]}": ids}))
        written.calls += 1
        self._marking.write(stores.mark_deleted, number, kind, keys)
        written.count(written.deleted, _KINDS[kind], len(keys))
        moment.wrote()

    # --- the vectors ------------------------------------------------------------------------------------------------

    async def _sync_vectors(self) -> None:
        store, state = self._vector_store, self.result.vector_state
        if store is None or state is None:
            return
        self._marking.wait()
        with Moment(self._ledger, quiet=self._ending) as moment:
            upto = moment.clock
            if upto <= state.synced:
                return
            with Spill() as gone, self._changed(moment, state, CHUNK) as changed:
                for page in changed.pages(_VECTOR_PAGE):
                    self._before_a_page(moment)
                    with moment.reading() as db:
                        found = rows.vector_sources(db, [key for key, _ in page], self._dense)
                    gone.add((key,) for key, before in page if before is not None and key not in found)
                    await self._write_points(store, state.no, moment, page, found)
                for keys in gone.pages(_VECTOR_PAGE):
                    await self._delete_points(store, state.no, moment, [key for (key,) in keys])
        self._marking.wait()
        self._ledger.write(stores.synced, state.no, upto)
        self.result.vector_state = replace(state, synced=upto, fresh=False)

    async def _write_points(
        self,
        store: VectorStore,
        number: int,
        moment: Moment,
        page: Sequence[tuple[bytes, bytes | None]],
        found: dict[bytes, tuple[Any, ...]],
    ) -> None:
        written = self.result.vectors
        marks: list[tuple[bytes, bytes]] = []
        points = []
        new = 0
        for key, before in page:
            source = found.get(key)
            if source is None:
                continue
            document, label, seq, turns, vector = source
            now = _hash(
                document.encode(), label.encode("utf-8", "surrogatepass"), str(seq).encode(), turns, vector or b""
            )
            marks.append((key, now))
            if now != before:
                points.append(self._point(key, document, label, seq, turns, vector))
                new += before is None
        if points:
            await self._begin("vectors")
            await store.upsert(points)
            await store.flush()
            written.calls += 1
            written.count(written.new, "points", new)
            written.count(written.changed, "points", len(points) - new)
        if marks:
            self._marking.write(stores.mark_written, number, CHUNK, marks, moment.clock)
            moment.wrote()

    def _point(self, key: bytes, document: str, label: str, seq: int, turns: bytes, vector: bytes | None) -> Point:
        chunk = Chunk(to_id(key), document, seq, unpack_turns(turns))
        return point(self._workspace, chunk, label, self._sparse, vector)

    async def _delete_points(self, store: VectorStore, number: int, moment: Moment, keys: Sequence[bytes]) -> None:
        written = self.result.vectors
        self._before_a_page(moment)
        await self._begin("vectors")
        await store.delete([to_id(key) for key in keys])
        await store.flush()
        written.calls += 1
        self._marking.write(stores.mark_deleted, number, CHUNK, keys)
        written.count(written.deleted, "points", len(keys))
        moment.wrote()

    # --- both -------------------------------------------------------------------------------------------------------

    def _changed(self, moment: Moment, state: stores.StoreState, kind: int) -> Spill:
        """(key, hash as last written or None) of all units that changed since the store's last synchronisation."""
        changed = Spill(2)
        with moment.reading() as db:
            changed.add(stores.changed_units(db, state.no, kind, state.synced, moment.clock))
        return changed

    async def _begin(self, role: str) -> None:
        """Before the first write of a run: a new generation, so that a store restored from an older copy is noticed."""
        if self._begun[role]:
            return
        store, state = (
            (self._graph_store, self.result.graph_state)
            if role == "graph"
            else (self._vector_store, self.result.vector_state)
        )
        if store is None or state is None:
            return
        generation = state.generation + 1
        self._ledger.write(stores.announce, state.no, generation)
        await store.begin(generation)
        self._ledger.write(stores.begun, state.no, generation)
        self._begun[role] = True

    async def _publish(self) -> None:
        """Have the vectors read in the place of another model's, once they are all there."""
        store = self._vector_store
        if store is None or "vectors" in self._given_up:
            return
        try:
            if await store.published():
                return
            with self._ledger.reading() as db:
                whole = rows.all_embedded(db, self._dense)
            if whole:
                await store.publish()
        except StoreError as error:
            self.result.errors.append(str(error))

    async def _take_stock(self) -> None:
        try:
            if self._graph_store and "graph" not in self._given_up:
                self.result.counts = await self._graph_store.counts()
            if self._vector_store and "vectors" not in self._given_up:
                self.result.points = await self._vector_store.count()
        except StoreError as error:
            self.result.errors.append(str(error))


def ended(*, hurried: bool) -> KGError:
    """What whoever waits for deriving hears where the projector has ended."""
    return Stopped("stopped") if hurried else StoreError("nothing is projected any more")


def settle(asked: Future[None], error: BaseException | None = None) -> None:
    """Tell whoever waits, unless they have been told or wait no more."""
    with contextlib.suppress(InvalidStateError):
        if error is None:
            asked.set_result(None)
        else:
            asked.set_exception(error)


def derive_pages(
    ledger: LedgerBase, deriver: Deriver, look_at_the_clock: Callable[[], None], most: int | None = None
) -> tuple[int, bool]:
    """Derive what models have answered and nobody looked at yet, at most so many pages of it.

    Gives the number of chunks that changed, and whether more may be left.
    """
    last = 0
    with OneBehind(ledger) as saving:
        for _ in range(most) if most is not None else itertools.count():
            look_at_the_clock()
            with ledger.reading() as db:
                page = graph.stale_chunks(db, last, _STALE_PAGE)
                chunks = load_chunks(db, [stale.no for stale in page])
            if not page:
                break
            last = page[-1].no
            saving.write(
                graph.save_derived,
                [deriver.derive(stale, chunk) for stale in page if (chunk := chunks.get(stale.no))],
            )
    return saving.changed, bool(page)


def derive_all(ledger: LedgerBase, deriver: Deriver, look_at_the_clock: Callable[[], None]) -> int:
    """All that follows from the answers, without a store: mentions, statements, and who is who. Chunks that changed."""
    deriver.begin(ledger)
    changed = derive_pages(ledger, deriver, look_at_the_clock)[0] + deriver.together(ledger)
    deriver.resolve(ledger, look_at_the_clock)
    return changed


def _as_bytes(row: Any) -> bytes:
    try:
        return orjson.dumps(row)
    except orjson.JSONEncodeError:
        # An unpaired surrogate: JSON has no bytes for it, and a hash needs only that equal rows give equal ones.
        return repr(row).encode("utf-8", "surrogatepass")


def _hash(*parts: bytes) -> bytes:
    h = hashlib.blake2b(digest_size=8)
    for part in parts:
        h.update(len(part).to_bytes(8, "little"))
        h.update(part)
    return h.digest()
