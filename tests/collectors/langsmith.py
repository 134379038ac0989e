"""LangSmith's side: `POST /runs/multipart`, as https://docs.langchain.com/langsmith/trace-with-api describes it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

from tests.openai_server.http import Request

_STAMP = re.compile(r"\d{8}T\d{12}Z[0-9a-f-]{36}")
_KINDS = {"llm", "chain", "tool", "retriever", "embedding", "prompt", "parser"}
_APART = {"inputs", "outputs", "events", "extra", "error", "serialized"}


def read(request: Request) -> list[dict[str, Any]]:
    """The records of a request, each `{"verb": post | patch | feedback, ...}`. Raises ValueError where it is not right."""
    if not request.headers.get("x-api-key"):
        raise PermissionError("no x-api-key")
    found: dict[str, dict[str, Any]] = {}
    for name, value in _parts(request):
        verb, _, rest = name.partition(".")
        identity, _, field = rest.partition(".")
        if verb not in {"post", "patch", "feedback"} or (field and field not in _APART):
            raise ValueError(f"a part is called {name!r}")
        key = f"{verb}.{identity}"
        if field:
            if key not in found:
                raise ValueError(f"{name!r} comes before its run")
            found[key][field] = value
        else:
            found[key] = {"verb": verb, **value}
            if value.get("id") != identity:
                raise ValueError(f"{name!r} holds another id")
    for record in found.values():
        _check(record)
    return list(found.values())


def _parts(request: Request) -> Iterator[tuple[str, Any]]:
    kind = request.headers.get("content-type", "")
    boundary = re.search(r'boundary="?([^";]+)', kind)
    if not kind.startswith("multipart/form-data") or boundary is None:
        raise ValueError(f"content-type {kind!r}")
    mark = b"--" + boundary[1].encode()
    pieces = request.body.split(mark)
    if pieces[0].strip() or pieces[-1].strip() != b"--":
        raise ValueError("the parts do not begin or end with the boundary")
    for piece in pieces[1:-1]:
        head, _, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        data = data.removesuffix(b"\r\n")
        name = re.search(rb'name="([^"]+)"', head)
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if name is None or length is None or int(length[1]) != len(data):
            raise ValueError("a part without a name, or of another length than it says")
        yield name[1].decode(), json.loads(data)


def _check(record: dict[str, Any]) -> None:
    for name in ("id", "trace_id"):
        uuid.UUID(record[name])
    if record["verb"] == "feedback":
        if not {"key", "score", "run_id"} <= record.keys():
            raise ValueError("a feedback without key, score or run_id")
        return
    path = record["dotted_order"].split(".")
    if not all(_STAMP.fullmatch(step) for step in path):
        raise ValueError(f"dotted_order {record['dotted_order']!r}")
    ids = [step.partition("Z")[2] for step in path]
    if ids[0] != record["trace_id"] or ids[-1] != record["id"]:
        raise ValueError("dotted_order leads from another trace, or to another run")
    if len(ids) > 1 and record.get("parent_run_id") != ids[-2]:
        raise ValueError("parent_run_id is not the last but one of dotted_order")
    if record["verb"] == "post" and (
        record["run_type"] not in _KINDS or not record["name"] or not record["start_time"]
    ):
        raise ValueError("a run without type, name or start")
