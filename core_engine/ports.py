"""The seams: what the core needs from stores, models, prices and watchers, each as small as it can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from core_engine.types import (
    EntityRow,
    GraphChanges,
    GraphCounts,
    Hit,
    LLMCall,
    Point,
    RelationshipRow,
    SparseVector,
    StoreMark,
    Usage,
)


class GraphStore(Protocol):
    """A projection of the ledger's graph. All methods raise StoreError, with what to do next, when the store fails."""

    name: str
    """How the report names it, without credentials: `embedded` or `neo4j bolt://host:7687`."""

    async def open(self) -> StoreMark:
        """Connect, make constraints and indexes where they are missing, and say which store this is."""

    async def about(self) -> str:
        """Which version it is, and whether its indexes are there, in words. It is open."""

    async def check_writable(self) -> None:
        """Raise StoreError where this user, or the database, may only be read. Changes nothing."""

    async def begin(self, generation: int) -> None:
        """Record durably that writing session `generation` begins."""

    async def apply(self, changes: GraphChanges) -> None:
        """Write the changes; when this returns they are committed and would survive a power loss."""

    async def counts(self) -> GraphCounts:
        """What the store holds of this workspace now."""

    async def find_entities(self, words: str, limit: int) -> list[EntityRow]:
        """Entities whose name or alias holds the words, heaviest first."""

    async def neighbours(self, entity_id: str, limit: int) -> list[tuple[RelationshipRow, EntityRow]]:
        """The relationships of an entity, heaviest first, each with the entity at its other end."""

    async def look(self) -> StoreMark | None:
        """Connect without changing anything; None where nothing of this workspace is there."""

    def ids(self, kind: str) -> AsyncIterator[list[str]]:
        """The ids of all `documents`, `entities`, `chunks` or `relationships` of this workspace, in pages."""

    async def read(self, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Those of the ids that are there, with the fields of `dump.FIELDS`; `mentions`, `statements` by chunk."""

    async def close(self) -> None: ...


class VectorStore(Protocol):
    """A projection of the ledger's chunks as vectors. Raises StoreError when the store fails."""

    name: str

    async def open(self) -> StoreMark:
        """Connect, make the collection where it is missing, and say which store this is."""

    async def about(self) -> str:
        """Which version it is, and whether its indexes are there, in words. It is open."""

    async def begin(self, generation: int) -> None:
        """Record durably that writing session `generation` begins."""

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write the points; durable only after `flush`."""

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete by id; ids that aren't there are fine. Durable only after `flush`."""

    async def flush(self) -> None:
        """When this returns, all writes before it would survive a power loss."""

    async def published(self) -> bool:
        """Whether this one is read by whoever names the workspace and no model."""

    async def publish(self) -> None:
        """From now on it is: it holds all."""

    async def count(self) -> int:
        """Points of this workspace (the store's own mark isn't one)."""

    async def search(self, sparse: SparseVector, dense: Sequence[float] | None, limit: int) -> list[Hit]:
        """Best first; with a dense vector too, both rankings fused by reciprocal rank."""

    async def look(self) -> StoreMark | None:
        """Connect without changing anything; None where no collection of ours is there."""

    def ids(self) -> AsyncIterator[list[str]]:
        """The ids of all points but the store's own mark, in pages."""

    async def read(self, ids: Sequence[str]) -> list[Point]:
        """Those of the points that are there; cosine stores give dense vectors of length 1."""

    async def close(self) -> None: ...


class Pricer(Protocol):
    """Turns usage into US dollars."""

    def price(self, model: str, usage: Usage, stage: str, processing: str = "standard") -> Decimal | None:
        """None where no price is known: unpriced, never 0. `processing`: standard | batch | flex | priority."""


class Budget(Protocol):
    """What a run may still spend, in US dollars, tokens and chunks, reserved before a call at its ceiling, settled after."""

    others_hold: bool
    """After a refusal: other processes have reserved some of what was missing, and may yet give it back."""

    def reserve(self, ceiling: Decimal | None, tokens: int = 0, chunks: int = 0, *, persona: str | None = None) -> bool:
        """False where the ceiling could cross a cap. None: an unpriced call, which no cap in dollars can hold.

        `persona`: who pays; None for whom the run is.
        """

    def settle(
        self,
        ceiling: Decimal | None,
        cost: Decimal | None,
        tokens: int = 0,
        used: int | None = None,
        chunks: int = 0,
        done: int | None = None,
        *,
        persona: str | None = None,
    ) -> None: ...

    def correct(self, at: float, dollars: Decimal, tokens: int, chunks: int = 0, *, persona: str | None = None) -> None:
        """What an earlier run had reserved at that time (Unix), and which counts as spent, took so much more, or less."""

    def refusal(self) -> str:
        """The last refusal in words, with what to do."""


class Observer(Protocol):
    """Someone who watches. Must be quick, and must not raise; each is told in turn, on the event loop's thread."""

    def call_finished(self, call: LLMCall) -> None: ...

    def event(self, name: str, fields: dict[str, Any]) -> None:
        """Something happened: run_started, run_finished, dead_letter, store_error, … The fields hold ids, counts and
        short words, never text of a transcript or a reply.
        """


@runtime_checkable
class RunObserver(Observer, Protocol):
    """One that is also told how the run ended."""

    def run_finished(
        self,
        at: float,
        figures: Mapping[str, float | int | str],
        scores: Mapping[str, tuple[float, str]],
        error: str,
    ) -> None: ...


def tell(observers: Sequence[Observer], name: str, **fields: Any) -> None:
    """Tell each of something that happened."""
    for observer in observers:
        observer.event(name, fields)
