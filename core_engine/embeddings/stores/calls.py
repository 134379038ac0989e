"""Calls to a Qdrant server: tried again while that may help, put into plain words when it doesn't."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from pydantic import ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from core_engine.errors import StoreError

P = ParamSpec("P")
T = TypeVar("T")

# A reply that is no JSON at all leaves the client as the decoder's own error.
_FAILURES = (ApiException, QdrantException, TimeoutError, json.JSONDecodeError)

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class PatientCalls:
    """Makes calls to the server called `name`. A passing failure is tried again for up to `patience_s` seconds."""

    name: str
    patience_s: float = 60.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def make(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the call returns. Writes must bear being made twice: an answer may be lost on its way."""
        give_up_at = self.clock() + self.patience_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await call(*args, **kwargs)
            except _FAILURES as error:
                wait = max(pause, _asked_to_wait(error))
                if not _passing(error) or self.clock() + wait > give_up_at:
                    raise StoreError(self._explanation(error)) from error
            await self.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _explanation(self, error: Exception) -> str:
        if not isinstance(error, UnexpectedResponse):
            if _passing(error):
                return (
                    f"{self.name} can't be reached ({_reason(error)}): start it, look at QDRANT_URL, or use "
                    "--vector-store embedded"
                )
            return f"{self.name} does not answer as Qdrant does: QDRANT_URL must name its REST port (6333 by default)"
        status = error.status_code
        if status in {401, 403}:
            return f"{self.name} refuses the key ({status}): set QDRANT_API_KEY to one that may read and write"
        if status == 404:
            return f"{self.name} does not know what was asked for (404: {_reason(error)}): was the collection deleted?"
        if _passing(error):
            return f"{self.name} keeps failing ({status}: {_reason(error)}): look at its log and its disk"
        return f"{self.name} refuses the request ({status}: {_reason(error)})"


def _passing(error: Exception) -> bool:
    if isinstance(error, UnexpectedResponse):
        status = error.status_code or 0
        return status >= 500 or status in {408, 429}
    if isinstance(error, ResponseHandlingException):
        return not isinstance(error.source, ValidationError)
    return isinstance(error, (ResourceExhaustedResponse, TimeoutError))


def _asked_to_wait(error: Exception) -> float:
    return float(error.retry_after_s) if isinstance(error, ResourceExhaustedResponse) else 0.0


def _reason(error: Exception) -> str:
    """The heart of an error, in one short line. The client's errors name hosts at most, never keys."""
    if isinstance(error, UnexpectedResponse):
        try:
            text = str(error.structured()["status"]["error"])
        except (ValueError, KeyError, TypeError):
            text = error.reason_phrase
    elif isinstance(error, ResponseHandlingException):
        text = f"{type(error.source).__name__} {error.source}"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())[:300]
