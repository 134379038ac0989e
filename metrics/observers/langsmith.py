"""LangSmith: each call, batch, stage and run as a record of its own, in requests that its own library writes.

The fields are those of https://docs.langchain.com/langsmith/run-data-format. The library sends nothing: our courier
does (docs/decisions/0024-traces-by-one-courier.md).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from core_engine.settings import without_credentials
from core_engine.types import LLMCall
from metrics.observers.courier import Request
from metrics.observers.records import MOST_IDS, About, Call, Node, Place, Record, Score, packed

if TYPE_CHECKING:
    from metrics.observers.langsmith_library import Library

_BOUNDARY = "kg-batch-records-4b1d7c"
_TYPES = {"embed": "embedding"}

UNWANTED = ("LANGSMITH_RUNS_ENDPOINTS", "LANGSMITH_USE_PYO3_CLIENT", "LANGCHAIN_USE_PYO3_CLIENT")
"""Variables that can't be overruled: with the first the library refuses to start, with the others it starts a thread."""


class LangSmith:
    """A Service. `hide`: of "inputs", "outputs" and "metadata", which are left out of all records."""

    name = "LangSmith"
    most = 100
    every_s = 1.0
    room = 3_000
    hint = "is LANGSMITH_API_KEY right, and LANGSMITH_ENDPOINT of its region?"

    def __init__(
        self,
        about: About,
        *,
        key: str,
        endpoint: str,
        project: str,
        workspace_id: str = "",
        hide: frozenset[str] = frozenset(),
    ) -> None:
        self.where = without_credentials(endpoint)
        self._about = about
        self._project = project
        self._given: dict[str, Any] = {"endpoint": endpoint, "key": key, "workspace_id": workspace_id, "hide": hide}
        self._loaded: Library | None = None

    def wants(self, record: Record) -> bool:
        return isinstance(record, Call | Node | Score)

    def requests(self, records: Sequence[Record]) -> list[Request]:
        """In the records' order, which the courier counts by: mostly one request, of calls and batches that are over."""
        return [self._request(verb, list(same)) for verb, same in groupby(records, _verb)]

    def lost(self, status: int, content: bytes) -> int | None:  # noqa: ARG002  the signature is Service's
        """It answers with a JSON object."""
        return 0 if content.lstrip()[:1] in {b"{", b""} else None

    @property
    def _library(self) -> Library:
        if self._loaded is None:
            from metrics.observers.langsmith_library import Library  # noqa: PLC0415  it takes half a second

            self._loaded = Library(**self._given)
        return self._loaded

    def _request(self, verb: str, records: Sequence[Record]) -> Request:
        if verb == "feedback":
            # Without a thread of its own the library posts feedback to another address, which doesn't know the run yet.
            parts = b"".join(_feedback(record) for record in records if isinstance(record, Score))
            kind = f"multipart/form-data; boundary={_BOUNDARY}"
            return self._library.of_parts(kind, parts + f"--{_BOUNDARY}--\r\n".encode(), len(records))
        runs = [
            self._call(record.call, record.place) if isinstance(record, Call) else self._node(record)
            for record in records
            if isinstance(record, Call | Node)
        ]
        return self._library.created(runs) if verb == "post" else self._library.updated(runs)

    # --- a record as a run ------------------------------------------------------------------------------------------

    def _call(self, call: LLMCall, place: Place) -> dict[str, Any]:
        embeds = call.stage == "embed"
        metadata = {
            **self._metadata(),
            "kg_call_id": call.id,
            "kg_stage": call.stage,
            "kg_batch": call.batch_id,
            "kg_attempt": call.attempt,
            "kg_purpose": call.purpose,
            "kg_questions": call.questions,
            "kg_chunk_ids": list(call.chunks[:MOST_IDS]),
            "kg_wait_s": round(call.wait_s, 4),
            "kg_tokens_per_s": round(call.tokens_per_s, 2),
            "kg_prompt_version": call.prompt_version,
            "kg_prompt_hash": call.prompt_hash,
            "kg_request_id": call.request_id,
            "kg_model_answered": call.model_answered,
            "kg_priced": call.cost is not None,
            "ls_provider": call.provider,
            "ls_model_name": call.model,
            "ls_model_type": "embeddings" if embeds else "chat",
            "ls_temperature": call.temperature,
            "ls_max_tokens": call.max_output,
            "usage_metadata": _usage(call),
        }
        if call.persona:
            metadata["user_id"] = call.persona
        return {
            **self._head(call.id, f"{call.stage} {call.model}", _TYPES.get(call.stage, "llm"), place, call.started_at),
            "end_time": _time(call.started_at + call.duration_s),
            "error": f"{call.error_kind or call.status}" if call.status != "answered" else None,
            "inputs": {"messages": [{"role": "user", "content": call.asked}]} if call.asked else {},
            "outputs": {"messages": [{"role": "assistant", "content": call.replied}]} if call.replied else {},
            "extra": {"metadata": metadata},
            "tags": self._tags(),
        }

    def _node(self, node: Node) -> dict[str, Any]:
        run = {
            **self._head(node.id, node.name, "chain", node.place, node.started_at),
            "inputs": {},
            "tags": self._tags(),
            "extra": {
                "metadata": {**self._metadata(), "kg_kind": node.kind, "kg_stage": node.stage, "kg_batch": node.batch}
            },
        }
        if node.ended_at is not None:
            run["end_time"] = _time(node.ended_at)
            run["error"] = node.error or None
            run["outputs"] = {
                "calls": node.calls,
                "failed": node.failed,
                "tokens": node.usage.total,
                "cost_usd": float(node.cost),
                "unpriced_calls": node.unpriced,
                **node.figures,
            }
            if node.happened:
                run["outputs"]["events"] = [
                    {"name": one.name, "at": _time(one.at), **one.fields} for one in node.happened
                ]
        return run

    def _head(self, identity: str, name: str, kind: str, place: Place | None, started_at: float) -> dict[str, Any]:
        here = str(uuid.UUID(identity))
        above = place.above if place else ()
        path = [*above, (started_at, identity)]
        return {
            "id": here,
            "trace_id": str(uuid.UUID(path[0][1])),
            "parent_run_id": str(uuid.UUID(above[-1][1])) if above else None,
            "dotted_order": ".".join(f"{_compact(at)}Z{uuid.UUID(each)}" for at, each in path),
            "name": name,
            "run_type": kind,
            "start_time": _time(started_at),
            "session_name": self._project,
        }

    def _metadata(self) -> dict[str, Any]:
        about = self._about
        tags = {f"tag_{name}": value for name, value in about.tags.items()}
        ours = {"session_id": about.run, "user_id": about.user, "kg_run": about.run, "kg_workspace": about.workspace}
        return {**tags, **ours, "kg_persona": about.persona, "kg_version": about.version}

    def _tags(self) -> list[str]:
        return [self._about.workspace, *(f"{name}={value}" for name, value in self._about.tags.items())]


def _verb(record: Record) -> str:
    if isinstance(record, Score):
        return "feedback"
    return "patch" if isinstance(record, Node) and record.told else "post"


def _usage(call: LLMCall) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": call.usage.prompt,
        "output_tokens": call.usage.completion,
        "total_tokens": call.usage.total,
        "input_token_details": {"cache_read": call.usage.cached},
        "output_token_details": {"reasoning": call.usage.reasoning},
    }
    return usage if call.cost is None else {**usage, "total_cost": float(call.cost)}


def _feedback(score: Score) -> bytes:
    """As a part of a request."""
    trace = str(uuid.UUID(score.trace))
    identity = str(uuid.UUID(score.id))
    feedback = {
        "id": identity,
        "run_id": trace,
        "trace_id": trace,
        "key": score.name,
        "score": score.value,
        "comment": score.comment,
        "feedback_source": {"type": "api", "metadata": {}},
    }
    data = packed(feedback)
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="feedback.{identity}"\r\n'
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data + b"\r\n"


def _time(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _compact(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y%m%dT%H%M%S%f")
