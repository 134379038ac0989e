"""One request to a server that speaks OpenAI's protocol: one attempt, a plain result, and errors by kind.

The SDK's own retries are off: they would pass the limiter by. Parameters that a server refuses are dropped or renamed
and remembered (`Capabilities`), so that each is refused once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import openai
import orjson

from core_engine.errors import BadReply, ModelError, PassingFailure, RequestTooLarge, ServiceRefused
from core_engine.llm.quoting import without_quotes
from core_engine.settings import without_credentials
from core_engine.types import Usage

_AT_MOST = re.compile(r"at most (\d{2,7})\b")  # "max_tokens is too large: … supports at most 4096 completion tokens"
_NO_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_SLOW_DOWN = re.compile(r"slow[ _]down|overloaded", re.IGNORECASE)
_TURNED_AWAY = frozenset({429, 498})  # 498: Groq's, where its flex tier has no room
_OVERLOADED = frozenset({503, 529})  # 529: Anthropic's, also behind gateways
_REASONS = re.compile(r"(?:[^/]+/)*(?:o\d|gpt-5)(?!.*chat)")  # also as OpenRouter names them: openai/gpt-5-mini
FORMATS = ("json_schema", "json_object", "text")
_LONGEST_TIER = 40
_MOST_TOKENS = 20_000_000  # more in one request than any model takes: a slip in the server's books


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, and what is asked of its model. `key` never appears in repr()."""

    base_url: str | None
    model: str
    key: str = field(repr=False, default="")
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    temperature: float | None = 0.0
    reasoning_effort: str | None = "low"
    seed: int | None = None
    service_tier: str | None = None  # flex | priority | default; None: as the account has it
    dimensions: int | None = None  # asked for
    vector_size: int | None = None  # what the vectors have to have, asked for or not
    timeout_s: float = 120.0
    cache_key: bool | None = None  # send prompt_cache_key; None: to OpenAI alone, because many others refuse it

    @property
    def takes_cache_key(self) -> bool:
        if self.cache_key is not None:
            return self.cache_key
        host = urlsplit(self.label).hostname or ""
        return host == "api.openai.com" or host.endswith(".api.openai.com")

    @property
    def label(self) -> str:
        """The endpoint for reports and the limiter: the URL without credentials, query or path's end slash."""
        return without_credentials(self.base_url or "https://api.openai.com/v1").rstrip("/")


@dataclass(slots=True)
class Capabilities:
    """What a server turned out to take: a response format, and parameters it wants left out or named otherwise."""

    response_format: str = "json_schema"
    dropped: set[str] = field(default_factory=set)
    max_tokens_name: str = "max_completion_tokens"
    max_output: int | None = None  # the longest reply that the model gives, where it said so

    def to_json(self) -> str:
        said = {"format": self.response_format, "dropped": sorted(self.dropped), "max": self.max_tokens_name}
        return orjson.dumps(said | {"output": self.max_output}).decode()

    @classmethod
    def known(cls, model: str) -> Capabilities:
        """What needn't be found out by a refusal: OpenAI's reasoning models take no temperature but their own."""
        return cls(dropped={"temperature"} if _REASONS.match(model) else set())

    @classmethod
    def from_json(cls, text: str) -> Capabilities:
        said = orjson.loads(text)
        return cls(said["format"], set(said["dropped"]), said["max"], said.get("output"))

    def temperature(self, asked: float | None) -> float:
        """The one that counts: 1 where the model takes none but its own."""
        return 1.0 if asked is None or "temperature" in self.dropped else asked

    def said(self) -> str:
        """In words for the report; '' when nothing had to be stepped down."""
        parts = []
        if self.response_format != "json_schema":
            parts.append(f"replies as {self.response_format}")
        if self.dropped:
            parts.append("without " + ", ".join(sorted(self.dropped)))
        if self.max_tokens_name != "max_completion_tokens":
            parts.append(f"{self.max_tokens_name} for max_completion_tokens")
        if self.max_output is not None:
            parts.append(f"replies of at most {self.max_output:,} tokens")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """`text` is the reply as it came; `refusal` is what the model said instead of an answer, if it refused.

    `tier` is what processed it, as the provider says.
    """

    text: str
    usage: Usage
    finish_reason: str
    model: str
    request_id: str
    headers: Mapping[str, str]
    refusal: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True)
