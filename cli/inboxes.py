"""Takes the calls of other programs (kg_batch.observe) into the ledger, the quotas and the traces."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core_engine.errors import KGError
from core_engine.ledger import inbox
from core_engine.ledger.ledger import Ledger
from core_engine.settings import Settings

if TYPE_CHECKING:
    from core_engine.types import LLMCall
    from metrics.observers.sinks import Sinks

log = logging.getLogger("kg.inbox")


def take_all(settings: Settings) -> None:
    """The inboxes of all workspaces of the home. What can't be taken stays, with a warning."""
    for folder in sorted(Path(settings.home).glob("*/inbox")):
        with contextlib.suppress(KGError):  # a folder whose name is no workspace's
            there = replace(settings, workspace=folder.parent.name)
            if not inbox.waiting(folder):
                continue
            try:
                with Ledger(there.ledger_path) as ledger:
                    if sinks := take_inbox(there, ledger):
                        sinks.close()
            except KGError as error:
                log.warning("the calls in %s are not counted yet: %s", folder, error)


def take_inbox(settings: Settings, ledger: Ledger) -> Sinks | None:
    """The workspace's inbox. The observer that tells its calls, to be closed; None where nobody is to be told."""
    folder = settings.folder / "inbox"
    if not inbox.waiting(folder):
        return None
    from cli.tracing import sinks_of
    from cli.wiring import prices_of

    taken = 0
    sinks: Sinks | None = None
    for calls in inbox.take(ledger, folder, prices_of(settings)):
        if not calls:
            continue
        taken += len(calls)
        _count(settings, calls)
        sinks = sinks or sinks_of(settings, calls[0].run_id, "observe", calls[0].started_at)
        if sinks:
            for call in calls:
                sinks.call_finished(replace(call, workspace=settings.workspace))
    if sinks:
        sinks.run_finished(time.time(), {}, {}, "")
    if taken:
        log.info("%d calls of other programs are counted", taken)
    return sinks


def _count(settings: Settings, calls: Sequence[LLMCall]) -> None:
    """Quotas count them when they were made."""
    from metrics.account import Account, Amount

    account = Account(Path(settings.home), settings.workspace, None, calls[0].run_id)
    try:
        for call in calls:
            account.correct(call.started_at, Amount(call.cost or Amount().dollars, call.usage.total), call.persona)
    finally:
        account.close()
