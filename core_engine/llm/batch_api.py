"""The Batch API on the wire: files up and down, jobs made, found again, looked at and cancelled."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import orjson

from core_engine.errors import ModelError, PassingFailure, ServiceRefused
from core_engine.llm.client import Client

# https://platform.openai.com/docs/guides/batch: 50,000 requests (of embeddings also 50,000 inputs) and 200 MB a file.
MOST_REQUESTS = 50_000
MOST_INPUTS = 50_000
MOST_BYTES = 199_000_000
PATHS = {"extract": "/v1/chat/completions", "embed": "/v1/embeddings"}
OVER = frozenset({"completed", "failed", "expired", "cancelled"})

_NAME = "kg-{}.jsonl"
_TAG = "kg_job"  # the key under which a job's metadata carries its intent's id
_PAGE = 100
_CLOCKS_DIFFER_S = 3600
_UPLOAD_BYTES_A_S = 100_000  # a slow line; beyond the usual timeout
_LIMIT = re.compile(r"[Ll]imit:?\s*([\d,]{3,})")
_QUEUE_FULL = re.compile(r"token_limit_exceeded|enqueued token", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BatchState:
    """A job as the provider shows it. `expires_at` is Unix time; `errors` are pairs (code, message)."""

    id: str
    status: str
    input_file: str
    output_file: str | None
    error_file: str | None
    done: int
    failed: int
    expires_at: float | None
    created_at: float
    tag: str
    errors: tuple[tuple[str, str], ...]

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def files(self) -> tuple[str, ...]:
        """All its files at the provider, the input's first."""
        return tuple(filter(None, (self.input_file, self.output_file, self.error_file)))

    @property
    def said(self) -> str:
        """Its errors in words."""
        texts = [f"{message} ({code})" if code else message for code, message in self.errors[:3]]
        return "; ".join(_plain(text) for text in texts)

    @property
    def queue_full(self) -> bool:
        """Refused because more prompt tokens would wait than the account may have in the queue."""
        return any(_QUEUE_FULL.search(f"{code} {message}") for code, message in self.errors)

    @property
    def queue_limit(self) -> int | None:
        """How many tokens may wait, where the refusal says it."""
        return next((found for _, message in self.errors if (found := limit_in(message))), None)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of results: the reply's body where one came (of any `status`), else the `error` and its code."""

    custom_id: str
    status: int | None
    request_id: str
    body: Any
    code: str
    error: str


class QueueFull(ModelError):
    """The provider takes no job of this size now. `limit` of tokens, where it says one."""

    limit: int | None = None


