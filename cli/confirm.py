"""Asks on a terminal before a run that is estimated above `--confirm-above`."""

from __future__ import annotations

import sys

import typer

from cli.estimate import planned
from core_engine.errors import KGError
from core_engine.planner import Plan
from core_engine.settings import Settings
from metrics.render import dollars_in_words


def confirm_cost(settings: Settings, plan: Plan) -> None:
    """Plan the run without a trace, and ask if it is dear. Raises KGError where the answer is no. Hold the run lock.

    Without a terminal, or with `--yes`, nobody is asked, and nothing is planned twice.
    """
    buys = "openai" in {settings.extractor_used, settings.embedder_used}
    if settings.yes or not buys or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    typer.echo("estimating what it will cost…", err=True)
    said = planned(settings, plan, exact=False)
    cost, calls = said["cost_usd"], said["calls"]
    if cost["middle"] is None or cost["middle"] <= settings.confirm_above:
        return
    question = f"This will cost about {dollars_in_words(cost)}: {said['chunks']:,} chunks, {calls['chat']:,} chat and "
    question += f"{calls['embedding']:,} embedding calls, about {said['seconds']:,.0f} s. Go on?"
    if not typer.confirm(question, err=True):
        raise KGError("nothing was sent: --limit takes a part, --max-cost sets a cap, --yes doesn't ask")
