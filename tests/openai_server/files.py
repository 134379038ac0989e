"""/v1/files as the Batch API needs it: uploads are kept in memory, listed newest first, read and deleted."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson

from tests.openai_server.errors import ApiError, invalid
from tests.openai_server.http import Reply, Request
from tests.openai_server.provider import Provider

MOST_BYTES = 200_000_000
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_NAME = re.compile(r'\bname="([^"]*)"')
_FILENAME = re.compile(r'\bfilename="([^"]*)"')


@dataclass(slots=True)
class File:
    id: str
    name: str
    purpose: str
    content: bytes
    at: float = field(default_factory=time.monotonic)
    created: int = field(default_factory=lambda: int(time.time()))

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "expires_at": None,
        }


class Files:
    """The uploads of one account. A list shows a file only when it is older than the setting `batch_list_lag`."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.clear()

    def clear(self) -> None:
        self._files: dict[str, File] = {}
        self._count = 0
        self.uploads = 0

    def add(self, name: str, purpose: str, content: bytes) -> File:
        self._count += 1
        file = File(f"file-{self._count:08x}", name, purpose, content)
        self._files[file.id] = file
        return file

    def get(self, identity: str) -> File:
        if identity not in self._files:
            raise ApiError(404, f"No such File object: {identity}", param="id")
        return self._files[identity]

    def handle(self, request: Request, parts: list[str]) -> Reply:
        if not parts:
            if request.method == "POST":
                return self._upload(request)
            if request.method == "GET":
                return self._list(request)
        elif request.method == "GET":
            file = self.get(parts[0])
            if parts[1:] == ["content"]:
                strike = self._provider.faults.strike_kind("content_cut")
                return Reply(200, file.content, "application/octet-stream", manner="cut" if strike else "")
            return _json(file.as_json())
        elif request.method == "DELETE":
            del self._files[self.get(parts[0]).id]
            return _json({"id": parts[0], "object": "file", "deleted": True})
        raise ApiError(404, f"Invalid URL ({request.method} {request.path})")

    def _upload(self, request: Request) -> Reply:
        if self._provider.faults.strike_kind("upload_cut"):
            return Reply(200, b"", manner="reset")
        fields, file = _read_form(request)
        if fields.get("purpose") not in {"batch", "assistants", "fine-tune", "vision", "user_data", "evals"}:
            raise invalid(f"'{fields.get('purpose', '')}' is not one of ['batch', ...] - 'purpose'", "purpose")
        if file is None:
            raise invalid("'file' is a required property", "file")
        name, content = file
        if fields["purpose"] == "batch":
            if len(content) > MOST_BYTES:
                raise invalid("File is too large.")
            if not name.endswith(".jsonl"):
                raise invalid(f"Invalid file format for Batch API. Must be .jsonl, got {name}", "file")
        self.uploads += 1
        kept = self.add(name, fields["purpose"], content)
        if self._provider.faults.strike_kind("upload_lost"):
            raise ApiError(500, "The server had an error while processing your request.", kind="server_error")
        return _json(kept.as_json())

    def _list(self, request: Request) -> Reply:
        query = parse_qs(request.query)
        purpose = query.get("purpose", [""])[0]
        lag = self._provider.settings.batch_list_lag
        old = [f for f in self._files.values() if time.monotonic() - f.at >= lag and purpose in {"", f.purpose}]
        return page([file.as_json() for file in reversed(old)], request, 10_000)


def page(values: list[dict[str, Any]], request: Request, most: int) -> Reply:
    """One page of a list, as OpenAI cuts them: `limit` values behind the one whose id is `after`."""
    query = parse_qs(request.query)
    limit = int(query.get("limit", ["20" if most == 100 else str(most)])[0])
    if not 1 <= limit <= most:
        raise invalid(f"Invalid 'limit': expected a value between 1 and {most}, but got {limit} instead.", "limit")
    after = query.get("after", [""])[0]
    begin = next((at + 1 for at, value in enumerate(values) if value["id"] == after), 0)
    shown = values[begin : begin + limit]
    return _json(
        {
            "object": "list",
            "data": shown,
            "first_id": shown[0]["id"] if shown else None,
            "last_id": shown[-1]["id"] if shown else None,
            "has_more": begin + limit < len(values),
        }
    )


def _read_form(request: Request) -> tuple[dict[str, str], tuple[str, bytes] | None]:
    found = _BOUNDARY.search(request.headers.get("content-type", ""))
    if not found:
        raise invalid("Could not parse multipart form")
    fields: dict[str, str] = {}
    file = None
    for part in request.body.split(b"--" + found[1].encode("latin-1"))[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        said = head.decode("utf-8", "replace")
        name = _NAME.search(said)
        filename = _FILENAME.search(said)
        if filename:
            file = filename[1], content
        elif name:
            fields[name[1]] = content.decode("utf-8", "replace")
    return fields, file


def _json(value: Any) -> Reply:
    return Reply(200, orjson.dumps(value))
