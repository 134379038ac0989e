"""Whether a file that was read once is still there: on disk, or in its archive."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core_engine.errors import Unreadable
from core_engine.readers.archives import archive, is_archive


def storable(text: str) -> str:
    """Text as SQLite takes it: file names and JSON may hold unpaired surrogates, which are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class Presence:
    """Looks for files by the paths under which they are stored. An archive's list of files is read once."""

    def __init__(self) -> None:
        self._files: dict[str, frozenset[str] | None] = {}

    def has(self, path: str) -> bool:
        """False only where the file is surely gone: of an archive that can't be read nobody knows what is in it."""
        if _may_be(_on_disk(path)):
            return True
        for parent in Path(path).parents:
            there = _on_disk(str(parent))
            if _may_be(there):
                return is_archive(parent.name) and self._is_in(there, path[len(str(parent)) + 1 :])
        return False

    def _is_in(self, path: str, member: str) -> bool:
        if path not in self._files:
            self._files[path] = _files_of(Path(path))
        files = self._files[path]
        return files is None or member in files


def _files_of(path: Path) -> frozenset[str] | None:
    if not path.is_file():
        return frozenset()
    try:
        with archive(path, str(path)) as opened:
            return frozenset(storable(str(Path(member.name))) for member in opened.members())
    except Unreadable:
        return None


def _may_be(path: str) -> bool:
    """Also where we may not look: in a folder that is closed to us, on a disk that does not answer."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def _on_disk(path: str) -> str:
    """The path as the system knows it: bytes that are no UTF-8 are stored as escapes."""
    if _may_be(path):
        return path
    return re.sub(r"\\udc([89a-f][0-9a-f])", lambda found: chr(0xDC00 + int(found[1], 16)), path)
