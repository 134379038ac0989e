"""`kg report`, `kg runs` and `kg status`: what was done, what it cost, and how things stand."""

from __future__ import annotations

import sqlite3
import time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer

from cli import comparing, options, pages, show
from cli.workspace import existing, settings_of
from core_engine.errors import SettingsError
from core_engine.ledger import batches, overview, runs
from core_engine.ledger.lock import is_held
from core_engine.ledger.looking import looking
from core_engine.ledger.runs import RunRow
from core_engine.settings import Settings
from metrics.conditions import condition
from metrics.measures import bought
from metrics.render import markdown as as_markdown
from metrics.render import money, summary

app = typer.Typer(add_completion=False)


class Form(StrEnum):
    """How a report is shown."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


class By(StrEnum):
    """What is compared within a workspace."""

    PROMPT = "prompt"
    MODEL = "model"


_ASKING = {"extract": "extracted by", "rules": "extracted by", "embed": "embedded by"}


@app.command()
def report(
    run: Annotated[
        list[str] | None, typer.Argument(help="A run's id or its beginning, last, or previous. [last]")
    ] = None,
    form: Annotated[Form | None, typer.Option("--format", help="text, json, markdown or html. [text]")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a page with all fields.")] = False,
    to: Annotated[
        str | None, typer.Option("--out", "-o", help="The HTML page. [report.html beside the others]")
    ] = None,
    graph: Annotated[
        bool, typer.Option("--graph", help="With --format html: a page of what the run found too.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Two runs: what became dearer, slower, worse, and why.")
    ] = False,
    trend: Annotated[bool, typer.Option("--trend", help="The last runs in a row, and what drifts.")] = False,
    by: Annotated[By | None, typer.Option("--by", help="prompt or model: compare what each gave.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=2, help="Runs of --trend.")] = 20,
    fail_if: Annotated[
        list[str] | None, typer.Option("--fail-if", help="Exit 2 if so: 'error_rate>2%', 'cost>+10%'. Repeatable.")
    ] = None,
    workspace: options.Workspace = None,
    home: options.Home = None,
    output_dir: options.OutputDir = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show what a run did and what it cost; compare runs; see what drifts; let a script fail on it."""
    shape = _form(form, markdown=markdown, json=json)
    ways = [name for name, given in (("--compare", compare), ("--trend", trend), ("--by", by)) if given]
    if len(ways) > 1:
        raise SettingsError(f"{' and '.join(ways)} are two questions: ask one at a time")
    if ways and shape not in {Form.TEXT, Form.JSON}:
        raise SettingsError(f"{ways[0]} has no page: leave out --format {shape.value}, or ask for --json")
    if (to or graph) and shape is not Form.HTML:
        raise SettingsError("--out and --graph are about the page: give --format html too")
    names = run or []
    if by and fail_if:
        raise SettingsError("--fail-if is about runs: leave out --by")
    if len(names) > (2 if compare else 0 if trend else 1):
        raise SettingsError("name one run, or two with --compare, or none with --trend")
    json = shape is Form.JSON
    conditions = [condition(text) for text in fail_if or ()]
    settings = existing(settings_of(locals(), config))
    with looking(settings.ledger_path) as db:
        if compare:
            failed = comparing.compared(db, names, conditions, json=json)
        elif trend:
            failed = comparing.in_a_row(db, limit, conditions, json=json)
        elif by:
            comparing.by(db, by.value, names, json=json)
            failed = False
        else:
            row = runs.find(db, names[0] if names else "last")
            said = orjson.loads(row.report) if row.report else _without_report(db, row, settings)
            _show(db, row, said, shape, settings, to, graph=graph)
            failed = comparing.judged(db, said, row, conditions)
    raise typer.Exit(2 if failed else 0)


def _form(form: Form | None, *, markdown: bool, json: bool) -> Form:
    given = [each for each in (form, Form.MARKDOWN if markdown else None, Form.JSON if json else None) if each]
    if len(set(given)) > 1:
        raise SettingsError("--json, --markdown and --format are ways to say the same: choose one")
    return given[0] if given else Form.TEXT


