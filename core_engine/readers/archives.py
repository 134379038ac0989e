"""Transcripts inside a zip or tar: each read where it lies, nothing unpacked to disk, nothing trusted."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, cast

from core_engine.errors import Unreadable

EXPANSION_LIMIT = 250
EXPANSION_FREE = 64 << 20
"""What is packed may unpack to this many bytes freely, and beyond that to `EXPANSION_LIMIT` times what it takes on disk.

Speech packs 3 to 10 times, a log of one repeated sentence some 200 times, a bomb 1,000 times.
"""

MOST_MEMBERS = 100_000
LONGEST_NAME = 1000
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

_HELD = 16 << 20
"""Bytes of a member of a packed tar that are kept while it is read twice: going back means to unpack from the start."""
_PART = 64 << 20
"""Bytes that are read of an archive in one go: a header that claims to be longer is broken or evil."""
# ValueError: a name that is no text, a number that is none. struct.error: a header that is cut off.
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, EOFError, OSError),
    *(RuntimeError, NotImplementedError, ValueError),
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive, or `fault`: why it isn't read."""

    name: str
    fault: str = ""


class Archive(Protocol):
    """An archive, open while the `with` block runs; used outside of one, it is opened for each call."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def members(self) -> Iterator[Member]:
        """The files in it, without hidden ones. Raises Unreadable."""

    def opened(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """The bytes of a member while the block runs. Raises Unreadable, also from reads."""


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def archive(path: Path, shown: str) -> Archive:
    return Zip(path, shown) if path.name.lower().endswith(".zip") else Tar(path, shown)


def members_of(found: Iterator[tuple[str, str]], shown: str) -> Iterator[Member]:
    """The (name, fault) pairs as members: hidden files left out, and the faults that a name may have."""
    seen: set[str] = set()
    for count, (name, fault) in enumerate(found):
        if count >= MOST_MEMBERS:
            raise Unreadable(shown, f"an archive of more than {MOST_MEMBERS:,} files; unpack it first")
        parts = re.split(r"[/\\]", name)
        if any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts):
            continue
        reason = _outside(name, parts) or fault or _twice(name, seen)
        seen.add(name)
        yield Member(name[:LONGEST_NAME], reason)


def _outside(name: str, parts: list[str]) -> str:
    if not parts[0] or ".." in parts or re.match(r"[A-Za-z]:", name):
        return "its name leads out of the archive; not read"
    if len(name) > LONGEST_NAME or len(parts) > 50:
        return "its name is too long; not read"
    return "an archive within an archive; unpack it first" if is_archive(name) else ""


def _twice(name: str, seen: set[str]) -> str:
    return "a second file of this name in the archive; not read" if name in seen else ""


class Zip:
    """A zip archive."""

    def __init__(self, path: Path, shown: str) -> None:
        self._path = path
        self._shown = shown
        self._held: zipfile.ZipFile | None = None

    def __enter__(self) -> Self:
        self._held = self._open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._held.close()
            self._held = None

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self._path)
        except _BROKEN as error:
            raise _told(self._shown, "ZIP archive", error) from error

    @contextlib.contextmanager
    def _zip(self) -> Iterator[zipfile.ZipFile]:
        if self._held:
            yield self._held
        else:
            with self._open() as opened:
                yield opened

    def members(self) -> Iterator[Member]:
        with self._zip() as opened:
            infos = sorted(opened.infolist(), key=lambda info: info.filename)
        total = sum(info.file_size for info in infos)
        if total > EXPANSION_FREE and total > EXPANSION_LIMIT * self._path.stat().st_size:
            raise Unreadable(self._shown, _bomb("an archive"))
        found = ((info.filename, _zip_fault(info)) for info in infos if not info.is_dir())
        return members_of(found, self._shown)

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        shown = f"{self._shown}/{name}"
        with self._zip() as opened:
            try:
                info = opened.getinfo(name)
                member = opened.open(info)
            except KeyError as error:
                raise Unreadable(shown, "no such file in the archive; it vanished") from error
            except _BROKEN as error:
                raise _told(shown, "file in the archive", error) from error
            with member:
                yield cast("BinaryIO", _Bounded(member, info.compress_size, shown))


def _zip_fault(info: zipfile.ZipInfo) -> str:
    return "encrypted; unpack it with its password first" if info.flag_bits & 1 else ""


class Tar:
    """A tar archive, packed by gzip or not."""

    def __init__(self, path: Path, shown: str) -> None:
        self._path = path
        self._shown = shown
        self._held: tarfile.TarFile | None = None
        self._closing = contextlib.ExitStack()
        self._current: tuple[str, tarfile.TarInfo] | None = None
        self._kept: tuple[str, bytes] | None = None
        self._packed = False

    def __enter__(self) -> Self:
        self._held = self._closing.enter_context(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._held = self._current = self._kept = None
        self._closing.close()

    @contextlib.contextmanager
    def _open(self) -> Iterator[tarfile.TarFile]:
        with contextlib.ExitStack() as closing:
            try:
                file = closing.enter_context(self._path.open("rb"))
                self._packed = file.read(2) == b"\x1f\x8b"
                file.seek(0)
                if self._packed and is_bomb(file):
                    raise Unreadable(self._shown, _bomb("an archive"))
                stream = cast("BinaryIO", closing.enter_context(gzip.GzipFile(fileobj=file)) if self._packed else file)
                bounded = _Bounded(stream, self._path.stat().st_size, self._shown)
                opened = closing.enter_context(tarfile.open(fileobj=cast("BinaryIO", bounded), mode="r:"))
            except _BROKEN as error:
                raise _told(self._shown, "tar archive", error) from error
            yield opened

    @contextlib.contextmanager
    def _tar(self) -> Iterator[tarfile.TarFile]:
        if self._held:
            yield self._held
        else:
            with self._open() as opened:
                yield opened

    def members(self) -> Iterator[Member]:
        return members_of(self._infos(), self._shown)

    def _infos(self) -> Iterator[tuple[str, str]]:
        with self._tar() as opened:
            while info := self._next(opened):
                if not info.isdir():
                    name = _tar_name(info)
                    self._current = (name, info)
                    yield name, "" if info.isreg() else "a link or device in an archive; not followed"

    def _next(self, opened: tarfile.TarFile) -> tarfile.TarInfo | None:
        opened.members.clear()  # type: ignore[attr-defined]  # not in typeshed; it would keep all that it has met
        try:
            return opened.next()
        except _BROKEN as error:
            raise _told(self._shown, "tar archive", error) from error

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        if self._held and self._current and self._current[0] == name:
            if self._kept is None or self._kept[0] != name:
                self._kept = None
                with self._member(self._held, self._current[1]) as member:
                    if not self._packed or self._current[1].size > _HELD:
                        yield member
                        return
                    self._kept = (name, member.read(_HELD))
            yield io.BytesIO(self._kept[1])
            return
        with self._open() as opened:
            while (info := self._next(opened)) and not (info.isreg() and _tar_name(info) == name):
                pass
            if info is None:
                raise Unreadable(f"{self._shown}/{name}", "no such file in the archive; it vanished")
            with self._member(opened, info) as member:
                yield member

    @contextlib.contextmanager
    def _member(self, opened: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[BinaryIO]:
        shown = f"{self._shown}/{_tar_name(info)}"
        try:
            member = opened.extractfile(info)
        except _BROKEN as error:
            raise _told(shown, "file in the archive", error) from error
        assert member is not None
        yield cast("BinaryIO", _Bounded(member, self._path.stat().st_size, shown))


def _tar_name(info: tarfile.TarInfo) -> str:
    return info.name.removeprefix("./")


class _Bounded:
    """A file whose faults are told as ours, and which is refused where it grows out of proportion."""

    def __init__(self, file: Any, packed: int, shown: str) -> None:
        self._file = file
        self._packed = packed
        self._shown = shown

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _PART:
            raise Unreadable(self._shown, "a broken archive: a part of it claims to be too large")
        try:
            data: bytes = self._file.read(size)
            at = self._file.tell()
        except _BROKEN as error:
            raise _told(self._shown, "archive", error) from error
        if at > EXPANSION_FREE and at > EXPANSION_LIMIT * self._packed:
            raise Unreadable(self._shown, _bomb("what"))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        # In steps, so that a bomb is noticed on the way.
        target = offset + (self._file.tell() if whence == 1 else 0)
        if whence == 2 or target < self._file.tell():
            return int(self._file.seek(offset, whence))
        while (left := target - self._file.tell()) > 0 and self.read(min(left, 1 << 20)):
            pass
        return int(self._file.tell())

    def tell(self) -> int:
        return int(self._file.tell())


def is_bomb(file: BinaryIO) -> bool:
    """Whether a gzip on disk unpacks out of proportion, known before its words are taken for a transcript's.

    Its last bytes say how long it is unpacked; where that is too much, it is tried, for it may be cut off as well.
    """
    packed = file.seek(0, io.SEEK_END)
    file.seek(max(0, packed - 4))
    most = max(EXPANSION_FREE, EXPANSION_LIMIT * packed)
    told = int.from_bytes(file.read(4), "little")
    file.seek(0)
    if told <= most:
        return False
    size = 0
    with contextlib.suppress(*_BROKEN), gzip.GzipFile(fileobj=file) as stream:
        while size <= most and (block := stream.read(1 << 20)):
            size += len(block)
    file.seek(0)
    return size > most


def _bomb(what: str) -> str:
    return f"{what} that unpacks to more than {EXPANSION_LIMIT} times its size; unpack it first if it is right"


def _told(shown: str, what: str, error: BaseException) -> Unreadable:
    if isinstance(error, PermissionError):
        return Unreadable(shown, "permission denied")
    if isinstance(error, FileNotFoundError):
        return Unreadable(shown, "no such file; it vanished")
    return Unreadable(shown, f"a broken {what} ({str(error) or type(error).__name__})")
