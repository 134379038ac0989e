"""From bytes to text: UTF-8, UTF-16 and what people saved before them, and a clear word for what is no text."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core_engine.errors import Unreadable
from core_engine.readers import encodings

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


_NAMES = {
    **{f"cp125{n}": f"Windows-125{n}" for n in range(9)},
    "iso8859_1": "Latin-1",
    "iso8859_2": "Latin-2",
    "cp932": "Shift-JIS",
    "gb18030": "GB18030",
    "big5": "Big5",
    "cp949": "EUC-KR",
    "euc_jp": "EUC-JP",
    "koi8_r": "KOI8-R",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's bytes are to be read: the codec, the length of the byte order mark, and whether it is a guess."""

    codec: str
    mark: int
    guess: bool = False

    def __str__(self) -> str:
        name = _NAMES.get(self.codec, self.codec)
        return f"{name} with byte order mark" if self.mark else f"{name} (a guess)" if self.guess else name

    @property
    def warning(self) -> str | None:
        """What a user should know about a guess."""
        if not self.guess:
            return None
        return f"read as {_NAMES.get(self.codec, self.codec)}, which is a guess; if names look wrong, save it as UTF-8"


def detect(head: bytes, shown: str) -> Encoding:
    """The encoding by the first bytes of a file. Raises Unreadable for what is no text."""
    for mark, codec in _BOMS:
        if head.startswith(mark):
            return Encoding(codec, len(mark))
    utf8 = _is_utf8(head)
    for signature, kind in _SIGNATURES:
        if head.startswith(signature) and not utf8:
            raise Unreadable(shown, f"binary file ({kind})")
    if head.startswith(b"%PDF-"):
        raise Unreadable(shown, "binary file (PDF)")
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if (len(head) >= 16 and controls > 0.3 * len(head)) or (b"\0" in head and not utf8):
        if found := _utf16(head):
            return found
        raise Unreadable(shown, "binary file")
    return Encoding("utf-8", 0) if utf8 else _guess(head) or Encoding("utf-8", 0)


def _utf16(head: bytes) -> Encoding | None:
    """UTF-16 without its mark, where every other byte is mostly zero and the rest is text."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) < 4 or min(even, odd) > 0 or max(even, odd) <= 0.2 * len(head):
        return None
    codec = "utf-16-be" if even else "utf-16-le"
    text = head[: len(head) & ~1].decode(codec, "replace")
    strange = sum(c < " " and c not in "\t\n\r\f" for c in text) + text.count("\ufffd")
    return Encoding(codec, 0, guess=True) if strange <= 0.01 * len(text) else None


def _guess(data: bytes | bytearray) -> Encoding | None:
    """The encoding of a text that isn't UTF-8; None where it is, but for a fault, and where nothing fits."""
    sample = encodings.sample(data)
    if encodings.is_broken_utf8(sample):
        return None
    codec = encodings.guessed(sample)
    return Encoding(codec, 0, guess=True) if codec else None


def decoded(data: bytes | bytearray, encoding: Encoding, shown: str) -> tuple[str, Encoding]:
    """The text, and its encoding after all: where the first bytes were plain ASCII, only a later one may show it.

    Raises Unreadable that names line and byte of the first fault.
    """
    try:
        return decode(data, encoding, shown), encoding
    except Unreadable:
        other = _guess(data) if encoding == Encoding("utf-8", 0) else None
        if other is None:
            raise
        return decode(data, other, shown), other


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


class Decoder:
    """The text of a file that is too large to be held, piece by piece; `encoding` is the one found so far."""

    def __init__(self, encoding: Encoding, shown: str) -> None:
        self.encoding = encoding
        self._shown = shown
        self._ascii = True
        self._line = 1
        self._size = 0
        self._decoder = codecs.getincrementaldecoder(encoding.codec)()

    def pieces(self, blocks: Iterable[bytes]) -> Iterator[str]:
        """The blocks of the whole file as text, without its byte order mark. Raises Unreadable."""
        for number, block in enumerate(blocks):
            yield self._piece(block[self.encoding.mark :] if number == 0 else block, final=False)
            self._size += len(block)
        yield self._piece(b"", final=True)

    def _piece(self, block: bytes, *, final: bool) -> str:
        try:
            piece = self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            piece = self._otherwise(error, final=final)
        self._ascii = self._ascii and piece.isascii()
        self._line += piece.count("\n")
        return piece

    def _otherwise(self, error: UnicodeDecodeError, *, final: bool) -> str:
        """The same bytes in the encoding that they show, where all before them was plain ASCII."""
        before = error.object[: error.start]
        other = _guess(error.object) if self._ascii and self.encoding == Encoding("utf-8", 0) else None
        if other is None:
            at = self._size + error.start
            line = self._line + before.decode(self.encoding.codec, "replace").count("\n")
            raise Unreadable(self._shown, _fault(self.encoding, error.object[error.start], at), line=line) from error
        self.encoding = other
        self._decoder = codecs.getincrementaldecoder(other.codec)()
        return self._piece(error.object, final=final)


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
    name = _NAMES.get(encoding.codec, encoding.codec.upper())
    return f"wrong encoding: broken {name} at byte {offset}; save the file as UTF-8"
