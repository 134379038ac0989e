"""The client against a server that answers what each test says: every status and shape becomes a kind of error."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from core_engine.errors import BadReply, ModelError, PassingFailure, RequestTooLarge, ServiceRefused
from core_engine.kg.prompt import RESPONSE_FORMATS
from core_engine.llm.client import Capabilities, Client, Endpoint, SteppedDown

PLAIN = dict.fromkeys(("json_schema", "json_object", "text"))
FORMATS = {"json_schema": {"type": "json_schema"}, "json_object": {"type": "json_object"}, "text": None}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


class Canned(ThreadingHTTPServer):
    """Answers each POST with what `answer(body)` returns: status, headers, body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]] = lambda _: (200, {}, b"{}")
        self.bodies: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def always(self, body: Any, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda _: (status, named, data)


class _Handler(BaseHTTPRequestHandler):
    server: Canned

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        status, headers, data = self.server.answer(body)
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Canned]:
    with Canned() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
async def client(server):
    client = Client(Endpoint(server.url, "gpt-5-mini", key="sk-test-canary", timeout_s=5), Capabilities())
    yield client
    await client.close()


def reply(content: Any = "hello", finish: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return {"id": "x", "model": "gpt-5-mini-2026", "choices": [choice], "usage": USAGE, **more}


def vectors(*rows: Any, **more: Any) -> dict[str, Any]:
    data = [{"index": n, "embedding": row} for n, row in enumerate(rows)]
    return {"model": "e", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}, **more}


def refusal(
    message: str, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def chat(client: Client, formats: Any = FORMATS) -> Any:
    return await client.chat("system", "user", 500, formats)


async def failure(client: Client, formats: Any = FORMATS) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await chat(client, formats)
    return caught.value


# --- replies ---------------------------------------------------------------------------------------------------------


async def test_a_reply_carries_text_usage_model_and_headers(client, server):
    server.always(reply(), x_request_id="req-1", x_ratelimit_limit_requests="500")
    got = await chat(client)
    assert (got.text, got.finish_reason, got.model, got.request_id) == ("hello", "stop", "gpt-5-mini-2026", "req-1")
    assert (got.usage.prompt, got.usage.cached, got.usage.completion, got.usage.reasoning) == (100, 64, 20, 5)
    assert got.headers["x-ratelimit-limit-requests"] == "500"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}], "hello"),
        ([{"type": "text", "text": None}, "odd", {"type": "image"}], ""),
        (17, ""),
    ],
)
async def test_content_of_any_shape_is_text_or_nothing(client, server, content, text):
    server.always(reply(content))
    assert (await chat(client)).text == text


@pytest.mark.parametrize(
    "usage", [None, [], "many", {"prompt_tokens": -5, "completion_tokens": 1e30}, {"prompt_tokens": None}]
)
async def test_missing_or_absurd_usage_counts_as_none(client, server, usage):
    server.always(reply() | {"usage": usage})
    assert (await chat(client)).usage.total == 0


@pytest.mark.parametrize(
    "body", [{"usage": USAGE}, reply() | {"choices": []}, reply() | {"choices": [{}]}, reply() | {"choices": ["x"]}]
)
async def test_a_reply_of_another_shape_is_bad_and_keeps_what_it_will_cost(client, server, body):
    server.always(body)
    error = await failure(client)
    assert isinstance(error, BadReply)
    assert error.kind == "wrong_shape"
    assert error.usage is not None
    assert error.usage.total == 120
    assert json.loads(error.reply or b"") == body


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<html>Welcome to the proxy</html>", "html"), (b'{"choices": [', "broken"), (b"\xff\xfe", "broken")],
)
async def test_a_200_that_is_no_json_may_pass(client, server, body, kind):
    server.always(body)
    error = await failure(client)
    assert isinstance(error, PassingFailure)
    assert error.kind == kind


