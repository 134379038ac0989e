"""`kg entities`: which names are one and why, and how to correct it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli import options, show
from cli.logs import to_stderr
from cli.mend import vector_size_of
from cli.workspace import as_last_embedded, existing, settings_of
from core_engine import entities as look
from core_engine.entities import Corrected, Entity
from core_engine.errors import KGError, WorkspaceLocked
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.lock import RunLock
from core_engine.ledger.looking import looking
from core_engine.settings import Settings
from core_engine.types import EntityRow

app = typer.Typer(add_completion=False)
group = typer.Typer(add_completion=False, invoke_without_command=True)
app.add_typer(group, name="entities")

_COLUMNS = ("id", "name", "type", "chunks", "documents", "also", "merged by")
_AFTER = ("id", "name", "type", "chunks", "also")
_ALSO = 4
_NAME = "An id or its beginning, a name, or NAME@DOCUMENT."


@group.callback()
def list_entities(
    context: typer.Context,
    find: Annotated[str, typer.Option("--find", "-f", help="Only those whose names hold these words.")] = "",
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    merged: Annotated[bool, typer.Option("--merged", help="Only those of several names.")] = False,
    corrected: Annotated[bool, typer.Option("--corrected", help="Only those that were corrected by hand.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="So many at most.")] = 50,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """List entities, those that most chunks name first."""
    if context.invoked_subcommand:
        return
    settings = existing(settings_of(locals(), config))
    with looking(settings.ledger_path) as db:
        found = look.listed(db, find, type_=type_, merged=merged, corrected=corrected, limit=limit)
    if json:
        show.json_out([{**_as_json(row), "documents": documents, "merged_by": why} for row, documents, why in found])
    elif found:
        show.table(_COLUMNS, [_row(row, documents, why) for row, documents, why in found])
    else:
        show.out(
            "no entities" + (" like that" if find or type_ or merged or corrected else ": `kg process` finds them")
        )


def _row(row: EntityRow, documents: int, why: list[str]) -> tuple[Any, ...]:
    *first, also = _after(row)
    return (*first, documents, also, ", ".join(why) or None)


def _after(row: EntityRow) -> tuple[Any, ...]:
    more = f" and {len(row.aliases) - _ALSO} more" if len(row.aliases) > _ALSO else ""
    return row.id[:8], row.name, row.labels[0], row.weight, (", ".join(row.aliases[:_ALSO]) + more) or None


def _as_json(row: EntityRow) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "type": row.labels[0], "chunks": row.weight, "aliases": list(row.aliases)}


@group.command(name="show")
def show_entity(
    entity: Annotated[str, typer.Argument(help=_NAME)],
    places: Annotated[int, typer.Option("--places", min=0, max=10_000, help="So many places at most.")] = 10,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show one with its names, where it is mentioned, and why its names are one."""
    settings = existing(settings_of(locals(), config))
    with looking(settings.ledger_path) as db:
        found = look.shown(db, look.meant(db, entity), places)
    if json:
        show.json_out(found)
    else:
        show.out("\n".join(_in_words(found)))


def _in_words(found: Entity) -> list[str]:
    head = f"{found.name}  ({found.type}, {found.weight:,} chunks, {found.documents:,} documents)"
    lines = [head, f"  id {found.id}", "names"]
    for one in found.names:
        where = f"in {one.document}" if one.document else "everywhere"
        lines.append(f"  {one.name}  {where}, {one.mentions:,} mentions")
    lines += [f"  {name}  given by hand" for name in found.aliases]
    if any(ground.holds for ground in found.merged):
        lines.append("why they are one")
        lines += [
            f"  {ground.one} = {ground.other}: {ground.reason}" + (f", in {ground.where}" if ground.where else "")
            for ground in found.merged
            if ground.holds
        ]
    apart = [f"  not {name}: by hand" for name in found.apart]
    apart += [
        f"  {ground.one} is not {ground.other}, though there is a reason: {ground.reason}"
        for ground in found.merged
        if not ground.holds
    ]
    if apart:
        lines += ["kept apart", *apart]
    if found.places:
        lines.append("places")
        for spot in found.places:
            at = f" {show.clock(spot.start)}" if spot.start is not None else ""
            who = f" {spot.speaker}:" if spot.speaker else ""
            lines.append(f"  {spot.document}{at}{who} {spot.words}")
    return lines


# --- corrections -----------------------------------------------------------------------------------------------------


@group.command()
def merge(
    entities: Annotated[list[str], typer.Argument(help=f"Two or more. {_NAME}")],
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    defer_writes: options.DeferWrites = None,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Say that these are one. It holds for all later runs, and goes before what rules and models find."""
    if len(entities) < 2:
        raise typer.BadParameter("name two or more")
    _correct(locals(), config, lambda db, _: look.merge(db, entities), json=json)


@group.command()
def split(
    entity: Annotated[str, typer.Argument(help=_NAME)],
    names: Annotated[
        list[str] | None, typer.Argument(help="Its names that are another's: NAME or NAME@DOCUMENT.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Each of the names is one of its own.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Take all its names apart.")] = False,
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    defer_writes: options.DeferWrites = None,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Say that these names of an entity are another's. No later run puts them together again."""
    if bool(names) == every:
        raise typer.BadParameter("name what is to be taken out, or give --all: `kg entities show` lists the names")
    _correct(locals(), config, lambda db, _: look.split(db, entity, names or [], each=each), json=json)


@group.command()
def alias(
    entity: Annotated[str, typer.Argument(help=_NAME)],
    name: Annotated[str, typer.Argument(help="Another name for it.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the name back.")] = False,
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    defer_writes: options.DeferWrites = None,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Give an entity a name: whatever is called so, now or in later files, is it."""
    change = look.drop_alias if remove else look.add_alias
    _correct(locals(), config, lambda db, settings: change(db, settings.workspace, entity, name), json=json)


def _correct(
    arguments: dict[str, Any],
    config: str | None,
    change: Callable[[sqlite3.Connection, Settings], Corrected],
    *,
    json: bool,
) -> None:
    """Change the ledger in one step, then have the stores follow, unless a run is going on that will see to it."""
    loaded = settings_of(arguments, config)
    existing(loaded)
    with looking(loaded.settings.ledger_path) as db:
        settings = as_last_embedded(loaded, db)
    to_stderr("entities", settings.secrets, quiet=True, verbose=False)
    with Ledger(settings.ledger_path) as ledger:
        done = ledger.write(change, settings)
        note, failed = _follow(settings, ledger)
    if json:
        entities = [_as_json(row) for row in done.entities]
        show.json_out({"entities": entities, "notes": done.notes, "stores": note, "written": not failed})
    else:
        show.table(_AFTER, [_after(row) for row in done.entities])
        if said := [*done.notes, *([note] if note else [])]:
            show.out("\n".join(said))
    raise typer.Exit(5 if failed else 0)


def _follow(settings: Settings, ledger: Ledger) -> tuple[str, bool]:
    """What is to be said of the stores, and whether they could not be written."""
    from cli.wiring import projector_of

    if settings.defer_writes:
        return "the stores were left alone: the next run, or `kg rebuild`, writes them", False
    try:
        lock = RunLock(settings.lock_path)
    except WorkspaceLocked:
        return "the run that is going on writes it to the stores", False
    with lock:
        try:
            projector = projector_of(settings, vector_size_of(settings, ledger), ledger)
            projector.start()
            projection = projector.finish()
        except KGError as error:
            return f"kept in the ledger, but not written to the stores: {error}", True
    if projection.errors:
        return f"kept in the ledger, but not written to the stores: {projection.errors[0]}", True
    return "", False
