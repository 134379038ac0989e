"""The face as a pytest fixture: one process for the session, always stopped; every test finds it well-behaved."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

_ROOT = Path(__file__).parents[2]


class RunningFace:
    """A face in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.qdrant_face", "--port", "0", "--grpc-port", "0"]
        command.append("--until-stdin-ends")
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.grpc_port = int(self._process.stdout.readline())
        self.grpc_env = {"QDRANT_URL": self.url, "KG_QDRANT_GRPC": "1", "KG_QDRANT_GRPC_PORT": str(self.grpc_port)}
        # No proxy that the environment may name stands before a server on this machine.
        self._http = httpx.Client(base_url=self.url, trust_env=False)

    def behave(self, **how: Any) -> None:
        """Set what it does from now on (see `Behaviour`); without arguments, nothing but answer."""
        self._http.put("/_face", json=how).raise_for_status()

    @property
    def requests(self) -> int:
        """How many requests it has had since it was last told how to behave."""
        return self._http.get("/_face").json()["requests"]

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        """The result of a request by hand."""
        response = self._http.request(method, path, **kwargs)
        response.raise_for_status()
        return response.json()["result"]

    def stop(self) -> None:
        self._http.close()
        self._process.terminate()
        self._process.communicate(timeout=10)


@pytest.fixture(scope="session")
def _face_process() -> Iterator[RunningFace]:
    face = RunningFace()
    try:
        yield face
    finally:
        face.stop()


@pytest.fixture
def qdrant_face(_face_process: RunningFace) -> Iterator[RunningFace]:
    _face_process.behave()
    yield _face_process
    _face_process.behave()
