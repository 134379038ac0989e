"""`kg logs`: what a run logged, its calls, and one call with what was asked and answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli import options, show
from cli.workspace import existing, settings_of
from core_engine.errors import KGError, SettingsError
from core_engine.ledger import call_rows, runs
from core_engine.ledger.looking import looking
from core_engine.settings import Settings
from metrics.render import money

app = typer.Typer(add_completion=False)

_MARKS = {"warning": "!", "error": "✗", "critical": "✗"}
_GRAVE = ("debug", "info", "warning", "error", "critical")


@app.command()
def logs(
    run: Annotated[str, typer.Argument(help="A run's id or its beginning, last, or previous.")] = "last",
    call: Annotated[str | None, typer.Option("--call", help="One call: its id, or the beginning of it.")] = None,
    content: Annotated[
        bool, typer.Option("--content", help="With --call: the prompt, the reply, what was wrong.")
    ] = False,
    calls: Annotated[bool, typer.Option("--calls", help="The run's calls, one a line.")] = False,
    level: Annotated[str, typer.Option("--level", help="debug, info, warning or error, and what is graver.")] = "info",
    workspace: options.Workspace = None,
    home: options.Home = None,
    output_dir: options.OutputDir = None,
    log_file: options.LogFile = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show what a run logged; --calls lists its calls, --call shows one, --content what was asked and answered."""
    settings = existing(settings_of(locals(), config))
    if level not in _GRAVE:
        raise SettingsError(f"--level {level!r}: choose one of {', '.join(_GRAVE[:-1])}")
    if content and not call:
        raise SettingsError("--content is about one call: name it with --call, `kg logs --calls` lists them")
    with looking(settings.ledger_path) as db:
        identity = runs.find(db, run).id
        if calls:
            _show_calls(call_rows.listed(db, identity), json=json)
            return
        if call:
            row = call_rows.find(db, identity, call)
            said: dict[str, Any] = dict(row.fields)
            if content:
                from cli.wiring import ontology_of
                from core_engine.kg.prompt import ExtractionPrompt
                from core_engine.kg.replay import replay

                said["content"] = replay(db, row, ExtractionPrompt(ontology_of(settings)))
            said["log"] = [line for line in _lines(settings, identity) if line.get("call_id") == row.id]
    if call:
        _show_call(said, json=json)
        return
    chosen = [line for line in _lines(settings, identity) if _GRAVE.index(line["level"]) >= _GRAVE.index(level)]
    if json:
        show.json_out(chosen)
        return
    for line in chosen:
        show.out(f"{line['ts'][11:19]} {_MARKS.get(line['level'], ' ')} {show.cell(line['msg'])}")


def _lines(settings: Settings, run: str) -> Iterator[dict[str, Any]]:
    """The run's lines of its log, and of the days before where the log is turned over daily."""
    path = Path(settings.log_file) if settings.log_file else settings.run_folder(run) / "run.log"
    files = [*sorted(path.parent.glob(f"{path.name}.????-??-??")), path]
    found = [file for file in files if file.is_file()]
    if not found:
        raise KGError(f"{path}: the log of run {run} is not there (any more): --log-file names another")
    for file in found:
        with file.open("rb") as log:
            for text in log:
                try:
                    line = orjson.loads(text)
                except orjson.JSONDecodeError:
                    continue  # cut off, where the disk was full
                if isinstance(line, dict) and line.get("run_id") == run and line.get("level") in _GRAVE:
                    yield line


def _show_calls(listed: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        show.json_out([{**one, "cost": None if one["cost"] is None else float(one["cost"])} for one in listed])
        return
    columns = ("call", "stage", "status", "why", "try", "questions", "tokens", "s", "cost", "trouble")
    rows = [
        (
            one["id"][:12],
            one["stage"],
            one["status"],
            one["purpose"],
            one["attempt"],
            one["questions"],
            one["tokens"],
            round(one["duration_s"], 2),
            "-" if one["cost"] is None else money(float(one["cost"])),
            one["error_kind"] or one["verdict"],
        )
        for one in listed
    ]
    show.table(columns, rows)


def _show_call(said: dict[str, Any], *, json: bool) -> None:
    if json:
        show.json_out(said)
        return
    content, log = said.pop("content", None), said.pop("log")
    for name, value in said.items():
        if value not in (None, "", -1):
            show.out(f"  {name:<15} {_in_words(name, value)}")
    for line in log:
        show.out(f"  {line['ts'][11:19]} {_MARKS.get(line['level'], ' ')} {show.cell(line['msg'])}")
    if content is None:
        return
    for note in content.notes:
        show.out(f"\n({note})")
    for title, text in (("asked", content.asked), ("answered", content.replied)):
        if text:
            show.out(f"\n--- {title} ---\n{text}")
    if content.problems:
        show.out("\n--- what was wrong with it ---")
    for number, problem in sorted(content.problems.items()):
        show.out(f"{f'chunk {number}' if number else 'all of it'}: {problem}")


def _in_words(name: str, value: Any) -> str:
    if name == "started_at":
        return show.iso(value) or ""
    return f"{value:.3f}" if isinstance(value, float) else show.cell(str(value))
