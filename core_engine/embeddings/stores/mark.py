"""The mark of an embedded store: a small file beside its data that says which store this is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from core_engine.types import StoreMark


def read_mark(path: Path) -> StoreMark | None:
    """The mark, or None where there is none or it can't be read: then nobody knows what the store holds."""
    try:
        held = json.loads(path.read_bytes())
        return StoreMark(str(held["epoch"]), int(held["generation"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_mark(path: Path, mark: StoreMark) -> None:
    """Replace the mark; when this returns, either the old or the new one survives a power loss, whole."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        file.write(json.dumps({"epoch": mark.epoch, "generation": mark.generation}).encode())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was created or renamed in a folder survive a power loss, where the system lets folders be synced."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
