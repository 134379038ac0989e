"""The observer that writes a line per model call to the log: ids, tokens, seconds, never a word of the content."""

from __future__ import annotations

import logging
from typing import Any

from core_engine.types import LLMCall


class JsonLog:
    """An Observer. The log's own handlers decide where the lines go."""

    def __init__(self) -> None:
        self._log = logging.getLogger("kg.calls")

    def call_finished(self, call: LLMCall) -> None:
        self._log.debug(
            "%s %s: %d questions, %d tokens",
            call.stage,
            call.status,
            call.questions,
            call.usage.total,
            extra={
                "call_id": call.id,
                "batch_id": call.batch_id,
                "stage": call.stage,
                "status": call.status,
                "duration_s": round(call.duration_s, 4),
                "tokens": call.usage.total,
                "error_kind": call.error_kind,
            },
        )

    def event(self, name: str, fields: dict[str, Any]) -> None:
        self._log.info("%s", name, extra=fields)
