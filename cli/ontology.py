"""`kg ontology init|check|infer`: say what the graph may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import options, show
from cli.workspace import existing, settings_of
from core_engine.errors import SettingsError
from core_engine.kg.ontology import DEFAULT, Ontology, problems

app = typer.Typer(add_completion=False)
ontology = typer.Typer(add_completion=False, no_args_is_help=True, help="Say what the graph may hold.")
app.add_typer(ontology, name="ontology")

Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


@ontology.command()
def init(
    file: Annotated[str, typer.Argument(help="Where to write it.")] = "ontology.toml",
    force: Force = False,
) -> None:
    """Write an ontology to start from: the built-in one, with what each line is for."""
    text = DEFAULT.read_text(encoding="utf-8")
    start = text.index("#\n")  # the first lines speak of the built-in one
    head = (
        "# What the graph may hold: entity types, and relationship types with the types that they may join. A model is\n"
        "# shown names, descriptions, examples and ends. Whatever it finds of another type, or between other ends, is\n"
        "# dropped and counted in the report. Change what you like, `kg ontology check` it, and use it with --ontology:\n"
        "# another ontology is another question, so each chunk is then asked again.\n"
    )
    _write(file, head + text[start:], force=force)
    show.out(f"wrote {file}: change it, then `kg ontology check {file}` and `kg process --ontology {file} …`")


@ontology.command()
def check(
    file: Annotated[str | None, typer.Argument(help="The file. [the one of --ontology, or the built-in one]")] = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Name all that is wrong in an ontology, with file and line. Exit code 1 where something is."""
    path = Path(file or settings_of({}, config).settings.ontology or DEFAULT)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        Ontology.load(path)  # says why
        raise
    found = problems(text, str(path))
    held = None if found else Ontology.parse(text, str(path))
    counts = {
        "entity_types": len(held.entities) if held else None,
        "relationship_types": len(held.relationships) if held else None,
    }
    if json:
        listed = [{"line": each.line or None, "message": each.message} for each in found]
        show.json_out({"file": str(path), "ok": not found, "problems": listed, **counts})
    elif held:
        show.out(
            f"{path}: {len(held.entities)} entity types, {len(held.relationships)} relationship types, no problems"
        )
    else:
        show.out(
            "\n".join(
                show.cell(f"{path}:{each.line}: {each.message}" if each.line else f"{path}: {each.message}")
                for each in found
            )
        )
    raise typer.Exit(1 if found else 0)


@ontology.command()
def infer(
    out: Annotated[str, typer.Option("--out", "-o", help="A file, or - for stdout.")] = "-",
    at_least: Annotated[int, typer.Option("--at-least", min=1, help="Leave out what was used less often.")] = 2,
    force: Force = False,
    file: options.OntologyFile = None,
    workspace: options.Workspace = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Propose an ontology from what the workspace's answers hold, types that did not fit included. Asks no model."""
    from core_engine.kg.inferring import look, propose
    from core_engine.ledger.looking import looking

    settings = existing(settings_of({"workspace": workspace, "home": home, "ontology": file}, config))
    known = Ontology.load(Path(settings.ontology)) if settings.ontology else Ontology.default()
    with looking(settings.ledger_path) as db:
        found = look(db, known)
    if not any(count >= at_least for count in found.entities.values()):
        raise SettingsError(
            f"workspace {settings.workspace!r} holds too little to propose an ontology from: process more, or lower --at-least"
        )
    text = propose(found, known, at_least=at_least)
    if out == "-":
        show.out(text.rstrip("\n"))
    else:
        _write(out, text, force=force)
        show.out(f"wrote {out}: read it, then `kg ontology check {out}`")


def _write(file: str, text: str, *, force: bool) -> None:
    try:
        with Path(file).open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise SettingsError(f"{file} is there already: name another file, or --force writes over it") from error
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror or error}: name a file that can be written") from error
