"""Log files: one whose disk may be full, and one that is turned over daily, also where several processes write into it."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

KEPT_DAYS = 30


def _today() -> dt.date:
    return dt.datetime.now().astimezone().date()


class LogFile(logging.FileHandler):
    """A file that can't be written any more (a full disk) is said once, and neither ends a run nor fills stderr."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            print(
                f"{self.baseFilename} can't be written: {error.strerror}: lines are missing from now on",
                file=sys.stderr,
            )

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


class Daily(LogFile):
    """Writes to `path`; what was written on an earlier day becomes `path.YYYY-MM-DD`, and goes after thirty days.

    Who finds that another process has turned the file over goes on in the new one. Nothing is ever written over.
    """

    def __init__(self, path: Path, today: Callable[[], dt.date] = _today) -> None:
        self._path = path
        self._today = today
        self._day = _last_written(path) or today()
        super().__init__(path, encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        if self._today() != self._day:
            with contextlib.suppress(OSError):  # a log that can't be turned over goes on as it is
                self._turn_over()
            self._day = self._today()
        super().emit(record)

    def _turn_over(self) -> None:
        """The link is made only where there is none: of several processes one does it."""
        last = _last_written(self._path)
        if last not in (None, self._today()):
            with contextlib.suppress(FileExistsError):
                os.link(self._path, f"{self._path}.{last}")
                self._path.unlink()
        self.close()  # the next record opens it anew
        dated = re.compile(re.escape(self._path.name) + r"\.(\d{4}-\d{2}-\d{2})")
        for file in self._path.parent.iterdir():
            if found := dated.fullmatch(file.name):
                with contextlib.suppress(ValueError):
                    if (self._today() - dt.date.fromisoformat(found[1])).days > KEPT_DAYS:
                        file.unlink()

    def _open(self):  # type: ignore[no-untyped-def]  # noqa: ANN202  as FileHandler has it
        os.close(os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        return super()._open()


def _last_written(path: Path) -> dt.date | None:
    """The day on which somebody last wrote into it; None where it is new or empty."""
    try:
        found = path.stat()
    except OSError:
        return None
    return dt.datetime.fromtimestamp(found.st_mtime).astimezone().date() if found.st_size else None
