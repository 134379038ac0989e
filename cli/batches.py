"""`kg batches`: Batch API jobs of a workspace, as last seen or as the provider has them now, and how to cancel them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import options, show
from cli.wiring import endpoint_of
from cli.workspace import existing, settings_of
from core_engine.errors import KGError, ModelError, SettingsError
from core_engine.ledger import batches
from core_engine.ledger.batches import ABANDONED, PENDING, SUBMITTED, Job
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.lock import RunLock
from core_engine.ledger.looking import looking
from core_engine.settings import Settings

if TYPE_CHECKING:
    from core_engine.llm.batch_api import BatchState

app = typer.Typer(add_completion=False)
group = typer.Typer(add_completion=False, invoke_without_command=True)
app.add_typer(group, name="batches")

_COLUMNS = ("job", "stage", "model", "status", "requests", "done", "failed", "created", "seen", "at most")


@group.callback()
def list_batches(
    context: typer.Context,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the provider how they are.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """List Batch jobs whose results are not in yet. `kg process --batch-api` collects them."""
    if context.invoked_subcommand:
        return
    settings = existing(settings_of(locals(), config))
    if refresh:
        asyncio.run(_refresh(settings))
    with looking(settings.ledger_path) as db:
        jobs = [job for job in batches.all_jobs(db) if job.state in PENDING or every]
    if json:
        show.json_out([_as_json(job) for job in jobs])
    elif jobs:
        show.table(_COLUMNS, [_row(job) for job in jobs])
    else:
        show.out("no Batch jobs" if every else "no Batch jobs are pending (--all lists those that are over)")


@group.command()
def cancel(
    jobs: Annotated[list[str] | None, typer.Argument(help="Ids of jobs, or their beginnings.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are pending.")] = False,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Stop jobs at the provider. What they have done by then is billed, and the next run collects it."""
    settings = existing(settings_of(locals(), config))
    if bool(jobs) == every:
        raise SettingsError("name the jobs to cancel, or give --all: `kg batches` lists them")
    with looking(settings.ledger_path) as db:
        chosen = _chosen(batches.pending(db), jobs or [""])
    states = asyncio.run(_cancel(settings, chosen))
    if json:
        show.json_out([{"job": job.id, "batch": job.batch, "status": status} for job, status in states])
    else:
        show.out("\n".join(f"{job.id}  {status}" for job, status in states) or "no Batch jobs are pending")


@group.command()
def forget(
    jobs: Annotated[list[str], typer.Argument(help="Ids of jobs, or their beginnings.")],
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Give up jobs that can't be reached any more. Their chunks are asked, and paid for, again."""
    settings = existing(settings_of(locals(), config))
    with RunLock(settings.lock_path), Ledger(settings.ledger_path) as ledger:
        with ledger.reading() as db:
            chosen = _chosen(batches.pending(db), jobs)
        for job in chosen:
            ledger.write(batches.forget, job, time.time())
    show.out("\n".join(f"{job.id}  given up: its {job.questions:,} questions are open again" for job in chosen))


def _chosen(pending: Sequence[Job], names: Sequence[str]) -> list[Job]:
    found: dict[str, Job] = {}
    for name in names:
        fitting = [job for job in pending if job.id.startswith(name) or job.batch == name]
        if name and len(fitting) != 1:
            what = "several pending Batch jobs begin with" if fitting else "no pending Batch job is called"
            raise SettingsError(f"{what} {name!r}: `kg batches` lists them")
        found |= {job.id: job for job in fitting}
    return list(found.values())


async def _refresh(settings: Settings) -> None:
    with Ledger(settings.ledger_path) as ledger:
        with ledger.reading() as db:
            jobs = batches.pending(db)
        for job in jobs:
            if job.state == SUBMITTED:
                await _ask(settings, ledger, job, cancelling=False)


async def _cancel(settings: Settings, jobs: Sequence[Job]) -> list[tuple[Job, str]]:
    """Jobs that were not submitted yet are given up: nothing of them is at work."""
    states = []
    with Ledger(settings.ledger_path) as ledger:
        for job in jobs:
            if job.state == SUBMITTED:
                states.append((job, await _ask(settings, ledger, job, cancelling=True)))
            else:
                states.append((job, "not submitted yet: the next run sees to it"))
    return states


async def _ask(settings: Settings, ledger: Ledger, job: Job, *, cancelling: bool) -> str:
    """Look at a job, or cancel it, and note what the provider says."""
    from core_engine.llm.batch_api import BatchApi
    from core_engine.llm.client import Capabilities, Client

    endpoint = endpoint_of(settings, job.stage)
    if endpoint.label != job.endpoint:
        raise SettingsError(f"Batch job {job.id} went to {job.endpoint}: give it as OPENAI_BASE_URL")
    client = Client(endpoint, Capabilities())
    try:
        api, batch = BatchApi(client), job.batch or ""
        state = await api.look(batch)
        if cancelling and not state.over:
            state = await api.cancel(batch)
    except ModelError as error:
        raise KGError(f"Batch job {job.id}: {error}") from error
    finally:
        await client.close()
    await ledger.commit(_noted, job, state)
    return state.status


def _noted(db: Any, job: Job, state: BatchState) -> None:
    counts = state.done, state.failed
    batches.note_status(db, job, state.status, counts, state.files, state.expires_at, time.time())


def _said(job: Job) -> str:
    return job.state if job.state in {*PENDING, ABANDONED} - {SUBMITTED} else job.status or job.state


def _row(job: Job) -> list[Any]:
    ceiling = None if job.ceiling is None else f"${job.ceiling:.4f}"
    seen = show.when(job.seen_at)
    counts = job.requests, job.done, job.failed
    return [job.id, job.stage, job.model, _said(job), *counts, show.when(job.created_at), seen, ceiling]


def _as_json(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "batch": job.batch,
        "run_id": job.run,
        "stage": job.stage,
        "endpoint": job.endpoint,
        "model": job.model,
        "state": job.state,
        "status": job.status,
        "requests": job.requests,
        "questions": job.questions,
        "done": job.done,
        "failed": job.failed,
        "prompt_tokens": job.tokens,
        "cost_at_most": job.ceiling,
        "created_at": show.iso(job.created_at),
        "submitted_at": show.iso(job.submitted_at),
        "seen_at": show.iso(job.seen_at),
        "expires_at": show.iso(job.expires_at),
        "ended_at": show.iso(job.ended_at),
        "error": job.error,
    }
