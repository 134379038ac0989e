"""What a run shows while it goes on: a live panel on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator

from cli.wiring import Parts
from metrics.observers.totals import Totals
from metrics.render import money

log = logging.getLogger("kg.progress")

_TERMINAL_S = 0.25
_LINE_S = 5.0


@contextlib.asynccontextmanager
async def shown(parts: Parts, totals: Totals, *, quiet: bool) -> AsyncIterator[None]:
    """Show progress while the body runs."""
    if quiet:
        yield
        return
    show = _on_terminal if sys.stderr.isatty() else _in_lines
    task = asyncio.create_task(show(parts, totals, time.monotonic()))
    try:
        yield
    finally:
        task.cancel()
        # A terminal that has gone away is no reason to lose the run's report.
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task


async def _in_lines(parts: Parts, totals: Totals, began: float) -> None:
    before = ""
    while True:
        await asyncio.sleep(_LINE_S)
        rows = _said(parts, totals, time.monotonic() - began)
        if parts.progress.waiting:  # for hours, maybe: only what is new is said
            news = " · ".join(text for _, text in rows[:-1])
            if news == before:
                continue
            before = news
        log.info("%s", " · ".join(text for _, text in rows if text))


async def _on_terminal(parts: Parts, totals: Totals, began: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    def panel() -> Table:
        table = Table.grid(padding=(0, 2))
        for name, text in _said(parts, totals, time.monotonic() - began):
            table.add_row(Text(name, style="dim"), Text(text))
        return table

    with Live(panel(), console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        while True:
            await asyncio.sleep(_TERMINAL_S)
            live.update(panel())


def _said(parts: Parts, totals: Totals, elapsed: float) -> list[tuple[str, str]]:
    progress, written = parts.progress, parts.projector.result
    new = ((written.graph, "entities"), (written.graph, "relationships"), (written.vectors, "points"))
    known = progress.to_buy
    chunks = f"{progress.chunks_done:,} of {known:,}{'' if progress.planned else '+'} chunks answered"
    if progress.reused:
        chunks += f", {progress.reused:,} reused"
    chunks += f", {progress.in_flight} requests in flight"
    rows = [
        ("chunks", chunks),
        ("graph", ", ".join(f"{of.new.get(kind, 0):,} new {kind}" for of, kind in new)),
    ]
    if totals.calls:
        share = progress.chunks_done / known if known else 0
        cost = f"{totals.tokens:,} tokens, {money(float(totals.cost))}"
        if totals.unpriced:
            cost += f" + {totals.unpriced:,} calls unpriced"
        if progress.planned and share:
            cost += f" of about {money(float(totals.cost) / share)}"
        rows.append(("cost", cost))
    limits = [
        f"{state.share:.0%} of {state.limit:,.0f} {state.unit}/min"
        for state in parts.limiter.snapshot()
        if state.limit and state.share is not None
    ]
    if limits:
        rows.append(("limits", ", ".join(limits)))
    if progress.waiting:
        rows.append(("waiting", f"for {progress.waiting}"))
    rows.append(("time", _time(progress.chunks_done, known, elapsed, planned=progress.planned)))
    return rows


def _time(done: int, known: int, elapsed: float, *, planned: bool) -> str:
    text = f"{elapsed:.0f} s"
    if planned and done and known > done:
        text += f", about {elapsed / done * (known - done):.0f} s left"
    return text
