"""The run lock: one run at a time writes a workspace; a lock whose holder died is free at once.

The operating system holds the lock for us (flock, or msvcrt on Windows), so a crash, a reboot or another container
with the same pid can't leave it behind; the file's text is only there to say who holds it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from core_engine.errors import LedgerError, WorkspaceLocked

log = logging.getLogger("kg.lock")

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str]) -> bool:
        try:
            # Far behind the text, because Windows forbids others to read what is locked.
            file.seek(1 << 30)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise LedgerError(
                f"{file.name} can't be locked: {error.strerror}: its file system (a network disk?) knows no locks, "
                "and two runs could mix: name another --home"
            ) from error
        return True


ENDING_S = 10.0  # for what a killed run has left behind to notice that nobody needs it
_LOOKS = 5
_LOOK_S = 0.05
_WAIT_S = 0.5


def _lock_soon(file: IO[str]) -> bool:
    """Lock it, or wait out those who only look (`kg status`): they hold it for an instant."""
    for _ in range(_LOOKS):
        if _try_lock(file):
            return True
        time.sleep(_LOOK_S)
    return False


class RunLock:
    """Holds a workspace for one run. Raises WorkspaceLocked, naming the holder, if another run has it.

    With `wait_s` only after waiting so long for the other to end.
    """

    def __init__(self, path: Path, wait_s: float | None = None) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = _opened(path)
        try:
            if not _lock_soon(self._file):
                self._wait(path, wait_s or 0.0)
        except BaseException:
            self._file.close()
            raise
        if os.fstat(self._file.fileno()).st_size:
            log.warning("the run before (%s) ended without a word: what it left is taken up", _holder(path))
        self._file.seek(0)
        self._file.truncate()
        started = time.strftime("%Y-%m-%d %H:%M:%S%z")
        self._file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started}))
        self._file.flush()

    def _wait(self, path: Path, wait_s: float) -> None:
        """Lock it when the other run has ended. Raises WorkspaceLocked where that takes too long."""
        if wait_s:
            log.warning("another run holds this workspace (%s): waiting for it to end", _holder(path))
        give_up_at = time.monotonic() + wait_s
        while (left := give_up_at - time.monotonic()) > 0:
            time.sleep(min(_WAIT_S, left))
            if _try_lock(self._file):
                return
        raise WorkspaceLocked(
            f"another run holds this workspace ({_holder(path)}): --wait waits for it, or use another --workspace"
        )

    def release(self) -> None:
        # Truncated, not deleted: a deleted file could be locked by two who opened it before and after.
        with contextlib.suppress(OSError, ValueError):
            self._file.truncate(0)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextlib.contextmanager
def held(path: Path, wait_s: float = ENDING_S) -> Iterator[None]:
    """Hold a lock file, after waiting so long for another's end. Raises WorkspaceLocked where that takes longer."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _opened(path) as file:
        give_up_at = time.monotonic() + wait_s
        while not _try_lock(file):
            if time.monotonic() > give_up_at:
                raise WorkspaceLocked(f"{path}: what an earlier run left has not ended yet: try again in a moment")
            time.sleep(_LOOK_S)
        yield


def is_held(path: Path) -> str:
    """Who holds the lock now, or '' if nobody does."""
    try:
        if not path.exists():
            return ""
        with path.open("a+", encoding="utf-8") as file:
            return "" if _try_lock(file) else _holder(path)
    except OSError:  # a copy that can't be written: nobody works on it
        return ""


def _opened(path: Path) -> IO[str]:
    try:
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise LedgerError(
            f"{path} can't be opened: {error.strerror}: make it writable, or name another --home"
        ) from error


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return f"pid {int(who['pid'])} on {who['host']}, since {who['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its holder is just starting"
