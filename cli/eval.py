"""`kg eval`: score a workspace against gold, and compare models, prompts, runs and batch sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import options, show
from cli.workspace import existing, settings_of
from core_engine.errors import SettingsError
from core_engine.settings import Settings

app = typer.Typer(add_completion=False)


@app.command(name="eval", no_args_is_help=True)
def evaluate(
    gold: Annotated[str, typer.Argument(help="JSON Lines, a document a line: see docs/evaluation.md.")],
    of: Annotated[str, typer.Option("--of", help="Whose answers: current, model=…, prompt=…, run=…")] = "current",
    compare: Annotated[
        list[str] | None,
        typer.Option("--compare", help="Others to set beside these: the same words, or workspace=…"),
    ] = None,
    same: Annotated[
        str | None, typer.Option("--same", help="Pairs of names across documents, a table with tabs.")
    ] = None,
    misses: Annotated[int, typer.Option("--misses", min=0, help="Listed, of each kind; --json lists all.")] = 10,
    out: Annotated[str, typer.Option("--out", "-o", help="A Markdown file, or - for stdout.")] = "-",
    workspace: options.Workspace = None,
    ontology: options.OntologyFile = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Score what a workspace holds against gold of your own. Asks no model and changes nothing."""
    from metrics.evaluation.gold import read_gold, read_pairs
    from metrics.evaluation.report import SCHEMA, compared, markdown
    from metrics.evaluation.report import evaluate as scores

    settings = existing(settings_of(locals(), config))
    documents = read_gold(Path(gold))
    pairs = read_pairs(Path(same)) if same else []
    names = [document.name for document in documents]
    sides = [(each, _said(settings, each, names)) for each in (of, *(compare or ()))]
    if not any(said.documents for _, said in sides):
        raise SettingsError(
            f"none of the gold's documents is in workspace {settings.workspace!r}: {', '.join(names[:3])}"
        )
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "workspace": settings.workspace,
        "gold": {
            "documents": len(documents),
            "entities": sum(len(each.entities) for each in documents),
            "relationships": sum(len(each.facts) for each in documents),
        },
        "sides": [scores(name, documents, said, pairs) for name, said in sides],
        "comparisons": [compared(documents, sides[0], other) for other in sides[1:]],
    }
    if json:
        show.json_out(report)
    elif out == "-":
        show.out(markdown(report, misses))
    else:
        try:
            Path(out).write_text(markdown(report, misses), encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"--out {out}: {error.strerror or error}: name a file that can be written") from error
        show.out(f"wrote {out}")


def _said(settings: Settings, text: str, names: list[str]) -> Any:
    from cli.wiring import ontology_of
    from core_engine.ledger.looking import looking
    from metrics.evaluation.said import said_of, selection

    select = selection(text)
    if "workspace" in select:
        settings = replace(settings, workspace=select["workspace"])
        if not settings.ledger_path.is_file():
            raise SettingsError(f"--compare {text}: there is no such workspace in {settings.home}")
    with looking(settings.ledger_path) as db:
        return said_of(db, names, select, settings.workspace, ontology_of(settings))
