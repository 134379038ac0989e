"""`kg export`: the whole graph as a file, or as a folder of files, for other tools."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.app import printable
from cli.files import write_files
from cli.workspace import existing, settings_of
from core_engine.errors import SettingsError
from core_engine.exports.formats import FORMATS, Parts
from core_engine.ledger.looking import looking

app = typer.Typer(add_completion=False)


@app.command()
def export(
    format_: Annotated[str, typer.Option("--format", "-f", help=f"{', '.join(FORMATS)}.")] = "jsonl",
    to: Annotated[
        str,
        typer.Option("--out", "-o", help="A file, or - for stdout; for csv, parquet and neo4j-admin a folder."),
    ] = "-",
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Write the whole graph to a file: sorted, so that two equal graphs give equal files."""
    if format_ not in FORMATS:
        raise SettingsError(f"--format {format_!r}: choose one of {', '.join(FORMATS)}")
    wanted = FORMATS[format_]
    if wanted.folder and to == "-":
        raise SettingsError(f"--format {format_} makes several files: name a folder for them with --out")
    settings = existing(settings_of(locals(), config))
    with looking(settings.ledger_path) as db:
        parts = wanted.parts(db, settings.workspace)
        if to == "-":
            _to_stdout(parts)
        else:
            write_files(Path(to), parts)


def _to_stdout(parts: Parts) -> None:
    if sys.stdout.isatty():
        for _, part in parts:
            sys.stdout.write(printable(str(part)))
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # the same bytes as in a file, wherever this runs
    sys.stdout.writelines(str(part) for _, part in parts)
