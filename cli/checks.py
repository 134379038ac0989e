"""What `kg doctor` looks at: each check says ok, note or problem, and what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core_engine.errors import KGError, ModelError, ServiceRefused, SettingsError
from core_engine.ledger import overview
from core_engine.ledger.disk import network_disk
from core_engine.ledger.lock import is_held
from core_engine.ledger.looking import looking, quick_check
from core_engine.settings import Settings

OK, NOTE, PROBLEM = "ok", "note", "problem"

_LITTLE_DISK = 200_000_000
_SMALL_DISK = 2_000_000_000
_PATIENCE_S = 15.0
_LOCAL = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Check:
    """`state`: ok | note (works, but know it) | problem. `advice`: what to do, '' where there is nothing to do."""

    name: str
    state: str
    detail: str
    advice: str = ""


def all_checks(settings: Settings) -> Iterator[Check]:
    """One after the other. No paid call is made."""
    yield from _files(settings)
    yield from _ledger(settings)
    yield from _models(settings)
    yield from _prices(settings)
    yield _tokenizer()
    yield from _stores(settings)


def _problem(name: str, error: Exception) -> Check:
    """Our errors say what happened and, behind the last colon, what to do: they are shown as they are."""
    return Check(name, PROBLEM, str(error))


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
            else _problem("ledger", error)
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


# --- models ----------------------------------------------------------------------------------------------------------


def _models(settings: Settings) -> Iterator[Check]:
    stages = [
        ("extraction", "extract", settings.extractor_used == "openai"),
        ("embedding", "embed", settings.embedder_used == "openai"),
    ]
    if _asks_another_model_about_names(settings):
        stages.append(("pairs of names", "resolve", True))
    for name, stage, used in stages:
        if not used:
            other = "rules" if stage == "extract" else settings.embedder_used
            yield Check(name, OK, f"{other}: no model is asked")
            continue
        try:
            yield asyncio.run(_model(settings, name, stage))
        except KGError as error:
            yield _problem(name, error)
        if known := _formats(settings, stage):
            yield Check(f"{name} replies", NOTE, known)


_NAMED_BY = {"extract": "--model", "embed": "--embedding-model", "resolve": "resolve in [models] of kg.toml"}


def _asks_another_model_about_names(settings: Settings) -> bool:
    """Where it is the one that extracts, that one's checks will do."""
    extracts = settings.model if settings.extractor_used == "openai" else None
    return settings.resolve_used == "model" and settings.model_of("resolve") != extracts


async def _model(settings: Settings, name: str, stage: str) -> Check:
    from dataclasses import replace

    from cli.wiring import endpoint_of
    from core_engine.llm.client import Capabilities, Client

    endpoint = replace(endpoint_of(settings, stage), timeout_s=min(settings.timeout, _PATIENCE_S))
    if not endpoint.key and urlsplit(endpoint.label).hostname not in _LOCAL:
        return Check(name, PROBLEM, f"{endpoint.label}: no key is set", "set OPENAI_API_KEY, or use --no-model")
    client = Client(endpoint, Capabilities())
    try:
        listed = await client.models()
    except ServiceRefused as refused:
        if refused.status == 404:
            return Check(name, NOTE, f"{endpoint.label} answers, but lists no models: {endpoint.model!r} is untested")
        return Check(name, PROBLEM, str(refused))
    except ModelError as error:
        return Check(name, PROBLEM, str(error), "see that the server runs, and look at --base-url and the network")
    finally:
        await client.close()
    if endpoint.model not in listed:
        some = ", ".join(sorted(listed)[:8]) or "none"
        return Check(
            name,
            PROBLEM,
            f"{endpoint.label} does not list {endpoint.model!r}; it lists {some}",
            f"name one with {_NAMED_BY[stage]}",
        )
    return Check(name, OK, f"{endpoint.label} answers and lists {endpoint.model}")


def _formats(settings: Settings, stage: str) -> str:
    """What earlier runs learnt of the server, '' if nothing."""
    from cli.wiring import endpoint_of
    from core_engine.llm.client import Capabilities

    if not settings.ledger_path.is_file():
        return ""
    endpoint = endpoint_of(settings, stage)
    try:
        with looking(settings.ledger_path) as db:
            key = f"takes {endpoint.label} {endpoint.model}"
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except KGError:
        return ""  # said by the ledger's own check
    words = Capabilities.from_json(row[0]).said() if row else ""
    return f"known from earlier runs: {words}" if words else ""


def _prices(settings: Settings) -> Iterator[Check]:
    from cli.wiring import prices_of

    stages = [
        ("extract", settings.model, settings.extractor_used),
        ("embed", settings.embedding_model, settings.embedder_used),
    ]
    if _asks_another_model_about_names(settings):
        stages.append(("resolve", settings.model_of("resolve"), "openai"))
    for stage, model, used in stages:
        if used != "openai":
            continue
        try:
            source = prices_of(settings).source(model, stage)
        except SettingsError as error:
            yield _problem("prices", error)
            return
        if source != "unpriced":
            yield Check("prices", OK, f"{model}: {source}")
        elif settings.max_cost is not None:
            yield Check(
                "prices", PROBLEM, f"{model} is unpriced: --max-cost can't hold it", "give its price with --prices"
            )
        else:
            yield Check(
                "prices", NOTE, f"{model} is unpriced: its cost will not be known", "give its price with --prices"
            )


def _tokenizer() -> Check:
    from core_engine.llm.tokens import vocabulary

    if vocabulary("o200k_base"):
        return Check("tokenizer", OK, "the vocabulary is on disk")
    return Check("tokenizer", OK, "no vocabulary on disk: tokens are estimated, and calibrated from the replies")


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
        return _problem(name, error)


async def _graph_store(settings: Settings) -> str:
    from cli.wiring import graph_store_of

    if settings.graph_store_used == "embedded" and not (settings.folder / "graph.sqlite3").exists():
        return "embedded: the first run makes it"
    store = graph_store_of(settings)
    if store is None:
        raise AssertionError("a graph store was named")
    await store.open()
    try:
        counts = await store.counts()
    finally:
        await store.close()
    return (
        f"{store.name}: {counts.entities:,} entities, {counts.relationships:,} relationships, {counts.chunks:,} chunks"
    )


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
    await store.open()
    try:
        count = await store.count()
    finally:
        await store.close()
    return f"{store.name}: {count:,} points of this workspace"


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