async def test_json_that_is_no_object_is_a_bad_reply(client, server):
    server.always([1, 2])
    assert isinstance(await failure(client), BadReply)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected", "kind"),
    [
        (400, refusal("nonsense"), BadReply, "http_400"),
        (400, refusal("Invalid 'input[3]': maximum context length is 8192 tokens"), RequestTooLarge, "too_large"),
        (400, refusal("This model's maximum context length is 8192 tokens"), RequestTooLarge, "too_large"),
        (400, refusal("too long", code="context_length_exceeded"), RequestTooLarge, "too_large"),
        (401, refusal("no such key", code="invalid_api_key"), ServiceRefused, "401"),
        (402, refusal("Insufficient Balance"), ServiceRefused, "insufficient_quota"),
        (403, refusal("not for you"), ServiceRefused, "403"),
        (404, refusal("no such model"), ServiceRefused, "404"),
        (408, refusal("slow"), PassingFailure, "http_408"),
        (409, refusal("conflict"), PassingFailure, "http_409"),
        (413, b"Payload Too Large", RequestTooLarge, "too_large"),
        (422, refusal("nonsense"), BadReply, "http_422"),
        (429, refusal("Rate limit reached", code="rate_limit_exceeded"), PassingFailure, "rate_limited"),
        (429, refusal("quota", code="insufficient_quota"), ServiceRefused, "insufficient_quota"),
        (429, refusal("quota", kind="insufficient_quota"), ServiceRefused, "insufficient_quota"),
        (429, refusal("Request too large for gpt-5: Limit 100, Requested 200"), RequestTooLarge, "too_large"),
        (500, b"<html>oops</html>", PassingFailure, "http_500"),
        (502, b"", PassingFailure, "http_502"),
        (503, refusal("slow down"), PassingFailure, "rate_limited"),
        (503, refusal("no such thing"), PassingFailure, "http_503"),
        (529, refusal("overloaded"), PassingFailure, "rate_limited"),
        (307, b"", ServiceRefused, "redirect"),
    ],
)
async def test_every_status_is_an_error_of_its_kind(client, server, status, body, expected, kind):
    server.always(body, status)
    error = await failure(client)
    assert type(error) is expected
    assert (error.kind, error.status) == (kind, status)
    assert error.headers is not None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "250", "retry_after": "1"}, 0.25),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "99999999"}, None),
        ({}, None),
    ],
)
async def test_how_long_to_wait_is_what_the_server_says_if_it_makes_sense(client, server, headers, seconds):
    server.always(refusal("slow down"), 429, **headers)
    assert (await failure(client)).retry_after_s == seconds


async def test_errors_never_quote_a_key_and_stay_on_one_line(client, server):
    server.always(refusal("Incorrect API key\x1b[31m provided:\n sk-proj-abcdefgh1234. " + "x" * 5000), 401)
    error = await failure(client)
    assert "sk-proj" not in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 600


async def test_a_server_that_nobody_hears_is_a_passing_failure():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = Client(Endpoint(f"http://user:pw@127.0.0.1:{port}/v1", "m", timeout_s=5), Capabilities())
    error = await failure(client)
    await client.close()
    assert isinstance(error, PassingFailure)
    assert error.kind == "connection"
    assert error.status is None
    assert "pw" not in str(error)


async def test_a_reply_that_drips_for_ever_times_out(openai_server):
    server = openai_server(faults=[{"kind": "drip", "pace": 0.02}])
    client = Client(Endpoint(server.url, "gpt-5-mini", key="x", timeout_s=0.5), Capabilities(dropped={"temperature"}))
    error = await failure(client, PLAIN)
    await client.close()
    assert isinstance(error, PassingFailure)
    assert error.kind == "timeout"


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        ("reset_before", {"reset"}),
        ("cut_body", {"reset", "broken"}),
        ("reset_in_body", {"reset", "broken"}),
        ("html200", {"html"}),
        ("wrong_encoding", {"broken"}),
        ("hang", {"timeout"}),
    ],
)
async def test_what_happens_on_the_way_is_a_passing_failure(openai_server, fault, kinds):
    server = openai_server(faults=[{"kind": fault}])
    client = Client(Endpoint(server.url, "gpt-5-mini", key="x", timeout_s=1), Capabilities(dropped={"temperature"}))
    error = await failure(client, PLAIN)
    await client.close()
    assert isinstance(error, PassingFailure)
    assert error.kind in kinds


