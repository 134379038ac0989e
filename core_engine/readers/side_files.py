"""The small TOML files beside transcripts that say more about them: which there are, and their bytes.

- `talk.vtt.meta.toml` or `talk.meta.toml`: about one file;
- `folder.meta.toml`: about each file in the folder (not in those below);
- `speakers.toml`: who the speakers of the folder's files are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from core_engine.readers.sources import Source, shown_path

FOLDER = "folder.meta.toml"
SPEAKERS = "speakers.toml"
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class SideFile:
    """`name` says its kind: FOLDER, SPEAKERS, or else about one file."""

    name: str
    shown: str
    data: bytes


def is_side_file(name: str) -> bool:
    return re.search(r"(?:\A|[/.])(?:meta|speakers)\.toml\Z", name.lower()) is not None


def side_files(source: Source) -> tuple[SideFile, ...]:
    """Those that there are for a source, the widest first. For a file in an archive they lie beside the archive."""
    path = source.path
    if path is None:
        return ()
    if source.member:
        path = path.parents[len(Path(source.member).parts) - 1]
    names = (FOLDER, SPEAKERS, f"{stem(path.name)}.meta.toml", f"{path.name}.meta.toml")
    found = (_read(path.with_name(name)) for name in dict.fromkeys(names))
    return tuple(side for side in found if side)


def stem(name: str) -> str:
    """A file's name without its endings `.gz` and the one before it."""
    return Path(re.sub(r"\.gz\Z", "", name, flags=re.IGNORECASE)).stem


def _read(path: Path) -> SideFile | None:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        return SideFile(path.name, shown_path(path), path.read_bytes())
    except OSError:
        return None
