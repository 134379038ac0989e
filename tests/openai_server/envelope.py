"""What the endpoints share: reading a JSON body, and the faults that any reply may have."""

from __future__ import annotations

import re
from typing import Any

import orjson

from tests.openai_server.errors import ApiError, invalid, no_quota, of_status

_STATUS = re.compile(r"http([1-5]\d\d)")


def parse_body(body: bytes) -> dict[str, Any]:
    """The request as an object, or OpenAI's error for a body that is none."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        request = None
    if not isinstance(request, dict):
        raise invalid("We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
                      "your HTTP library correctly. The OpenAI API expects a JSON payload.)")  # fmt: skip
    return request


def spoil_usage(reply: dict[str, Any], kind: str) -> None:
    """What the faults of usage do to a reply."""
    if kind == "no_usage":
        del reply["usage"]
    elif kind in {"zero_usage", "absurd_usage"}:
        figure = 0 if kind == "zero_usage" else 10**12
        reply["usage"] = {name: figure for name, value in reply["usage"].items() if isinstance(value, int)}


def refusal_of(kind: str, text: str = "") -> ApiError | None:
    """The error with which a fault answers instead of the model, to a request that holds the text."""
    if kind == "quotes":
        return ApiError(500, f"Internal error near '{text[:300]}'", kind="server_error")
    if kind == "content_filter_400":
        return ApiError(400, "The response was filtered due to the prompt triggering content management policy. Please "
                        "modify your prompt and retry.", param="prompt", code="content_filter")  # fmt: skip
    if kind == "redirect":
        return ApiError(307, "Moved.", headers=(("location", "http://127.0.0.1:9/v1/moved"),))
    if kind == "insufficient_quota":
        return no_quota()
    found = _STATUS.fullmatch(kind)
    return of_status(int(found[1])) if found else None
