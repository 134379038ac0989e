"""Keeps what the README shows as the program prints it: `python -m tests.readme` writes it anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
_HELP = re.compile(r"(?<=^```\n)\$ kg (.*?--help)\n.*?(?=^```$)", re.MULTILINE | re.DOTALL)
_FIRST_RUN = re.compile(r"(?<=^```\n)done in .*?(?=^```$)", re.MULTILINE | re.DOTALL)


def _kg(*words: str) -> str:
    """What `kg` prints on stdout, without boxes, colours, or anything that the environment may set."""
    plain = {"TYPER_USE_RICH": "0", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "PATH": os.environ["PATH"]}
    run = [sys.executable, "-c", "import kg_batch; kg_batch.main()", *words]
    done = subprocess.run(run, check=True, capture_output=True, env=plain, cwd=README.parent, encoding="utf-8")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.strip().splitlines())


def help_of(command: str) -> str:
    return _kg(*command.split()).replace("Usage: -c ", "Usage: kg ")


def first_run() -> str:
    """What a newcomer's first command prints, in a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        return _kg("process", "data/transcripts", "--home", home).replace(home, ".kg")


def shown_first_run(readme: str) -> str:
    """What the README says that it prints."""
    found = _FIRST_RUN.search(readme)
    return found[0] if found else ""


def shown_help(readme: str) -> list[str]:
    """The commands whose help the README shows, in blocks that begin with `$ kg … --help`."""
    return _HELP.findall(readme)


def with_help(readme: str) -> str:
    """The README with each of these blocks as the program prints it now."""
    return _HELP.sub(lambda block: f"$ kg {block[1]}\n{help_of(block[1])}", readme)


if __name__ == "__main__":
    text = with_help(README.read_text("utf-8"))
    README.write_text(_FIRST_RUN.sub(lambda _: first_run(), text, count=1), "utf-8")
