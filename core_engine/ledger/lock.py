"""The run lock: one run at a time writes a workspace; a lock whose holder died is free at once.

The operating system holds the lock for us (flock, or msvcrt on Windows), so a crash, a reboot or another container
with the same pid can't leave it behind; the file's text is only there to say who holds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import IO, Self

from core_engine.errors import WorkspaceLocked

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
        return True


_LOOKS = 5
_LOOK_S = 0.05


def _lock_soon(file: IO[str]) -> bool:
    """Lock it, or wait out those who only look (`kg status`): they hold it for an instant."""
    for _ in range(_LOOKS):
        if _try_lock(file):
            return True
        time.sleep(_LOOK_S)
    return False


class RunLock:
    """Holds a workspace for one run. Raises WorkspaceLocked, naming the holder, if another run has it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = path.open("a+", encoding="utf-8")
        if not _lock_soon(self._file):
            holder = _holder(path)
            self._file.close()
            raise WorkspaceLocked(
                f"another run holds this workspace ({holder}); wait for it, or use another --workspace"
            )
        self._file.seek(0)
        self._file.truncate()
        started = time.strftime("%Y-%m-%d %H:%M:%S%z")
        self._file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started}))
        self._file.flush()

    def release(self) -> None:
        # Truncated, not deleted: a deleted file could be locked by two who opened it before and after.
        with contextlib.suppress(OSError, ValueError):
            self._file.truncate(0)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(path: Path) -> str:
    """Who holds the lock now, or '' if nobody does."""
    if not path.exists():
        return ""
    with path.open("a+", encoding="utf-8") as file:
        return "" if _try_lock(file) else _holder(path)


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return f"pid {int(who['pid'])} on {who['host']}, since {who['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its holder is just starting"
