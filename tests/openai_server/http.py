"""HTTP/1.1 by hand on asyncio's transports: little CPU a request, and every fault of the wire within reach."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

_LARGEST_HEAD = 64 * 1024
_LARGEST_BODY = 256 * 1024 * 1024


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Reply:
    """What goes back, when (`delay`, seconds), and how: `manner` is '' or a fault of the wire (see `Connection`)."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    manner: str = ""
    pace: float = 0.1
    """Seconds between two pieces of a reply that drips."""


class Malformed(Exception):
    """What came is no HTTP that we speak."""


# Called with the request, and with a function that takes its reply. Returns a function to be called with True once
# the reply is sent, or False if the client is gone before that.
Handler = Callable[[Request], tuple[Reply, Callable[[bool], None]]]


class Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after the other, kept alive in between.

    Manners: `reset` (before any byte), `reset_in_body`, `cut` (closed within the body), `drip` (a byte at a time),
    `endless` (chunked, and after the whole body goes on with blanks for ever), `hang` (nothing is ever sent).
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._buffer = bytearray()
        self._head: Request | None = None
        self._length = 0
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._finish: Callable[[bool], None] | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._finished(sent=False)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        try:
            request = self._read()
        except (Malformed, ValueError, IndexError):
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()
            return
        if request is None:
            return
        self._busy = True
        came = self._loop.time()
        reply, self._finish = self._handler(request)
        if reply.delay > 0:
            # From the request's arrival on: what making up a reply takes here is no part of a model's latency.
            self._timer = self._loop.call_at(came + reply.delay, self._send, reply)
        else:
            self._send(reply)

    def _read(self) -> Request | None:
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > _LARGEST_HEAD:
                    raise Malformed("head too large")
                return None
            self._head = _parse_head(bytes(self._buffer[:end]))
            self._length = int(self._head.headers.get("content-length", "0"))
            if "transfer-encoding" in self._head.headers or not 0 <= self._length <= _LARGEST_BODY:
                raise Malformed("chunked or too large")
            del self._buffer[: end + 4]
        if len(self._buffer) < self._length:
            return None
        request, self._head = self._head, None
        request.body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        return request

    # --- sending ------------------------------------------------------------------------------------------------

    def _send(self, reply: Reply) -> None:
        self._timer = None
        if reply.manner:
            getattr(self, f"_send_{reply.manner}")(reply)
            return
        self._transport.write(_render_head(reply, f"content-length: {len(reply.body)}") + reply.body)
        self._done()

    def _send_hang(self, reply: Reply) -> None:
        """Leave the client waiting; `connection_lost` tells when it has had enough."""

    def _send_reset(self, reply: Reply) -> None:
        self._reset()

    def _send_reset_in_body(self, reply: Reply) -> None:
        self._send_half(reply)
        # The half must be on the wire before the reset, which throws away what is not.
        self._timer = self._loop.call_later(0.02, self._reset)

    def _send_cut(self, reply: Reply) -> None:
        self._send_half(reply)
        self._finished(sent=True)
        self._transport.close()

    def _send_half(self, reply: Reply) -> None:
        head = _render_head(reply, f"content-length: {len(reply.body)}")
        self._transport.write(head + reply.body[: len(reply.body) // 2])

    def _send_drip(self, reply: Reply) -> None:
        self._transport.write(_render_head(reply, f"content-length: {len(reply.body)}"))
        self._rest = reply.body
        self._drip(reply.pace)

    def _drip(self, pace: float) -> None:
        self._transport.write(self._rest[:1])
        self._rest = self._rest[1:]
        if self._rest:
            self._timer = self._loop.call_later(pace, self._drip, pace)
        else:
            self._done()

    def _send_endless(self, reply: Reply) -> None:
        head = _render_head(reply, "transfer-encoding: chunked")
        self._transport.write(head + b"%x\r\n%b\r\n" % (len(reply.body), reply.body))
        self._blank(reply.pace)

    def _blank(self, pace: float) -> None:
        self._transport.write(b"1\r\n \r\n")
        self._timer = self._loop.call_later(pace, self._blank, pace)

    def _reset(self) -> None:
        # A close with a linger of 0 seconds sends RST instead of FIN.
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._finished(sent=True)
        self._transport.abort()

    def _done(self) -> None:
        self._finished(sent=True)
        self._busy = False
        if self._buffer and not self._transport.is_closing():
            self._next()

    def _finished(self, *, sent: bool) -> None:
        finish, self._finish = self._finish, None
        if finish:
            finish(sent)


def _parse_head(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, path, query, headers, b"")


def _render_head(reply: Reply, framing: str) -> bytes:
    lines = [
        f"HTTP/1.1 {reply.status} {_phrase(reply.status)}",
        f"content-type: {reply.content_type}",
        framing,
        *(f"{name}: {value}" for name, value in reply.headers),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
