"""`kg prompts`: what models were asked, word for word, here and by which version."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli import options, show
from cli.wiring import ontology_of
from cli.workspace import settings_of
from core_engine.errors import SettingsError
from core_engine.kg.prompt import ExtractionPrompt, our_prompts
from core_engine.ledger import prompts
from core_engine.ledger.looking import looking
from core_engine.settings import Settings

app = typer.Typer(add_completion=False)
_SHORTEST = 4  # digits of a hash

group = typer.Typer(add_completion=False, no_args_is_help=True)
app.add_typer(group, name="prompts", help="Show and compare the prompts that models were asked with.")


@dataclass(frozen=True, slots=True)
class _Prompt:
    """One that can be shown. `origin`: kg, or this workspace, which has used it; `chunks`: whose answers are its."""

    name: str
    hash: str
    origin: str
    models: Sequence[str]
    calls: int
    chunks: int
    text: str
    asked: Sequence[str] = ()


@group.command("list")
def list_prompts(
    workspace: options.Workspace = None,
    ontology: options.OntologyFile = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """List the prompts that kg brings and those that this workspace has used."""
    found = _all(settings_of(locals(), config).settings)
    if json:
        names = ("name", "hash", "origin", "models", "calls", "chunks")
        show.json_out([{name: getattr(one, name) for name in names} for one in found])
        return
    columns = ("prompt", "hash", "from", "models", "calls", "answers")
    show.table(columns, [(p.name, p.hash, p.origin, ", ".join(p.models) or None, p.calls, p.chunks) for p in found])


@group.command("show")
def show_prompt(
    name: Annotated[str, typer.Argument(help="Its name or hash (`kg prompts list`), or a file.")],
    workspace: options.Workspace = None,
    ontology: options.OntologyFile = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Print a prompt as models are sent it, with the ontology in its place."""
    show.out(_found(settings_of(locals(), config).settings, name).text)


@group.command("diff")
def diff(
    one: Annotated[str, typer.Argument(help="Name, hash or file.")],
    other: Annotated[str, typer.Argument(help="Name, hash or file.")],
    workspace: options.Workspace = None,
    ontology: options.OntologyFile = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Print what is different in two prompts, line by line."""
    settings = settings_of(locals(), config).settings
    before, after = _found(settings, one), _found(settings, other)
    lines = difflib.unified_diff(
        before.text.splitlines(),
        after.text.splitlines(),
        f"{before.name} {before.hash}",
        f"{after.name} {after.hash}",
        lineterm="",
    )
    show.out("\n".join(lines) or "no difference")


def _all(settings: Settings) -> list[_Prompt]:
    """What this workspace has used, the newest first, and then what it has not of kg's own."""
    opened = looking(settings.ledger_path) if settings.ledger_path.is_file() else nullcontext(None)
    with opened as db:
        used = _used(db) if db else []
    known = {one.hash for one in used}
    ontology = ontology_of(settings)
    ours = [ExtractionPrompt.named(name, ontology) for name in reversed(our_prompts())]
    return used + [_Prompt(p.name, p.hash, "kg", (), 0, 0, p.system) for p in ours if p.hash not in known]


def _used(db: sqlite3.Connection) -> list[_Prompt]:
    return [
        _Prompt(one.name, one.hash, "this workspace", one.models, one.calls, one.chunks, one.text, one.asked)
        for one in prompts.used(db)
    ]


def _found(settings: Settings, name: str) -> _Prompt:
    """The one of this hash, name, or file; of several of one name the newest."""
    if Path(name).is_file():
        prompt = ExtractionPrompt.named(name, ontology_of(settings))
        return _Prompt(prompt.name, prompt.hash, "file", (), 0, 0, prompt.system)
    known = _all(settings)
    for one in known:
        hashes = (one.hash, *one.asked)  # traces and logs have the latter
        if name == one.name or (len(name) >= _SHORTEST and any(each.startswith(name) for each in hashes)):
            return one
    raise SettingsError(f"there is no prompt {name!r}: `kg prompts list` names those that are known, or name a file")
