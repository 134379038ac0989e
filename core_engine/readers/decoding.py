"""From bytes to text: UTF-8 and UTF-16 as they announce themselves, and a clear word for all else."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core_engine.errors import Unreadable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNATURES = (
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP archive or office document"),
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"ID3", "MP3 sound"),
    (b"RIFF", "WAV sound or AVI video"),
    (b"OggS", "Ogg sound"),
    (b"fLaC", "FLAC sound"),
    (b"SQLite format 3", "SQLite database"),
    (b"\x7fELF", "program"),
    (b"\x1f\x8b", "gzip within a gzip"),
    (b"BZh", "bzip2 archive"),
    (b"7z\xbc\xaf", "7-Zip archive"),
    (b"\xfd7zXZ", "xz archive"),
    (b"\x28\xb5\x2f\xfd", "zstd archive"),
)
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\r\f\x1b")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's bytes are to be read: the codec, and the length of the byte order mark."""

    codec: str
    mark: int

    def __str__(self) -> str:
        return f"{self.codec} with byte order mark" if self.mark else self.codec


def detect(head: bytes, shown: str) -> Encoding:
    """The encoding by the first bytes of a file. Raises Unreadable for what is no text."""
    for mark, codec in _BOMS:
        if head.startswith(mark):
            return Encoding(codec, len(mark))
    for signature, kind in _SIGNATURES:
        if head.startswith(signature) and not _is_utf8(head):
            raise Unreadable(shown, f"binary file ({kind})")
    if head.startswith(b"%PDF-"):
        raise Unreadable(shown, "binary file (PDF)")
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if (len(head) >= 16 and controls > 0.3 * len(head)) or (b"\0" in head and not _is_utf8(head)):
        even, odd = head[::2].count(0), head[1::2].count(0)
        if len(head) > 3 and min(even, odd) == 0 and max(even, odd) > 0.4 * len(head) / 2:
            raise Unreadable(shown, "UTF-16 without its byte order mark; save it as UTF-8")
        raise Unreadable(shown, "binary file")
    return Encoding("utf-8", 0)


def decode(data: bytes | bytearray, encoding: Encoding, shown: str) -> str:
    """The text without its byte order mark. Raises Unreadable that names line and byte of the first fault."""
    try:
        return str(memoryview(data)[encoding.mark :], encoding.codec)
    except UnicodeDecodeError as error:
        start = error.start + encoding.mark
        before = data[:start]
        if encoding.codec == "utf-8":
            line, column = before.count(b"\n") + 1, start - (before.rfind(b"\n") + 1) + 1
        else:
            text = before[encoding.mark :].decode(encoding.codec, "replace")
            line, column = text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1
        raise Unreadable(shown, _fault(encoding, data[start], start), line=line, column=column) from error


def decoded_head(head: bytes, encoding: Encoding) -> str:
    """The first bytes as text, a broken character at their end or faults within left out: good for a guess."""
    return head[encoding.mark :].decode(encoding.codec, "ignore")


def utf8_lines(stream: BinaryIO, encoding: Encoding, limit: int, shown: str) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a stream, numbered from 1, as UTF-8; None stands for one longer than `limit` bytes, left out.

    UTF-8 passes unchecked: the reader of a line finds its faults, and can go on with the next.
    """
    stream.read(encoding.mark)
    plain = encoding.codec == "utf-8"
    pieces = iter(lambda: stream.readline(limit), b"") if plain else _transcoded(stream, encoding.codec, limit, shown)
    number, whole = 0, True
    for piece in pieces:
        ends = piece.endswith(b"\n")
        if whole:
            number += 1
            # A piece of full length without an end may be a last line of just that length: still too long.
            yield number, piece if ends or len(piece) < limit else None
        whole = ends or (whole and len(piece) < limit)


def _transcoded(stream: BinaryIO, codec: str, limit: int, shown: str) -> Iterator[bytes]:
    """The pieces of another encoding's lines, at most `limit` characters each, as UTF-8."""
    text = io.TextIOWrapper(stream, encoding=codec, newline="\n")
    number = 1
    try:
        while piece := text.readline(limit):
            yield piece.encode()
            number += piece.endswith("\n")
    except UnicodeDecodeError as error:
        reason = f"wrong encoding: broken {codec.upper()} here or below; save the file as UTF-8"
        raise Unreadable(shown, reason, line=number) from error


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _fault(encoding: Encoding, byte: int, offset: int) -> str:
    if encoding.codec == "utf-8":
        return f"wrong encoding: byte 0x{byte:02X} at {offset} is not UTF-8; save the file as UTF-8"
    return f"wrong encoding: broken {encoding.codec.upper()} at byte {offset}; save the file as UTF-8"
