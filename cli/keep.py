"""`kg verify`, `kg backup` and `kg vacuum`: see that what is kept is whole, copy it, and make it smaller."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import options, show
from cli.workspace import as_last_embedded, existing, settings_of
from core_engine.errors import SettingsError, StoreError, WorkspaceLocked
from core_engine.ledger import keeping, overview
from core_engine.ledger.lock import RunLock, is_held
from core_engine.ledger.looking import looking, quick_check
from core_engine.settings import Settings
from core_engine.types import VectorKind
from core_engine.verify import StoreCheck

app = typer.Typer(add_completion=False)


@app.command()
def verify(
    everything: Annotated[bool, typer.Option("--all", help="Compare all contents, not a sample.")] = False,
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    embedder: options.Embedder = None,
    embedding_model: options.EmbeddingModel = None,
    dimensions: options.Dimensions = None,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Compare the stores with the ledger, and say what is off. It changes nothing.

    Exit code 0 where all is well, 2 where something is off.
    """
    loaded = settings_of(locals(), config)
    existing(loaded)
    if holder := is_held(loaded.settings.lock_path):
        raise WorkspaceLocked(f"a run is writing the stores ({holder}): verify them when it has ended")
    damage = quick_check(loaded.settings.ledger_path)
    with looking(loaded.settings.ledger_path) as db:
        settings = as_last_embedded(loaded, db)
        states = overview.chunk_states(db)
        checks = asyncio.run(_check(settings, db, everything=everything))
    whole = not damage and all(isinstance(check, StoreCheck) and check.whole for check in checks)
    if json:
        show.json_out(
            {
                "workspace": settings.workspace,
                "whole": whole,
                "ledger": {"damage": damage, "chunks": states},
                "stores": [_as_json(check) for check in checks],
            }
        )
    else:
        show.out("\n".join(_in_words(damage, states, checks)))
    raise typer.Exit(0 if whole else 2)


async def _check(settings: Settings, db: sqlite3.Connection, *, everything: bool) -> list[StoreCheck | StoreError]:
    """The store that can't be asked says why; the other is checked all the same."""
    from cli.wiring import graph_store_of, vector_store_of
    from core_engine.embeddings.bm25 import Bm25Encoder
    from core_engine.verify import check_graph, check_vectors

    size = overview.vector_size(db, settings.embedding_model) if settings.embedder_used == "openai" else None
    graph, vectors = graph_store_of(settings), vector_store_of(settings, size)
    checks: list[StoreCheck | StoreError] = []
    async with contextlib.AsyncExitStack() as closing:
        if graph:
            closing.push_async_callback(graph.close)
            checks.append(await _told(check_graph(db, graph, everything=everything)))
        if vectors:
            closing.push_async_callback(vectors.close)
            sparse = Bm25Encoder()
            dense = VectorKind(settings.embedding_model, size) if size else None
            checking = check_vectors(db, vectors, settings.workspace, sparse, dense=dense, everything=everything)
            checks.append(await _told(checking))
    return checks


async def _told(checking: Coroutine[Any, Any, StoreCheck]) -> StoreCheck | StoreError:
    try:
        return await checking
    except StoreError as error:
        return error


def _as_json(check: StoreCheck | StoreError) -> dict[str, Any]:
    if isinstance(check, StoreError):
        return {"whole": False, "error": str(check)}
    return {"whole": check.whole, "mend": _mend(check), **{name: getattr(check, name) for name in check.__slots__}}


def _in_words(damage: str, states: overview.ChunkStates, checks: list[StoreCheck | StoreError]) -> list[str]:
    lines = [f"ledger: {states.total:,} chunks, " + (damage or "the file is whole")]
    if damage:
        lines.append("  put a backup in its place, or see what `kg doctor` says")
    for check in checks:
        if isinstance(check, StoreError):
            lines.append(f"not checked: {check}")
            continue
        held = ", ".join(f"{number:,} {kind}" for kind, number in check.held.items())
        verdict = f"as the ledger says ({check.compared:,} compared)" if check.whole else "OFF"
        lines.append(f"{check.role} {check.name}: {held or 'nothing'}: {verdict}")
        lines += [f"  {line}" for line in _wrong(check)]
    if not checks:
        lines.append("no stores: --graph-store none, --vector-store none")
    return lines


def _wrong(check: StoreCheck) -> list[str]:
    lines = [check.stranger] if check.stranger else []
    if not check.stranger or check.missing or check.differing:
        for number, what in (
            (check.missing, "missing"),
            (check.unknown, "unknown to the ledger"),
            (check.differing, f"differ from the ledger, of {check.compared:,} compared"),
        ):
            if number:
                lines.append(f"{number:,} {what}")
        lines += [f"  {one.kind} {one.id}: {one.what}" for one in check.examples]
    if check.pending:
        lines.append(f"{check.pending:,} changes not written yet")
    if mend := _mend(check):
        lines.append(mend)
    return lines


def _mend(check: StoreCheck) -> str:
    """The command that mends it, '' where nothing is to be mended."""
    if check.whole:
        return ""
    if check.stranger or check.missing or check.unknown or check.differing:
        return "`kg rebuild` writes it anew from the ledger, for free"
    return "the next `kg process`, or `kg rebuild`, writes them, for free"


# --- kg backup and kg vacuum -----------------------------------------------------------------------------------------


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Copy the ledger into one file, also while a run is on. The stores can be made again from it."""
    settings = existing(settings_of(locals(), config))
    target = file.absolute()
    if target.is_dir():
        raise SettingsError(f"{file} is a folder: name a file in it")
    if target.exists() and (not overwrite or target.samefile(settings.ledger_path)):
        raise SettingsError(f"{file} is there already: name another file, or say --overwrite")
    began = time.monotonic()
    size = keeping.backup(settings.ledger_path, target)
    keeping.note_backup(settings.ledger_path, target, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    if json:
        show.json_out({"file": str(target), "bytes": size, "seconds": round(time.monotonic() - began, 2)})
    else:
        show.out(f"{target}: {size / 1e6:,.1f} MB, checked; put it in the ledger's place and `kg rebuild` to go back")


@app.command()
def vacuum(
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Give back the space of what was deleted, in the ledger and the embedded graph."""
    settings = existing(settings_of(locals(), config))
    with looking(settings.ledger_path):
        pass  # one of a newer version is left alone
    with RunLock(settings.lock_path):
        sizes = {path.name: keeping.vacuum(path) for path in files_of(settings) if path.exists()}
    if json:
        show.json_out(sizes)
    else:
        for name, size in sizes.items():
            show.out(f"{name}: {size.before / 1e6:,.1f} MB → {size.after / 1e6:,.1f} MB")


def files_of(settings: Settings) -> tuple[Path, Path]:
    """The SQLite files of a workspace."""
    return settings.ledger_path, settings.folder / "graph.sqlite3"
