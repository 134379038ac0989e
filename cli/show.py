"""Results on stdout: tables, made pretty only on a terminal, and JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson

from cli.app import printable


def out(text: str) -> None:
    """Print a result, without anything that a terminal would act on."""
    sys.stdout.write(printable(text).rstrip("\n") + "\n")


def json_out(value: Any) -> None:
    """Print a result as one JSON value. Money as a number, like in the reports."""
    text = orjson.dumps(_plain(value), default=_default, option=orjson.OPT_INDENT_2).decode()
    if sys.stdout.isatty():  # which acts on more than what JSON escapes
        text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    sys.stdout.write(text + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their columns. Numbers stand to the right; where nothing is known stands a dash."""
    cells = [[cell(value) for value in row] for row in rows]
    numeric = [all(isinstance(row[at], int | float | Decimal | None) for row in rows) for at in range(len(columns))]
    if sys.stdout.isatty():
        _rich_table(columns, cells, numeric)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (columns, *cells):
        parts = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        ]
        sys.stdout.write("  ".join(parts).rstrip() + "\n")


def _rich_table(columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for at, (name, right) in enumerate(zip(columns, numeric, strict=True)):
        # The first names the row: it has to be whole, to be copied into the next command.
        shown.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=not at)
    for row in cells:
        shown.add_row(*map(Text, row))  # Text, because in a plain string [brackets] would be markup
    Console().print(shown)


def cell(value: Any) -> str:
    """A value in one line of a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return printable(" ".join(str(value).split()))


def when(seconds: float | None) -> str:
    """A moment in the reader's time zone, to the minute."""
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def iso(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def clock(seconds: float | None) -> str:
    """A time in a recording: 1:02:03."""
    if seconds is None:
        return ""
    minutes, second = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{second:02}"


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(round(value, 8))
    raise TypeError(type(value).__name__)


def _plain(value: Any) -> Any:
    """The value as JSON can carry it: transcripts may hold unpaired surrogates."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
