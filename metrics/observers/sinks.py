"""The observer that tells all tracing services of a run, through one tree of traces and one courier."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from core_engine.types import LLMCall
from metrics.observers.courier import HELD, Couriers, Service, State
from metrics.observers.masking import masked
from metrics.observers.records import About, Call, Happening
from metrics.observers.tree import Tree

log = logging.getLogger("kg.sinks")


class Sinks:
    """An Observer. Tell it how the run ended, then close it: that takes five seconds at most.

    `sample`: the share of batches whose calls are told; the sums at stages and runs are of all calls.
    """

    def __init__(
        self,
        about: About,
        services: Sequence[Service],
        *,
        started_at: float,
        sample: float = 1.0,
        mask: bool = False,
        held: int = HELD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._couriers = Couriers(services, held=held)
        self._tree = Tree(about, started_at, self._couriers.tell) if services else None
        self._below = round(sample * 2**32)
        self._mask = mask
        self._clock = clock

    def call_finished(self, call: LLMCall) -> None:
        with self._harmless() as tree:
            if tree is None:
                return
            place = tree.place(call)
            if zlib.crc32((call.batch_id or call.id).encode()) < self._below:
                self._couriers.tell(Call(masked(call) if self._mask else call, place))

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        with self._harmless() as tree:
            if tree is None:
                return
            happening = Happening(uuid.uuid4().hex, name, self._clock(), dict(fields))
            tree.happened(happening)
            self._couriers.tell(happening)

    def run_finished(
        self,
        at: float,
        figures: Mapping[str, float | int | str],
        scores: Mapping[str, tuple[float, str]],
        error: str,
    ) -> None:
        """`figures` of the run's report; `scores` by name, each with a word on what it is of; `error` '' for a good end."""
        with self._harmless() as tree:
            if tree is not None:
                tree.finish(at, figures, scores, error)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[Tree | None]:
        """A mistake of ours in here ends the traces, and not the run."""
        try:
            yield self._tree
        except Exception as error:  # noqa: BLE001  whatever it is
            self._tree = None
            log.warning("traces end here: %s: the run goes on without", type(error).__name__)

    def close(self) -> list[State]:
        """Deliver what is left; what became of each service's records."""
        return self._couriers.close()
