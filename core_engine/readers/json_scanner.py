"""Walks through JSON that is too large to be held: value after value, forgetting what lies behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from core_engine.errors import Unreadable
from core_engine.readers.json_values import BrokenJSON, parsed

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FLAT = re.compile(rb'\{(?:[^{}\[\]"]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)
# A quote by itself is a string whose end is not yet there.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,:{}\[\]\"]+")


class TooLarge(Exception):
    """A value is larger than the caller wants to hold."""


class Scanner:
    """Reads from blocks of UTF-8. Faults are raised as Unreadable, with their line."""

    def __init__(self, blocks: Iterator[bytes], shown: str) -> None:
        self._blocks = blocks
        self._shown = shown
        self._data = b""
        self._at = 0
        self._line = 1
        self._gone = 0

    @property
    def passed(self) -> int:
        """The bytes that lie behind."""
        return self._gone + self._at

    def peek(self) -> str:
        """The next character that is no white space; '' at the end."""
        while True:
            found = _SPACE.match(self._data, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._data):
                return chr(self._data[self._at])
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        if self.peek() != wanted:
            raise self._broken(f"expected {wanted!r}")
        self._at += 1

    def goes_on(self, end: str) -> bool:
        """Whether another item follows in a list or object that ends with `end`; steps over the comma or the end."""
        if self.peek() == ",":
            self._at += 1
            return True
        self.take(end)
        return False

    def value(self, limit: int) -> Any:
        """The next value. Raises TooLarge where its JSON takes more bytes than that."""
        self.peek()
        while (end := self._end()) is None:
            if len(self._data) - self._at > limit:
                raise TooLarge
            if not self._more():
                raise self._broken("it ends too early")
        raw = self._data[self._at : end]
        try:
            value = parsed(raw)
        except BrokenJSON as error:
            line = self._line + self._data.count(b"\n", 0, self._at) + (error.line or 1) - 1
            raise Unreadable(self._shown, error.reason, line=line) from error
        self._at = end
        return value

    def skip(self) -> None:
        """Step over the next value, however large."""
        if self.peek() not in ("{", "["):
            self.value(1 << 40)
            return
        depth = 0
        while True:
            stopped = len(self._data)
            for token in _TOKEN.finditer(self._data, self._at):
                sign = token[0]
                if sign == b'"':
                    stopped = token.start()
                    break
                depth += (sign in b"{[") - (sign in b"}]") if len(sign) == 1 else 0
                if not depth:
                    self._at = token.end()
                    return
            self._at = stopped
            if not self._more():
                raise self._broken("it ends too early")

    def _end(self) -> int | None:
        """Where the value ends that begins here; None where more has to be read to know."""
        first = self._data[self._at : self._at + 1]
        if first == b'"':
            found = _STRING.match(self._data, self._at)
            return found.end() if found else None
        if first not in (b"{", b"["):
            found = _SCALAR.match(self._data, self._at)
            if first and not found:
                raise self._broken("expected a value")
            return found.end() if found and found.end() < len(self._data) else None
        if first == b"{" and (found := _FLAT.match(self._data, self._at)):
            return found.end()
        depth = 0
        for token in _TOKEN.finditer(self._data, self._at):
            sign = token[0]
            if sign == b'"':
                return None
            depth += (sign in b"{[") - (sign in b"}]") if len(sign) == 1 else 0
            if not depth:
                return token.end()
        return None

    def _more(self) -> bool:
        """Read on, twice as much as is held; False at the end of the file."""
        self._line += self._data.count(b"\n", 0, self._at)
        self._gone += self._at
        held = [self._data[self._at :]]
        wanted, got = len(held[0]), 0
        while got <= wanted and (block := next(self._blocks, b"")):
            held.append(block)
            got += len(block)
        self._data, self._at = b"".join(held), 0
        return got > 0

    def _broken(self, what: str) -> Unreadable:
        line = self._line + self._data.count(b"\n", 0, self._at)
        return Unreadable(self._shown, f"broken JSON: {what}", line=line)
