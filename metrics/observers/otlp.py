"""OTLP over HTTP: spans for Langfuse, Phoenix, Grafana Tempo and any other collector, with the names that each reads.

https://opentelemetry.io/docs/specs/otlp/#otlphttp, protobuf. The names of all attributes stand here and nowhere else:
those of OpenTelemetry for generative AI are still in development.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from core_engine.settings import without_credentials
from core_engine.types import LLMCall
from metrics.observers.courier import Request
from metrics.observers.records import MOST_IDS, About, Call, Happening, Node, Place, Record, packed

_INTERNAL, _CLIENT = 1, 3  # SpanKind
_OK, _ERROR = 1, 2  # Status.StatusCode
_SCOPE = "kg_batch"


class Otlp:
    """A Service."""

    most = 200
    every_s = 1.0
    room = 3_000

    def __init__(
        self,
        about: About,
        *,
        url: str,
        name: str = "OTLP",
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, str] | None = None,
        hint: str = "are OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS right?",
    ) -> None:
        self.name = name
        self.where = without_credentials(url)
        self._url = url
        self.hint = hint
        self._about = about
        self._headers = {**(headers or {}), "content-type": "application/x-protobuf"}
        self._resource = {"service.name": "kg", "service.version": about.version, **(resource or {})}
        self._common = _common(about)

    def wants(self, record: Record) -> bool:
        """A span is told when it is over."""
        return isinstance(record, Call) or (isinstance(record, Node) and record.ended_at is not None)

    def requests(self, records: Sequence[Record]) -> list[Request]:
        message = ExportTraceServiceRequest()
        self._fill(message, records)
        return [Request(self._url, self._headers, message.SerializeToString(), len(records))]

    def lost(self, status: int, content: bytes) -> int | None:  # noqa: ARG002  the signature is Service's
        """What its answer says was rejected; collectors answer in protobuf, with nothing, or with a JSON object."""
        start = content.lstrip()[:1]
        if start in {b"", b"{"}:
            return 0
        if start == b"<":
            return None
        try:
            return int(ExportTraceServiceResponse.FromString(content).partial_success.rejected_spans)
        except DecodeError:
            return 0

    # --- a record as a span -----------------------------------------------------------------------------------------

    def _fill(self, message: ExportTraceServiceRequest, records: Sequence[Record]) -> None:
        group = message.resource_spans.add()
        _set(group.resource.attributes, self._resource)
        scope = group.scope_spans.add()
        scope.scope.name, scope.scope.version = _SCOPE, self._about.version
        for record in records:
            if isinstance(record, Call):
                self._call(scope.spans.add(), record.call, record.place)
            elif isinstance(record, Node):
                self._node(scope.spans.add(), record)

    def _call(self, span: Span, call: LLMCall, place: Place) -> None:
        self._head(span, call.id, place, call.started_at, call.started_at + call.duration_s)
        operation = "embeddings" if call.stage == "embed" else "chat"
        span.name = _sendable(f"{operation} {call.model}")
        span.kind = _CLIENT  # type: ignore[assignment]
        failed = call.status != "answered"
        span.status.code = _ERROR if failed else _OK  # type: ignore[assignment]
        if failed:
            span.status.message = _sendable(call.error_kind or call.status)
        _set(span.attributes, self._common if not call.persona else {**self._common, **_user(call.persona)})
        _set(span.attributes, _of_call(call, operation))
        _set(span.attributes, _content(call, operation))

    def _node(self, span: Span, node: Node) -> None:
        self._head(span, node.id, node.place, node.started_at, node.ended_at or node.started_at)
        span.name = node.name
        span.kind = _INTERNAL  # type: ignore[assignment]
        span.status.code = _ERROR if node.error else _OK  # type: ignore[assignment]
        span.status.message = node.error
        _set(span.attributes, self._common)
        # Sums stand under names of our own: a service would add them to those of the calls.
        said: dict[str, Any] = {
            "langfuse.observation.type": "span",
            "openinference.span.kind": "CHAIN",
            "kg.kind": node.kind,
            "kg.calls": node.calls,
            "kg.failed_calls": node.failed,
            "kg.tokens": node.usage.total,
            "kg.cost_usd": float(node.cost),
            "kg.unpriced_calls": node.unpriced,
        }
        said |= {"kg.stage": node.stage} if node.stage else {}
        said |= {"kg.batch_id": node.batch} if node.batch else {}
        _set(span.attributes, said | {f"kg.{name}": value for name, value in node.figures.items()})
        for one in node.happened:
            _happened(span, one)

    def _head(self, span: Span, identity: str, place: Place | None, begun: float, ended: float) -> None:
        span.trace_id = bytes.fromhex(place.trace if place else identity)
        span.span_id = bytes.fromhex(identity[:16])
        if place:
            span.parent_span_id = bytes.fromhex(place.parent[:16])
        span.start_time_unix_nano = round(begun * 1e9)
        span.end_time_unix_nano = round(max(begun, ended) * 1e9)


def _common(about: About) -> dict[str, Any]:
    """What Langfuse and Phoenix want to find on every span, or their filters by user and session miss it."""
    tags = [about.workspace, *(f"{name}={value}" for name, value in about.tags.items())]
    return {
        **_user(about.user),
        "session.id": about.run,
        "langfuse.session.id": about.run,
        "langfuse.trace.name": f"kg {about.command}",
        "langfuse.trace.tags": tags,
        "langfuse.release": about.version,
        "kg.run_id": about.run,
        "kg.workspace": about.workspace,
        **{f"kg.tag.{name}": value for name, value in about.tags.items()},
    }


def _user(name: str) -> dict[str, Any]:
    return {"user.id": name, "langfuse.user.id": name}


def _of_call(call: LLMCall, operation: str) -> dict[str, Any]:
    embeds = operation == "embeddings"
    usage = call.usage
    details = {"input": usage.prompt - usage.cached, "input_cached_tokens": usage.cached}
    if not embeds:
        details |= {"output": usage.completion - usage.reasoning, "output_reasoning_tokens": usage.reasoning}
    said: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": call.provider,
        "gen_ai.system": call.provider,
        "gen_ai.request.model": call.model,
        "gen_ai.response.model": call.model_answered or call.model,
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.completion,
        "gen_ai.usage.cache_read.input_tokens": usage.cached,
        "server.address": call.endpoint,
        "langfuse.observation.type": "embedding" if embeds else "generation",
        "langfuse.observation.model.name": call.model_answered or call.model,
        "langfuse.observation.usage_details": orjson.dumps({**details, "total": usage.total}).decode(),
        "openinference.span.kind": "EMBEDDING" if embeds else "LLM",
        "embedding.model_name" if embeds else "llm.model_name": call.model_answered or call.model,
        "llm.provider": call.provider,
        "llm.token_count.prompt": usage.prompt,
        "llm.token_count.completion": usage.completion,
        "llm.token_count.total": usage.total,
        "llm.token_count.prompt_details.cache_read": usage.cached,
        "kg.call_id": call.id,
        "kg.stage": call.stage,
        "kg.batch_id": call.batch_id,
        "kg.chunk_ids": list(call.chunks[:MOST_IDS]),
        "kg.attempt": call.attempt,
        "kg.purpose": call.purpose,
        "kg.questions": call.questions,
        "kg.wait_s": call.wait_s,
        "kg.tokens_per_s": call.tokens_per_s,
        "kg.priced": call.cost is not None,
        "kg.requests_left": call.requests_left,
        "kg.tokens_left": call.tokens_left,
        "kg.http_status": call.http_status,
    }
    if not embeds:
        said |= {
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
            "gen_ai.request.temperature": float(call.temperature),
            "gen_ai.request.max_tokens": call.max_output,
            "langfuse.observation.model.parameters": orjson.dumps(
                {"temperature": call.temperature, "max_tokens": call.max_output}
            ).decode(),
            "llm.token_count.completion_details.reasoning": usage.reasoning,
            "kg.prompt_version": call.prompt_version,
            "kg.prompt_hash": call.prompt_hash,
        }
        if call.finish_reason:
            said["gen_ai.response.finish_reasons"] = [call.finish_reason]
    if call.request_id:
        said["gen_ai.response.id"] = call.request_id
    if call.cost is not None:
        cost = float(call.cost)
        said |= {
            "gen_ai.usage.cost": cost,
            "llm.cost.total": cost,
            "langfuse.observation.cost_details": orjson.dumps({"total": cost}).decode(),
        }
    if call.status != "answered":
        kind = call.error_kind or call.status
        said |= {
            "error.type": kind,
            "langfuse.observation.level": "ERROR",
            "langfuse.observation.status_message": kind,
        }
    return said


def _content(call: LLMCall, operation: str) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if call.asked:
        said |= {"langfuse.observation.input": call.asked, "input.value": call.asked}
        if operation == "chat":
            said["gen_ai.input.messages"] = _message("user", call.asked)
    if call.replied:
        said |= {"langfuse.observation.output": call.replied, "output.value": call.replied}
        said["gen_ai.output.messages"] = _message("assistant", call.replied)
    return said


def _message(role: str, text: str) -> str:
    return packed([{"role": role, "parts": [{"type": "text", "content": text}]}]).decode()


def _happened(span: Span, happening: Happening) -> None:
    event = span.events.add()
    event.name = f"kg.{happening.name}"
    event.time_unix_nano = round(happening.at * 1e9)
    _set(event.attributes, happening.fields)


def _set(attributes: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            continue
        entry = attributes.add()
        entry.key = key
        _put(entry.value, value)


def _put(into: Any, value: Any) -> None:
    if isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int):
        into.int_value = value
    elif isinstance(value, float):
        into.double_value = value
    elif isinstance(value, list | tuple):
        into.array_value.SetInParent()
        for item in value:
            _put(into.array_value.values.add(), item)
    else:
        into.string_value = _sendable(str(value))


def _sendable(text: str) -> str:
    """UTF-8 knows no unpaired surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
