"""What `kg doctor` looks at: each check says ok, note or problem, and what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cli.check import NOTE, OK, PROBLEM, Check, problem
from cli.check_models import model_checks
from core_engine.errors import KGError, SettingsError
from core_engine.ledger import overview
from core_engine.ledger.disk import network_disk
from core_engine.ledger.lock import is_held
from core_engine.ledger.looking import looking, quick_check
from core_engine.settings import Settings, without_credentials

_LITTLE_DISK = 200_000_000
_SMALL_DISK = 2_000_000_000
_COLLECTOR_S = 3.0
_PORTS = {"http": 80, "https": 443}


def all_checks(settings: Settings, *, ask: bool = False) -> Iterator[Check]:
    """One after the other. No paid call is made, but for the one that `ask` allows: it is named before it is sent."""
    yield from _files(settings)
    yield from _ledger(settings)
    yield from model_checks(settings, ask=ask)
    yield from _stores(settings)
    yield from _collectors(settings)


# --- files and ledger ------------------------------------------------------------------------------------------------


def _files(settings: Settings) -> Iterator[Check]:
    folder = settings.folder.absolute()
    while not folder.exists():
        folder = folder.parent
    if os.access(folder, os.W_OK):
        yield Check("home", OK, f"{settings.folder} can be written")
    else:
        yield Check("home", PROBLEM, f"{folder} can't be written", "make it writable, or name another --home")
    free = shutil.disk_usage(folder).free
    said = f"{free / 1e9:,.1f} GB free"
    if free < _LITTLE_DISK:
        yield Check("disk", PROBLEM, said, "make room: a run would stop, though nothing paid for would be lost")
    elif free < _SMALL_DISK:
        yield Check("disk", NOTE, said, "a million vectors of 1536 numbers take 6 GB in the ledger and 6 in the store")
    else:
        yield Check("disk", OK, said)
    if kind := network_disk(folder):
        yield Check("network disk", NOTE, f"{folder} is on {kind}", "never run kg on it from two machines at once")
    for name, value in (("ontology", settings.ontology), ("prices file", settings.prices)):
        if value and not Path(value).is_file():
            yield Check(name, PROBLEM, f"there is no file {value}", f"look at --{name.split()[0]}")
    if settings.prom_textfile and not os.access(Path(settings.prom_textfile).absolute().parent, os.W_OK):
        yield Check(
            "textfile", PROBLEM, f"{settings.prom_textfile} can't be written", "see whose folder it is, or name another"
        )


def _ledger(settings: Settings) -> Iterator[Check]:
    holder = is_held(settings.lock_path)
    yield Check("lock", NOTE, f"a run is going on: {holder}") if holder else Check("lock", OK, "no run is going on")
    if not settings.ledger_path.is_file():
        yield Check("ledger", OK, f"workspace {settings.workspace!r} is new: its first run makes it")
        return
    size = settings.ledger_path.stat().st_size / 1e6
    try:
        fault = quick_check(settings.ledger_path)
        with looking(settings.ledger_path) as db:
            states, documents = overview.chunk_states(db), overview.documents(db)
    except KGError as error:
        damaged = isinstance(error.__cause__, sqlite3.DatabaseError) and not isinstance(
            error.__cause__, sqlite3.OperationalError
        )
        yield (
            Check("ledger", PROBLEM, str(error), _mending(settings.ledger_path))
            if damaged
            else problem("ledger", error)
        )
        return
    if fault:
        yield Check("ledger", PROBLEM, f"{settings.ledger_path} is damaged: {fault}", _mending(settings.ledger_path))
        return
    said = f"whole, {size:,.1f} MB, {documents:,} documents, {states.total:,} chunks"
    if states.dead:
        yield Check("ledger", NOTE, f"{said}, {states.dead:,} of them dead", "`kg dead-letters` shows them")
    else:
        yield Check("ledger", OK, said)


def _mending(path: Path) -> str:
    """What can be done about a damaged ledger, the best first. Nothing here is done by us."""
    return (
        f"move {path.name} and its -wal and -shm away, and put a copy made by `kg backup` in its place: what was answered "
        "since is asked again. Without a copy, everything is; the stores still hold the graph as it was"
    )


# --- stores ----------------------------------------------------------------------------------------------------------


def _stores(settings: Settings) -> Iterator[Check]:
    for name, used, check in (
        ("graph store", settings.graph_store_used, _graph_store),
        ("vector store", settings.vector_store_used, _vector_store),
    ):
        yield Check(name, OK, "none is used") if used == "none" else _store(name, check, settings)


def _store(name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings) -> Check:
    async def run() -> str:
        return await check(settings)

    try:
        return Check(name, OK, asyncio.run(run()))
    except KGError as error:
        return problem(name, error)


async def _graph_store(settings: Settings) -> str:
    from cli.wiring import graph_store_of

    if settings.graph_store_used == "embedded" and not (settings.folder / "graph.sqlite3").exists():
        return "embedded: the first run makes it"
    store = graph_store_of(settings)
    if store is None:
        raise AssertionError("a graph store was named")
    await store.open()
    try:
        about = await store.about()
        await store.check_writable()
        counts = await store.counts()
    finally:
        await store.close()
    held = f"{counts.entities:,} entities, {counts.relationships:,} relationships, {counts.chunks:,} chunks"
    return f"{store.name} ({about}), may be written: {held}"


async def _vector_store(settings: Settings) -> str:
    from cli.wiring import vector_store_of
    from core_engine.embeddings.stores.layout import slug

    dimensions = _dimensions(settings)
    if settings.vector_store_used == "embedded":
        folder = settings.folder / "vectors" / slug(settings.embedding_model if dimensions else None, dimensions)
        if not folder.exists():
            return "embedded: the first run makes it"
        if is_held(settings.lock_path):
            return "embedded: the run that is going on has it open"
    store = vector_store_of(settings, dimensions)
    if store is None:
        raise AssertionError("a vector store was named")
    await store.open()  # makes what is missing: who may not write can't
    try:
        about = await store.about()
        count = await store.count()
    finally:
        await store.close()
    return f"{store.name} ({about}): {count:,} points of this workspace"


def _dimensions(settings: Settings) -> int | None:
    """The size of the vectors; None for sparse ones alone."""
    from cli.wiring import KNOWN_DIMENSIONS

    if settings.embedder_used != "openai":
        return None
    if settings.ledger_path.is_file():
        with looking(settings.ledger_path) as db:
            if size := overview.vector_size(db, settings.embedding_model):
                return size
    size = settings.dimensions or KNOWN_DIMENSIONS.get(settings.embedding_model)
    if size is None:
        raise SettingsError(f"the size of the vectors of {settings.embedding_model!r} is not known: give --dimensions")
    return size


# --- collectors ------------------------------------------------------------------------------------------------------


def _collectors(settings: Settings) -> Iterator[Check]:
    """Whether somebody listens where runs are told of. What they say to a key shows in the first run."""
    from cli.tracing import collectors_of

    told = collectors_of(settings)
    if not told:
        yield Check("collectors", OK, "none is set")
    for name, url in told.items():
        yield _collector(name, url)


def _collector(name: str, url: str) -> Check:
    parts = urlsplit(url)
    host, shown = parts.hostname or "", without_credentials(url)
    try:
        with socket.create_connection((host, parts.port or _PORTS.get(parts.scheme, 443)), _COLLECTOR_S):
            pass
    except OSError as error:
        return Check(
            name,
            NOTE,
            f"nobody answers at {shown}: {error.strerror or error}",
            "a run is none the worse for it, but nothing will be seen there",
        )
    return Check(name, OK, f"{shown} can be reached")