class BatchApi:
    """The jobs of one endpoint. Each method asks once, and raises what `Client.send` raises."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def upload(self, job: str, path: Path) -> str:
        """Upload a job's file; its id."""
        size = path.stat().st_size
        timeout = self.client.endpoint.timeout_s + size / _UPLOAD_BYTES_A_S
        with path.open("rb") as content:
            raw = await self._send(
                self.client.api.files.with_raw_response.create,
                {"file": (_NAME.format(job), content), "purpose": "batch"},
                timeout_s=timeout,
            )
        return str(_body(raw)["id"])

    async def find_file(self, job: str, size: int, since: float) -> str | None:
        """The id of a job's file that was uploaded whole, if it is there."""
        files = self.client.api.files.with_raw_response.list
        async for file in self._pages(files, {"purpose": "batch", "order": "desc"}, since):
            if file.get("filename") == _NAME.format(job) and file.get("bytes") == size:
                return str(file["id"])
        return None

    async def create(self, job: str, stage: str, file: str) -> BatchState:
        """Have the provider begin. The job's id goes along, so that it is found again whatever becomes of the reply."""
        arguments = {
            "input_file_id": file,
            "endpoint": PATHS[stage],
            "completion_window": "24h",
            "metadata": {_TAG: job},
            "extra_headers": {"Idempotency-Key": job},  # some servers heed it; OpenAI's documents don't promise to
        }
        try:
            raw = await self._send(self.client.api.batches.with_raw_response.create, arguments)
        except ModelError as error:
            if _QUEUE_FULL.search(str(error)):
                full = QueueFull(str(error), kind="queue_full", status=error.status)
                full.limit = limit_in(str(error))
                raise full from error
            raise
        return _state(_body(raw))

    async def find(self, job: str, file: str | None, since: float) -> BatchState | None:
        """The job by its id in the metadata, or by its file, if the provider has it."""
        async for batch in self._pages(self.client.api.batches.with_raw_response.list, {}, since):
            state = _state(batch)
            # A failed one ran nothing, and stays in the list when the same file is sent again.
            if state.status != "failed" and (state.tag == job or (file and state.input_file == file)):
                return state
        return None

    async def look(self, batch: str) -> BatchState:
        return _state(_body(await self._send(self.client.api.batches.with_raw_response.retrieve, {"batch_id": batch})))

    async def cancel(self, batch: str) -> BatchState:
        return _state(_body(await self._send(self.client.api.batches.with_raw_response.cancel, {"batch_id": batch})))

    async def delete(self, file: str) -> None:
        await self._send(self.client.api.files.with_raw_response.delete, {"file_id": file})

    async def lines(self, file: str) -> AsyncIterator[Line]:
        """A result file, line by line: it may be larger than memory. One that breaks off raises PassingFailure."""
        download = self.client.api.files.with_streaming_response.content(file)
        response = await self._send(download.__aenter__, {})
        try:
            rest = b""
            chunks = response.iter_bytes()
            while True:
                try:
                    chunk = await anext(chunks, None)
                except Exception as error:
                    where = self.client.endpoint.label
                    raise PassingFailure(f"{where}: the download of results broke off", kind="reset") from error
                if chunk is None:
                    break
                *whole, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
                for text in whole:
                    if text.strip():
                        yield read_line(text)
            if rest.strip():
                yield read_line(rest)
        finally:
            await download.__aexit__(None, None, None)

    async def _pages(self, list_: Any, arguments: Mapping[str, Any], since: float) -> AsyncIterator[dict[str, Any]]:
        """What a list holds, newest first, as far back as `since` (Unix time)."""
        after: dict[str, Any] = {}
        while True:
            body = _body(await self._send(list_, {"limit": _PAGE, **arguments, **after}))
            data = [each for each in body.get("data") or () if isinstance(each, dict)]
            for each in data:
                if _number(each.get("created_at")) and float(each["created_at"]) < since - _CLOCKS_DIFFER_S:
                    return
                yield each
            if not body.get("has_more") or not data:
                return
            after = {"after": data[-1]["id"]}

    async def _send(self, call: Any, arguments: Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        try:
            return await self.client.send(call, dict(arguments), timeout_s=timeout_s)
        except ServiceRefused as error:
            if error.status == 404:
                _not_there(self.client.endpoint.label, error)
            raise


def _not_there(where: str, error: ServiceRefused) -> NoReturn:
    raise ServiceRefused(
        f"{where}: 404: no such job or file, or no Batch API at all: leave out --batch-api for a server without one",
        kind="404",
        status=404,
    ) from error


def limit_in(text: str) -> int | None:
    """The limit of tokens that a refusal names."""
    found = _LIMIT.search(text)
    return int(found[1].replace(",", "")) if found else None


def request_line(custom_id: str, stage: str, body: Mapping[str, Any]) -> bytes:
    """A line of a job's file."""
    row = {"custom_id": custom_id, "method": "POST", "url": PATHS[stage], "body": body}
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def read_line(text: bytes) -> Line:
    """A line of a result file; one that can't be read has no custom_id."""
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:  # as the SDK reads a reply: unpaired surrogates and NaN are paid for like any other
            row = json.loads(text.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            row = None
    if not isinstance(row, dict):
        return Line("", None, "", None, "broken", "")
    response = row.get("response")
    error = row.get("error")
    about = error if isinstance(error, dict) else {}
    if not isinstance(response, dict):
        response = {}
    status = response.get("status_code")
    return Line(
        custom_id=str(row.get("custom_id") or ""),
        status=status if isinstance(status, int) else None,
        request_id=str(response.get("request_id") or ""),
        body=response.get("body"),
        code=str(about.get("code") or ""),
        error=_plain(str(about.get("message") or "")),
    )


def _body(raw: Any) -> dict[str, Any]:
    try:
        body = orjson.loads(raw.content)
    except orjson.JSONDecodeError as error:
        raise PassingFailure("the server answered 200 with something that is no JSON", kind="broken") from error
    if not isinstance(body, dict):
        raise PassingFailure("the server answered 200 with something that is no object", kind="broken")
    return body


def _state(body: Mapping[str, Any]) -> BatchState:
    counts = body.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    metadata = body.get("metadata")
    errors = body.get("errors")
    listed: Sequence[Any] = (errors.get("data") or ()) if isinstance(errors, dict) else ()
    return BatchState(
        id=str(body.get("id") or ""),
        status=str(body.get("status") or ""),
        input_file=str(body.get("input_file_id") or ""),
        output_file=body.get("output_file_id") or None,
        error_file=body.get("error_file_id") or None,
        done=int(_number(counts.get("completed")) or 0),
        failed=int(_number(counts.get("failed")) or 0),
        expires_at=_number(body.get("expires_at")),
        created_at=_number(body.get("created_at")) or 0.0,
        tag=str(metadata.get(_TAG) or "") if isinstance(metadata, dict) else "",
        errors=tuple((str(e.get("code") or ""), str(e.get("message") or "")) for e in listed if isinstance(e, dict)),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]
