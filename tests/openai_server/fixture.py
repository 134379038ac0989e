"""The server for tests: `openai_server(**settings)` in a test, or `with start(**settings) as server:` in a script."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.openai_server.faults import Fault

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 30


class Server:
    """A running server of its own process. `url` is what OPENAI_BASE_URL takes."""

    def __init__(self, **settings: Any) -> None:
        command = [sys.executable, "-m", "tests.openai_server", "--port", "0", "--watch-stdin"]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError("the test server did not start; its reason is on stderr")
        self.url: str = json.loads(line)["url"]
        self._control = self.url.removesuffix("/v1")
        try:
            self.reset(**settings)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def books(self, *, log: bool = True) -> dict[str, Any]:
        """What the server would bill, see its --help; without `log` only the sums."""
        books: dict[str, Any] = self._call("GET", f"/__books?log={int(log)}")
        return books

    def requests(self) -> list[dict[str, Any]]:
        """The last requests, oldest first: at, path, headers (without the key), body, status, fault."""
        requests: list[dict[str, Any]] = self._call("GET", "/__requests")
        return requests

    def configure(self, **settings: Any) -> None:
        """Change some settings and leave the rest, and the books, as they are."""
        self._call("POST", "/__config", settings)

    def reset(self, **settings: Any) -> None:
        """Books, limits and cache anew, all settings at their defaults but for these."""
        self._call("POST", "/__reset", settings)

    def stop(self) -> None:
        """End the process; a second time does nothing."""
        if self._process.poll() is None:
            self._process.terminate()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(_portable(body)).encode()
        request = urllib.request.Request(self._control + path, data=data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_PATIENCE_S) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(json.load(error)["error"]["message"]) from None


def _portable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Paths as text and absolute, for the server runs in another folder; Faults as objects."""
    settings = dict(settings)
    if "gold" in settings:
        gold = settings["gold"]
        files = [gold] if isinstance(gold, (str, Path)) else gold
        settings["gold"] = [str(Path(file).resolve()) for file in files]
    if "faults" in settings:
        faults = settings["faults"]
        settings["faults"] = [dataclasses.asdict(each) if isinstance(each, Fault) else each for each in faults]
    return settings


def start(**settings: Any) -> Server:
    """Start a server: stop it, or use it as a context manager. It stops too when this process ends, however it ends."""
    return Server(**settings)


@pytest.fixture(scope="session")
def openai_server_pool() -> Iterator[list[Server]]:
    """Servers that no test is using; a process is started once and reset for each test."""
    pool: list[Server] = []
    yield pool
    for server in pool:
        server.stop()


@pytest.fixture
def openai_server(openai_server_pool: list[Server]) -> Iterator[Callable[..., Server]]:
    """`openai_server(**settings)` gives a fresh server, for this test alone. Several calls give several servers."""
    used: list[Server] = []

    def fresh(**settings: Any) -> Server:
        server = openai_server_pool.pop() if openai_server_pool else start()
        used.append(server)
        server.reset(**settings)
        return server

    yield fresh
    openai_server_pool.extend(used)
