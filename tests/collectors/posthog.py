"""PostHog's side: `POST /batch/`, as https://posthog.com/docs/api/capture describes it."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from typing import Any

from tests.openai_server.http import Request

_TRACE = re.compile(r"[\w\-~.@()!':|]+")  # as its manual says of $ai_trace_id


def read(request: Request) -> list[dict[str, Any]]:
    """The events of a request. Raises ValueError where it is not right."""
    body = json.loads(request.body)
    if not body.get("api_key"):
        raise PermissionError("no api_key")
    events = body["batch"]
    if not isinstance(events, list) or not events:
        raise ValueError("no events")
    for event in events:
        uuid.UUID(event["uuid"])
        dt.datetime.fromisoformat(event["timestamp"])
        if not event["event"] or not event["distinct_id"]:
            raise ValueError("an event without a name or a distinct_id")
        said = event["properties"]
        if event["event"].startswith("$ai_") and not _TRACE.fullmatch(said["$ai_trace_id"]):
            raise ValueError("$ai_trace_id")
        if event["event"] in {"$ai_generation", "$ai_embedding"} and not {"$ai_model", "$ai_provider"} <= said.keys():
            raise ValueError("a call without model or provider")
    return events
