"""Tells a webhook of the user's when a quota is nearly or wholly used: one POST an alert, JSON (docs/budgets.md)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson

from metrics.alerts import ALERTS, payload
from metrics.observers.courier import Request
from metrics.observers.records import About, Happening, Record


class Webhook:
    """A Service. Its address may hold a key, so only its host is ever named."""

    name = "webhook"
    most = 10
    every_s = 0.2
    room = 100
    hint = "see KG_ALERT_WEBHOOK"

    def __init__(self, about: About, url: str) -> None:
        self._url = url
        self._about = {"run_id": about.run, "workspace": about.workspace, "persona": about.persona}
        parts = urlsplit(url)
        self.where = f"{parts.scheme}://{parts.hostname}"

    def wants(self, record: Record) -> bool:
        return isinstance(record, Happening) and record.name in ALERTS

    def requests(self, records: Sequence[Record]) -> list[Request]:
        headers = {"content-type": "application/json"}
        return [
            Request(self._url, headers, orjson.dumps(payload(each.name, each.fields, each.at, self._about)), 1)
            for each in records
            if isinstance(each, Happening)
        ]

    def lost(self, status: int, content: bytes) -> int | None:  # noqa: ARG002  whatever it says, it has heard
        return 0
