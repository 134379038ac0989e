"""`kg view`: the graph, or what surrounds an entity, as one HTML page that needs no network."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from sqlite3 import Connection
from typing import Annotated

import typer

from cli import options, show
from cli.app import printable
from cli.files import write_file
from cli.workspace import existing, settings_of
from core_engine.errors import SettingsError
from core_engine.kg.normalise import normal_form
from core_engine.ledger import around, rows
from core_engine.ledger.looking import looking
from core_engine.ledger.values import to_blob, to_id
from core_engine.view import graph as graphs
from core_engine.view.page import page

app = typer.Typer(add_completion=False)

_OTHERS = 4
_ID = 36  # characters of an id


@app.command()
def view(
    entity: Annotated[list[str] | None, typer.Argument(help="Its name, or id: show what surrounds it.")] = None,
    to: Annotated[str, typer.Option("--out", "-o", help="The page. [graph.html]")] = "graph.html",
    depth: Annotated[int, typer.Option("--depth", min=1, max=6, help="Steps from the entity.")] = 2,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=20_000, help="Entities at most, heaviest first.")
    ] = 2000,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Write one page that shows the graph: search, filters, and the words behind each fact."""
    settings = existing(settings_of(locals(), config))
    asked = " ".join(entity or ())
    with looking(settings.ledger_path) as db:
        if asked:
            centre = _found(db, asked)
            shown = graphs.surroundings(db, centre, depth, limit)
            title = f"Around {shown.nodes[0].entity.name}"
        else:
            shown = graphs.whole(db, limit)
            title = f"The graph of {settings.workspace}"
        if not shown.nodes:
            raise SettingsError("this workspace names no entity yet: `kg process` makes the graph")
    write_file(Path(to), page(shown, title, _version()))
    counts = {
        "path": str(Path(to)),
        "entities": len(shown.nodes),
        "of_entities": shown.entities,
        "relationships": len(shown.edges),
        "of_relationships": shown.relationships,
    }
    if json:
        show.json_out(counts)
    else:
        show.out(f"{to}: {len(shown.nodes):,} entities, {len(shown.edges):,} relationships{_left_out(shown)}")


def _left_out(shown: graphs.ViewGraph) -> str:
    if shown.entities == len(shown.nodes):
        return ""
    return f" (the heaviest of {shown.entities:,}; --limit shows more)"


def _found(db: Connection, asked: str) -> bytes:
    """The entity that is called so, the heaviest of several; the others are named on stderr."""
    if len(asked) == _ID and asked.replace("-", "").isalnum():
        try:
            key = to_blob(asked)
        except ValueError:
            key = b""
        if rows.entity_rows(db, [key]):
            return key
    keys = around.called(db, normal_form(asked), list(filter(None, map(normal_form, asked.split()))))
    if not keys:
        raise SettingsError(f"no entity is called {asked!r}: `kg search {asked}` shows what is near")
    found = rows.entity_rows(db, keys[: _OTHERS + 1])
    if len(keys) > 1:
        others = [f"{found[key].name} ({found[key].labels[0]}, {to_id(key)})" for key in keys[1 : _OTHERS + 1]]
        more = f" and {len(keys) - _OTHERS - 1:,} more" if len(keys) > _OTHERS + 1 else ""
        said = f"taken: {found[keys[0]].name}; also called so: {', '.join(others)}{more}"
        print(printable(said), file=sys.stderr)
    return keys[0]


def _version() -> str:
    try:
        return version("kg-batch")
    except PackageNotFoundError:
        return ""
