"""Brings a request to its endpoint and the reply on its way: what is checked, charged, billed and delayed, in order."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import orjson

from tests.openai_server.batches import Batches
from tests.openai_server.books import Entry
from tests.openai_server.chat import Chat
from tests.openai_server.chat_request import read_chat
from tests.openai_server.embeddings import Embeddings
from tests.openai_server.envelope import refusal_of
from tests.openai_server.errors import ApiError, invalid
from tests.openai_server.faults import Strike
from tests.openai_server.files import Files
from tests.openai_server.http import Reply, Request
from tests.openai_server.provider import Provider
from tests.openai_server.settings import Settings

_SECRET_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "proxy-authorization"})
_MANNERS = {
    "reset_before": "reset",
    "reset_in_body": "reset_in_body",
    "cut_body": "cut",
    "drip": "drip",
    "endless_chunked": "endless",
    "hang": "hang",
}
_HTML = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body><h1>Please stand by</h1></body></html>"


@dataclass(slots=True)
class Kept:
    """A request as /__requests shows it: all but the key."""

    request: Request
    entry: Entry

    def as_json(self) -> dict[str, Any]:
        try:
            body = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            body = self.request.body.decode("utf-8", "replace")
        return {
            "at": self.entry.at,
            "path": self.request.path,
            "headers": {k: v for k, v in self.request.headers.items() if k not in _SECRET_HEADERS},
            "body": body,
            "status": self.entry.status,
            "fault": self.entry.fault,
        }


class App:
    """The whole server but for its socket."""

    def __init__(self, settings: Settings) -> None:
        self._provider = Provider(settings)
        self._chat = Chat(self._provider)
        self._embeddings = Embeddings(self._provider)
        self._files = Files(self._provider)
        self._batches = Batches(self._provider, self._files, self._answer_line)
        self._kept: deque[Kept] = deque(maxlen=settings.keep_requests)
        self._served = 0
        self._routes: dict[tuple[str, str], Callable[[Request], Reply]] = {
            ("GET", "/v1/models"): self._models,
            ("GET", "/__books"): self._show_books,
            ("GET", "/__requests"): self._show_requests,
            ("GET", "/__config"): self._show_config,
            ("POST", "/__config"): self._configure,
            ("POST", "/__reset"): self._reset,
        }
        self._stages: dict[tuple[str, str], tuple[str, Callable[[Request, Entry], Reply]]] = {
            ("POST", "/v1/chat/completions"): ("chat", self._answer_chat),
            ("POST", "/v1/embeddings"): ("embeddings", self._answer_embeddings),
        }

    def handle(self, request: Request) -> tuple[Reply, Callable[[bool], None]]:
        """The reply, and what to call once it is sent or cannot be."""
        endpoint = request.method, request.path.rstrip("/")
        if endpoint in self._stages:
            return self._serve(request, *self._stages[endpoint])
        route = self._routes.get(endpoint) or self._route_below(request)
        if route is None:
            return _error(ApiError(404, f"Invalid URL ({request.method} {request.path})")), _forget
        try:
            return route(request), _forget
        except ApiError as error:
            return _error(error), _forget

    def _route_below(self, request: Request) -> Callable[[Request], Reply] | None:
        """/v1/files and /v1/batches, with what stands behind them."""
        parts = request.path.strip("/").split("/")
        if parts[0] != "v1" or len(parts) < 2 or parts[1] not in {"files", "batches"}:
            return None
        target = self._files if parts[1] == "files" else self._batches

        def route(request: Request) -> Reply:
            self._provider.check_key(request.headers.get("authorization", ""))
            self._provider.check_offered("batches")
            reply = target.handle(request, parts[2:])
            reply.delay = self._provider.settings.batch_latency
            return reply

        return route

    def _answer_line(self, endpoint: str, body: bytes) -> tuple[int, bytes]:
        """A line of a Batch job: the same answer, past the limits, at half price."""
        chat = endpoint == "/v1/chat/completions"
        entry = self._provider.books.enter("chat" if chat else "embeddings")
        entry.batch = True
        self._served += 1
        request = Request("POST", endpoint, "", {}, body)
        try:
            reply = self._answer_chat(request, entry) if chat else self._answer_embeddings(request, entry)
        except ApiError as error:
            entry.code = error.code
            reply = _error(error)
        entry.status = reply.status
        self._provider.books.leave(entry, sent=True)
        return reply.status, reply.body

    # --- what is billed -------------------------------------------------------------------------------------------

    def _serve(
        self, request: Request, stage: str, answer: Callable[[Request, Entry], Reply]
    ) -> tuple[Reply, Callable[[bool], None]]:
        books = self._provider.books
        entry = books.enter(stage)
        self._served += 1
        if self._kept.maxlen:
            self._kept.append(Kept(request, entry))
        try:
            self._provider.check_key(request.headers.get("authorization", ""))
            reply = answer(request, entry)
        except ApiError as error:
            entry.code = error.code
            reply = _error(error)
        entry.status = reply.status
        entry.delay = reply.delay
        headers = {
            "x-request-id": f"req_{self._served:08x}",
            "openai-version": "2020-10-01",
            "openai-processing-ms": str(round(reply.delay * 1000)),
            **dict(self._provider.limits.headers(stage)),
            **dict(reply.headers),
            **(self._provider.settings.headers or {}),
        }
        reply.headers = tuple(headers.items())

        def finished(sent: bool) -> None:
            books.leave(entry, sent)

        return reply, finished

    def _answer_chat(self, request: Request, entry: Entry) -> Reply:
        provider, chat = self._provider, self._chat
        asked = read_chat(provider, request.body, entry)
        prompt = chat.count_prompt(asked)
        provider.admit(entry, chat.charge(asked, prompt))
        strike = provider.faults.strike("chat", request.body, asked.texts) if provider.faults.any else None
        kind = _note(strike, entry, asked.texts)
        message = chat.answer(asked, strike)
        completion = chat.measure(asked, prompt, message)
        provider.settle(entry, completion.completion)
        entry.prompt, entry.cached = completion.prompt, completion.cached
        entry.completion, entry.reasoning = completion.completion, completion.reasoning
        provider.books.bill(entry)
        delay = provider.when_done(provider.latency.draw(zlib.crc32(request.body, provider.settings.seed)))
        chat.warm_up(asked, delay)
        return _spoil(Reply(200, chat.render(asked, message, completion, self._served, kind), delay=delay), strike)

    def _answer_embeddings(self, request: Request, entry: Entry) -> Reply:
        provider = self._provider
        asked = self._embeddings.read(request.body, entry)
        provider.admit(entry, asked.tokens)
        strike = provider.faults.strike("embeddings", request.body, asked.texts) if provider.faults.any else None
        _note(strike, entry, asked.texts)
        entry.embedding = asked.tokens
        provider.books.bill(entry)
        delay = provider.embedding_latency.draw(zlib.crc32(request.body, provider.settings.seed))
        return _spoil(Reply(200, self._embeddings.answer(asked, strike), delay=delay), strike)

    # --- what is free ---------------------------------------------------------------------------------------------

    def _models(self, request: Request) -> Reply:
        self._provider.check_key(request.headers.get("authorization", ""))
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": "test"} for name in self._provider.models.names
        ]
        reply = _json({"object": "list", "data": data})
        headers = {"date": formatdate(usegmt=True), **(self._provider.settings.headers or {})}
        return replace(reply, headers=tuple(headers.items()))

    def _show_books(self, request: Request) -> Reply:
        log = parse_qs(request.query).get("log", ["1"])[0] != "0"
        batch = self._batches.books()  # first: a job that is over by now is billed by now
        books = self._provider.books.as_json(log=log)
        if self._provider.gold:
            books["gold_unanswered"] = self._provider.gold.unanswered()
        books["batch"] = batch
        return _json(books)

    def _show_requests(self, request: Request) -> Reply:
        return _json([kept.as_json() for kept in self._kept])

    def _show_config(self, request: Request) -> Reply:
        return _json(self._provider.settings)

    def _configure(self, request: Request) -> Reply:
        try:
            self._provider.configure(_changes(request))
        except (TypeError, ValueError, OSError, KeyError) as error:
            raise invalid(f"/__config: {error}") from error
        self._keep()
        return _json(self._provider.settings)

    def _reset(self, request: Request) -> Reply:
        """Back to the settings of the start, changed by those in the body; books, limits, cache anew."""
        try:
            self._provider.reset(self._provider.first_settings.updated(_changes(request)))
        except (TypeError, ValueError, OSError, KeyError) as error:
            raise invalid(f"/__reset: {error}") from error
        self._kept.clear()
        self._files.clear()
        self._batches.clear()
        self._keep()
        return _json(self._provider.settings)

    def _keep(self) -> None:
        self._kept = deque(self._kept, maxlen=self._provider.settings.keep_requests)


def _changes(request: Request) -> dict[str, Any]:
    changes = orjson.loads(request.body or b"{}")
    if not isinstance(changes, dict):
        raise TypeError("the body is no JSON object")
    return changes


def _forget(sent: bool) -> None:
    """Nothing is kept of it."""


def _note(strike: Strike | None, entry: Entry, texts: Sequence[str]) -> str:
    """The kind of the fault that strikes, if one does; those that answer instead of the model end the request."""
    if strike is None:
        return ""
    entry.fault = strike.fault.kind
    refusal = refusal_of(entry.fault, texts[strike.targets[0]] if texts else "")
    if refusal:
        raise refusal
    return entry.fault


def _spoil(reply: Reply, strike: Strike | None) -> Reply:
    """The reply with what the fault does to its bytes and its way."""
    if strike is None:
        return reply
    kind = strike.fault.kind
    if kind == "html200":
        reply.body, reply.content_type = _HTML, "text/html"
    elif kind == "wrong_encoding":
        reply.body = reply.body.replace(b'"', b'"\xff\xfe', 8)
    reply.manner = _MANNERS.get(kind, "")
    reply.pace = strike.fault.pace
    return reply


def _json(value: Any) -> Reply:
    return Reply(200, orjson.dumps(value))


def _error(error: ApiError) -> Reply:
    return Reply(error.status, error.body, headers=error.headers)
