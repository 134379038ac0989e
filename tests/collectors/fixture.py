"""The collectors for tests: `collectors` is a server of its own process, reset for each test."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 30


class Running:
    """A running server; `env` sets kg up to tell all services of it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.collectors", "--watch-stdin"]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        self.url: str = json.loads(self._process.stdout.readline())["url"]

    @property
    def env(self) -> dict[str, str]:
        return environment(self.url)

    def got(self) -> dict[str, list[dict[str, Any]]]:
        """What came, by service; fails where something came that the service would not have taken."""
        said = self._call("/__got")
        assert said["complaints"] == []
        found: dict[str, list[dict[str, Any]]] = said["got"]
        return found

    def requests(self) -> dict[str, int]:
        """How many requests came, by the first part of their path."""
        found: dict[str, int] = self._call("/__got")["requests"]
        return found

    def be(self, **manners: str) -> None:
        """How each answers from now on; `all_of_them` is the rest."""
        manners = {"*" if name == "all_of_them" else name: manner for name, manner in manners.items()}
        self._call("/__config", manners)

    def reset(self) -> None:
        self._call("/__reset", {})

    def stop(self) -> None:
        self._process.terminate()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.wait(_PATIENCE_S)

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(self.url + path, data=None if body is None else json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_PATIENCE_S) as reply:
            return json.load(reply)


def environment(url: str) -> dict[str, str]:
    """The variables by which users turn each service on, all of them at one address."""
    return {
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_API_KEY": "lsv2-canary-key",
        "LANGSMITH_ENDPOINT": f"{url}/langsmith",
        "LANGSMITH_PROJECT": "nights",
        "LANGFUSE_PUBLIC_KEY": "pk-lf-canary-key",
        "LANGFUSE_SECRET_KEY": "sk-lf-canary-key",
        "LANGFUSE_HOST": f"{url}/langfuse",
        "POSTHOG_API_KEY": "phc-canary-key",
        "POSTHOG_HOST": f"{url}/posthog",
        "PHOENIX_COLLECTOR_ENDPOINT": f"{url}/phoenix",
        "PHOENIX_API_KEY": "px-canary-key",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{url}/otlp",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=canary%20key",
    }


@pytest.fixture(scope="session")
def _collectors_process() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def collectors(_collectors_process: Running) -> Running:
    _collectors_process.reset()
    return _collectors_process
