"""The end of a run that asks a model who is who: when all chunks are answered, and before the last write."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from core_engine.errors import KGError, OverBudget, ServiceRefused, Stopped
from core_engine.kg.deriving import AnswerDeriver
from core_engine.kg.resolver.asking import Asked
from core_engine.ledger.ledger import Ledger
from core_engine.pipeline import Ending, Works
from core_engine.progress import Progress
from core_engine.projector import derive_all

log = logging.getLogger("kg.resolve")


class AsksPairs(Protocol):
    async def ask(self) -> Asked: ...


class ThenResolve:
    """A run's work, with the questions about names behind it. Where the work doesn't come to its end, they wait.

    What is answered goes into the ledger; the projector applies it with the rest.
    """

    def __init__(
        self, work: Works, ledger: Ledger, deriver: AnswerDeriver, asker: AsksPairs, progress: Progress
    ) -> None:
        self._work = work
        self._ledger = ledger
        self._deriver = deriver
        self._asker = asker
        self._progress = progress
        self._stopped: Ending | None = None

    def stop(self, kind: str, message: str = "") -> None:
        """Begin nothing new; the first reason given counts."""
        self._stopped = self._stopped or Ending(kind, message)
        self._work.stop(kind, message)

    async def run(self) -> Ending:
        """Work until all is done or stop() was called."""
        ending = await self._work.run()
        if ending.kind != "done" or self._stopped:
            return self._stopped or ending
        try:
            await asyncio.to_thread(self._derive_all)
            asked = await self._asker.ask()
        except ServiceRefused as failure:
            return Ending("refused", str(failure))
        except OverBudget as failure:
            return Ending("budget", str(failure))
        except Stopped:
            return self._stopped or Ending("interrupted")
        except KGError as failure:
            return Ending("failed", str(failure))
        self._progress.pairs_asked, self._progress.pairs_left = asked.pairs, asked.left
        return self._stopped or ending

    def _derive_all(self) -> None:
        """What the projector has not come to yet: pairs are found among all names."""
        derive_all(self._ledger, self._deriver, self._give_way)

    def _give_way(self) -> None:
        if self._stopped:
            raise Stopped("not asked: the run was asked to stop")