def _show(
    db: sqlite3.Connection,
    row: RunRow,
    said: dict[str, Any],
    shape: Form,
    settings: Settings,
    to: str | None,
    *,
    graph: bool,
) -> None:
    if shape is Form.HTML:
        show.out(str(pages.written(db, said, settings, to, graph=graph)))
    elif shape is Form.JSON:
        show.json_out(said)
    elif row.report is None:
        show.out(said["ended"])
    elif shape is Form.MARKDOWN:
        show.out(as_markdown(said))
    else:
        show.out(f"{row.id}  {row.command}  {show.when(row.started_at)}\n{summary(said)}")


def _without_report(db: sqlite3.Connection, row: RunRow, settings: Settings) -> dict[str, Any]:
    """What the ledger knows of a run that never came to its report."""
    status = _status(row, is_held(settings.lock_path))
    spent = overview.spending(db, row.id)
    answered, bought = overview.answered_by(db, row.id)
    ending = (
        "is still going on" if status == "running" else "ended without a word: it was killed, or the machine went off"
    )
    follow = "`kg status` follows it" if status == "running" else "the same command goes on from there"
    said = (
        f"run {row.id} ({row.command}, started {show.when(row.started_at)}) {ending}; {answered:,} of {bought:,} chunks "
        f"so far are answered, {spent.calls:,} calls, {_dollars(spent)}; {follow}"
    )
    return {
        "schema": "kg.report/1",
        "run_id": row.id,
        "workspace": settings.workspace,
        "command": row.command,
        "started_at": show.iso(row.started_at),
        "finished_at": None,
        "status": status,
        "exit_code": None,
        "ended": said,
        "chunks": {"total": bought, "answered": answered},
        "calls": {"all": spent.calls},
        "cost_usd": {
            "total": spent.total,
            "unpriced_calls": spent.unpriced_calls,
            "unknown_calls": spent.unknown_calls,
            "unknown_at_most": spent.unknown_at_most,
        },
    }


@app.command(name="runs")
def list_runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 20,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """List the runs of a workspace, the newest first."""
    settings = existing(settings_of(locals(), config))
    with looking(settings.ledger_path) as db:
        found = runs.latest(db, limit)
        costs = overview.costs_by_run(db)
    held = is_held(settings.lock_path)
    listed = []
    for row in found:
        said = orjson.loads(row.report) if row.report else {}
        listed.append(
            {
                "run_id": row.id,
                "command": row.command,
                "started_at": show.iso(row.started_at),
                "finished_at": show.iso(row.ended_at),
                "duration_s": None if row.ended_at is None else round(row.ended_at - row.started_at, 1),
                "status": _status(row, held),
                "exit_code": row.exit_code,
                "chunks": said.get("chunks", {}).get("total"),
                "bought": bought(said) if said else None,
                "cost_usd": costs[row.id].cost if row.id in costs else 0,
                "unpriced_calls": costs[row.id].unpriced if row.id in costs else 0,
            }
        )
    if json:
        show.json_out(listed)
        return
    if not listed:
        show.out("no runs yet")
        return
    columns = ("run", "command", "started", "s", "status", "exit", "chunks", "cost")
    rows = [
        (
            said["run_id"],
            said["command"],
            time.strftime("%m-%d %H:%M", time.localtime(row.started_at)),
            said["duration_s"],
            said["status"],
            said["exit_code"],
            said["chunks"],
            _priced(said["cost_usd"], said["unpriced_calls"]),
        )
        for row, said in zip(found, listed, strict=True)
    ]
    show.table(columns, rows)


