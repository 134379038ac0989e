"""JSON as it comes: parsed fast where it is strict, and else by the standard library, whose errors name the place."""

from __future__ import annotations

import json
from typing import Any

import orjson


class BrokenJSON(Exception):
    """Not JSON. `line` and `column` count from 1 within what was parsed; None where the fault has no single place."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.column = column


def parsed(data: str | bytes) -> Any:
    """The value of a JSON text; unpaired surrogates, NaN and large numbers are let in. Raises BrokenJSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _leniently(data)


def _leniently(data: str | bytes) -> Any:
    try:
        return json.loads(data if isinstance(data, str) else data.rstrip(b"\r\n").decode())
    except json.JSONDecodeError as error:
        raise BrokenJSON(f"broken JSON: {error.msg}", error.lineno, error.colno) from error
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        raise BrokenJSON(f"byte 0x{error.object[error.start]:02X} is not UTF-8", line, column) from error
    except RecursionError as error:
        raise BrokenJSON("nested too deeply") from error
    except ValueError as error:
        raise BrokenJSON(f"broken JSON: {error}") from error


def looks_like_json(head: str) -> bool:
    """Whether a text begins as an object or an array does (a line `[00:01:02] Ann:` doesn't)."""
    start = head[:4000].lstrip()[:200]
    if start.startswith("{"):
        return start[1:].lstrip()[:1] in ('"', "}")
    return start.startswith("[") and start[1:].lstrip()[:1] in ("{", '"', "[", "]")
