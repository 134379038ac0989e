"""Keeps the help in the README as the program prints it: `python -m tests.readme` writes it anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
_BLOCK = re.compile(r"(?<=^```\n)\$ kg (.*?--help)\n.*?(?=^```$)", re.MULTILINE | re.DOTALL)


def help_of(command: str) -> str:
    """What `kg COMMAND --help` prints, without boxes and colours."""
    plain = {"TYPER_USE_RICH": "0", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "PATH": os.environ["PATH"]}
    run = [sys.executable, "-c", "import kg_batch; kg_batch.main()", *command.split()]
    told = subprocess.run(run, check=True, capture_output=True, env=plain, cwd=README.parent, encoding="utf-8").stdout
    return "\n".join(line.rstrip() for line in told.strip().splitlines()).replace("Usage: -c ", "Usage: kg ")


def commands(readme: str) -> list[str]:
    """The commands whose help the README shows, in blocks that begin with `$ kg … --help`."""
    return _BLOCK.findall(readme)


def renewed(readme: str) -> str:
    """The README with each of these blocks as the program prints it now."""
    return _BLOCK.sub(lambda block: f"$ kg {block[1]}\n{help_of(block[1])}\n", readme)


if __name__ == "__main__":
    README.write_text(renewed(README.read_text("utf-8")), "utf-8")
