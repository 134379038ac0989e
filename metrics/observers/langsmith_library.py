"""LangSmith's own library, which writes the requests: it sends nothing by itself, asks nobody, starts no thread.

Importing it takes half a second of CPU: only langsmith.py does so, in the courier's thread, at the first record.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import requests
from langsmith import Client
from langsmith.utils import LangSmithWarning

from metrics.observers.courier import Request

# It names runs, and parts of the key, in what it warns of; whatever goes wrong here is raised, and said by the courier.
logging.getLogger("langsmith").setLevel(logging.CRITICAL + 1)
warnings.simplefilter("ignore", LangSmithWarning)  # about variables that decide nothing here


class NotWrittenError(RuntimeError):
    """The library did not write the one request that was wanted."""


class Library:
    """What its `Client` would send. `hide`: of inputs, outputs and metadata, which to leave out.

    All that it might look up is given: its own variables for sampling, projects, modes and profiles decide nothing.
    """

    def __init__(self, *, endpoint: str, key: str, workspace_id: str, hide: frozenset[str]) -> None:
        self._kept = _Kept()
        self._client = Client(
            api_url=endpoint,
            api_key=key,
            workspace_id=workspace_id,
            session=self._kept,
            auto_batch_tracing=False,
            info={},  # else it asks the server
            tracing_mode="langsmith",
            tracing_sampling_rate=1.0,
            hide_inputs="inputs" in hide,
            hide_outputs="outputs" in hide,
            hide_metadata="metadata" in hide,
            omit_traced_runtime_info=True,  # else it asks git, and sends the environment's LANGSMITH_*
            profile_config_path=os.devnull,
            disable_prompt_cache=True,
        )

    def created(self, runs: Sequence[dict[str, Any]]) -> Request:
        self._client.multipart_ingest(create=runs)
        return self._written(len(runs))

    def updated(self, runs: Sequence[dict[str, Any]]) -> Request:
        self._client.multipart_ingest(update=runs)
        return self._written(len(runs))

    def of_parts(self, content_type: str, body: bytes, records: int) -> Request:
        """For parts that it writes only in its own thread."""
        self._client.request_with_retries("POST", "/runs/multipart", headers={"Content-Type": content_type}, data=body)
        return self._written(records)

    def _written(self, records: int) -> Request:
        kept = self._kept.taken()
        if len(kept) != 1 or kept[0][0] != "POST":
            raise NotWrittenError(f"{len(kept)} requests were written in place of one")
        _, url, headers, body = kept[0]
        return Request(url, headers, body, records)


class _Kept(requests.Session):
    """Keeps requests in place of sending them. What it could not keep whole (parameters, files) is a TypeError."""

    def __init__(self) -> None:
        super().__init__()
        self._requests: list[tuple[str, str, dict[str, str], bytes]] = []

    def request(  # type: ignore[override]
        self, method: str, url: str, *, headers: Any, data: Any, stream: bool, timeout: Any
    ) -> requests.Response:
        del stream, timeout
        body = data if isinstance(data, bytes) else data.read()  # of more than 20 MB it makes a file
        self._requests.append((method, url, dict(headers), body))
        response = requests.Response()
        response.status_code = 202
        return response

    def send(self, request: requests.PreparedRequest, **_: Any) -> NoReturn:
        raise NotWrittenError(f"{request.method} would have been sent")

    def taken(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        kept = self._requests[:]
        self._requests.clear()
        return kept
