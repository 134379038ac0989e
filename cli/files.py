"""Files that a command leaves for its user: whole or not at all, and readable as the user's umask says."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from core_engine.errors import SettingsError


def write_file(path: Path, text: str) -> None:
    write_files(path, [("", text)])


def write_files(path: Path, parts: Iterable[tuple[str, str | bytes]]) -> None:
    """Pieces of files in order, each with its file's name: within the folder `path`, or `path` itself where it is ''.

    Nobody ever reads a half of one. Raises SettingsError where a file can't be written.
    """
    drafts: dict[Path, tuple[Path, BinaryIO]] = {}
    try:
        with contextlib.ExitStack() as closing:
            for name, part in parts:
                target = path / name if name else path
                if target not in drafts and target.is_dir():
                    raise SettingsError(f"--out {target} is a folder: name a file in it")
                if target not in drafts:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
                    closing.callback(draft.unlink, missing_ok=True)
                    drafts[target] = draft, closing.enter_context(draft.open("wb"))
                drafts[target][1].write(part.encode() if isinstance(part, str) else part)
            for _, file in drafts.values():
                file.flush()
                os.fsync(file.fileno())
            for target, (draft, _) in drafts.items():
                draft.replace(target)
    except OSError as error:
        raise SettingsError(f"--out {path}: {error.strerror or error}: name a file that can be written") from error
