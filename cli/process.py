"""`kg process` and `kg retry`: the main job, and asking again about what failed."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from cli import options
from cli.books import close_books
from cli.confirm import confirm_cost
from cli.fits import fitted
from cli.gathering import tell_of_the_month, tell_prometheus
from cli.inboxes import take_inbox
from cli.live import shown
from cli.logs import to_file, to_stderr
from cli.pages import draw
from cli.signals import asking, heard
from cli.sources import load
from cli.tracing import alert_command_of, as_rows, figures_of, scores_of, sinks_of, trace_hosts
from cli.wiring import Parts, ontology_of, prices_of, remember_capabilities, say_of_a_quota, ways_of, wire
from core_engine.errors import KGError, SettingsError
from core_engine.ledger import documents, questions
from core_engine.ledger.disk import network_disk
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.lock import RunLock
from core_engine.ledger.overview import answered_by
from core_engine.ledger.runs import finish
from core_engine.loggers import OURS
from core_engine.machine import collecting_seldom, keep_memory_together
from core_engine.planner import Plan, plan_of
from core_engine.ports import Observer, RunObserver, tell
from core_engine.progress import Progress
from core_engine.session import Outcome, begin, new_run_id, open_stores, work
from core_engine.settings import Settings, without_credentials
from core_engine.stopping import Stop
from kg_batch import __version__
from metrics.observers.json_log import JsonLog
from metrics.observers.totals import Totals
from metrics.render import markdown, summary
from metrics.report import Surroundings, build, to_json

if TYPE_CHECKING:
    from metrics.observers.alert_command import AlertCommand
    from metrics.observers.courier import State
    from metrics.observers.sinks import Sinks

app = typer.Typer(add_completion=False)
log = logging.getLogger("kg")

_LOCAL = {"localhost", "127.0.0.1", "::1"}


@app.command(no_args_is_help=True)
def process(
    paths: Annotated[list[str] | None, typer.Argument(help="Files, folders or globs; - reads standard input.")] = None,
    transcripts_dir: Annotated[str | None, typer.Option("--transcripts-dir", help="A folder, like PATHS.")] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="Glob to leave out.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="First N chunks only.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and estimate only.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Take out documents whose files are gone.")] = False,
    rechunk: Annotated[bool, typer.Option("--rechunk", help="Cut unchanged documents anew.")] = False,
    workspace: options.Workspace = None,
    max_concurrent: options.MaxConcurrent = None,
    batch_size: options.BatchSize = None,
    rpm: options.Rpm = None,
    tpm: options.Tpm = None,
    embedding_rpm: options.EmbeddingRpm = None,
    embedding_tpm: options.EmbeddingTpm = None,
    batch_api: options.BatchApi = None,
    no_wait: options.NoWait = False,
    max_cost: options.MaxCost = None,
    grace: options.Grace = None,
    wait: options.Wait = None,
    confirm_above: options.ConfirmAbove = None,
    persona: options.Persona = None,
    tags: options.Tags = None,
    yes: options.Yes = None,
    chunk_size: options.ChunkSize = None,
    clean: options.Clean = None,
    extractor: options.Extractor = None,
    embedder: options.Embedder = None,
    no_model: options.NoModel = None,
    model: options.Model = None,
    prompt: options.Prompt = None,
    prompt_variants: options.PromptVariants = None,
    model_variants: options.ModelVariants = None,
    split: options.Split = None,
    embedding_model: options.EmbeddingModel = None,
    dimensions: options.Dimensions = None,
    base_url: options.BaseUrl = None,
    embedding_base_url: options.EmbeddingBaseUrl = None,
    temperature: options.Temperature = None,
    reasoning_effort: options.ReasoningEffort = None,
    service_tier: options.ServiceTier = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    resolve: options.Resolve = None,
    ontology: options.OntologyFile = None,
    keep_unsupported: options.KeepUnsupported = None,
    prices: options.Prices = None,
    prom_textfile: options.PromTextfile = None,
    pushgateway: options.Pushgateway = None,
    trace_content: options.TraceContent = None,
    trace_mask: options.TraceMask = None,
    trace_sample: options.TraceSample = None,
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    neo4j_embeddings: options.Neo4jEmbeddings = None,
    defer_writes: options.DeferWrites = None,
    home: options.Home = None,
    output_dir: options.OutputDir = None,
    log_file: options.LogFile = None,
    config: options.Config = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Turn transcripts into a graph and vectors, and report what it took.

    What a model has answered is never paid for twice: the same command again asks only about what is new.
    """
    arguments = {k: v for k, v in locals().items() if k in Settings.__dataclass_fields__}
    settings = load(arguments, config=config).settings
    given = (*(paths or ()), *((transcripts_dir,) if transcripts_dir else ()))
    plan = plan_of(settings, given, tuple(exclude or ()), limit=limit, prune=prune, rechunk=rechunk)
    _check_paths(plan)
    if dry_run:
        from cli.estimate import show

        show(settings, plan, json=json)
        return
    if no_wait and not settings.batch_api:
        raise SettingsError("--no-wait is about Batch jobs: give --batch-api too")
    code = _run(settings, plan, "process", json=json, quiet=quiet, verbose=verbose, collect=not no_wait)
    raise typer.Exit(code)