class EmbeddingReply:
    """`vectors` are float32, little-endian, in the order of the inputs."""

    vectors: list[bytes]
    usage: Usage
    model: str
    request_id: str
    headers: Mapping[str, str]


class SteppedDown(ModelError):
    """The server refused a parameter; `Capabilities` knows it now: ask again at once."""


class Client:
    """Speaks to one endpoint. Close it when done."""

    def __init__(self, endpoint: Endpoint, capabilities: Capabilities) -> None:
        self.endpoint = endpoint
        self.capabilities = capabilities
        self.cache_keys = 1
        self.clock_s: float | None = None  # the server's, in Unix seconds, when it last listed its models
        self._turn = 0
        # Redirects are not followed: the key would go where nobody meant it to go.
        http = openai.DefaultAsyncHttpxClient(
            timeout=openai.Timeout(endpoint.timeout_s, connect=min(15.0, endpoint.timeout_s)), follow_redirects=False
        )
        self._openai = openai.AsyncOpenAI(
            api_key=endpoint.key or "none",
            base_url=endpoint.base_url,
            max_retries=0,
            default_headers=dict(endpoint.headers) or None,
            http_client=http,
        )

    async def close(self) -> None:
        await self._openai.close()

    async def chat(
        self, system: str, user: str, max_tokens: int, formats: Mapping[str, dict[str, Any] | None]
    ) -> ChatReply:
        """Ask once. `formats` has the response_format parameter for each of FORMATS.

        Raises PassingFailure, RequestTooLarge, BadReply, ServiceRefused, SteppedDown.
        """
        arguments = self.chat_arguments(system, user, max_tokens, formats)
        raw = await self.send(partial(self._post, "/chat/completions"), arguments)
        return chat_reply(raw.content, raw.headers)

    def chat_arguments(
        self, system: str, user: str, max_tokens: int, formats: Mapping[str, dict[str, Any] | None]
    ) -> dict[str, Any]:
        """The body of a chat request, with what this server takes."""
        can, end = self.capabilities, self.endpoint
        arguments: dict[str, Any] = {
            "model": end.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            can.max_tokens_name: min(max_tokens, can.max_output or max_tokens),
            "temperature": end.temperature,
            "reasoning_effort": end.reasoning_effort,
            "seed": end.seed,
            "service_tier": end.service_tier,
            "response_format": formats[can.response_format],
            "prompt_cache_key": self._cache_key(system),
        }
        return {k: v for k, v in arguments.items() if v is not None and k not in can.dropped}

    def _cache_key(self, system: str) -> str | None:
        """Requests of one prompt and one key go to the machine that has the prompt in its cache.

        OpenAI asks for no more than about 15 requests a minute and key, and sends the others elsewhere: a key for
        each of so many turns stays below that (https://developers.openai.com/api/docs/guides/prompt-caching).
        """
        if not self.endpoint.takes_cache_key:
            return None
        self._turn = (self._turn + 1) % self.cache_keys
        return f"kg-{hashlib.sha256(system.encode()).hexdigest()[:16]}-{self._turn}"

    async def embed(self, texts: Sequence[str]) -> EmbeddingReply:
        """Embed once. Raises what chat() raises; BadReply if count, order, size or numbers are wrong."""
        raw = await self.send(partial(self._post, "/embeddings"), self.embed_arguments(texts))
        size = self.endpoint.vector_size or self.endpoint.dimensions
        return embedding_reply(raw.content, raw.headers, len(texts), size)

    def embed_arguments(self, texts: Sequence[str]) -> dict[str, Any]:
        """The body of an embedding request, with what this server takes."""
        arguments: dict[str, Any] = {
            "model": self.endpoint.model,
            "input": list(texts),
            "encoding_format": "base64",
            "dimensions": self.endpoint.dimensions,
        }
        return {k: v for k, v in arguments.items() if v is not None and k not in self.capabilities.dropped}

    async def _post(self, path: str, **arguments: Any) -> httpx2.Response:
        """One request to an endpoint of the API.

        The SDK's own function for it would go through each value of the arguments again, for a fifth of the time that
        a request takes on the event loop.
        """
        return await self._openai.post(
            path,
            cast_to=httpx2.Response,
            content=_as_json(arguments),
            options={"headers": {"content-type": "application/json"}},
        )

    @property
    def api(self) -> openai.AsyncOpenAI:
        """The SDK's client, for its other endpoints; its calls go through `send`."""
        return self._openai

    async def models(self) -> list[str]:
        """The models that the server lists. Raises what chat() raises."""
        raw = await self.send(self._openai.models.with_raw_response.list, {})
        self.clock_s = _date(raw.headers)
        data = _json_body(raw.content).get("data")
        return [str(m.get("id")) for m in data if isinstance(m, dict)] if isinstance(data, list) else []

    async def send(self, create: Any, arguments: dict[str, Any], *, timeout_s: float | None = None) -> Any:
        """Call one of the SDK's functions, once; its errors by kind. Without a timeout, the endpoint's."""
        # The SDK's timeout is per read: a reply that drips would never end. This one is for the whole call.
        timeout_s = timeout_s or self.endpoint.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await create(**arguments)
        except TimeoutError as error:
            raise PassingFailure(
                f"{self.endpoint.label}: no complete reply within {timeout_s:g} s", kind="timeout"
            ) from error
        except openai.APITimeoutError as error:
            raise PassingFailure(f"{self.endpoint.label}: timed out", kind="timeout") from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            # Only where no connection came about is the server known to be away; a connection that breaks may be due
            # to this one request.
            kind = "connection" if "Connect" in type(cause).__name__ else "reset"
            said = _short(str(cause)) or "the connection broke before a reply came"
            raise PassingFailure(f"{self.endpoint.label}: {said}", kind=kind) from error
        except openai.APIStatusError as error:
            headers = error.response.headers
            told = self.refused(error.status_code, error.body, arguments, headers, message=error.message)
            told.headers = headers
            raise told from error
        except (openai.OpenAIError, ValueError) as error:
            raise PassingFailure(f"{self.endpoint.label}: broken reply: {_short(str(error))}", kind="broken") from error

    def refused(
        self,
        status: int,
        body: object,
        arguments: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        message: str = "",
    ) -> ModelError:
        """The error by kind of a refusal with this status and body; steps a refused parameter down."""
        about = _about(body)
        code = str(about.get("code") or "")
        no_quota = bool(_NO_QUOTA & {code, about.get("type")})
        said = (_message(body) or message)[:2_000]
        text = _short(without_quotes(said, _texts_of(arguments)))
        where = self.endpoint.label
        wait = _retry_after(headers)
        if status == 402 or no_quota:
            return ServiceRefused(
                f"{where}: the account has no quota left: top it up, or use another key; "
                "the same command then goes on from here",
                kind="insufficient_quota",
                status=status,
            )
        if status in _TURNED_AWAY:
            if "too large" in said.lower():
                return RequestTooLarge(f"{where}: {text}", kind="too_large", status=status)
            return PassingFailure(f"{where}: {text}", kind="rate_limited", status=status, retry_after_s=wait)
        if status in _OVERLOADED and (wait is not None or _SLOW_DOWN.search(f"{code} {said}")):
            return PassingFailure(f"{where}: {status}: {text}", kind="rate_limited", status=status, retry_after_s=wait)
        # For embeddings OpenAI says it in words alone.
        if code == "context_length_exceeded" or status == 413 or "maximum context length" in said:
            return RequestTooLarge(f"{where}: {text}", kind="too_large", status=status)
        if code == "content_filter":
            return BadReply(f"{where}: {text}", kind=code, status=status)
        if status in {400, 422} and "service_tier" in arguments and "service_tier" in f"{about.get('param')} {said}":
            return ServiceRefused(  # not stepped down: it would cost twice as much, and nobody was asked
                f"{where}: {text.rstrip('.')}: leave out --service-tier, or choose a model that offers it",
                kind="service_tier",
                status=status,
            )
        if status in {400, 422} and (stepped := self._step_down(str(about.get("param") or ""), said, arguments)):
            return SteppedDown(f"{where}: {stepped}", kind="stepped_down", status=status)
        if status in {401, 403, 404}:
            return ServiceRefused(
                f"{where}: {status}: {text}{_hint(status, self.endpoint)}", kind=str(status), status=status
            )
        if 300 <= status < 400:
            return ServiceRefused(
                f"{where}: answers with a redirect: give the address it points to as --base-url",
                kind="redirect",
                status=status,
            )
        if status in {408, 409} or status >= 500:
            return PassingFailure(
                f"{where}: {status}: {text}", kind=f"http_{status}", status=status, retry_after_s=wait
            )
        return BadReply(f"{where}: {status}: {text}", kind=f"http_{status}", status=status)

    def _step_down(self, param: str, text: str, arguments: Mapping[str, Any]) -> str:
        """Adapt to a refused parameter; what was done in words, or '' if the refusal isn't about one of ours."""
        can = self.capabilities
        said = f"{param} {text}"
        if "response_format" in arguments and (
            "response_format" in said or "json_schema" in said or "json_object" in said
        ):
            # Another request may have been refused the same, and have stepped down, while this one was out.
            following = FORMATS.index(arguments["response_format"]["type"]) + 1
            if following < len(FORMATS):
                can.response_format = FORMATS[max(following, FORMATS.index(can.response_format))]
                return f"does not take that response format: {can.response_format} from now on"
        asked = next((name for name in ("max_completion_tokens", "max_tokens") if name in arguments), None)
        if asked and asked in said:
            if most := _AT_MOST.search(text):
                can.max_output = int(most[1])
                return f"gives replies of at most {most[1]} tokens: none longer is asked for from now on"
            if asked == "max_completion_tokens":
                can.max_tokens_name = "max_tokens"
            else:
                can.dropped.add("max_tokens")
            return f"does not take {asked}"
        for name in ("temperature", "reasoning_effort", "seed", "dimensions", "encoding_format", "prompt_cache_key"):
            if name in arguments and name in said:
                can.dropped.add(name)
                return f"does not take {name}={arguments[name]}: left out from now on"
        return ""


