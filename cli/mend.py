"""`kg dead-letters` and `kg rebuild`: see what failed, and make the stores again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import options, show
from cli.logs import to_stderr
from cli.signals import heard, hurrying
from cli.workspace import as_last_embedded, existing, settings_of
from core_engine.chunking.serial import unpack_turns
from core_engine.errors import StoreError
from core_engine.ledger import documents, overview, questions
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.lock import RunLock
from core_engine.ledger.looking import looking
from core_engine.settings import Settings

app = typer.Typer(add_completion=False)
log = logging.getLogger("kg")

_LINE_S = 5.0
_STOPPED = "stopped by hand: `kg rebuild` again, or the next run, writes what is missing in the stores"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it is shown. `start`: seconds from the start of the recording; `index` counts from 0."""

    chunk: str
    document: str
    index: int
    turns: int
    speaker: str | None
    start: float | None
    stage: str
    reason: str
    attempts: int
    call: str | None
    reply: str | None


@app.command(name="dead-letters")
def dead_letters(
    reply: Annotated[bool, typer.Option("--reply", help="With the model's reply as it came.")] = False,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """List what failed for good, and why. `kg retry` asks again."""
    settings = existing(settings_of(locals(), config))
    with looking(settings.ledger_path) as db:
        letters = [_letter(db, dead) for dead in questions.dead_letters(db, with_reply=reply)]
    if json:
        show.json_out(letters)
    elif not letters:
        show.out("no dead letters")
    elif reply:
        show.out("\n\n".join(_with_reply(letter) for letter in letters))
    else:
        columns = ("chunk", "document", "index", "at", "speaker", "stage", "reason", "attempts")
        show.table(
            columns,
            [
                (
                    one.chunk,
                    one.document,
                    one.index,
                    show.clock(one.start) or None,
                    one.speaker,
                    one.stage,
                    one.reason,
                    one.attempts,
                )
                for one in letters
            ],
        )


def _letter(db: sqlite3.Connection, dead: questions.DeadLetter) -> Letter:
    identity, document, index, packed = documents.chunk_label(db, dead.chunk)
    turns = unpack_turns(packed)
    return Letter(
        chunk=identity,
        document=document,
        index=index,
        turns=len(turns),
        speaker=turns[0].speaker if turns else None,
        start=turns[0].start if turns else None,
        stage=dead.stage,
        reason=dead.reason,
        attempts=dead.attempts,
        call=dead.call,
        reply=None if dead.reply is None else dead.reply.decode("utf-8", "replace"),
    )


def _with_reply(letter: Letter) -> str:
    where = f"{letter.document}, chunk {letter.index + 1}"
    if letter.start is not None:
        where += f" at {show.clock(letter.start)}"
    if letter.speaker:
        where += f", {letter.speaker}"
    head = show.cell(f"{letter.chunk}  {where}: {letter.stage}: {letter.reason} (attempts: {letter.attempts})")
    reply = letter.reply if letter.reply is not None else "(no reply was kept)"
    return "\n".join([head, *(f"  | {line}" for line in reply.split("\n"))])


# --- kg rebuild ------------------------------------------------------------------------------------------------------


@app.command()
def rebuild(
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    neo4j_embeddings: options.Neo4jEmbeddings = None,
    embedder: options.Embedder = None,
    embedding_model: options.EmbeddingModel = None,
    dimensions: options.Dimensions = None,
    ontology: options.OntologyFile = None,
    keep_unsupported: options.KeepUnsupported = None,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make graph and vectors again from the ledger, in the same stores or in others. It costs nothing."""
    loaded = settings_of(locals(), config)
    existing(loaded)
    with looking(loaded.settings.ledger_path) as db:
        settings = as_last_embedded(loaded, db)
    with heard(_STOPPED), RunLock(settings.lock_path), Ledger(settings.ledger_path) as ledger:
        report = _rebuild(settings, ledger, quiet=quiet, verbose=verbose)
    if json:
        show.json_out(report)
    else:
        from metrics.render import summary

        show.out(summary(report))
    raise typer.Exit(report["exit_code"])


def _rebuild(settings: Settings, ledger: Ledger, *, quiet: bool, verbose: bool) -> dict[str, Any]:
    from cli.wiring import prices_of, projector_of
    from core_engine.ledger.runs import finish
    from core_engine.pipeline import Ending
    from core_engine.progress import Progress
    from core_engine.session import Outcome, begin, new_run_id
    from kg_batch import __version__
    from metrics.report import Surroundings, build, to_json

    now = time.time()
    run = new_run_id(now)
    to_stderr(run, settings.secrets, quiet=quiet, verbose=verbose)
    dimensions = vector_size_of(settings, ledger)
    projector = projector_of(settings, dimensions, ledger)
    _empty(settings, ledger, dimensions)
    projector.start()
    with hurrying(projector.hurry) as signals, _telling(projector.result):
        recovered = begin(ledger, run, "rebuild", settings.shown(), now)
        projection = projector.finish()
    projection.notes.clear()  # that all of it is written goes without saying
    outcome = Outcome(run, "rebuild", now, recovered, _progress(ledger, Progress()), projection)
    outcome.finished_at = time.time()
    if signals:
        outcome.ending = Ending("interrupted", _STOPPED)
    about = Surroundings(
        workspace=settings.workspace,
        version=__version__,
        settings=settings.shown(),
        parts={"extractor": "the ledger's answers", "embedder": settings.embedder_used, **projector.store_names},
        limits=(),
        stepped_down={},
        warnings=projector.warnings,
        price_sources={},
    )
    with ledger.reading() as db:
        report = build(db, outcome, about, prices_of(settings))
    ledger.write(finish, run, outcome.finished_at, outcome.status, outcome.exit_code, to_json(report))
    return report


def vector_size_of(settings: Settings, ledger: Ledger) -> int | None:
    """The size of the vectors to write; None for sparse ones alone."""
    from cli.wiring import dimensions_of

    if settings.embedder_used != "openai":
        return None
    with ledger.reading() as db:
        known = overview.vector_size(db, settings.embedding_model)
    if known:
        return known
    return dimensions_of(settings, ledger, None)


def _empty(settings: Settings, ledger: Ledger, dimensions: int | None) -> None:
    """Leave nothing in the stores that the ledger doesn't have.

    Embedded stores begin as new files, which also mends damaged ones. In a server, whatever the ledger ever knew is
    written again or deleted; the collection and the database are other people's too.
    """
    from core_engine.embeddings.stores.layout import slug

    try:
        if settings.graph_store_used == "embedded":
            for name in ("graph.sqlite3", "graph.sqlite3-wal", "graph.sqlite3-shm"):
                (settings.folder / name).unlink(missing_ok=True)
        if settings.vector_store_used == "embedded":
            _remove(settings.folder / "vectors" / slug(settings.embedding_model if dimensions else None, dimensions))
    except OSError as error:
        raise StoreError(
            f"{error.filename}: {error.strerror}: see that no other program has it open and that the folder is writable"
        ) from error
    for role, used in (("graph", settings.graph_store_used), ("vectors", settings.vector_store_used)):
        if used not in {"embedded", "none"}:
            ledger.write(overview.distrust, role)
    asyncio.run(_sweep(settings, ledger, dimensions))


async def _sweep(settings: Settings, ledger: Ledger, dimensions: int | None) -> None:
    """Take out of a server what this ledger never wrote there: it may be older than the store (a backup)."""
    from cli.wiring import graph_store_of, vector_store_of
    from core_engine.strays import sweep_graph, sweep_vectors

    swept = 0
    async with contextlib.AsyncExitStack() as closing:
        with ledger.reading() as db:
            if settings.graph_store_used == "neo4j" and (graph := graph_store_of(settings)):
                closing.push_async_callback(graph.close)
                swept += await sweep_graph(db, graph)
            if settings.vector_store_used == "qdrant" and (vectors := vector_store_of(settings, dimensions)):
                closing.push_async_callback(vectors.close)
                swept += await sweep_vectors(db, vectors)
    if swept:
        log.info("%d units that the ledger does not know are taken out", swept)


def _remove(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _progress(ledger: Ledger, progress: Any) -> Any:
    """As a run would count that found everything answered: all chunks are reused, dead, or open."""
    with ledger.reading() as db:
        states = overview.chunk_states(db)
        progress.documents["seen"] = overview.documents(db)
    progress.chunks, progress.reused, progress.dead_before = states.total, states.answered, states.dead
    return progress


@contextlib.contextmanager
def _telling(projection: Any) -> Iterator[None]:
    """Say every few seconds how much is written."""
    done = threading.Event()

    def tell() -> None:
        while not done.wait(_LINE_S):
            log.info("%d units of the graph and %d points written", projection.graph.total, projection.vectors.total)

    thread = threading.Thread(target=tell, name="kg-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
