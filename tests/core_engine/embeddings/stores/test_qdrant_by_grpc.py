"""What is gRPC's alone in the store on a server; what both transports share is tried in test_qdrant.py on each."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc as transport
import pytest
from qdrant_client import grpc

from core_engine.embeddings.stores.qdrant import QdrantVectorStore
from core_engine.errors import StoreError
from tests.core_engine.embeddings.stores.test_qdrant import Clock
from tests.kg import Kg
from tests.qdrant_face import rpc
from tests.qdrant_face.engine import Engine
from tests.qdrant_face.server import Behaviour, Face


class Door(grpc.QdrantServicer):
    """Notes what each caller shows at the door, and does with it what the test wants."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.shown: list[dict[str, str]] = []

    def HealthCheck(self, request: Any, context: transport.ServicerContext) -> Any:  # noqa: N802  # the service's name
        self.shown.append(dict(context.invocation_metadata()))
        return self.answer(context)


@contextlib.contextmanager
def listening(door: Door | None) -> Iterator[int]:
    """A gRPC server's port, behind which there is no Qdrant, or its door alone."""
    server = transport.server(ThreadPoolExecutor(2))
    if door:
        grpc.add_QdrantServicer_to_server(door, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()


def store_at(port: int, login: str = "", key: str | None = None, clock: Clock | None = None) -> QdrantVectorStore:
    clock = clock or Clock()
    url = f"http://{login}127.0.0.1:6333"
    return QdrantVectorStore(url, key, "kg_x", None, None, grpc_port=port, clock=clock, sleep=clock.sleep)


async def test_user_password_and_key_are_shown_and_never_told():
    door = Door(lambda context: context.abort(transport.StatusCode.PERMISSION_DENIED, "not you"))
    denied = pytest.raises(StoreError, match=r"refuses the key \(permission denied\)")
    with listening(door) as port, denied as refused:
        await store_at(port, "me:s3cr3t@", "k3y").open()
    (shown,) = door.shown
    assert shown["api-key"] == "k3y"
    assert base64.b64decode(shown["authorization"].removeprefix("Basic ")) == b"me:s3cr3t"
    for secret in ("s3cr3t", "k3y", shown["authorization"]):
        assert secret not in str(refused.value) + repr(refused.value.__cause__)


async def test_another_grpc_server_at_the_port_is_not_taken_for_qdrant():
    strange = pytest.raises(StoreError, match=r"does not answer as Qdrant does: KG_QDRANT_GRPC_PORT must name its gRPC")
    with listening(None) as port, strange:
        await store_at(port).open()


async def test_the_rest_port_is_not_taken_for_the_one_of_grpc(qdrant_face):
    port = int(qdrant_face.url.rpartition(":")[2])
    clock = Clock()
    with pytest.raises(StoreError, match=rf"\(gRPC on port {port}\) can't be reached .*KG_QDRANT_GRPC_PORT"):
        await store_at(port, clock=clock).open()
    assert clock.sleeps == []


async def test_a_server_that_does_not_answer_in_time_is_given_up(monkeypatch):
    monkeypatch.setattr("core_engine.embeddings.stores.qdrant._TIMEOUT_S", 1)
    over = threading.Event()
    with listening(Door(lambda _: over.wait())) as port:
        try:
            with pytest.raises(StoreError, match=r"can't be reached \(deadline exceeded: .*start it"):
                await store_at(port).open()
        finally:
            over.set()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A key and a certificate for this machine, which nobody has signed."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(make, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    return key, certificate


def test_tls_and_the_key_protect_it_as_they_do_rest(certificate, tmp_path):
    key, chain = (path.read_bytes() for path in certificate)
    face = Face(0, Engine(tmp_path / "engine"), Behaviour(api_key="open sesame"))
    server, port = rpc.serve(face, 0, transport.ssl_server_credentials([(key, chain)]))
    trusting = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate[1])}
    kg = Kg(tmp_path, QDRANT_URL="https://localhost:6333", QDRANT_API_KEY="open sesame", KG_QDRANT_GRPC_PORT=str(port))
    try:
        good = _vector_store(kg, **trusting)
        assert (good["state"], "(gRPC on port" in good["detail"]) == ("ok", True)
        wrong = _vector_store(kg, **trusting, QDRANT_API_KEY="s3cr3t")
        assert "refuses the key (unauthenticated)" in wrong["detail"]
        unknown = _vector_store(kg, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="")
        assert "can't be reached" in unknown["detail"]
        assert "CERTIFICATE_VERIFY_FAILED" in unknown["detail"].upper()
    finally:
        server.stop(grace=None).wait()
        face.server_close()
        face.engine.close()


def _vector_store(kg: Kg, **env: str) -> dict[str, str]:
    """What `kg doctor` says of it, in a process of its own: gRPC reads its roots once."""
    doctor = kg.started("doctor", "--no-model", "--qdrant-grpc", "--json", **env)
    out, err = doctor.communicate(timeout=60)
    assert err.count("ssl_transport") == 0  # what gRPC would say by itself
    return next(check for check in json.loads(out)["checks"] if check["name"] == "vector store")
