"""`kg config` and `kg doctor`: what is set, from where, and whether it works."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from cli import options, show
from cli.workspace import settings_of
from core_engine.settings import Settings

app = typer.Typer(add_completion=False)


@app.command(name="config")
def show_config(
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show each setting and where it comes from: a flag, the environment, kg.toml, .env, or the default."""
    loaded = settings_of(locals(), config)
    shown = loaded.settings.shown()
    listed = {name: {"value": value, "origin": loaded.origins[name]} for name, value in shown.items()}
    used = _used(loaded.settings)
    if json:
        show.json_out({"settings": listed, "used": used})
        return
    show.table(
        ("setting", "value", "from"), [(name, _value(one["value"]), one["origin"]) for name, one in listed.items()]
    )
    show.out("\nso a run would use " + ", ".join(f"{name} {value}" for name, value in used.items()))


def _used(settings: Settings) -> dict[str, str]:
    """What `auto` comes to."""
    return {
        "extractor": settings.extractor_used,
        "embedder": settings.embedder_used,
        "graph_store": settings.graph_store_used,
        "vector_store": settings.vector_store_used,
    }


def _value(value: Any) -> str | None:
    if isinstance(value, float):
        return f"{value:g}"
    return None if value is None else str(value)


@app.command()
def doctor(
    workspace: options.Workspace = None,
    extractor: options.Extractor = None,
    embedder: options.Embedder = None,
    no_model: options.NoModel = None,
    model: options.Model = None,
    embedding_model: options.EmbeddingModel = None,
    dimensions: options.Dimensions = None,
    base_url: options.BaseUrl = None,
    embedding_base_url: options.EmbeddingBaseUrl = None,
    service_tier: options.ServiceTier = None,
    timeout: options.Timeout = None,
    ontology: options.OntologyFile = None,
    prices: options.Prices = None,
    prompt: options.Prompt = None,
    prompt_variants: options.PromptVariants = None,
    model_variants: options.ModelVariants = None,
    max_cost: options.MaxCost = None,
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    home: options.Home = None,
    config: options.Config = None,
    ask: Annotated[bool, typer.Option("--ask", help="Try the model with one small call, named beforehand.")] = False,
    json: options.Json = False,
) -> None:
    """Check keys, endpoints, models, stores, disk, clock and collectors before a night's run. Exit 1 on a problem.

    No paid call is made, but for the one that --ask allows.
    """
    from cli.check import NOTE, OK, PROBLEM
    from cli.checks import all_checks

    settings = settings_of(locals(), config).settings
    marks = {OK: "ok", NOTE: "note", PROBLEM: "PROBLEM"}
    checks = []
    for check in all_checks(settings, ask=ask):
        checks.append(check)
        if not json:
            advice = f": {check.advice}" if check.advice else ""
            show.out(f"{marks[check.state]:<8} " + show.cell(f"{check.name}: {check.detail}{advice}"))
            sys.stdout.flush()
    problems = sum(check.state == PROBLEM for check in checks)
    if json:
        show.json_out({"ok": not problems, "checks": checks})
    else:
        show.out("all is well" if not problems else f"{problems} to be mended")
    raise typer.Exit(1 if problems else 0)
