"""Keeps what the README shows as the program prints it: `python -m tests.readme` writes it anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.openai_server.fixture import start

README = Path(__file__).parents[1] / "README.md"
_HELP = re.compile(r"(?<=^```\n)\$ kg (.*?--help)\n.*?(?=^```$)", re.MULTILINE | re.DOTALL)
_RUN = re.compile(r"(?<=^```\n)done in .*?(?=^```$)", re.MULTILINE | re.DOTALL)


def _kg(*words: str, **env: str) -> str:
    """What `kg` prints on stdout, without boxes, colours, or anything else that the environment may set."""
    plain = {"TYPER_USE_RICH": "0", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "PATH": os.environ["PATH"]}
    run = [sys.executable, "-c", "import kg_batch; kg_batch.main()", *words]
    done = subprocess.run(run, check=True, capture_output=True, env=plain | env, cwd=README.parent, encoding="utf-8")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.strip().splitlines())


def help_of(command: str) -> str:
    return _kg(*command.split()).replace("Usage: -c ", "Usage: kg ")


def runs() -> list[str]:
    """What the README's commands print, in a home of their own: the newcomer's first run, the walk, the walk again."""
    with tempfile.TemporaryDirectory() as home, start(gold="data/gold/conversations.jsonl", latency=0.5) as server:
        process = ("process", "data/transcripts", "--home", home)
        walk = (*process, "--workspace", "walk", "--max-concurrent", "20", "--batch-size", "10")
        model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
        printed = [_kg(*process), _kg(*walk, **model), _kg(*walk, **model)]
        return [text.replace(home, ".kg").replace(server.url, "http://127.0.0.1:8787/v1") for text in printed]


def shown_runs(readme: str) -> list[str]:
    """What the README says that they print."""
    return _RUN.findall(readme)


def shown_help(readme: str) -> list[str]:
    """The commands whose help the README shows, in blocks that begin with `$ kg … --help`."""
    return _HELP.findall(readme)


def with_help(readme: str) -> str:
    """The README with each of these blocks as the program prints it now."""
    return _HELP.sub(lambda block: f"$ kg {block[1]}\n{help_of(block[1])}", readme)


def with_runs(readme: str) -> str:
    """The README with the runs as they print now."""
    printed = iter(runs())
    return _RUN.sub(lambda _: next(printed), readme)


if __name__ == "__main__":
    README.write_text(with_runs(with_help(README.read_text("utf-8"))), "utf-8")
