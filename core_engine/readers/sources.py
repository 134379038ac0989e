"""Which files a command line means: files, folders, globs and standard input, each file once, in a fixed order."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from core_engine.errors import Unreadable
from core_engine.readers.archives import Archive, archive, is_archive

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read.

    `path` is absolute, or None for standard input. `name` is relative to the PATH argument (the file's own name where
    PATH is the file), with forward slashes. `root` is the PATH argument as an absolute path ('' for standard input);
    for a glob, the folder before its first wildcard. A file in an archive is its `member`; its path and name go on
    from the archive's as from a folder's.
    """

    path: Path | None
    name: str
    root: str
    archive: Archive | None = field(default=None, compare=False, repr=False)
    member: str = ""

    @property
    def shown(self) -> str:
        """The file as messages name it."""
        return "-" if self.path is None else shown_path(self.path)


def discover(paths: Sequence[str], exclude: Sequence[str] = ()) -> Iterator[Source | Unreadable]:
    """Every file that the PATHS mean, once each, in a fixed order; what can't be followed comes as Unreadable.

    Folders are read with all below them. Hidden files and folders are left out unless PATH names them. `exclude` are
    globs on the relative name (`*` stops at a slash, `**` doesn't); one without a slash fits at any depth. Of a zip or
    tar each file in it is a source; it is read fastest before the next one is asked for.
    """
    walk = _Walk(tuple(compiled(pattern) for pattern in exclude))
    for path in paths:
        if path == "-":
            yield from walk.standard_input()
        elif os.path.lexists(path):
            yield from walk.argument(absolute(path))
        elif _MAGIC.search(path):
            yield from walk.glob(path)
        else:
            yield Unreadable(path, "no such file or folder")


@dataclass(slots=True)
class _Walk:
    exclude: tuple[re.Pattern[str], ...]
    seen: set[str] = field(default_factory=set)

    def standard_input(self) -> Iterator[Source]:
        if "-" not in self.seen:
            self.seen.add("-")
            yield Source(None, "-", "")

    def argument(self, path: Path) -> Iterator[Source | Unreadable]:
        if path.is_dir():
            yield from self.entry(path, "", path, ())
        else:
            yield from self.entry(path, path.name, path, ())

    def glob(self, pattern: str) -> Iterator[Source | Unreadable]:
        parts = PurePath(pattern).parts
        fixed = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
        root = absolute(str(Path(*parts[:fixed])))
        found = False
        for path in _matching(root, parts[fixed:], ()):
            found = True
            yield from self.entry(path, "" if path == root else path.relative_to(root).as_posix(), root, ())
        if not found:
            yield Unreadable(pattern, "no file fits this pattern")

    def entry(self, path: Path, name: str, root: Path, above: tuple[str, ...]) -> Iterator[Source | Unreadable]:
        """The file, or what is in the folder; `above` are the real paths of the folders that led here."""
        if name and any(pattern.fullmatch(name) for pattern in self.exclude):
            return
        try:
            mode = path.stat().st_mode
            real = os.path.realpath(path)
        except OSError as error:
            yield Unreadable(shown_path(path), _reason(path, error))
            return
        if stat.S_ISDIR(mode) and real in above:
            yield Unreadable(shown_path(path), "a link to a folder above it; not followed")
        elif real in self.seen:
            return
        elif stat.S_ISDIR(mode):
            self.seen.add(real)
            yield from self.folder(path, name, root, (*above, real))
        elif stat.S_ISREG(mode):
            self.seen.add(real)
            if is_archive(name):
                yield from self.archive(path, name, root)
            else:
                yield Source(path, name, root.as_posix())
        else:
            self.seen.add(real)
            yield Unreadable(shown_path(path), f"{_kind(mode)}, not a file; not opened")

    def folder(self, path: Path, name: str, root: Path, above: tuple[str, ...]) -> Iterator[Source | Unreadable]:
        try:
            entries = sorted(entry.name for entry in path.iterdir())
        except OSError as error:
            yield Unreadable(shown_path(path), _reason(path, error))
            return
        for entry in entries:
            if not entry.startswith("."):
                yield from self.entry(path / entry, f"{name}/{entry}" if name else entry, root, above)

    def archive(self, path: Path, name: str, root: Path) -> Iterator[Source | Unreadable]:
        empty = True
        try:
            with archive(path, shown_path(path)) as opened:
                for member in opened.members():
                    empty = False
                    inside = f"{name}/{member.name}"
                    if any(pattern.fullmatch(inside) for pattern in self.exclude):
                        continue
                    if member.fault:
                        yield Unreadable(f"{shown_path(path)}/{member.name}", member.fault)
                    else:
                        yield Source(path / member.name, inside, root.as_posix(), opened, member.name)
        except Unreadable as error:
            yield error
            return
        if empty:
            yield Unreadable(shown_path(path), "an archive without files")


def _matching(folder: Path, parts: tuple[str, ...], above: tuple[str, ...]) -> Iterator[Path]:
    # By hand, because `glob` follows `**` through linked folders until the system gives up on the path's length.
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if not _MAGIC.search(part):
        if os.path.lexists(folder / part):
            yield from _matching(folder / part, rest, above)
        return
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return
    above = (*above, real)
    if part == "**":
        yield from _matching(folder, rest, ()) if rest else iter((folder,))
        for entry in entries:
            if not entry.startswith(".") and (folder / entry).is_dir():
                yield from _matching(folder / entry, parts, above)
        return
    fits = compiled(part)
    for entry in entries:
        if fits.fullmatch(entry) and (part.startswith(".") or not entry.startswith(".")):
            yield from _matching(folder / entry, rest, ())


def compiled(pattern: str) -> re.Pattern[str]:
    """A glob on a name with forward slashes; without a slash of its own it fits in any folder."""
    anywhere = "" if "/" in pattern else r"(?:.*/)?"
    return re.compile(anywhere + _translated(pattern.removeprefix("./").rstrip("/")), re.DOTALL)


def _translated(pattern: str) -> str:
    out, at = [], 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            out.append(".*")
            at += 2
        elif pattern[at] in "*?":
            out.append("[^/]*" if pattern[at] == "*" else "[^/]")
            at += 1
        elif pattern[at] == "[" and (close := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : close].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            out.append(f"[{'^' + inside[1:] if inside.startswith('!') else inside}]")
            at = close + 1
        else:
            out.append(re.escape(pattern[at]))
            at += 1
    return "".join(out)


def shown_path(path: Path) -> str:
    """Relative to the current folder where the path is in it."""
    shown = str(path)
    with contextlib.suppress(OSError):
        # (As text: `relative_to` takes as long as reading a short file.)
        here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118
        if shown.startswith(here) and shown != here:
            return shown[len(here) :]
    return shown


def absolute(path: str) -> Path:
    """The path by which what is below it is stored."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # `resolve` would follow links, and names would change with them


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "a link that points to nothing" if path.is_symlink() else "no such file; it vanished"
    if isinstance(error, PermissionError):
        return "permission denied"
    if path.is_symlink():
        return "a symlink loop"
    return error.strerror or type(error).__name__


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"
