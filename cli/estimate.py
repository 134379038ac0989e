"""`kg estimate`: what a run would take, before anything is spent. No call is made, nothing is written."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import options
from cli.fits import fitted
from cli.show import json_out
from cli.sources import load
from cli.wiring import asked_of, forecast_of, prices_of, ways_of
from core_engine.ledger.dry import DryLedger
from core_engine.ledger.lock import RunLock
from core_engine.planner import Plan, Planner, plan_of
from core_engine.progress import Progress
from core_engine.settings import Settings
from metrics.render import dollars_in_words

app = typer.Typer(add_completion=False)

_WINDOW_S = 86_400.0  # within which the Batch API answers


@app.command("estimate", no_args_is_help=True)
def estimate_command(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="Glob to leave out.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="First N chunks only.")] = None,
    workspace: options.Workspace = None,
    batch_api: options.BatchApi = None,
    max_concurrent: options.MaxConcurrent = None,
    batch_size: options.BatchSize = None,
    service_tier: options.ServiceTier = None,
    rpm: options.Rpm = None,
    tpm: options.Tpm = None,
    extractor: options.Extractor = None,
    embedder: options.Embedder = None,
    no_model: options.NoModel = None,
    model: options.Model = None,
    prompt: options.Prompt = None,
    prompt_variants: options.PromptVariants = None,
    model_variants: options.ModelVariants = None,
    split: options.Split = None,
    embedding_model: options.EmbeddingModel = None,
    base_url: options.BaseUrl = None,
    ontology: options.OntologyFile = None,
    resolve: options.Resolve = None,
    prices: options.Prices = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Plan a run and say what it would take: chunks, calls, tokens, dollars, time. Nothing is sent or written."""
    arguments = {k: v for k, v in locals().items() if k in Settings.__dataclass_fields__}
    settings = load(arguments, config=config).settings
    show(settings, plan_of(settings, tuple(paths), tuple(exclude or ()), limit=limit), json=json)


def show(settings: Settings, what: Plan, *, json: bool) -> None:
    """Plan, estimate and print; nothing stays."""
    settings, what = fitted(settings, what)
    with RunLock(settings.lock_path):
        said = planned(settings, what)
    if json:
        json_out(said)
    else:
        print(_in_words(said))


def planned(settings: Settings, what: Plan, *, exact: bool = True) -> dict[str, Any]:
    """The estimate of a run, from a plan that leaves no trace. Hold the run lock."""
    progress = Progress()
    ways = ways_of(settings)
    with DryLedger(settings.ledger_path) as ledger:
        asked = asked_of(settings, ways, ledger)
        forecast, counted_by = forecast_of(settings, asked, ways, prices_of(settings), exact=exact)
        for batch in Planner(ledger, "dry", what, asked, progress).batches():
            forecast.add(batch)
    window = {"seconds": _WINDOW_S, "bound_by": "the Batch API's window, at most"} if settings.batch_api else {}
    return (
        forecast.said()
        | window
        | {
            "total_chunks": progress.chunks,
            "reused": progress.reused,
            "documents": progress.documents["seen"],
            "unreadable": [{"where": t.where, "reason": t.reason} for t in progress.unreadable],
            "counted_by": counted_by,
        }
    )


def _in_words(said: dict[str, Any]) -> str:
    calls, tokens = said["calls"], said["tokens"]
    known_from = f"from {said['from_replies']:,} earlier replies" if said["from_replies"] else "a guess: no earlier run"
    prompt = f"{tokens['prompt']:,} prompt ({tokens['cached']:,} cached)"
    others = f"{tokens['completion']:,} completion, {tokens['embedding']:,} embedding"
    rows = [
        ("chunks", f"{said['chunks']:,} to buy of {said['total_chunks']:,}; {said['reused']:,} are answered"),
        ("calls", f"{calls['chat']:,} chat, {calls['embedding']:,} embedding"),
        ("tokens", f"{prompt}, {others}; counted by {said['counted_by']}, replies {known_from}"),
        ("cost", dollars_in_words(said["cost_usd"])),
        ("time", f"about {said['seconds']:,.0f} s, bound by {said['bound_by']}"),
    ]
    lines = [f"  {name:<10} {text}" for name, text in rows]
    lines += [f"  unreadable: {row['where']}: {row['reason']}" for row in said["unreadable"][:10]]
    return "\n".join(lines)
