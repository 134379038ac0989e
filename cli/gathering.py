"""Usage of all workspaces of a home put together, and handed to Prometheus."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cli.books import fold_all
from cli.limits import all_limits
from core_engine.errors import KGError
from core_engine.ledger import tally
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.looking import looking
from core_engine.ports import Pricer
from core_engine.settings import WORKSPACE, Settings
from kg_batch import __version__
from metrics.budget import RunBudget
from metrics.caps import Caps
from metrics.usage import Usage

log = logging.getLogger("kg.prometheus")

_PROJECTED = 0  # in the place of a level, for what is told when a month won't last
_UNFOLDED = 20_000  # calls that are added up in passing: a fraction of a second


def workspaces_in(home: str) -> list[str]:
    """Their names, sorted. Copies of a folder, whose name can't be one, are none."""
    names = (path.parent.name for path in Path(home).glob("*/ledger.sqlite3"))
    return sorted(name for name in names if WORKSPACE.fullmatch(name))


def gathered(settings: Settings, names: list[str], now: float) -> tuple[Usage, list[str]]:
    """What these workspaces' ledgers hold, and which could not be read, with the reason."""
    found, unreadable = Usage(Caps(), now), []
    for name in names:
        path = replace(settings, workspace=name).ledger_path
        try:
            _fold_many(path, settings)
            with looking(path) as db:
                found.take(db, name, _pricer(settings, db))
        except KGError as error:
            unreadable.append(f"{name}: {error}")
    found.caps = all_limits(settings, names, {each.key.persona for each in found.entries})
    return found, unreadable


def _fold_many(path: Path, settings: Settings) -> None:
    """Where very many calls wait for it (an upgrade, a run that was killed), add them up once and for all."""
    with looking(path) as db:
        many = tally.waiting(db) > _UNFOLDED
    if many:
        from cli.wiring import prices_of

        with Ledger(path) as ledger:
            fold_all(ledger, prices_of(settings))


def _pricer(settings: Settings, db: sqlite3.Connection) -> Pricer | None:
    """Prices take long to load, and are only asked what calls saved that nobody has added up yet."""
    if not tally.waiting(db):
        return None
    from cli.wiring import prices_of

    return prices_of(settings)


def shared_names(settings: Settings, caps: Caps) -> list[str]:
    """The workspaces whose calls count against these caps: this one, or all where one of the caps is others' too."""
    shared = any(cap.scope != "workspace" for cap in caps.caps)
    return workspaces_in(settings.home) if shared else [settings.workspace]


def tell_of_the_month(
    settings: Settings, budget: RunBudget, tell: Callable[[str, dict[str, Any]], None], now: float
) -> None:
    """Tell once a month of each of its caps that won't last, if it goes on like the last seven days."""
    months = Caps(tuple(cap for cap in budget.caps.caps if cap.period == "month"), budget.caps.zone)
    if not months.caps:
        return
    try:
        usage, _ = gathered(settings, shared_names(settings, months), now)
        for cap in months.caps:
            projected = usage.projected(cap)
            if usage.spent(cap) < cap.amount < projected and (said := budget.news(cap, _PROJECTED)):
                tell("quota_projected", {**said, "projected": float(round(projected, 6))})
    except KGError as error:  # the run is over, and went as it went
        log.warning("what the month will come to is not known: %s", error)


# --- Prometheus ------------------------------------------------------------------------------------------------------


def prometheus_text(settings: Settings, names: Sequence[str], usage: Usage, writer: str) -> bytes:
    """Metrics of these workspaces in Prometheus's text format. `writer` names whose file it is, '' that of the home."""
    from metrics.observers.prometheus import Snapshot

    snapshot = Snapshot(__version__, writer, usage.standings())
    for name in names:
        with looking(replace(settings, workspace=name).ledger_path) as db:
            snapshot.take(db, name)
    return snapshot.text()


def tell_prometheus(settings: Settings, now: float) -> None:
    """At a run's end: the textfile, and the Pushgateway. What can't be done is only warned of."""
    if not (settings.prom_textfile or settings.pushgateway):
        return
    from metrics.observers import prometheus

    own = settings.workspace
    try:
        usage, _ = gathered(settings, shared_names(settings, all_limits(settings, [own])), now)
        content = prometheus_text(settings, [own], usage, own)
        if settings.prom_textfile:
            prometheus.write(Path(settings.prom_textfile), content)
    except (KGError, OSError) as error:
        log.warning("metrics for Prometheus were not written: %s", error)
        return
    if settings.pushgateway:
        try:
            prometheus.push(settings.pushgateway, own, content)
        except KGError as error:
            log.warning("%s: the run goes on without", error)
