"""python -m tests.collectors: one server for all services, each under a path of its own, until it is stopped.

/langsmith  /langfuse  /posthog  /phoenix  /otlp     what each takes (tests/collectors/README.md)
GET /__got                                           what came, by service
POST /__config {"langsmith": "401", ...}             how each answers from now on; "*": all of them
POST /__reset                                        nothing came yet, all answer well
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from tests.collectors import langsmith, otlp, posthog
from tests.openai_server.http import Connection, Reply, Request

_HTML = b"<!doctype html><title>Sign in</title>"
_OTLP_OK = b""
_SERVICES: dict[tuple[str, str], tuple[str, Callable[[Request], list[dict[str, Any]]]]] = {
    ("langsmith", "/runs/multipart"): ("langsmith", langsmith.read),
    ("langfuse", "/api/public/otel/v1/traces"): ("langfuse", otlp.read),
    ("langfuse", "/api/public/scores"): ("scores", lambda request: [json.loads(request.body)]),
    ("posthog", "/batch/"): ("posthog", posthog.read),
    ("webhook", "/alert"): ("webhook", lambda request: [json.loads(request.body)]),
    ("phoenix", "/v1/traces"): ("phoenix", otlp.read),
    ("otlp", "/v1/traces"): ("otlp", otlp.read),
}
_MANNERS = {
    "401": Reply(401, b'{"detail":"Invalid token"}'),
    "403": Reply(403, b'{"detail":"Forbidden"}'),
    "422": Reply(422, b'{"detail":"no"}'),
    "good": Reply(200, b"{}"),
    "429": Reply(429, b"{}", headers=(("retry-after", "1"),)),
    "500": Reply(500, b"oh no"),
    "html": Reply(200, _HTML, "text/html"),
    "redirect": Reply(302, b"", headers=(("location", "http://127.0.0.1:9/"),)),
    "hang": Reply(200, b"{}", manner="hang"),
    "reset": Reply(200, b"{}", manner="reset"),
    "drip": Reply(200, b"{}" + b" " * 1_000, manner="drip"),
    "slow": Reply(200, b"{}", delay=2.0),
}


class Collectors:
    def __init__(self) -> None:
        self.got: dict[str, list[dict[str, Any]]] = {}
        self.requests: dict[str, int] = {}
        self.complaints: list[str] = []
        self.manners: dict[str, str] = {}

    def handle(self, request: Request) -> tuple[Reply, Callable[[bool], None]]:
        return self._reply(request), lambda _: None

    def _reply(self, request: Request) -> Reply:
        if request.path.startswith("/__"):
            return Reply(200, json.dumps(self._control(request)).encode())
        head, _, rest = request.path[1:].partition("/")
        self.requests[head] = self.requests.get(head, 0) + 1
        manner = self.manners.get(head, self.manners.get("*", ""))
        if manner and manner != "slow":
            return _MANNERS[manner]
        if head == "pushgateway" and request.method == "PUT":
            self.got.setdefault(head, []).append({"path": rest, "text": request.body.decode()})
            return Reply(200, b"")
        known = _SERVICES.get((head, "/" + rest))
        if known is None or request.method != "POST":
            self.complaints.append(f"{request.method} {request.path}")
            return Reply(404, b"{}")
        name, read = known
        try:
            records = read(request)
        except PermissionError as error:
            return Reply(401, json.dumps({"detail": str(error)}).encode())
        except Exception as error:
            self.complaints.append(f"{name}: {error!r}")
            return Reply(422, json.dumps({"detail": str(error)}).encode())
        self.got.setdefault(name, []).extend(records)
        if read is otlp.read:
            return Reply(200, _OTLP_OK, "application/x-protobuf", delay=2.0 if manner else 0.0)
        return Reply(200, b'{"status": 1}', delay=2.0 if manner else 0.0)

    def _control(self, request: Request) -> Any:
        if request.path == "/__config":
            self.manners |= json.loads(request.body)
        elif request.path == "/__reset":
            self.got.clear()
            self.requests.clear()
            self.complaints.clear()
            self.manners.clear()
        return {"got": self.got, "requests": self.requests, "complaints": self.complaints}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.collectors", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--watch-stdin", action="store_true")
    given = parser.parse_args()
    asyncio.run(_run(given.port, watch=given.watch_stdin))


async def _run(port: int, *, watch: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(name, stop.set)
    collectors = Collectors()
    server = await loop.create_server(lambda: Connection(collectors.handle), "127.0.0.1", port)
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    if watch:
        gone = asyncio.create_task(asyncio.to_thread(sys.stdin.buffer.read))
        gone.add_done_callback(lambda _: stop.set())
    await stop.wait()
    sys.stdout.flush()
    os._exit(0)  # a thread may still be reading standard input


if __name__ == "__main__":
    main()