@app.command()
def retry(
    reason: Annotated[list[str] | None, typer.Option("--reason", help="Only these reasons.")] = None,
    chunk: Annotated[list[str] | None, typer.Option("--chunk", help="Only these chunks (ids).")] = None,
    workspace: options.Workspace = None,
    max_concurrent: options.MaxConcurrent = None,
    batch_size: options.BatchSize = None,
    max_cost: options.MaxCost = None,
    grace: options.Grace = None,
    wait: options.Wait = None,
    confirm_above: options.ConfirmAbove = None,
    persona: options.Persona = None,
    tags: options.Tags = None,
    yes: options.Yes = None,
    model: options.Model = None,
    prompt: options.Prompt = None,
    prompt_variants: options.PromptVariants = None,
    model_variants: options.ModelVariants = None,
    split: options.Split = None,
    embedding_model: options.EmbeddingModel = None,
    base_url: options.BaseUrl = None,
    embedding_base_url: options.EmbeddingBaseUrl = None,
    service_tier: options.ServiceTier = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    resolve: options.Resolve = None,
    ontology: options.OntologyFile = None,
    keep_unsupported: options.KeepUnsupported = None,
    prom_textfile: options.PromTextfile = None,
    pushgateway: options.Pushgateway = None,
    trace_content: options.TraceContent = None,
    trace_mask: options.TraceMask = None,
    trace_sample: options.TraceSample = None,
    graph_store: options.GraphStore = None,
    vector_store: options.VectorStore = None,
    qdrant_grpc: options.QdrantGrpc = None,
    neo4j_embeddings: options.Neo4jEmbeddings = None,
    defer_writes: options.DeferWrites = None,
    home: options.Home = None,
    output_dir: options.OutputDir = None,
    config: options.Config = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Ask again about dead letters: all of them, or by reason or chunk. A success clears them."""
    arguments = {k: v for k, v in locals().items() if k in Settings.__dataclass_fields__}
    settings = load(arguments, config=config).settings
    if not settings.ledger_path.exists():
        raise SettingsError(f"workspace {settings.workspace!r} holds nothing yet: `kg process PATHS` first")

    def revive(ledger: Ledger, plan: Plan) -> Plan:
        with ledger.reading() as db:
            letters = questions.dead_letters(db)
            named = [(letter, documents.chunk_label(db, letter.chunk)[0]) for letter in letters]
        chosen = [
            letter
            for letter, identity in named
            if (not reason or letter.reason in reason) and (not chunk or identity in chunk)
        ]
        ledger.write(questions.revive, [letter.question for letter in chosen])
        log.info("%d of %d dead letters are asked again", len(chosen), len(letters))
        kinds: dict[int, frozenset[str]] = {}
        for letter in chosen:
            kinds[letter.chunk] = kinds.get(letter.chunk, frozenset()) | {letter.stage}
        return replace(plan, only=kinds)

    code = _run(settings, plan_of(settings, ()), "retry", json=json, quiet=quiet, verbose=verbose, prepare=revive)
    raise typer.Exit(code)


def _check_paths(plan: Plan) -> None:
    """Nothing to read is the command's fault, and is said before anything is made."""
    from core_engine.readers.sources import Source, discover

    if not plan.paths:
        raise SettingsError("give PATHS: files, folders or globs of transcripts, or - for standard input")
    troubles = []
    for found in discover(plan.paths, plan.exclude):
        if isinstance(found, Source):
            return
        troubles.append(str(found))
    said = "; ".join(troubles[:3]) or f"nothing to read in {', '.join(plan.paths)}"
    raise SettingsError(f"{said}: name files or folders that hold transcripts")


def _run(
    settings: Settings,
    plan: Plan,
    command: str,
    *,
    json: bool,
    quiet: bool,
    verbose: bool,
    prepare: Callable[[Ledger, Plan], Plan] | None = None,
    collect: bool = True,
) -> int:
    """One run with its lock, ledger, log and report. The exit code."""
    keep_memory_together()
    now = time.time()
    run = new_run_id(now)
    to_stderr(run, settings.secrets, quiet=quiet, verbose=verbose)
    if settings.extractor_used == "openai":
        ways_of(settings)
    if settings.prom_textfile:
        _check_textfile(settings.prom_textfile)
    ontology_of(settings)
    settings, plan = fitted(settings, plan)
    prices_of(settings)
    folder = settings.run_folder(run)
    log_file = Path(settings.log_file) if settings.log_file else folder / "run.log"
    _make_room("--home", settings.folder)
    with heard(), RunLock(settings.lock_path, settings.wait), Ledger(settings.ledger_path) as ledger:
        ledger.look_for_room()
        if kind := network_disk(settings.folder):
            log.warning(
                "%s is on a network disk (%s): never run kg on it from two machines at once", settings.folder, kind
            )
        _ask_consent(settings, ledger)
        _make_room("--output-dir", folder)
        _make_room("--log-file", log_file.parent, log_file)
        handler = to_file(log_file, run, settings.secrets, daily=bool(settings.log_file))
        try:
            if prepare:
                plan = prepare(ledger, plan)
            confirm_cost(settings, plan)
            with collecting_seldom():
                report, code = asyncio.run(
                    _work(settings, plan, ledger, run, command, now, quiet=quiet, collect=collect)
                )
            _write_report(folder, report)
            if json:
                sys.stdout.write(to_json(report).decode() + "\n")
            else:
                print(summary(report), flush=True)  # nobody waits for the page
            with ledger.reading() as db:
                drawn = draw(db, report, settings, folder) or folder / "report.md"
            _afterwards(settings, ledger)
        finally:
            for name in OURS:
                logging.getLogger(name).removeHandler(handler)
            handler.close()
    if not json:
        print(f"  report     {drawn}")
    return code


def _afterwards(settings: Settings, ledger: Ledger) -> None:
    """What is done when the run is over, noted and reported. Nothing of it can make it a worse run."""
    now = time.time()
    try:
        close_books(settings, ledger, prices_of(settings), now)
        tell_prometheus(settings, now)
    except Exception as error:  # noqa: BLE001  whatever it is, the run went as it went
        log.warning("its calls were not added up, or Prometheus not told: %s: %s", type(error).__name__, error)


def _check_textfile(file: str) -> None:
    from metrics.observers.prometheus import check_name

    check_name(Path(file))


def _make_room(option: str, folder: Path, file: Path | None = None) -> None:
    """Make a folder that a run will write into: better refused now than when the money is spent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "it is no file" if file and file.exists() and not file.is_file() else ""
        reason = reason or ("" if os.access(folder, os.W_OK | os.X_OK) else "permission denied")
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason:
        raise SettingsError(f"{file or folder} can't be written: {reason}: name another {option}")


async def _work(
    settings: Settings, plan: Plan, ledger: Ledger, run: str, command: str, now: float, *, quiet: bool, collect: bool
) -> tuple[dict[str, Any], int]:
    stop = Stop(settings.grace)
    with asking(stop):
        return await _asked_and_written(settings, plan, ledger, run, command, now, stop, quiet=quiet, collect=collect)


async def _asked_and_written(
    settings: Settings,
    plan: Plan,
    ledger: Ledger,
    run: str,
    command: str,
    now: float,
    stop: Stop,
    *,
    quiet: bool,
    collect: bool,
) -> tuple[dict[str, Any], int]:
    progress, totals = Progress(), Totals()
    observed = await asyncio.to_thread(take_inbox, settings, ledger)
    sinks = sinks_of(settings, run, command, now)
    alarm = alert_command_of(settings, run)
    observers: list[Observer] = [totals, JsonLog(), *([sinks] if sinks else []), *([alarm] if alarm else [])]
    try:
        parts = wire(settings, plan, ledger, run, progress, observers, stop, collect=collect)
        try:
            outcome, names = await _worked(
                settings, parts, ledger, run, command, now, totals, observers, stop, quiet=quiet
            )
            if parts.budget:
                tell_of_the_month(settings, parts.budget, partial(say_of_a_quota, observers), time.time())
        finally:
            await parts.close()
        report = _report(settings, ledger, parts, outcome, names)
        ledger.write(finish, run, outcome.finished_at, outcome.status, outcome.exit_code, to_json(report))
        if outcome.ending.kind == "budget" and (refused := parts.budget and parts.budget.refused()):
            say_of_a_quota(observers, "quota_exceeded", refused)
        _tell_the_end(observers, outcome, report)
    except BaseException as error:
        if sinks:
            sinks.run_finished(time.time(), {}, {}, type(error).__name__)
        raise
    finally:
        # The run is over and noted; services have five seconds to take the rest.
        watchers = (sinks, alarm, observed)
        states, *_ = await asyncio.gather(*(asyncio.to_thread(_closed, each) for each in watchers))
    if states:
        report["traces"] = as_rows(states)
        ledger.write(finish, run, outcome.finished_at, outcome.status, outcome.exit_code, to_json(report))
    return report, outcome.exit_code


def _closed(watcher: Sinks | AlertCommand | None) -> list[State]:
    """What became of what it was to carry."""
    return (watcher.close() or []) if watcher else []


def _tell_the_end(observers: Sequence[Observer], outcome: Outcome, report: dict[str, Any]) -> None:
    figures = figures_of(report)
    for store in outcome.failed_stores:
        tell(observers, "store_error", store=store)
    tell(observers, "run_finished", **figures)
    for observer in observers:
        if isinstance(observer, RunObserver):
            observer.run_finished(
                outcome.finished_at,
                figures,
                scores_of(report),
                "" if outcome.exit_code in {0, 2} else outcome.ending.kind,
            )


async def _worked(
    settings: Settings,
    parts: Parts,
    ledger: Ledger,
    run: str,
    command: str,
    now: float,
    totals: Totals,
    observers: Sequence[Observer],
    stop: Stop,
    *,
    quiet: bool,
) -> tuple[Outcome, dict[str, str]]:
    """The run from the stores' opening to its last write: how it ended, and which parts were used."""
    progress, stores = parts.progress, {"graph_store": "none", "vector_store": "none"}
    await open_stores(parts.projector, stop)
    stores |= parts.projector.store_names
    try:
        recovered = begin(ledger, run, command, settings.shown(), now)
    except BaseException:
        await asyncio.to_thread(parts.projector.finish, hurry=True)
        raise
    log.info(
        "%s %s: extractor %s, embedder %s, graph %s, vectors %s",
        command,
        settings.workspace,
        parts.names["extractor"],
        parts.names["embedder"],
        stores["graph_store"],
        stores["vector_store"],
    )
    tell(observers, "run_started", command=command, killed_runs_before=recovered.runs)
    outcome = Outcome(run, command, now, recovered, progress, parts.projector.result)
    async with shown(parts, totals, quiet=quiet):
        await work(outcome, ledger, parts.pipeline, parts.projector, stop)
    if outcome.ending.kind == "interrupted":
        with ledger.reading() as db:
            outcome.ending.message = _how_far(db, outcome)
        log.warning("%s", outcome.ending.message)
    remember_capabilities(parts)
    return outcome, {**parts.names, **stores}


def _how_far(db: sqlite3.Connection, outcome: Outcome) -> str:
    """What is done of what there was to ask, and what is left."""
    answered, asked = answered_by(db, outcome.run)
    left = max(asked - answered - outcome.progress.buried, 0)
    said = f"stopped by hand: {answered:,} chunks done, {left:,} left"
    if not outcome.progress.planned:
        said += " and what was not read yet"
    elif not left and outcome.projection.errors:
        said += " to ask, but the stores are not written to the end"
    elif not left:
        return f"{said}: all of it was done"
    if outcome.progress.jobs_pending:
        said += f"; {outcome.progress.waiting}: they go on at the provider (`kg batches cancel` stops them)"
    return f"{said}; the same command goes on from here"


def _report(
    settings: Settings, ledger: Ledger, parts: Parts, outcome: Outcome, names: dict[str, str]
) -> dict[str, Any]:
    stages = [("extract", way.model) for way in settings.trial] or [("extract", settings.model)]
    stages += [("embed", settings.embedding_model), ("resolve", settings.model_of("resolve"))]
    used = {client.endpoint.model for client in parts.clients}
    prompt = parts.prompts[0] if len({one.version for one in parts.prompts}) == 1 else None
    about = Surroundings(
        workspace=settings.workspace,
        version=__version__,
        settings=settings.shown(),
        parts=names,
        limits=parts.limiter.snapshot(),
        history=parts.limiter.history(),
        stepped_down=parts.stepped_down(),
        warnings=parts.projector.warnings,
        forecast=parts.forecast.said() if parts.budget else {},
        price_sources={
            m: parts.prices.source(m, stage, "batch" if settings.batch_api else "standard")
            for stage, m in stages
            if m in used
        },
        budget=parts.budget.state() if parts.budget else (),
        refused=parts.budget.refused() if parts.budget else None,
        prompt={"version": prompt.version, "hash": prompt.hash, "tokens": parts.forecast.repeated()} if prompt else {},
    )
    with ledger.reading() as db:
        return build(db, outcome, about, parts.prices)


def _write_report(folder: Path, report: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("report.json", to_json(report) + b"\n"), ("report.md", markdown(report).encode())):
        descriptor = os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def _ask_consent(settings: Settings, ledger: Ledger) -> None:
    """The first time that a workspace's text is about to leave this machine, a terminal is asked."""
    remote = []
    if settings.extractor_used == "openai" or settings.resolve_used == "model":
        remote.append(settings.base_url or "https://api.openai.com/v1")
    if settings.embedder_used == "openai":
        remote.append(settings.embedding_base_url or settings.base_url or "https://api.openai.com/v1")
    if settings.graph_store_used == "neo4j" and settings.neo4j_uri:
        remote.append(settings.neo4j_uri)
    if settings.vector_store_used == "qdrant" and settings.qdrant_url:
        remote.append(settings.qdrant_url)
    remote += trace_hosts(settings)
    for url in dict.fromkeys(without_credentials(url) for url in remote):
        if urlsplit(url).hostname in _LOCAL:
            continue
        key = f"may send to {url}"
        with ledger.reading() as db:
            if db.execute("SELECT 1 FROM meta WHERE key = ?", (key,)).fetchone():
                continue
        if not settings.yes and sys.stdin.isatty():
            question = f"The text of workspace {settings.workspace!r} will be sent to {url}. Go on?"
            if not typer.confirm(question, err=True):
                raise KGError("nothing was sent: --no-model, --graph-store and --vector-store keep everything here")
        ledger.write(_save, key)


def _save(db: Any, key: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, 'yes')", (key,))
