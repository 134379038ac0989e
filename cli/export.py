"""`kg export`: the whole graph as a file, or as a folder of files, for other tools."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import uuid
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from cli import options
from cli.app import printable
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
            _to_files(Path(to), parts)


def _to_files(path: Path, parts: Parts) -> None:
    """Whole files or none: nobody reads a half of one. `path` is the file, or the folder of those that are named."""
    drafts: dict[Path, tuple[Path, BinaryIO]] = {}
    try:
        with contextlib.ExitStack() as closing:
            for name, part in parts:
                target = path / name if name else path
                if target not in drafts:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
                    closing.callback(draft.unlink, missing_ok=True)
                    drafts[target] = draft, closing.enter_context(draft.open("wb"))
                drafts[target][1].write(part.encode() if isinstance(part, str) else part)
            for _, file in drafts.values():
                file.flush()
                os.fsync(file.fileno())
            for target, (draft, _) in drafts.items():
                draft.replace(target)
    except OSError as error:
        raise SettingsError(f"--out {path}: {error.strerror or error}: name a file that can be written") from error


def _to_stdout(parts: Parts) -> None:
    if sys.stdout.isatty():
        for _, part in parts:
            sys.stdout.write(printable(str(part)))
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # the same bytes as in a file, wherever this runs
    sys.stdout.writelines(str(part) for _, part in parts)
