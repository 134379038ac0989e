"""The bytes of a source: opened only if it is a regular file, unpacked, bounded, and hashed as they pass."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import io
import os
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from core_engine.errors import Unreadable
from core_engine.readers.archives import EXPANSION_FREE, EXPANSION_LIMIT, is_bomb
from core_engine.readers.side_files import side_files
from core_engine.readers.sources import Source

WHOLE_LIMIT = 64 << 20
"""Bytes, unpacked, of a file that has to be read whole, which takes 7 to 15 times its size in memory (measured)."""

_BOMB = f"a gzip that unpacks to more than {EXPANSION_LIMIT} times its size; unpack it first if it is right"

_BLOCK = 1 << 20
_LAST_BLOCK = 64 << 10
"""Of what is only hashed: a larger one takes longer to make than a short file to read."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells whether a file changed: SHA-256 (hex) and size of its bytes as they stand on disk.

    Where side files say more about it, `sides` is a hash of theirs, and `sha256` one of both.
    """

    sha256: str
    size: int
    sides: str = ""


def fingerprint(source: Source) -> Fingerprint:
    """The source's fingerprint, in constant memory. Raises Unreadable."""
    with _raw(source) as file:
        hashed = _Hashed(file, source.shown)
        return hashed.finish(_sides(source))


def _sides(source: Source) -> str:
    found = hashlib.sha256()
    beside = side_files(source)
    for side in beside:
        found.update(f"{side.shown}\n{len(side.data)}\n".encode("utf-8", "surrogateescape") + side.data)
    return found.hexdigest() if beside else ""


class Content:
    """The unpacked bytes of a source as `stream`; `packed` says that it was a gzip."""

    def __init__(self, file: BinaryIO, shown: str) -> None:
        self._hashed = _Hashed(file, shown)
        self._shown = shown
        raw = io.BufferedReader(self._hashed, _BLOCK)
        self.packed = raw.peek(2)[:2] == b"\x1f\x8b"
        self.stream = io.BufferedReader(_Unpacked(raw, self._hashed, shown), _BLOCK) if self.packed else raw

    def ahead(self) -> bytes:
        """Up to a megabyte of what comes next, left in the stream. Only good before anything was read."""
        return self.stream.peek(_BLOCK)

    def read_up_to(self, size: int) -> bytearray:
        """The next bytes, fewer only at the end."""
        data = bytearray()
        while len(data) < size and (block := self.stream.read(min(_BLOCK, size - len(data)))):
            data += block
        return data

    def blocks(self) -> Iterator[bytes]:
        """What is left, a megabyte at a time."""
        return iter(lambda: self.stream.read(_BLOCK), b"")

    def read_whole(self, limit: int | None = None) -> bytearray:
        """All of it. Raises Unreadable above the limit in bytes, or else `WHOLE_LIMIT`."""
        limit = limit or WHOLE_LIMIT
        data = bytearray()
        for block in self.blocks():
            data += block
            if len(data) > limit:
                reason = (
                    f"larger than {limit >> 20} MB unpacked, and this format has to be held whole, which would take too "
                    "much memory; split it, or give it as JSON Lines or text"
                )
                raise Unreadable(self._shown, reason)
        return data

    def verify(self, expected: Fingerprint | None) -> None:
        """Raises Unreadable unless the bytes that were read are the expected ones. Call it at the end of the stream."""
        if expected is not None and self._hashed.finish(expected.sides) != expected:
            raise Unreadable(self._shown, "changed while it was read; run the command again")


@contextlib.contextmanager
def opened(source: Source) -> Iterator[Content]:
    """The content of a source while the block runs. Raises Unreadable, also from reads of the stream."""
    with _raw(source) as file:
        if source.archive is None:
            if file.read(2) == b"\x1f\x8b" and is_bomb(file):
                raise Unreadable(source.shown, _BOMB)
            file.seek(0)
        yield Content(file, source.shown)


class _Hashed(io.RawIOBase):
    """Bytes as they stand on disk, counted and hashed on their way."""

    def __init__(self, file: BinaryIO, shown: str) -> None:
        super().__init__()
        self._file = file
        self._shown = shown
        self._hash = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except OSError as error:
            raise unreadable(self._shown, error) from error
        self._hash.update(data)
        self.size += len(data)
        buffer[: len(data)] = data
        return len(data)

    def finish(self, sides: str) -> Fingerprint:
        """Read what is left, and say what all of it was."""
        block = bytearray(_LAST_BLOCK)
        while self.readinto(block):
            pass
        sha256 = self._hash.hexdigest()
        if sides:
            sha256 = hashlib.sha256(f"{sha256}{sides}".encode()).hexdigest()
        return Fingerprint(sha256, self.size, sides)


class _Unpacked(io.RawIOBase):
    """What a gzip holds, refused where it grows out of proportion."""

    def __init__(self, packed: BinaryIO, taken: _Hashed, shown: str) -> None:
        super().__init__()
        self._gzip = gzip.GzipFile(fileobj=packed, mode="rb")
        self._taken = taken
        self._shown = shown
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._gzip.read(len(buffer))
        except EOFError as error:
            raise Unreadable(self._shown, "truncated gzip; its end is missing") from error
        except (OSError, zlib.error) as error:
            raise Unreadable(self._shown, f"broken gzip ({error})") from error
        self._size += len(data)
        if self._size > EXPANSION_FREE and self._size > EXPANSION_LIMIT * self._taken.size:
            raise Unreadable(self._shown, _BOMB)
        buffer[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def _raw(source: Source) -> Iterator[BinaryIO]:
    if source.path is None:
        file = _standard_input()
        file.seek(0)
        yield file
        return
    if source.archive is not None:
        with source.archive.opened(source.member) as file:
            yield file
        return
    try:
        if not stat.S_ISREG(source.path.stat().st_mode):
            raise Unreadable(source.shown, "not a regular file; not opened")
        # Without waiting: between the look and the opening the file may have been exchanged for a pipe.
        descriptor = os.open(source.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise unreadable(source.shown, error) from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable(source.shown, "not a regular file; not opened")
        yield file


@functools.cache
def _standard_input() -> BinaryIO:
    """Standard input can be read once, but is wanted twice (fingerprint, then text): kept in an unnamed file."""
    kept = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
    # Not through its buffer: Python could not end while a thread waits inside that.
    shutil.copyfileobj(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer), kept, _BLOCK)
    return kept


def unreadable(shown: str, error: OSError) -> Unreadable:
    """The system's refusal in words that help."""
    if isinstance(error, FileNotFoundError):
        return Unreadable(shown, "no such file; it vanished")
    if isinstance(error, PermissionError):
        return Unreadable(shown, "permission denied")
    return Unreadable(shown, error.strerror or type(error).__name__)