def _texts_of(arguments: Mapping[str, Any]) -> list[str]:
    """What a request holds of transcripts: the user's message, or the inputs of an embedding."""
    messages, inputs = arguments.get("messages") or (), arguments.get("input") or ()
    return [message["content"] for message in messages if message["role"] == "user"] + list(inputs)


def _as_json(arguments: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(arguments)
    except orjson.JSONEncodeError:  # an unpaired surrogate, in a model's name say
        return json.dumps(arguments).encode()


def chat_reply(content: bytes, headers: Mapping[str, str]) -> ChatReply:
    """The body of a good reply, read. Raises PassingFailure and BadReply."""
    body = _json_body(content)
    usage, tier = _usage(body.get("usage")), _tier(body)
    try:
        choice = _first(body, "choices")
        message = _message_of(choice)
    except BadReply as error:
        error.usage, error.reply, error.tier = usage, content, tier
        raise
    return ChatReply(
        text=_text(message.get("content")),
        usage=usage,
        finish_reason=str(choice.get("finish_reason") or ""),
        model=str(body.get("model") or ""),
        request_id=headers.get("x-request-id", ""),
        headers=headers,
        refusal=str(message.get("refusal") or ""),
        tier=tier,
    )


def embedding_reply(content: bytes, headers: Mapping[str, str], count: int, size: int | None) -> EmbeddingReply:
    """The same for `count` embeddings of `size` numbers (None: of any size, all the same)."""
    body = _json_body(content)
    usage = _usage(body.get("usage"))
    try:
        vectors = _vectors(body, count, size)
    except BadReply as error:
        error.usage, error.reply = usage, content
        raise
    return EmbeddingReply(
        vectors=vectors,
        usage=usage,
        model=str(body.get("model") or ""),
        request_id=headers.get("x-request-id", ""),
        headers=headers,
    )


def _tier(body: Mapping[str, Any]) -> str:
    said = body.get("service_tier")
    return said[:_LONGEST_TIER] if isinstance(said, str) else ""


def _first(body: dict[str, Any], name: str) -> dict[str, Any]:
    values = body.get(name)
    if not isinstance(values, list) or not values or not isinstance(values[0], dict):
        raise BadReply(f"the reply has no {name}", kind="wrong_shape")
    return values[0]


def _message_of(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if not isinstance(message, dict):
        raise BadReply("the reply has no message", kind="wrong_shape")
    return message


def _text(content: Any) -> str:
    """A message's text; some servers send it in parts."""
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _json_body(content: bytes) -> dict[str, Any]:
    try:
        body = _loads(content)
    except (ValueError, RecursionError) as error:
        kind = "html" if content.lstrip()[:1] == b"<" else "broken"
        raise PassingFailure(
            "the server answered 200 with something that is no JSON"
            + (" (a web page: a proxy?)" if kind == "html" else ""),
            kind=kind,
        ) from error
    if not isinstance(body, dict):
        raise BadReply("the reply is no JSON object", kind="wrong_shape")
    return body


def _loads(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        # A stray byte in one name must not cost the whole reply, which was paid for.
        return json.loads(content.decode("utf-8", "replace"))


def _usage(said: Any) -> Usage:
    """Tokens as the provider counts them; zeros where it says nothing, or nonsense."""
    if not isinstance(said, dict):
        return Usage()

    def number(of: Any, name: str) -> int:
        value = of.get(name) if isinstance(of, dict) else None
        return value if isinstance(value, int) and 0 <= value <= _MOST_TOKENS else 0

    return Usage(
        prompt=number(said, "prompt_tokens"),
        cached=number(said.get("prompt_tokens_details"), "cached_tokens"),
        completion=number(said, "completion_tokens"),
        reasoning=number(said.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _vectors(body: dict[str, Any], count: int, dimensions: int | None) -> list[bytes]:
    data = body.get("data")
    if not isinstance(data, list) or len(data) != count:
        got = len(data) if isinstance(data, list) else 0
        raise BadReply(f"asked for {count} embeddings, got {got}", kind="wrong_count")
    vectors: list[bytes | None] = [None] * count
    size = dimensions
    for at, item in enumerate(data):
        index = item.get("index", at) if isinstance(item, dict) else None
        if not isinstance(index, int) or not 0 <= index < count or vectors[index] is not None:
            raise BadReply("the embeddings' order can't be told", kind="wrong_order")
        vector = _vector(item.get("embedding"))
        size = size or len(vector)
        if len(vector) != size:
            raise BadReply(f"an embedding has {len(vector)} numbers instead of {size}", kind="wrong_dimension")
        vectors[index] = vector.tobytes()
    return [vector for vector in vectors if vector is not None]


def _vector(value: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        if isinstance(value, str):
            vector = np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        else:
            vector = np.asarray(value, dtype="<f4")
    except (ValueError, TypeError) as error:
        raise BadReply("an embedding is no list of numbers", kind="wrong_shape") from error
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise BadReply("an embedding holds something that is no number", kind="not_a_number")
    if not vector.any():
        raise BadReply("an embedding is all zeros", kind="all_zeros")
    return vector


def _about(body: object) -> Mapping[str, Any]:
    """What an error's body says about it: code, type, param, message."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    return inner if isinstance(inner, dict) else {}


def _message(body: object) -> str:
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        return str(body["error"])
    said = _about(body).get("message")
    return said if isinstance(said, str) else ""


def _short(text: str) -> str:
    """One line, without control characters, and without what looks like a key (providers quote keys back)."""
    text = re.sub(r"\b(sk|pk|rk|key)-[A-Za-z0-9_\-*.]{4,}", "(key)", text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def _date(headers: Mapping[str, str]) -> float | None:
    """The server's clock, in Unix seconds; None where it isn't said."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after`; None where there is none or it is nonsense."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds <= 3600:
            return seconds
    return None


def _hint(status: int, endpoint: Endpoint) -> str:
    if status == 401:
        return " (is OPENAI_API_KEY the key of this server? `kg doctor` checks it)"
    if status == 404:
        return f" (does it serve the model {endpoint.model!r}? a chat-only server: --embedder none or --embedding-base-url)"
    return " (may this key use this model?)"
