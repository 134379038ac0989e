"""What the server refuses, in OpenAI's own error bodies."""

from __future__ import annotations

import orjson


class ApiError(Exception):
    """A refusal: becomes a response with this status and `{"error": {...}}` as its body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = headers
        super().__init__(message)

    @property
    def body(self) -> bytes:
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return orjson.dumps({"error": error})


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """The usual 400."""
    return ApiError(400, message, param=param, code=code)


def of_status(status: int) -> ApiError:
    """The error that OpenAI sends with this status when nothing in the request is to blame, for faults on purpose."""
    message, kind, code = _BY_STATUS.get(status, (f"This is a {status} on purpose.", "invalid_request_error", None))
    headers = (("retry-after", "1"), ("retry-after-ms", "50")) if status in {429, 503} else ()
    return ApiError(status, message, kind=kind, code=code, headers=headers)


def no_quota() -> ApiError:
    return ApiError(
        429,
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        kind="insufficient_quota",
        code="insufficient_quota",
    )


_BY_STATUS: dict[int, tuple[str, str, str | None]] = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("You are not allowed to sample from this model.", "invalid_request_error", "model_not_found"),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    408: ("The request timed out.", "server_error", "timeout"),
    409: ("The resource was changed by another request.", "invalid_request_error", "conflict"),
    413: ("The request is too large.", "invalid_request_error", "request_too_large"),
    429: ("Rate limit reached for requests. Please try again in 50ms.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request. Sorry about that!", "server_error", None),
    502: ("Bad gateway.", "server_error", None),
    503: ("The engine is currently overloaded, please try again later. Slow down.", "server_error", "slow_down"),
    504: ("Gateway timeout.", "server_error", None),
}
