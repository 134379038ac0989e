"""PostHog: a `$ai_generation` or `$ai_embedding` per call, a `$ai_trace` per trace, and events of our own.

https://posthog.com/docs/llm-analytics/manual-capture says what they hold; https://posthog.com/docs/api/capture how they
come in: `POST /batch/`. This is the only way in: the same by OTLP would be billed twice.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from core_engine.settings import without_credentials
from core_engine.types import LLMCall
from metrics.observers.courier import Request
from metrics.observers.records import About, Call, Happening, Node, Place, Record, packed


class PostHog:
    """A Service."""

    name = "PostHog"
    most = 50
    every_s = 5.0
    room = 1_000
    hint = "is POSTHOG_API_KEY the project's key, and POSTHOG_HOST of its region?"

    def __init__(self, about: About, *, key: str, host: str) -> None:
        self.where = without_credentials(host)
        self._about = about
        self._key = key
        self._url = f"{host.rstrip('/')}/batch/"

    def wants(self, record: Record) -> bool:
        return isinstance(record, Call | Happening) or (
            isinstance(record, Node) and record.kind == "run" and record.ended_at is not None
        )

    def requests(self, records: Sequence[Record]) -> list[Request]:
        events = [self._event(record) for record in records]
        body = packed({"api_key": self._key, "batch": events})
        return [Request(self._url, {"content-type": "application/json"}, body, len(records))]

    def lost(self, status: int, content: bytes) -> int | None:  # noqa: ARG002  the signature is Service's
        """It answers with a JSON object."""
        return 0 if content.lstrip()[:1] in {b"{", b""} else None

    # --- a record as an event ---------------------------------------------------------------------------------------

    def _event(self, record: Record) -> dict[str, Any]:
        if isinstance(record, Call):
            call = record.call
            name = "$ai_embedding" if call.stage == "embed" else "$ai_generation"
            at = call.started_at + call.duration_s
            return self._as_event(name, call.id, at, self._call(call, record.place), call.persona)
        if isinstance(record, Happening):
            return self._as_event(f"kg {record.name.replace('_', ' ')}", record.id, record.at, dict(record.fields))
        assert isinstance(record, Node)
        return self._as_event("$ai_trace", record.id, record.ended_at or record.started_at, self._trace(record))

    def _as_event(
        self, name: str, identity: str, at: float, properties: dict[str, Any], persona: str = ""
    ) -> dict[str, Any]:
        about = self._about
        return {
            "event": name,
            "uuid": str(uuid.UUID(identity)),
            "distinct_id": persona or about.user,
            "timestamp": dt.datetime.fromtimestamp(at, dt.UTC).isoformat(),
            "properties": {
                **properties,
                "$process_person_profile": bool(persona or about.persona),
                "$geoip_disable": True,  # where a server stands says nothing about a person
                "$lib": "kg-batch",
                "$lib_version": about.version,
                "kg_run": about.run,
                "kg_workspace": about.workspace,
                "kg_persona": persona or about.persona,
                **{f"tag_{name}": value for name, value in about.tags.items()},
            },
        }

    def _call(self, call: LLMCall, place: Place) -> dict[str, Any]:
        failed = call.status != "answered"
        properties: dict[str, Any] = {
            "$ai_trace_id": place.trace,
            "$ai_session_id": self._about.run,
            "$ai_span_id": call.id,
            "$ai_span_name": call.stage,
            "$ai_parent_id": place.trace,
            "$ai_model": call.model_answered or call.model,
            "$ai_provider": call.provider,
            "$ai_base_url": call.endpoint,
            "$ai_input_tokens": call.usage.prompt,
            "$ai_cache_read_input_tokens": call.usage.cached,
            "$ai_latency": round(call.duration_s, 4),
            "$ai_http_status": call.http_status,
            "$ai_is_error": failed,
            "$ai_stream": False,
            "kg_call_id": call.id,
            "kg_batch": call.batch_id,
            "kg_stage": call.stage,
            "kg_attempt": call.attempt,
            "kg_purpose": call.purpose,
            "kg_questions": call.questions,
            "kg_model_asked": call.model,
            "kg_prompt_version": call.prompt_version,
            "kg_prompt_hash": call.prompt_hash,
            "kg_wait_s": round(call.wait_s, 4),
            "kg_tokens_per_s": round(call.tokens_per_s, 2),
            "kg_request_id": call.request_id,
            "kg_priced": call.cost is not None,
        }
        if call.stage != "embed":
            properties |= {
                "$ai_output_tokens": call.usage.completion,
                "$ai_reasoning_tokens": call.usage.reasoning,
                "$ai_temperature": call.temperature,
                "$ai_max_tokens": call.max_output,
                "$ai_stop_reason": call.finish_reason,
            }
        if call.cost is not None:
            properties["$ai_total_cost_usd"] = float(call.cost)
        if failed:
            properties["$ai_error"] = call.error_kind or call.status
        if call.asked:
            embeds = call.stage == "embed"
            properties["$ai_input"] = call.asked if embeds else [{"role": "user", "content": call.asked}]
        if call.replied:
            properties["$ai_output_choices"] = [{"role": "assistant", "content": call.replied}]
        return properties

    def _trace(self, node: Node) -> dict[str, Any]:
        return {
            "$ai_trace_id": node.id,
            "$ai_session_id": self._about.run,
            "$ai_span_name": node.name,
            "$ai_latency": round((node.ended_at or node.started_at) - node.started_at, 4),
            "$ai_is_error": bool(node.error),
            **({"$ai_error": node.error} if node.error else {}),
            "kg_calls": node.calls,
            "kg_failed_calls": node.failed,
            "kg_tokens": node.usage.total,
            "kg_cost_usd": float(node.cost),
            "kg_unpriced_calls": node.unpriced,
            **{f"kg_{name}": value for name, value in node.figures.items()},
        }
