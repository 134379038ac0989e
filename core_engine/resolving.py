"""The end of a run that asks a model who is who: when all chunks are answered, and before the last write."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Protocol

from core_engine.errors import KGError, OverBudget, ServiceRefused, Stopped, StoreError
from core_engine.kg.resolver.asking import Asked
from core_engine.pipeline import Ending, Works
from core_engine.progress import Progress


class AsksPairs(Protocol):
    async def ask(self) -> Asked: ...


class Derives(Protocol):
    """What a projector does beside writing: pairs are found among all names, so all answers are derived first."""

    def derive(self) -> Future[None]: ...


class ThenResolve:
    """A run's work, with the questions about names behind it. Where the work doesn't come to its end, they wait.

    What is answered goes into the ledger; the projector applies it with the rest.
    """

    def __init__(self, work: Works, projector: Derives, asker: AsksPairs, progress: Progress) -> None:
        self._work = work
        self._projector = projector
        self._asker = asker
        self._progress = progress
        self._stopped: Ending | None = None
        self._stopping = asyncio.Event()

    def stop(self, kind: str, message: str = "") -> None:
        """Begin nothing new; the first reason given counts."""
        self._stopped = self._stopped or Ending(kind, message)
        self._stopping.set()
        self._work.stop(kind, message)

    async def run(self) -> Ending:
        """Work until all is done or stop() was called."""
        ending = await self._work.run()
        if ending.kind != "done" or self._stopped:
            return self._stopped or ending
        try:
            await self._derived()
            asked = await self._asker.ask()
        except ServiceRefused as failure:
            return Ending("refused", str(failure))
        except OverBudget as failure:
            return Ending("budget", str(failure))
        except Stopped:
            return self._stopped or Ending("interrupted")
        except StoreError:  # the projector has ended, and said why: the next run asks
            return self._stopped or ending
        except KGError as failure:
            return Ending("failed", str(failure))
        self._progress.pairs_asked, self._progress.pairs_left = asked.pairs, asked.left
        return self._stopped or ending

    async def _derived(self) -> None:
        """Wait for the projector, which does it, unless we are asked to stop."""
        deriving = asyncio.wrap_future(self._projector.derive())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((deriving, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not deriving.done():
            deriving.add_done_callback(asyncio.Future.exception)  # nobody asks any more
            raise Stopped("not asked: the run was asked to stop")
        await deriving
