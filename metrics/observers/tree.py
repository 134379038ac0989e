"""Hangs calls into traces: run → stage → batch → call. A trace holds a part of a run that services can still show."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core_engine.types import LLMCall, Usage
from metrics.observers.records import About, Happening, Node, Place, Record, Score

MOST_CALLS = 2_000  # a trace: LangSmith takes 25,000 records in one, and nobody reads as many
_OPEN = 200  # batches that may still get calls; the oldest is ended when there are more
_MOST_HAPPENINGS = 100  # a trace


@dataclass(slots=True)
class _Growing:
    """A node that is not over, and what its calls took so far."""

    id: str
    kind: str
    name: str
    place: Place | None
    started_at: float
    ended_at: float
    stage: str = ""
    batch: str = ""
    calls: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    told: bool = False
    happened: list[Happening] = field(default_factory=list)

    @property
    def below(self) -> Place:
        """The place of what hangs under it."""
        above = self.place.above if self.place else ()
        return Place((*above, (self.started_at, self.id)))

    def add(self, call: LLMCall) -> None:
        self.calls += 1
        self.failed += call.status != "answered"
        self.usage += call.usage
        self.cost += call.cost or 0
        self.unpriced += call.cost is None
        self.ended_at = max(self.ended_at, call.started_at + call.duration_s)


class Tree:
    """The traces of one run. What is to be told goes to `tell`, in the caller's thread."""

    def __init__(
        self, about: About, started_at: float, tell: Callable[[Record], None], *, most: int = MOST_CALLS
    ) -> None:
        self._about = about
        self._tell = tell
        self._most = most
        self._part = 0
        self._stages: dict[str, _Growing] = {}
        self._batches: dict[tuple[str, str], _Growing] = {}
        self._root = self._begin(started_at)

    def place(self, call: LLMCall) -> Place:
        """Where the call hangs; counts it in all that is above it."""
        if self._root.calls >= self._most:
            self._end(call.started_at + call.duration_s)
            self._part += 1
            self._root = self._begin(call.started_at)
        stage = self._stages.get(call.stage)
        if stage is None:
            stage = self._grow("stage", call.stage, self._root.below, call.started_at, stage=call.stage)
            self._stages[call.stage] = stage
            self._announce(stage)
        parent = stage
        if call.batch_id:
            key = call.stage, call.batch_id
            batch = self._batches.get(key)
            if batch is None:
                if len(self._batches) >= _OPEN:
                    self._finish(self._batches.pop(next(iter(self._batches))))
                name = f"{call.stage} {call.batch_id}"
                batch = self._grow("batch", name, stage.below, call.started_at, stage=call.stage, batch=call.batch_id)
                self._batches[key] = batch
            batch.add(call)
            parent = batch
        stage.add(call)
        self._root.add(call)
        return parent.below

    def happened(self, happening: Happening) -> None:
        if len(self._root.happened) < _MOST_HAPPENINGS:
            self._root.happened.append(happening)

    def finish(
        self, at: float, figures: Mapping[str, float | int | str], scores: Mapping[str, tuple[float, str]], error: str
    ) -> None:
        """The run is over; the scores are of the whole run, and stand at its last trace."""
        trace = self._root.id
        self._end(at, figures, error)
        for name, (value, comment) in scores.items():
            self._tell(Score(_id(trace, "score", name), trace, name, value, comment))

    # --- within -----------------------------------------------------------------------------------------------------

    def _begin(self, at: float) -> _Growing:
        about = self._about
        name = f"kg {about.command}" + (f" (part {self._part + 1})" if self._part else "")
        root = _Growing(_id(about.run, str(self._part)), "run", name, None, at, at)
        self._announce(root)
        return root

    def _announce(self, node: _Growing) -> None:
        """A run that is killed leaves at least this."""
        self._tell(_said(node))
        node.told = True

    def _grow(self, kind: str, name: str, place: Place, at: float, *, stage: str, batch: str = "") -> _Growing:
        # A batch that got more calls after it was ended is another node, or the first one's figures would be lost.
        identity = _id(place.trace, kind, stage, batch, repr(at))
        return _Growing(identity, kind, name, place, at, at, stage=stage, batch=batch)

    def _end(self, at: float, figures: Mapping[str, float | int | str] | None = None, error: str = "") -> None:
        for node in (*self._batches.values(), *self._stages.values()):
            self._finish(node)
        self._batches.clear()
        self._stages.clear()
        self._root.ended_at = max(at, self._root.ended_at)
        self._finish(self._root, figures or {}, error)

    def _finish(self, node: _Growing, figures: Mapping[str, float | int | str] | None = None, error: str = "") -> None:
        self._tell(_said(node, ended_at=node.ended_at, figures=figures or {}, error=error))


def _said(
    node: _Growing,
    *,
    ended_at: float | None = None,
    figures: Mapping[str, float | int | str] | None = None,
    error: str = "",
) -> Node:
    return Node(
        id=node.id,
        kind=node.kind,
        name=node.name,
        place=node.place,
        started_at=node.started_at,
        ended_at=ended_at,
        told=node.told,
        calls=node.calls,
        failed=node.failed,
        usage=node.usage,
        cost=node.cost,
        unpriced=node.unpriced,
        error=error,
        stage=node.stage,
        batch=node.batch,
        figures=figures or {},
        happened=tuple(node.happened),
    )


def _id(*parts: str) -> str:
    """The same parts, the same id: 32 hex digits, as of a UUID."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digest[:12]}5{digest[13:16]}8{digest[17:32]}"
