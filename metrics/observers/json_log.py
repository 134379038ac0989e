"""The observer that writes a line per model call and per event to the log: ids, tokens, seconds, never a word of content."""

from __future__ import annotations

import logging
from typing import Any

from core_engine.types import LLMCall


class JsonLog:
    """An Observer. The log's own handlers decide where the lines go."""

    def __init__(self) -> None:
        self._log = logging.getLogger("kg.calls")
        self._events = logging.getLogger("kg.events")

    def call_finished(self, call: LLMCall) -> None:
        self._log.debug(
            "%s %s: %d questions, %d tokens",
            call.stage,
            call.status,
            call.questions,
            call.usage.total,
            extra={
                "batch_id": call.batch_id,
                "call_id": call.id,
                "chunk_ids": list(call.chunks),
                "stage": call.stage,
                "status": call.status,
                "model": call.model,
                "attempt": call.attempt,
                "purpose": call.purpose,
                "wait_s": round(call.wait_s, 4),
                "duration_s": round(call.duration_s, 4),
                "tokens": call.usage.total,
                "cost_usd": None if call.cost is None else float(call.cost),
                "error_kind": call.error_kind,
                "http_status": call.http_status,
                "request_id": call.request_id,
            },
        )

    def event(self, name: str, fields: dict[str, Any]) -> None:
        self._events.debug("%s", name, extra={"event": name, "fields": fields})