# --- stepping down ---------------------------------------------------------------------------------------------------


async def test_a_refused_parameter_is_left_out_from_then_on(openai_server):
    server = openai_server(refuse=["json_schema", "json_object", "max_completion_tokens", "seed"], any_model=True)
    endpoint = Endpoint(server.url, "some-model", key="x", seed=3, reasoning_effort=None)
    client = Client(endpoint, Capabilities())
    steps = 0
    while True:
        try:
            await chat(client, RESPONSE_FORMATS)
            break
        except SteppedDown:
            steps += 1
    await client.close()
    can = client.capabilities
    assert (can.response_format, can.dropped, can.max_tokens_name) == ("text", {"seed"}, "max_tokens")
    assert steps == 4
    assert Capabilities.from_json(can.to_json()) == can
    assert can.said() == "replies as text; without seed; max_tokens for max_completion_tokens"


async def test_two_requests_that_are_refused_at_once_step_down_once(client, server):
    waiting = threading.Barrier(2)

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if body.get("response_format", {}).get("type") == "json_schema":
            waiting.wait(5)
            said = refusal("response_format json_schema is not supported", param="response_format")
            return 400, {}, json.dumps(said).encode()
        if "max_completion_tokens" in body:
            waiting.wait(5)
            said = refusal("use max_tokens, not max_completion_tokens", param="max_completion_tokens")
            return 400, {}, json.dumps(said).encode()
        return 200, {}, json.dumps(reply()).encode()

    server.answer = answer
    for expected in ("json_object", "json_object"):
        told = await asyncio.gather(chat(client), chat(client), return_exceptions=True)
        assert [type(one) for one in told] == [SteppedDown, SteppedDown]
        assert client.capabilities.response_format == expected
    assert client.capabilities.max_tokens_name == "max_tokens"
    assert (await chat(client)).text == "hello"


async def test_a_model_that_gives_shorter_replies_is_asked_for_no_longer_ones(client, server):
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if body["max_completion_tokens"] > 400:
            said = "max_completion_tokens is too large: 500. This model supports at most 400 completion tokens."
            return 400, {}, json.dumps(refusal(said, param="max_completion_tokens")).encode()
        return 200, {}, json.dumps(reply()).encode()

    server.answer = answer
    assert isinstance(await failure(client), SteppedDown)
    assert (await chat(client)).text == "hello"
    assert client.capabilities.max_output == 400
    assert Capabilities.from_json(client.capabilities.to_json()) == client.capabilities


async def test_a_refusal_of_something_else_is_no_reason_to_step_down(client, server):
    server.always(refusal("messages: too many", param="messages"), 400)
    assert isinstance(await failure(client), BadReply)
    assert client.capabilities == Capabilities()


# --- embeddings ------------------------------------------------------------------------------------------------------


def b64(*numbers: float) -> str:
    return base64.b64encode(np.asarray(numbers, dtype="<f4").tobytes()).decode()


