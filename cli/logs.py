"""Logs: JSON lines in the run's file and where stderr is no terminal, short lines where it is one."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import orjson

from cli.log_files import Daily, LogFile
from core_engine.loggers import OURS

_FIELDS = (
    "run_id",
    "batch_id",
    "call_id",
    "chunk_ids",
    "stage",
    "status",
    "model",
    "attempt",
    "purpose",
    "wait_s",
    "duration_s",
    "tokens",
    "cost_usd",
    "error_kind",
    "http_status",
    "request_id",
    "path",
    "event",
    "fields",
)


class JsonLines(logging.Formatter):
    """One JSON object a line: ts, level, logger, msg, run_id, and what the record carries of our fields.

    docs/observability.md describes them.
    """

    def __init__(self, run: str, secrets: Iterable[str]) -> None:
        super().__init__()
        self._run = run
        self._secrets = _worth_hiding(secrets)

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            "run_id": self._run,
        }
        said |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps({name: self._fit(value) for name, value in said.items()}).decode()

    def _fit(self, value: Any) -> Any:
        """The value as JSON holds it, secrets taken out (before JSON escapes what is in them)."""
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, list | tuple):
            # Thousands of ids are looked through together: nothing is to be taken out of them.
            text = "\n".join(map(str, value))
            if text.isascii() and not any(secret in text for secret in self._secrets):
                return [item if isinstance(item, str) else self._fit(item) for item in value]
            return [self._fit(item) for item in value]
        if isinstance(value, Mapping):
            return {str(name): self._fit(item) for name, item in value.items()}
        return _without(str(value).encode("utf-8", "backslashreplace").decode(), self._secrets)


class Short(logging.Formatter):
    """A line for a person, without anything that a terminal would act on."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = _worth_hiding(secrets)

    def format(self, record: logging.LogRecord) -> str:
        text = _without(record.getMessage(), self._secrets)
        text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
        mark = {"WARNING": "! ", "ERROR": "✗ ", "CRITICAL": "✗ "}.get(record.levelname, "")
        return f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {mark}{text}"


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to whatever sys.stderr is at the moment: the live view puts itself there, to keep lines above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        raise AttributeError


def to_stderr(run: str, secrets: Iterable[str], *, quiet: bool, verbose: bool, stream: TextIO | None = None) -> None:
    """Send our log to stderr. Other libraries' logs are only heard with `verbose`, from warnings on."""
    handler = logging.StreamHandler(stream) if stream else _ToStderr()
    stream = stream or sys.stderr
    handler.setFormatter(Short(secrets) if stream.isatty() else JsonLines(run, secrets))
    handler.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.handlers = [handler]
    logging.getLogger().handlers = [logging.NullHandler()]


def to_file(path: Path, run: str, secrets: Iterable[str], *, daily: bool = False) -> logging.Handler:
    """Send our log to a file of 0600 as well; remove the handler when the run is over. `daily`: see log_files.py."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    handler = Daily(path) if daily else LogFile(path, encoding="utf-8")
    handler.setFormatter(JsonLines(run, secrets))
    handler.setLevel(logging.DEBUG)
    for name in OURS:
        logging.getLogger(name).addHandler(handler)
    return handler


def _worth_hiding(secrets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({s for s in secrets if s and len(s) > 3}, key=len, reverse=True))


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "(secret)")
    return text
