"""What went wrong at a Qdrant server: the client's errors, over REST or gRPC, put into the same plain words."""

from __future__ import annotations

import json
from dataclasses import dataclass

from grpc import StatusCode
from grpc.aio import AioRpcError
from pydantic import ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

# A reply that is no JSON at all leaves the client as the decoder's own error.
FAILURES = (ApiException, QdrantException, AioRpcError, TimeoutError, json.JSONDecodeError)

_OURS_TO_MEND = {StatusCode.INVALID_ARGUMENT, StatusCode.ALREADY_EXISTS, StatusCode.OUT_OF_RANGE}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call. `words` go on from the server's name; `passing` may be over at the next try, `wait_s` at the soonest."""

    words: str
    passing: bool = False
    wait_s: float = 0.0


def failure_of(error: Exception) -> Failure:
    """What one of FAILURES says."""
    if isinstance(error, AioRpcError):
        return _over_grpc(error.code(), _line(error.details() or ""))
    if isinstance(error, UnexpectedResponse):
        return _over_rest(error.status_code or 0, _line(_told(error)))
    if isinstance(error, ResourceExhaustedResponse):
        return _failing(f"429: {_line(str(error))}", float(error.retry_after_s))
    if isinstance(error, ResponseHandlingException) and not isinstance(error.source, ValidationError):
        return _away(f"{type(error.source).__name__} {error.source}", "QDRANT_URL")
    if isinstance(error, TimeoutError):
        return _away(str(error) or type(error).__name__, "QDRANT_URL")
    return _stranger("QDRANT_URL must name its REST port (6333 by default)")


def _over_rest(status: int, reason: str) -> Failure:
    if status in {401, 403}:
        return _wrong_key(str(status))
    if status == 404:
        return _missing(f"404: {reason}")
    if status >= 500 or status in {408, 429}:
        return _failing(f"{status}: {reason}")
    return _refusal(f"{status}: {reason}")


def _over_grpc(code: StatusCode, reason: str) -> Failure:
    """What Qdrant means by the code, or the client, which says UNAVAILABLE where nobody answers."""
    said = str(code.value[1])
    if code in {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}:
        return _away(f"{said}: {reason}", "QDRANT_URL and KG_QDRANT_GRPC_PORT")
    if code in {StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED}:
        return _wrong_key(said)
    if code is StatusCode.NOT_FOUND:
        return _missing(reason)
    if code is StatusCode.UNIMPLEMENTED:
        return _stranger("KG_QDRANT_GRPC_PORT must name its gRPC port (6334 by default)")
    if code in _OURS_TO_MEND:
        return _refusal(f"{said}: {reason}")
    return _failing(f"{said}: {reason}")


def _away(reason: str, where: str) -> Failure:
    told = f"can't be reached ({_line(reason)}): start it, look at {where}, or use --vector-store embedded"
    return Failure(told, passing=True)


def _stranger(advice: str) -> Failure:
    return Failure(f"does not answer as Qdrant does: {advice}")


def _wrong_key(said: str) -> Failure:
    return Failure(f"refuses the key ({said}): set QDRANT_API_KEY to one that may read and write")


def _missing(reason: str) -> Failure:
    return Failure(f"does not know what was asked for ({reason}): was the collection deleted?")


def _failing(reason: str, wait_s: float = 0.0) -> Failure:
    return Failure(f"keeps failing ({reason}): look at its log and its disk", passing=True, wait_s=wait_s)


def _refusal(reason: str) -> Failure:
    return Failure(f"refuses the request ({reason})")


def _told(error: UnexpectedResponse) -> str:
    try:
        return str(error.structured()["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return error.reason_phrase


def _line(reason: str) -> str:
    """The heart of an error, in one short line. The client's errors name hosts at most, never keys."""
    return " ".join(reason.split())[:300]
