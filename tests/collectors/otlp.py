"""OTLP's side: `POST /v1/traces` in protobuf, as https://opentelemetry.io/docs/specs/otlp/#otlphttp describes it."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.openai_server.http import Request


def read(request: Request) -> list[dict[str, Any]]:
    """The spans of a request as plain values. Raises ValueError where it is not right."""
    if request.headers.get("content-type") != "application/x-protobuf":
        raise ValueError(f"content-type {request.headers.get('content-type')!r}")
    message = ExportTraceServiceRequest.FromString(request.body)
    spans = []
    for group in message.resource_spans:
        resource = attributes(group.resource.attributes)
        if not resource.get("service.name"):
            raise ValueError("a resource without service.name")
        for scope in group.scope_spans:
            spans += [_span(span, resource, scope.scope.name) for span in scope.spans]
    if not spans:
        raise ValueError("no spans")
    return spans


def _span(span: Any, resource: dict[str, Any], scope: str) -> dict[str, Any]:
    ids = len(span.trace_id), len(span.span_id), len(span.parent_span_id)
    if ids not in {(16, 8, 8), (16, 8, 0)} or not any(span.trace_id) or not any(span.span_id):
        raise ValueError("ids of another length, or zero")
    if not span.name or not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
        raise ValueError("a span without name, or that ends before it starts")
    return {
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "start": span.start_time_unix_nano / 1e9,
        "end": span.end_time_unix_nano / 1e9,
        "status": span.status.code,
        "message": span.status.message,
        "attributes": attributes(span.attributes),
        "events": [{"name": event.name, "attributes": attributes(event.attributes)} for event in span.events],
        "resource": resource,
        "scope": scope,
    }


def attributes(entries: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in entries:
        if entry.key in found:
            raise ValueError(f"{entry.key} stands twice")
        found[entry.key] = _value(entry.value)
    return found


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind is None:
        raise ValueError("an attribute without a value")
    return getattr(value, kind)