@app.command()
def status(
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show what a workspace holds, and whether a run is going on."""
    settings = existing(settings_of(locals(), config))
    held = is_held(settings.lock_path)
    with looking(settings.ledger_path) as db:
        said = _stand(db, settings, held)
    if json:
        show.json_out(said)
    else:
        show.out("\n".join(_in_words(said)))


def _stand(db: sqlite3.Connection, settings: Settings, held: str) -> dict[str, Any]:
    newest = runs.latest(db, 1)
    answers = overview.current_answers(db)
    ways = [sum(answer.kind in kinds for answer in answers) for kinds in (("extract", "rules"), ("embed",))]
    return {
        "workspace": settings.workspace,
        "folder": str(settings.folder),
        "lock": held or None,
        "run": _going_on(db, newest[0]) if newest and held and newest[0].status == "running" else None,
        "last_run": _last(newest[0], held) if newest else None,
        "documents": overview.documents(db),
        "chunks": overview.chunk_states(db),
        "answers": answers,
        "mixed": max(ways) > 1,
        "spent_usd": overview.spending(db),
        "batch_jobs": len(batches.pending(db)),
        "stores": overview.known_stores(db),
    }


def _going_on(db: sqlite3.Connection, row: RunRow) -> dict[str, Any]:
    answered, bought = overview.answered_by(db, row.id)
    spent = overview.spending(db, row.id)
    return {
        "run_id": row.id,
        "command": row.command,
        "started_at": show.iso(row.started_at),
        "seconds": round(time.time() - row.started_at, 1),
        "chunks_to_buy": bought,
        "chunks_answered": answered,
        "calls": spent.calls,
        "cost_usd": spent.total,
    }


def _last(row: RunRow, held: str) -> dict[str, Any]:
    return {
        "run_id": row.id,
        "command": row.command,
        "started_at": show.iso(row.started_at),
        "status": _status(row, held),
        "exit_code": row.exit_code,
    }


def _status(row: RunRow, held: str) -> str:
    """A run that says it is running while nobody holds the workspace was killed."""
    return "killed" if row.status == "running" and not held else row.status


def _in_words(said: dict[str, Any]) -> list[str]:
    chunks, spent = said["chunks"], said["spent_usd"]
    lines = [f"workspace {said['workspace']} in {said['folder']}"]
    if run := said["run"]:
        lines.append(
            _row(
                "going on",
                f"{run['run_id']} ({run['command']}), {run['seconds']:,.0f} s: {run['chunks_answered']:,} of "
                f"{run['chunks_to_buy']:,} chunks so far answered, {run['calls']:,} calls, {money(float(run['cost_usd']))}",
            )
        )
    elif said["lock"]:
        lines.append(_row("going on", f"a run is just starting or ending ({said['lock']})"))
    if (last := said["last_run"]) and not said["run"]:
        lines.append(_row("last run", f"{last['run_id']} ({last['command']}): {last['status']}"))
    lines += [
        _row("documents", f"{said['documents']:,}"),
        _row("chunks", f"{chunks.total:,}: {chunks.answered:,} answered, {chunks.open:,} open, {chunks.dead:,} dead"),
    ]
    if said["batch_jobs"]:
        lines.append(_row("", f"{said['batch_jobs']:,} Batch jobs pending: `kg batches` lists them"))
    if chunks.dead:
        lines.append(_row("", "`kg dead-letters` shows what failed for good, `kg retry` asks again"))
    for answer in said["answers"]:
        lines.append(_row("", f"{answer.chunks:,} {_ASKING[answer.kind]} {_way(answer)}"))
    if said["mixed"]:
        lines.append(
            _row("mixed", "a switch of model, prompt or rules is half done: the next `kg process` goes on with it")
        )
    lines.append(_row("spent", f"{_dollars(spent)} in {spent.calls:,} calls"))
    for store in said["stores"]:
        behind = f"{store.pending:,} changes behind" if store.pending else "up to date"
        lines.append(_row(store.role, f"{store.name}: {store.units:,} units written, {behind}"))
    return lines


def _way(answer: overview.CurrentAnswers) -> str:
    if answer.kind == "rules":
        return f"rules {answer.description.get('version', '')}".rstrip()
    details = ", ".join(f"{k} {v}" for k, v in answer.description.items() if k != "model" and v is not None)
    return f"{answer.description.get('model')}" + (f" ({details})" if details else "")


def _priced(dollars: Decimal, unpriced: int) -> str:
    return money(float(dollars)) + (f" + {unpriced:,} calls unpriced" if unpriced else "")


def _dollars(spent: overview.Spending) -> str:
    text = _priced(spent.total, spent.unpriced_calls)
    if spent.unknown_calls:
        text += (
            f" + {spent.unknown_calls:,} calls with an unknown answer, at most {money(float(spent.unknown_at_most))}"
        )
    return text


def _row(name: str, text: str) -> str:
    return f"  {name:<10} {text}"
