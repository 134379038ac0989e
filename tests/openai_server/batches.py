"""/v1/batches: a job goes validating → in_progress → finalizing → completed by the clock, and costs half."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.openai_server.draws import Distribution
from tests.openai_server.errors import ApiError, invalid
from tests.openai_server.files import Files, page
from tests.openai_server.http import Reply, Request
from tests.openai_server.provider import Provider

MOST_LINES = 50_000
MOST_INPUTS = 50_000  # of all embedding requests of a job
ENDPOINTS = ("/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/moderations")
_OVER = frozenset({"failed", "completed", "expired", "cancelled"})
_VALIDATING, _FINALIZING = 0.1, 0.9  # shares of the duration

# A line's endpoint and body → status, body of the reply.
Answer = Callable[[str, bytes], tuple[int, bytes]]


@dataclass(slots=True)
class Line:
    custom_id: str
    body: bytes
    texts: tuple[str, ...]
    tokens: int


@dataclass(slots=True)
class Job:
    """A batch. `stop` is when it was or will be cut off (cancelled or expired), in seconds after its creation."""

    id: str
    endpoint: str
    input_file: str
    metadata: dict[str, str]
    window: str
    duration: float
    lines: list[Line]
    model: str = ""
    tokens: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    at: float = field(default_factory=time.monotonic)
    created: int = field(default_factory=lambda: int(time.time()))
    expires: bool = False
    cancelled_at: float | None = None
    over: str = ""  # the final status, once the results are there
    output: str | None = None
    error_file: str | None = None
    done: int = 0
    failed: int = 0

    @property
    def age(self) -> float:
        return time.monotonic() - self.at

    @property
    def status(self) -> str:
        """By the clock alone; `Batches` makes the results before it shows a final one."""
        if self.over:
            return self.over
        if self.errors and self.age >= self.duration * _VALIDATING:
            return "failed"
        if self.age < self.duration * _VALIDATING and self.cancelled_at is None:
            return "validating"
        if self.cancelled_at is not None:
            return "cancelled" if time.monotonic() - self.cancelled_at >= self.duration * _VALIDATING else "cancelling"
        if self.age < self.duration * _FINALIZING:
            return "in_progress"
        if self.age < self.duration:
            return "finalizing"
        return "expired" if self.expires else "completed"

    @property
    def reached(self) -> int:
        """How many lines are done by now, were it not for those that go wrong."""
        until = self.at + self.age if self.cancelled_at is None else self.cancelled_at
        share = (until - self.at - self.duration * _VALIDATING) / (self.duration * (_FINALIZING - _VALIDATING) or 1)
        return round(len(self.lines) * min(max(share, 0.0), 0.5 if self.expires else 1.0))


class Batches:
    """The jobs of one account."""

    def __init__(self, provider: Provider, files: Files, answer: Answer) -> None:
        self._provider = provider
        self._files = files
        self._answer = answer
        self.clear()

    def clear(self) -> None:
        self._jobs: dict[str, Job] = {}

    def handle(self, request: Request, parts: list[str]) -> Reply:
        if not parts:
            if request.method == "POST":
                return self._create(request)
            if request.method == "GET":
                lag = self._provider.settings.batch_list_lag
                old = [self._shown(job) for job in self._jobs.values() if job.age >= lag]
                return page(old[::-1], request, 100)
        elif request.method == "GET" and len(parts) == 1:
            return Reply(200, orjson.dumps(self._shown(self._get(parts[0]))))
        elif request.method == "POST" and parts[1:] == ["cancel"]:
            return self._cancel(self._get(parts[0]))
        raise ApiError(404, f"Invalid URL ({request.method} {request.path})")

    def books(self) -> dict[str, Any]:
        """Jobs, and the texts that were submitted in more than one of the lines that ran or may run."""
        jobs = list(self._jobs.values())
        for job in jobs:
            self._advance(job)
        texts: Counter[tuple[str, str]] = Counter()
        for job in jobs:
            if not job.errors:
                texts.update((job.endpoint, text) for line in job.lines for text in line.texts)
        return {
            "jobs": len(jobs),
            "by_status": dict(Counter(job.status for job in jobs)),
            "lines": sum(len(job.lines) for job in jobs),
            "uploads": self._files.uploads,
            "submitted_again": sum(count - 1 for count in texts.values() if count > 1),
            "texts": len(texts),
        }

    # --- creating ---------------------------------------------------------------------------------------------------

    def _create(self, request: Request) -> Reply:
        asked = orjson.loads(request.body or b"{}")
        endpoint, window = asked.get("endpoint"), asked.get("completion_window")
        if endpoint not in ENDPOINTS:
            raise invalid(f"Invalid value: '{endpoint}'. Supported values are: {', '.join(ENDPOINTS)}.", "endpoint")
        if window != "24h":
            raise invalid(f"Invalid value: '{window}'. Supported values are: '24h'.", "completion_window")
        if self._provider.faults.strike_kind("create_refused"):
            raise invalid("This model can't be asked in batches.", "model")
        metadata = _metadata(asked.get("metadata"))
        file = self._files.get(str(asked.get("input_file_id")))
        if file.purpose != "batch":
            raise invalid(f"Invalid file purpose '{file.purpose}': expected 'batch'.", "input_file_id")
        job = self._read(file.content, endpoint)
        job.input_file, job.metadata = file.id, metadata
        job.expires = self._provider.faults.strike_kind("batch_expire")
        if self._provider.faults.strike_kind("batch_fail"):
            job.errors.append(_error("server_error", "The batch could not be processed."))
        self._check_queue(job)
        self._jobs[job.id] = job
        if self._provider.faults.strike_kind("create_lost"):
            raise ApiError(500, "The server had an error while processing your request.", kind="server_error")
        return Reply(200, orjson.dumps(self._shown(job)))

    def _read(self, content: bytes, endpoint: str) -> Job:
        """The job, with the errors that validation will find."""
        seconds = Distribution.parse(self._provider.settings.batch_duration).draw(len(self._jobs))
        job = Job(f"batch_{len(self._jobs) + 1:08x}", endpoint, "", {}, "24h", seconds, [])
        rows = [row for row in content.split(b"\n") if row.strip()]
        if not rows:
            job.errors.append(_error("empty_file", "The batch input file is empty."))
        if len(rows) > MOST_LINES:
            job.errors.append(_error("too_many_lines", f"The file has more than {MOST_LINES} lines."))
            return job
        seen: set[str] = set()
        for number, row in enumerate(rows, 1):
            try:
                line = self._line(row, endpoint, number, job)
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                job.errors.append(_error("invalid_json_line", "This line is not parseable as valid JSON.", number))
                continue
            if line.custom_id in seen:
                job.errors.append(
                    _error("duplicate_custom_id", f"The custom_id {line.custom_id} is used twice.", number)
                )
            seen.add(line.custom_id)
            job.lines.append(line)
        job.tokens = sum(line.tokens for line in job.lines)
        if endpoint == "/v1/embeddings" and sum(len(line.texts) for line in job.lines) > MOST_INPUTS:
            job.errors.append(_error("too_many_inputs", f"More than {MOST_INPUTS} embedding inputs in the batch."))
        return job

    def _line(self, row: bytes, endpoint: str, number: int, job: Job) -> Line:
        said = orjson.loads(row)
        body = said["body"]
        if said["method"] != "POST" or said["url"] != endpoint:
            job.errors.append(_error("invalid_url", "The URL provided does not match the batch's endpoint.", number))
        model = str(body["model"])
        if job.model and model != job.model:
            job.errors.append(_error("mismatched_model", "All requests of a batch must use one model.", number))
        job.model = model
        if self._provider.models.get(model) is None:
            job.errors.append(_error("model_not_found", f"The model `{model}` does not exist.", number))
        if endpoint == "/v1/embeddings":
            texts = tuple(body["input"]) if isinstance(body["input"], list) else (body["input"],)
            tokens = sum(map(self._provider.count_embedded, texts))
        else:
            texts = _chunks(body["messages"])
            tokens = sum(
                self._provider.count_static(str(m["content"])) for m in body["messages"] if m["role"] != "user"
            )
            tokens += sum(self._provider.count(str(m["content"])) for m in body["messages"] if m["role"] == "user")
        return Line(str(said["custom_id"]), orjson.dumps(body), texts, tokens)

    def _check_queue(self, job: Job) -> None:
        limit = self._provider.settings.batch_queue_tokens
        if limit is None:
            return
        queued = sum(o.tokens for o in self._jobs.values() if o.model == job.model and o.status not in _OVER)
        if queued + job.tokens > limit:
            job.errors.append(
                _error(
                    "token_limit_exceeded",
                    f"Enqueued token limit reached for {job.model} in organization org-test. Limit: {limit:,.0f} "
                    "enqueued tokens. Please try again once some in_progress batches have been completed.",
                )
            )
            job.tokens = 0

    # --- going on ---------------------------------------------------------------------------------------------------

    def _get(self, identity: str) -> Job:
        if identity not in self._jobs:
            raise ApiError(404, f"No batch found with id '{identity}'.")
        return self._jobs[identity]

    def _cancel(self, job: Job) -> Reply:
        self._advance(job)
        if job.status in _OVER:
            raise ApiError(409, f"Cannot cancel a batch with status '{job.status}'.")
        if job.cancelled_at is None:
            job.cancelled_at = time.monotonic()
        return Reply(200, orjson.dumps(self._shown(job)))

    def _advance(self, job: Job) -> None:
        """Make the results as soon as the clock says that the job is over."""
        status = job.status
        if job.over or status not in _OVER:
            return
        job.over = status
        if status == "failed":
            return
        good, bad = [], []
        reached = job.reached
        for number, line in enumerate(job.lines):
            row: dict[str, Any] = {"id": f"batch_req_{number:08x}", "custom_id": line.custom_id, "response": None}
            if number >= reached:
                code = "batch_expired" if status == "expired" else "batch_cancelled"
                message = "This request could not be executed before the completion window expired."
                bad.append({**row, "error": {"code": code, "message": message}})
                continue
            answered, body = self._answer(job.endpoint, line.body)
            response = {"status_code": answered, "request_id": f"req_{job.id}_{number}", "body": _parsed(body)}
            (good if answered == 200 else bad).append({**row, "response": response, "error": None})
        job.done, job.failed = len(good), len(bad)
        good.reverse()  # results come in any order
        name = job.id + "_{}.jsonl"
        if good:
            job.output = self._files.add(name.format("output"), "batch_output", _lines(good)).id
        if bad:
            job.error_file = self._files.add(name.format("error"), "batch_output", _lines(bad)).id

    def _shown(self, job: Job) -> dict[str, Any]:
        self._advance(job)
        status = job.status
        done = job.done if job.over else job.reached
        return {
            "id": job.id,
            "object": "batch",
            "endpoint": job.endpoint,
            "model": job.model,
            "errors": {"object": "list", "data": job.errors} if status == "failed" else None,
            "input_file_id": job.input_file,
            "completion_window": job.window,
            "status": status,
            "output_file_id": job.output,
            "error_file_id": job.error_file,
            "created_at": job.created,
            "in_progress_at": None if status == "validating" else job.created,
            "expires_at": job.created + 86_400,
            "completed_at": int(time.time()) if status == "completed" else None,
            "request_counts": {"total": len(job.lines), "completed": done, "failed": job.failed},
            "metadata": job.metadata or None,
        }


def _metadata(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > 16:
        raise invalid("Invalid 'metadata': expected an object with at most 16 properties.", "metadata")
    for key, value in given.items():
        if not isinstance(value, str):
            raise invalid(f"Invalid type for 'metadata.{key}': expected a string.", f"metadata.{key}")
        if len(key) > 64 or len(value) > 512:
            raise invalid(f"Invalid 'metadata.{key[:64]}': string too long.", f"metadata.{key[:64]}")
    return given


def _chunks(messages: Any) -> tuple[str, ...]:
    from tests.openai_server.question import read_question

    user = "\n".join(str(m["content"]) for m in messages if m["role"] == "user")
    return tuple(chunk.text for chunk in read_question(user)) or (user,)


def _error(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)
