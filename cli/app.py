"""The `kg` command: names its subcommands, loads the one that is called, and turns our errors into exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from cli import signals
from core_engine.errors import (
    KGError,
    LedgerError,
    ServiceRefused,
    SettingsError,
    Stopped,
    StoreError,
    WorkspaceLocked,
)

# name → (module, what it is for). Only the module of the command that is called is imported.
COMMANDS: dict[str, tuple[str, str]] = {
    "process": ("cli.process", "Turn transcripts into a graph and vectors: the main job."),
    "estimate": ("cli.estimate", "Say what a run would take, before anything is spent."),
    "inspect": ("cli.inspect", "Show what is understood of a file."),
    "report": ("cli.reports", "Show what a run did and what it cost."),
    "runs": ("cli.reports", "List the runs of a workspace."),
    "status": ("cli.reports", "Show what a workspace holds, and whether a run is going on."),
    "logs": ("cli.look_back", "Show what a run logged, and what a model was asked and answered."),
    "usage": ("cli.usage", "Sum up tokens and money; say what is left of quotas."),
    "search": ("cli.search", "Find chunks and entities by words."),
    "entities": ("cli.entities", "Look at who is who, and correct it."),
    "export": ("cli.export", "Write the whole graph to files for other tools."),
    "view": ("cli.view", "Show the graph, or a part of it, as one HTML page."),
    "dead-letters": ("cli.mend", "List what failed for good, and why."),
    "retry": ("cli.process", "Ask again about what failed."),
    "batches": ("cli.batches", "List the Batch API's jobs, and cancel them."),
    "rebuild": ("cli.mend", "Make the stores again from the ledger, for free."),
    "verify": ("cli.keep", "Compare the stores with the ledger, and say what is off."),
    "backup": ("cli.keep", "Copy the ledger into one file, also while a run is on."),
    "vacuum": ("cli.keep", "Give back the space of what was deleted."),
    "forget": ("cli.forget", "Erase a document or a speaker everywhere."),
    "ontology": ("cli.ontology", "Say what the graph may hold: start, check, propose."),
    "eval": ("cli.eval", "Score a workspace against gold of your own."),
    "prompts": ("cli.prompts", "Show and compare the prompts that models were asked with."),
    "config": ("cli.setup", "Show each setting and where it comes from."),
    "doctor": ("cli.setup", "Check keys, endpoints and stores before a night's run."),
}


_HOWEVER_LONG = 10**9  # seconds
_HEAR = {"process", "retry", "rebuild"}  # commands that say themselves from when on they can be interrupted


class Lazy(TyperGroup):
    """A group that imports a command when it is called, and for its help knows only the sentence above."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the signature is Typer's
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  the signature is Typer's
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Typer would end it without a word where it is interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise Stopped("stopped by hand") from interrupt

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called: only this one is imported."""
        name = args[0]
        if name not in COMMANDS:
            from difflib import get_close_matches

            if near := get_close_matches(name, COMMANDS, 1):
                ctx.fail(f"No such command {name!r}. Did you mean {near[0]!r}?")
            return super().resolve_command(ctx, args)
        module: typer.Typer = importlib.import_module(COMMANDS[name][0]).app
        if name not in _HEAR:
            signals.interrupting()
        return name, typer.main.get_group(module).get_command(ctx, name), args[1:]


app = typer.Typer(
    cls=Lazy,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turns transcripts into a knowledge graph, in bulk.",
)


@app.callback()
def main() -> None:
    """Turns transcripts into a knowledge graph, in bulk."""


def exit_code_of(error: KGError) -> int:
    """DESIGN's exit codes."""
    if isinstance(error, WorkspaceLocked):
        return 4
    if isinstance(error, Stopped):
        return 130
    if isinstance(error, StoreError | ServiceRefused | LedgerError) and not isinstance(error, SettingsError):
        return 5
    return 1


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    # What a workspace holds is its owner's, whatever library writes it (the vector store's files take no mode). What is
    # written for others to read is as its owner's umask says.
    before = os.umask(0o077) if words[:1] not in (["export"], ["view"], ["ontology"], ["eval"]) else None
    try:
        code = _run(arguments)
    finally:
        if before is not None:
            os.umask(before)
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names in any script, terminals in any encoding
    arguments = with_times(sys.argv[1:] if arguments is None else arguments)
    usage_error = typer.BadParameter.__bases__[0]  # Typer brings click along privately; this is its UsageError
    try:
        code = app(args=arguments, prog_name="kg", standalone_mode=False)
    except KGError as error:
        print(f"kg: {printable(str(error))}", file=sys.stderr)
        code = exit_code_of(error)
    except usage_error as error:  # type: ignore[misc]
        error.show()
        code = 1
    except (KeyboardInterrupt, typer.Abort):
        print("kg: stopped by hand", file=sys.stderr)
        code = 130
    except SystemExit:
        # Click leaves like this where whoever read our output has gone (`| head`): that is no error of ours.
        code = 0
    signals.ignored()
    return code if isinstance(code, int) else 0


def with_times(arguments: list[str]) -> list[str]:
    """The arguments, a `--wait` alone as one for however long: Typer knows no options whose value may be left out."""
    if "--wait" not in arguments:
        return arguments
    at = arguments.index("--wait")
    after = arguments[at + 1 : at + 2]
    if after and after[0].replace(".", "", 1).isdigit():
        return arguments
    return [*arguments[:at], f"--wait={_HOWEVER_LONG}", *arguments[at + 1 :]]


def printable(text: str) -> str:
    """The text without what a terminal would act on; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
