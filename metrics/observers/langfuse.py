"""Langfuse: spans by OTLP, and scores of its own API for how good a run was.

https://langfuse.com/integrations/native/opentelemetry and https://api.reference.langfuse.com (`POST /api/public/scores`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from core_engine.settings import without_credentials
from metrics.observers.courier import Request
from metrics.observers.otlp import Otlp
from metrics.observers.records import About, Record, Score, packed

_HINT = "are LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY right, and LANGFUSE_HOST of their region?"


def traces(about: About, *, host: str, public_key: str, secret_key: str, resource: Mapping[str, str]) -> Otlp:
    headers = {**_authorization(public_key, secret_key), "x-langfuse-ingestion-version": "4"}
    url = f"{host.rstrip('/')}/api/public/otel/v1/traces"
    return Otlp(about, url=url, name="Langfuse", headers=headers, resource=resource, hint=_HINT)


class LangfuseScores:
    """A Service: shares between 0 and 1, at the trace of the run."""

    name = "Langfuse scores"
    most = 10
    every_s = 1.0
    room = 100
    hint = _HINT

    def __init__(self, *, host: str, public_key: str, secret_key: str) -> None:
        self.where = without_credentials(host)
        self._url = f"{host.rstrip('/')}/api/public/scores"
        self._headers = {**_authorization(public_key, secret_key), "content-type": "application/json"}

    def wants(self, record: Record) -> bool:
        return isinstance(record, Score)

    def requests(self, records: Sequence[Record]) -> list[Request]:
        return [Request(self._url, self._headers, packed(_score(r)), 1) for r in records if isinstance(r, Score)]

    def lost(self, status: int, content: bytes) -> int | None:  # noqa: ARG002  the signature is Service's
        """It answers with a JSON object."""
        return 0 if content.lstrip()[:1] == b"{" else None


def _score(score: Score) -> dict[str, Any]:
    return {
        "id": score.id,
        "traceId": score.trace,
        "name": score.name,
        "value": score.value,
        "dataType": "NUMERIC",
        "comment": score.comment,
    }


def _authorization(public_key: str, secret_key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()}
