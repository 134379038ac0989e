"""The HTTP side of the face: routes, Qdrant's envelope, and faults on demand (`PUT /_face`)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from tests.qdrant_face.engine import Engine, Refused


@dataclass
class Behaviour:
    """What the face does beside answering. Requests are counted from the last time it was set."""

    api_key: str | None = None
    fail_after: int | None = None  # serve so many requests, then fail
    fail_times: int | None = None  # fail so many, then serve again; None: for ever
    status: int = 503  # with which status to fail; 0: close the connection without a word
    retry_after: int | None = None
    requests: int = 0
    failed: int = 0

    def fails(self) -> bool:
        """Whether this request is to fail. Counts it."""
        self.requests += 1
        over = self.fail_after is not None and self.requests > self.fail_after
        if over and (self.fail_times is None or self.failed < self.fail_times):
            self.failed += 1
            return True
        return False

    def admits(self, key: str | None) -> bool:
        return self.api_key is None or key == self.api_key


NO_KEY = Refused(401, "Must provide an API key or an Authorization bearer token")


class Face(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, engine: Engine, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = engine
        self.behaviour = behaviour
        self.lock = threading.Lock()


Answer = Callable[[Engine, str, Any], Any]

ROUTES: list[tuple[str, re.Pattern[str], Answer]] = [
    (method, re.compile(path), answer)
    for method, path, answer in (
        ("GET", r"/aliases", lambda e, _n, _b: e.all_aliases()),
        ("POST", r"/collections/aliases", lambda e, _n, b: e.change_aliases(b)),
        ("GET", r"/collections", lambda e, _n, _b: e.all_collections()),
        ("GET", r"/collections/([^/]+)/exists", lambda e, n, _b: e.exists(n)),
        ("GET", r"/collections/([^/]+)", lambda e, n, _b: e.describe(n)),
        ("PUT", r"/collections/([^/]+)", lambda e, n, b: e.create(n, b)),
        ("DELETE", r"/collections/([^/]+)", lambda e, n, _b: e.drop(n)),
        ("PUT", r"/collections/([^/]+)/index", lambda e, n, b: e.index(n, b)),
        ("PUT", r"/collections/([^/]+)/points", lambda e, n, b: e.upsert(n, b)),
        ("POST", r"/collections/([^/]+)/points", lambda e, n, b: e.retrieve(n, b)),
        ("POST", r"/collections/([^/]+)/points/scroll", lambda e, n, b: e.scroll(n, b)),
        ("POST", r"/collections/([^/]+)/points/delete", lambda e, n, b: e.delete(n, b)),
        ("POST", r"/collections/([^/]+)/points/count", lambda e, n, b: e.count(n, b)),
        ("POST", r"/collections/([^/]+)/points/query/batch", lambda e, n, b: e.query_batch(n, b)),
        ("POST", r"/collections/([^/]+)/points/query", lambda e, n, b: e.query(n, b)),
    )
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Face

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        self._serve()

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  # the names that http.server looks for

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.split("?", 1)[0]
        with self.server.lock:
            if path == "/_face":
                self._behave(orjson.loads(raw) if raw else None)
                return
            if self.server.behaviour.fails():
                self._fail()
                return
            try:
                self._authorise()
                self._reply(200, self._answer(path, orjson.loads(raw) if raw else {}))
            except Refused as refused:
                self._refuse(refused.status, refused.reason)
            except Exception as error:
                # The engine raises bare Exceptions for what Qdrant answers with 400.
                self._refuse(400, str(error))

    def _authorise(self) -> None:
        if not self.server.behaviour.admits(self.headers.get("api-key")):
            raise NO_KEY

    def _answer(self, path: str, body: Any) -> bytes:
        if path == "/" and self.command == "GET":
            return orjson.dumps({"title": "a face over Qdrant Edge", "version": "1.18.0"})
        for method, pattern, answer in ROUTES:
            if method == self.command and (match := pattern.fullmatch(path)):
                name = match.group(1) if pattern.groups else ""
                return orjson.dumps({"result": answer(self.server.engine, name, body), "status": "ok", "time": 0.0})
        raise Refused(404, f"the face does not serve {self.command} {path}")

    def _behave(self, wanted: dict[str, Any] | None) -> None:
        if wanted is not None:
            self.server.behaviour = Behaviour(**wanted)
        self._reply(200, orjson.dumps(self.server.behaviour))

    def _fail(self) -> None:
        status = self.server.behaviour.status
        if status == 0:
            self.close_connection = True
            return
        self._refuse(status, "this failure was asked for")

    def _refuse(self, status: int, reason: str) -> None:
        self._reply(status, orjson.dumps({"status": {"error": reason}, "time": 0.0}))

    def _reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 429 and self.server.behaviour.retry_after is not None:
            self.send_header("Retry-After", str(self.server.behaviour.retry_after))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        """Say nothing: a test's output is the test's."""