async def test_vectors_come_as_float32_in_the_order_of_the_texts_however_the_server_sends_them(client, server):
    body = vectors(b64(0, 1), [1.0, 0.5])
    body["data"].reverse()
    server.always(body)
    got = await client.embed(["a", "b"])
    assert [np.frombuffer(vector, "<f4").tolist() for vector in got.vectors] == [[0.0, 1.0], [1.0, 0.5]]
    assert got.usage.prompt == 7


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (vectors(b64(1, 2)), "wrong_count"),
        (vectors(b64(1, 2), b64(1, 2), b64(1, 2)), "wrong_count"),
        (vectors() | {"data": None}, "wrong_count"),
        (vectors(b64(1, 2), b64(1)), "wrong_dimension"),
        (vectors(b64(1, 2), b64(1, float("nan"))), "not_a_number"),
        (vectors(b64(1, 2), b64(float("inf"), 1)), "not_a_number"),
        (vectors(b64(1, 2), b64(0, 0)), "all_zeros"),
        (vectors(b64(1, 2), "!!!"), "wrong_shape"),
        (vectors(b64(1, 2), None), "not_a_number"),
        (vectors(b64(1, 2), {"a": 1}), "wrong_shape"),
        (vectors(b64(1, 2), []), "not_a_number"),
        (vectors(b64(1, 2), b64(1, 2)) | {"data": [{"index": 0, "embedding": b64(1)}] * 2}, "wrong_order"),
        (vectors(b64(1, 2), b64(1, 2)) | {"data": [{"index": 7, "embedding": b64(1)}, {"index": 0}]}, "wrong_order"),
        (vectors(b64(1, 2), b64(1, 2)) | {"data": ["x", "y"]}, "wrong_order"),
    ],
)
async def test_embeddings_of_another_shape_are_bad_and_keep_what_they_will_cost(client, server, body, kind):
    server.always(body)
    with pytest.raises(BadReply) as caught:
        await client.embed(["a", "b"])
    assert caught.value.kind == kind
    assert caught.value.usage is not None
    assert caught.value.usage.prompt == 7


def test_an_endpoint_never_shows_its_key_or_credentials():
    end = Endpoint("https://me:pw@host/v1/?api-version=2", "m", key="sk-secret", headers={"x-key": "hidden"})
    assert end.label == "https://host/v1"
    assert not {"sk-secret", "hidden"} & set(repr(end).replace("'", " ").split())


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("gpt-5-mini", False),
        ("openai/gpt-5.1", False),
        ("o4-mini", False),
        ("gpt-5-chat-latest", True),
        ("gpt-4.1", True),
        ("llama-o3", True),
    ],
)
def test_it_is_known_beforehand_which_models_take_no_temperature(model, takes):
    assert ("temperature" not in Capabilities.known(model).dropped) == takes


# --- the prompt's cache ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "takes"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://api.openai.com.evil.example/v1", False),
        ("https://api.groq.com/openai/v1", False),
        ("http://localhost:11434/v1", False),
    ],
)
def test_a_cache_key_is_sent_to_openai_alone_because_others_refuse_it(url, takes):
    assert Endpoint(url, "m").takes_cache_key is takes
    assert Endpoint(url, "m", cache_key=not takes).takes_cache_key is not takes


async def test_the_cache_keys_go_round_belong_to_the_prompt_and_are_left_out_once_refused(server):
    def answer(body):
        if len(server.bodies) > 3 and "prompt_cache_key" in body:
            refused = {"error": {"message": "property 'prompt_cache_key' is unsupported"}}
            return 400, {}, json.dumps(refused).encode()
        message = {"message": {"content": "{}"}, "finish_reason": "stop"}
        return 200, {}, json.dumps({"choices": [message], "usage": USAGE}).encode()

    server.answer = answer
    client = Client(Endpoint(server.url, "m", cache_key=True), Capabilities())
    client.cache_keys = 2
    try:
        for _ in range(3):
            await client.chat("system", "user", 100, FORMATS)
        with pytest.raises(SteppedDown):
            await client.chat("system", "user", 100, FORMATS)
        await client.chat("system", "user", 100, FORMATS)
    finally:
        await client.close()
    keys = [body.get("prompt_cache_key") for body in server.bodies]
    assert keys[0] == keys[2] != keys[1]
    assert keys[3] is not None
    assert keys[4] is None
    assert Capabilities.from_json(client.capabilities.to_json()).dropped == {"prompt_cache_key"}
