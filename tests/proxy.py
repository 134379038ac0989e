"""A network between kg and a server, which tests can make slow, silent, or cut."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing says RST, as a cable or a firewall that forgets would


class Proxy:
    """Forwards TCP from a free port of its own to `host:port`, as long as the `with` lasts.

    `delay_s` is waited before each piece that the server sends. `cut_after` counts down the bytes that may still go to
    the server; at 0 every connection is reset, once. After hold() nothing is forwarded any more; cut() resets all.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._going = threading.Event()
        self._going.set()
        self._closed = False
        self.port: int = self._listener.getsockname()[1]
        self.delay_s = 0.0
        self.cut_after: int | None = None
        self.cuts = 0
        self.sent = 0
        self.held = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed = True
        self._going.set()
        self._listener.close()
        self.cut()

    def hold(self) -> None:
        self._going.clear()

    def go_on(self) -> None:
        self._going.set()

    def cut(self) -> None:
        with self._lock:
            going, self._open = self._open, []
        for end in going:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.cuts += 1

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open += [client, server]
            for pair, up in (((client, server), True), ((server, client), False)):
                threading.Thread(target=self._forward, args=(*pair, up), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError, ValueError):
            for piece in _pieces(source):
                if up:
                    self.sent += len(piece)
                    if self._is_last(len(piece)):
                        self.cut()
                        return
                elif self.delay_s:
                    time.sleep(self.delay_s)  # the network's, not the test's
                if not self._going.is_set():
                    self.held += 1
                    self._going.wait()
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _is_last(self, size: int) -> bool:
        with self._lock:
            if self.cut_after is None:
                return False
            self.cut_after -= size
            if self.cut_after > 0:
                return False
            self.cut_after = None
            return True


def _pieces(source: socket.socket) -> Iterator[bytes]:
    # select, so that a socket that is closed by another thread is noticed on every system
    while source.fileno() >= 0:
        if select.select([source], [], [], 0.2)[0]:
            piece = source.recv(_CHUNK)
            if not piece:
                return
            yield piece
