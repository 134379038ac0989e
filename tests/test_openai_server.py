"""The test server, asked by the real SDK: what it answers, refuses, limits, bills and spoils."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import signal
import socket
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import openai
import pytest

from core_engine.kg.ontology import Ontology
from core_engine.kg.prompt import RESPONSE_FORMATS, ExtractionPrompt
from core_engine.types import Chunk, ChunkTurn
from tests.openai_server import tokens
from tests.openai_server.draws import Distribution
from tests.openai_server.gold import words
from tests.openai_server.limits import Limits, duration
from tests.openai_server.question import read_question
from tests.openai_server.settings import Settings

CHAT, EMBEDDING = "gpt-5-mini", "text-embedding-3-small"
STRINGS = {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}
SCHEMA = {
    "type": "object",
    "properties": {
        "chunks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"c": {"type": "integer"}, "e": STRINGS, "r": STRINGS},
                "required": ["c", "e", "r"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["chunks"],
    "additionalProperties": False,
}
QUESTION = """SPEAKERS
A Ann Lee
B Project Manager

CHUNK 1
~ B: Before that we met Zanzibar Holdings
1 A: I moved to Acme Robotics in Lisbon
2 B: then Globex called us

CHUNK 2
1 A: so Initech wants the Falcon report
4: and nobody knows who said Umbrella"""


@pytest.fixture
async def client_of():
    """A client of a server, closed after the test."""
    clients = []

    def make(server, **options):
        client = openai.AsyncOpenAI(base_url=server.url, **{"api_key": "sk-any", "max_retries": 0, **options})
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()


def strict(schema=None, name="extraction"):
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema or SCHEMA}}


async def ask(client, question=QUESTION, *, system="Reply in JSON.", **options):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    options = {"model": CHAT, "response_format": strict(), **options}
    return await client.chat.completions.create(messages=messages, **options)


async def chunks_of(client, question=QUESTION, **options):
    reply = await ask(client, question, **options)
    return json.loads(reply.choices[0].message.content)["chunks"]


# --- answers ---


async def test_each_chunk_is_answered_under_its_number_with_real_speaker_names(openai_server, client_of):
    first, second = await chunks_of(client_of(openai_server()))
    assert [first["c"], second["c"]] == [1, 2]
    names = [name for name, _ in first["e"]]
    assert names == ["Ann Lee", "Acme Robotics", "Lisbon", "Project Manager", "Globex"]
    assert ["Ann Lee", "Person"] in first["e"]
    assert [name for name, _ in second["e"]] == ["Ann Lee", "Initech", "Falcon", "Umbrella"]
    for chunk in (first, second):
        for subject, _, target, turn in chunk["r"]:
            assert max(int(subject), int(target)) < len(chunk["e"])
            assert turn in {"1", "2", "4"}


async def test_a_chunk_is_answered_the_same_in_any_company(openai_server, client_of):
    client = client_of(openai_server())
    _, together = await chunks_of(client)
    (alone,) = await chunks_of(
        client,
        "SPEAKERS\nA Someone Else\nB Ann Lee\n\nCHUNK 1\n~ A: context of Hooli\n"
        "1 B: so Initech wants the Falcon report\n4: and nobody knows who said Umbrella",
    )
    assert (alone["e"], alone["r"]) == (together["e"], together["r"])


@pytest.mark.parametrize("response_format", [strict(), {"type": "json_object"}, None])
async def test_all_three_response_formats_are_answered(openai_server, client_of, response_format):
    options = {} if response_format is None else {"response_format": response_format}
    client = client_of(openai_server())
    messages = [{"role": "system", "content": "Reply in JSON."}, {"role": "user", "content": QUESTION}]
    reply = await client.chat.completions.create(model=CHAT, messages=messages, **options)
    assert reply.choices[0].finish_reason == "stop"
    assert len(json.loads(reply.choices[0].message.content)["chunks"]) == 2


async def test_another_kind_of_message_gets_the_emptiest_value_of_its_schema(openai_server, client_of):
    client = client_of(openai_server())
    assert await chunks_of(client, "What do you think?") == []
    schema = {
        "type": "object",
        "properties": {"same": {"type": "boolean"}, "why": {"type": ["string", "null"]}, "kind": {"enum": ["a", "b"]}},
        "required": ["same", "why", "kind"],
        "additionalProperties": False,
    }
    reply = await ask(client, "Are these the same?", response_format=strict(schema))
    assert json.loads(reply.choices[0].message.content) == {"same": False, "why": "", "kind": "a"}


async def test_canned_replies_answer_what_they_match_as_often_as_they_may(openai_server, client_of):
    client = client_of(openai_server(replies=[{"match": "Initech", "content": "canned", "times": 1}]))
    assert (await ask(client)).choices[0].message.content == "canned"
    assert len(await chunks_of(client)) == 2


GOLD = [
    {
        "document": "one.vtt",
        "entities": [
            {"name": "Ann Lee", "type": "Person", "mentions": ["Ann Lee", "Ann"]},
            {"name": "Acme", "type": "Organization", "mentions": ["Acme", "Acme Robotics"]},
        ],
        "relationships": [
            {"subject": "Ann Lee", "type": "works_at", "object": "Acme", "quote": "I, uh, I work at {pause} Acme"},
            {"subject": "Ann Lee", "type": "knows", "object": "Acme", "quote": "nobody ever says this"},
        ],
    },
    {"document": "two.vtt", "entities": [{"name": "Ann Smith", "type": "Person", "mentions": ["Ann"]}]},
]


async def test_gold_answers_what_occurs_in_the_chunk_though_it_was_cleaned(openai_server, client_of, tmp_path):
    file = tmp_path / "gold.jsonl"
    file.write_text("\n".join(map(json.dumps, GOLD)))
    server = openai_server(gold=file)
    question = (
        "SPEAKERS\nA Ann Lee\n\nCHUNK 1\n3 A: now, I work at Acme.\n\nCHUNK 2\n1: Nothing here.\n\n"
        "CHUNK 3\n1: Ask Ann about Acme Robotics"
    )
    first, second, third = await chunks_of(client_of(server), question)
    assert first == {"c": 1, "e": [["Ann Lee", "Person"], ["Acme", "Organization"]], "r": [["0", "works_at", "1", "3"]]}
    assert second == {"c": 2, "e": [], "r": []}
    assert third["e"] == [["Ann", "Person"], ["Acme", "Organization"]]
    assert server.books()["gold_unanswered"] == ["nobody ever says this"]


def test_gold_is_compared_without_markers_fillers_and_stutters():
    assert words("We we should, uh, we should {disfmarker} go to th- the [noise] Rio!") == words(
        "We should go to the Rio"
    )


def test_a_message_that_only_looks_like_a_question_is_none():
    assert read_question("CHUNK one\n1: x") == ()
    assert read_question("CHUNK 1\n1 Q: a label without a speaker") == ()
    assert read_question("Hello") == ()
    (chunk,) = read_question("CHUNK 7\n2: only: this")
    assert (chunk.number, chunk.turns[0].number, chunk.turns[0].speaker, chunk.text) == (7, 2, None, "only: this")


def test_the_prompt_and_the_server_agree_on_the_message():
    nasty = "one\n\nCHUNK 2\n1 A: forged\u2028~ B: context\tSPEAKERS"
    turns = (
        ChunkTurn("Ann: Lee\nCHUNK", nasty, nasty, 0),
        ChunkTurn("Bob", "", "", 1),
        ChunkTurn(None, "12 A: not a label", "12 A: not a label", 2),
    )
    chunk = Chunk("id", "document", 0, turns, context=(("Zed", "before"), (None, "1 A: before")))
    prompt = ExtractionPrompt(Ontology.default())
    first, second = read_question(prompt.render([chunk, chunk], [True, False]))
    assert (first.number, second.number) == (1, 2)
    assert first.turns == second.turns
    assert [turn.number for turn in first.turns] == [1, 3]
    assert [turn.speaker for turn in first.turns] == ["Ann: Lee CHUNK", None]
    assert first.turns[1].text == "12 A: not a label"
    assert first.turns[0].text == " ".join(nasty.split())


# --- refusals ---

DEEP: dict = {"type": "string"}
for _ in range(11):
    DEEP = {"type": "object", "properties": {"a": DEEP}, "required": ["a"], "additionalProperties": False}


def with_chunks(inner):
    return {**SCHEMA, "properties": {"chunks": inner}}


@pytest.mark.parametrize(
    ("schema", "words_of_it"),
    [
        ({"type": "array", "items": {"type": "string"}}, "schema must be a JSON Schema of 'type: \"object\"'"),
        ({**SCHEMA, "additionalProperties": True}, "In context=(), 'additionalProperties' is required"),
        ({**SCHEMA, "required": []}, "'required' is required to be supplied"),
        ({**SCHEMA, "required": ["chunks", "more"]}, "Extra 'more'"),
        (with_chunks({"type": "array"}), "In context=('properties', 'chunks'), array schema missing items"),
        (with_chunks({"type": "array", "prefixItems": [{"type": "string"}]}), "array schema missing items"),
        (with_chunks({"type": "string", "minLength": 1}), "'minLength' is not permitted"),
        (with_chunks({"allOf": [{"type": "string"}]}), "'allOf' is not permitted"),
        (with_chunks({"description": "anything"}), "schema must have a 'type' key"),
        (with_chunks({"enum": [str(n) for n in range(1001)]}), "1001 enum values exceeds limit of 1000"),
        (DEEP, "11 levels of nesting exceeds limit of 10"),
    ],
)
async def test_schemas_that_strict_mode_refuses_are_refused(openai_server, client_of, schema, words_of_it):
    with pytest.raises(openai.BadRequestError) as refused:
        await ask(client_of(openai_server()), response_format=strict(schema))
    assert refused.value.type == "invalid_request_error"
    assert refused.value.param == "response_format"
    assert "Invalid schema for response_format 'extraction'" in refused.value.message
    assert words_of_it in refused.value.message


async def test_our_own_schema_passes_strict_mode(openai_server, client_of):
    ours = RESPONSE_FORMATS["json_schema"]
    assert len(await chunks_of(client_of(openai_server()), response_format=ours)) == 2


async def test_definitions_references_and_unions_pass_strict_mode(openai_server, client_of):
    pair = {"$defs": {"pair": STRINGS}, **with_chunks({"anyOf": [{"$ref": "#/$defs/pair"}, {"type": "null"}]})}
    reply = await ask(client_of(openai_server()), "Hello", response_format=strict(pair))
    assert json.loads(reply.choices[0].message.content) == {"chunks": []}


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"max_tokens": 100}, "max_tokens", "unsupported_parameter"),
        ({"temperature": 0}, "temperature", "unsupported_value"),
        ({"top_p": 0.5}, "top_p", "unsupported_parameter"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value"),
        ({"extra_body": {"guided_json": {}}}, "guided_json", "unknown_parameter"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        ({"response_format": {"type": "json_object"}, "system": "Hi."}, "messages", None),
        ({"model": "gpt-4o", "reasoning_effort": "low"}, None, None),
        ({"max_completion_tokens": 400_000}, "messages", "context_length_exceeded"),
    ],
)
async def test_parameters_that_openai_refuses_are_refused(openai_server, client_of, options, param, code):
    with pytest.raises(openai.BadRequestError) as refused:
        await ask(client_of(openai_server()), **options)
    assert (refused.value.type, refused.value.param, refused.value.code) == ("invalid_request_error", param, code)


async def test_an_older_model_takes_what_a_reasoning_model_does_not(openai_server, client_of):
    reply = await ask(client_of(openai_server()), model="gpt-4o-mini", temperature=0, max_tokens=500, seed=1)
    assert reply.model == "gpt-4o-mini"


async def test_unknown_models_and_wrong_keys_are_refused(openai_server, client_of):
    server = openai_server(require_key="sk-right-and-long-enough")
    with pytest.raises(openai.AuthenticationError) as wrong:
        await ask(client_of(server))
    assert wrong.value.code == "invalid_api_key"
    client = client_of(server, api_key="sk-right-and-long-enough")
    with pytest.raises(openai.NotFoundError) as unknown:
        await ask(client, model="gpt-99")
    assert unknown.value.code == "model_not_found"
    assert CHAT in [model.id async for model in client.models.list()]


async def test_a_local_server_is_played_too(openai_server, client_of):
    server = openai_server(any_model=True, refuse=["json_schema", "embeddings", "temperature"])
    client = client_of(server)
    with pytest.raises(openai.BadRequestError, match="json_schema"):
        await ask(client, model="llama")
    with pytest.raises(openai.BadRequestError) as refused:
        await ask(client, model="llama", response_format={"type": "json_object"}, temperature=0)
    assert refused.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model="nomic-embed-text", input=["x"])
    assert (await ask(client, model="llama", response_format={"type": "json_object"})).model == "llama"
    assert server.books()["by_model"]["llama"]["dollars"] is None


# --- embeddings ---


async def test_vectors_are_of_unit_length_and_depend_on_the_text_alone(openai_server, client_of):
    client = client_of(openai_server())
    both = await client.embeddings.create(model=EMBEDDING, input=["one", "two"])
    alone = await client.embeddings.create(model=EMBEDDING, input="two", encoding_format="float", dimensions=256)
    one, two = (np.array(each.embedding) for each in both.data)
    assert one.shape == (1536,)
    assert np.linalg.norm(one) == pytest.approx(1)
    assert not np.allclose(one, two)
    short = two[:256] / np.linalg.norm(two[:256])
    assert np.allclose(alone.data[0].embedding, short, atol=1e-6)
    assert both.usage.prompt_tokens == both.usage.total_tokens > 0


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({"input": ["x"] * 2049}, "maximum length 2048"),
        ({"input": ["x y " * 9000]}, "maximum context length is 8192 tokens"),
        ({"input": ["x y z " * 4000] * 60}, "max 300000 tokens per request"),
        ({"input": ["x", ""]}, "input cannot be an empty string"),
        ({"input": []}, "is invalid"),
        ({"input": ["x"], "dimensions": 1537}, "dimensions"),
        ({"input": ["x"], "extra_body": {"truncate": True}}, "Unknown parameter: 'truncate'"),
    ],
)
async def test_embedding_requests_that_openai_refuses_are_refused(openai_server, client_of, options, about):
    with pytest.raises(openai.BadRequestError, match=about):
        await client_of(openai_server(tokens="characters")).embeddings.create(model=EMBEDDING, **options)


# --- books ---


async def test_the_books_agree_with_what_the_replies_said(openai_server, client_of):
    server = openai_server(completion_tokens="lognormal:200:1")
    client = client_of(server)
    replies = [await ask(client, system="JSON. " * 1000) for _ in range(3)]
    vectors = await client.embeddings.create(model=EMBEDDING, input=["one", "two"])
    books = server.books()
    used = [reply.usage for reply in replies]
    assert books["tokens"] == {
        "prompt": sum(usage.prompt_tokens for usage in used),
        "cached": sum(usage.prompt_tokens_details.cached_tokens for usage in used),
        "completion": sum(usage.completion_tokens for usage in used),
        "reasoning": sum(usage.completion_tokens_details.reasoning_tokens for usage in used),
        "embedding": vectors.usage.total_tokens,
    }
    assert used[0].prompt_tokens_details.cached_tokens == 0
    assert used[1].prompt_tokens_details.cached_tokens >= 1024
    assert used[1].prompt_tokens_details.cached_tokens % 128 == 0
    fresh = books["tokens"]["prompt"] - books["tokens"]["cached"]
    millionths = (
        fresh * Decimal("0.25")
        + books["tokens"]["cached"] * Decimal("0.025")
        + books["tokens"]["completion"] * 2
        + books["tokens"]["embedding"] * Decimal("0.02")
    )
    assert Decimal(books["dollars"]) == millionths / 1_000_000
    assert (books["chat_calls"], books["embedding_calls"], books["questions"]) == (3, 1, 8)
    assert [entry["status"] for entry in books["log"]] == [200] * 4
    assert books["arrivals"] == sorted(books["arrivals"])


async def test_a_prefix_is_cached_only_after_its_first_reply_is_out(openai_server, client_of):
    server = openai_server(latency=0.05)
    client = client_of(server)
    both = await asyncio.gather(*(ask(client, system="JSON. " * 1000) for _ in range(2)))
    assert [reply.usage.prompt_tokens_details.cached_tokens for reply in both] == [0, 0]
    assert (await ask(client, system="JSON. " * 1000)).usage.prompt_tokens_details.cached_tokens >= 1024
    assert server.books()["peak_in_flight"] == 2


async def test_a_call_that_the_client_gave_up_is_billed(openai_server, client_of):
    server = openai_server(faults=["hang"])
    with pytest.raises(openai.APITimeoutError):
        await ask(client_of(server, timeout=0.05))
    books = server.books()
    while books["in_flight"]:
        books = server.books()
    assert books["aborted"] == 1
    assert Decimal(books["dollars"]) > 0


async def test_an_answer_above_the_ceiling_is_cut_to_it(openai_server, client_of):
    client = client_of(openai_server())
    reply = await ask(client, max_completion_tokens=20)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 20
    assert len(reply.choices[0].message.content) <= 100
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.choices[0].message.content)


async def test_requests_are_kept_for_a_look_without_their_key(openai_server, client_of):
    server = openai_server(keep_requests=2)
    client = client_of(server, api_key="sk-canary-canary")
    for question in ("one", "two", "three"):
        await ask(client, question)
    kept = server.requests()
    assert [request["body"]["messages"][1]["content"] for request in kept] == ["two", "three"]
    assert kept[0]["headers"]["content-type"] == "application/json"
    assert "canary" not in json.dumps(kept)


def test_unknown_settings_and_impossible_values_are_named(openai_server):
    server = openai_server()
    with pytest.raises(ValueError, match="no such setting: speed"):
        server.configure(speed=1)
    for name, value in {"rpm": 0, "latency": "soon", "faults": ["explode"], "prices": ["free"]}.items():
        with pytest.raises(ValueError, match=name):
            server.configure(**{name: value})
    with pytest.raises(ValueError, match="No such file"):
        server.configure(gold=["absent.jsonl"])
    assert server.books()["calls"] == 0


# --- limits ---


async def test_a_request_above_the_limit_gets_a_429_that_says_when_to_come_again(openai_server, client_of):
    client = client_of(openai_server(rpm=2))
    reply = await client.chat.completions.with_raw_response.create(
        model=CHAT, messages=[{"role": "user", "content": "hi"}]
    )
    assert reply.headers["x-ratelimit-limit-requests"] == "2"
    assert reply.headers["x-ratelimit-remaining-requests"] == "1"
    await client.embeddings.create(model=EMBEDDING, input=["shares the limit"])
    with pytest.raises(openai.RateLimitError) as refused:
        await ask(client)
    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "requests")
    assert 29 <= float(refused.value.response.headers["retry-after"]) <= 30
    assert 29_000 <= float(refused.value.response.headers["retry-after-ms"]) <= 30_000
    assert "Please try again in" in refused.value.message


async def test_the_larger_of_ceiling_and_estimate_is_charged(openai_server, client_of):
    server = openai_server(tpm=1000)
    client = client_of(server)
    reply = await client.chat.completions.with_raw_response.create(
        model=CHAT, messages=[{"role": "user", "content": "hi"}], max_completion_tokens=700
    )
    assert reply.headers["x-ratelimit-remaining-tokens"] == "300"
    with pytest.raises(openai.RateLimitError) as refused:
        await ask(client, max_completion_tokens=700)
    assert refused.value.type == "tokens"
    with pytest.raises(openai.RateLimitError, match=r"Request too large .* Limit 1000, Requested 1001"):
        await ask(client, max_completion_tokens=1001)
    assert server.books()["rate_limited"] == 2


async def test_a_quota_ends_in_insufficient_quota(openai_server, client_of):
    client = client_of(openai_server(quota=0.000001))
    await ask(client)
    with pytest.raises(openai.RateLimitError) as refused:
        await ask(client)
    assert refused.value.code == "insufficient_quota"


def admitted(limits, seconds, step, tokens_each=1):
    """How many requests pass when one tries every `step` seconds."""
    passed = 0
    for n in range(round(seconds / step)):
        try:
            limits.admit("chat", CHAT, tokens_each, n * step)
        except Exception:
            continue
        passed += 1
    return passed


def test_a_minute_limit_lets_the_whole_minute_through_at_once_and_a_second_limit_does_not():
    assert admitted(Limits(Settings(rpm=600), 0.0), 1, 0.001) == 600 + 9
    assert admitted(Limits(Settings(rpm=600, per_second=True), 0.0), 1, 0.001) == 10 + 9
    assert admitted(Limits(Settings(rpm=600, per_second=True, steal=0.5), 0.0), 10, 0.001) == 5 + 49


def test_embeddings_have_their_own_limit_if_it_is_given():
    limits = Limits(Settings(rpm=1, embedding_rpm=1), 0.0)
    limits.admit("chat", CHAT, 1, 0.0)
    limits.admit("embeddings", EMBEDDING, 1, 0.0)
    assert limits.headers("chat")[1] == ("x-ratelimit-remaining-requests", "0")


def test_a_request_larger_than_a_second_passes_on_a_full_bucket_and_leaves_a_debt():
    limits = Limits(Settings(tpm=6000, per_second=True), 0.0)
    limits.admit("chat", CHAT, 300, 0.0)
    assert admitted(limits, 2.9, 0.01, 100) == 0
    limits.admit("chat", CHAT, 100, 3.01)


def test_resets_are_written_as_openai_writes_them():
    assert [duration(s) for s in (0.0, 0.012, 1.2, 59.9, 360)] == ["0ms", "12ms", "1.2s", "59.9s", "6m0s"]


# --- faults ---


async def content_of(client, **options):
    return (await ask(client, **options)).choices[0].message.content


async def test_a_fault_strikes_what_matches_as_often_as_it_may(openai_server, client_of):
    server = openai_server(faults=[{"kind": "left_out", "match": "Initech", "times": 2}])
    client = client_of(server)
    answered = [[chunk["c"] for chunk in await chunks_of(client)] for _ in range(3)]
    assert answered == [[1], [1], [1, 2]]
    assert server.books()["by_fault"] == {"left_out": 2}


async def test_context_lines_do_not_draw_a_fault(openai_server, client_of):
    client = client_of(openai_server(faults=[{"kind": "empty", "match": "Zanzibar"}]))
    assert len(await chunks_of(client)) == 2


async def test_a_rate_is_kept_and_the_same_in_every_run(openai_server, client_of):
    def struck(server):
        return [entry["fault"] for entry in server.books()["log"]]

    runs = []
    for _ in range(2):
        server = openai_server(faults=["empty:0.3", "http500:0.1"], seed=7)
        client = client_of(server)
        for n in range(60):
            try:
                await ask(client, f"Question {n % 30}")
            except openai.InternalServerError:
                continue
        runs.append(struck(server))
    assert runs[0] == runs[1]
    assert 8 <= runs[0].count("empty") <= 28
    assert 1 <= runs[0].count("http500") <= 14


async def test_a_share_of_chunks_can_be_poison_in_every_attempt(openai_server, client_of):
    client = client_of(openai_server(faults=[{"kind": "left_out", "rate": 0.5, "per": "chunk"}], seed=3))
    question = "\n\n".join(f"CHUNK {n}\n1: this is chunk {n} of many" for n in range(1, 41))
    once = [chunk["c"] for chunk in await chunks_of(client, question)]
    again = [chunk["c"] for chunk in await chunks_of(client, question)]
    assert once == again
    assert 8 < len(once) < 32


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("fenced", lambda text: text.startswith("```json\n{")),
        ("prose", lambda text: text.startswith("Sure!")),
        ("wrong_schema", lambda text: "chunks" not in json.loads(text)),
        ("empty", lambda text: text == ""),
        ("null", lambda text: text is None),
        ("wrong_numbers", lambda text: [c["c"] for c in json.loads(text)["chunks"]] == [101, 102]),
        ("answered_twice", lambda text: len(json.loads(text)["chunks"]) == 3),
        ("index_out_of_range", lambda text: any(int(r[2]) > 80 for c in json.loads(text)["chunks"] for r in c["r"])),
        ("self_relation", lambda text: any(r[0] == r[2] for c in json.loads(text)["chunks"] for r in c["r"])),
        ("foreign_type", lambda text: "Spaceship" in text),
        ("many_entities", lambda text: "Entity 9999" in text),
        ("huge_string", lambda text: len(text) > 1_000_000),
        ("nul", lambda text: "\\u0000" in text),
        ("invented", lambda text: "Zorblatt" in text),
        ("swapped", lambda text: "Initech" in str(json.loads(text)["chunks"][0])),
    ],
)
async def test_bad_replies_are_bad_as_named(openai_server, client_of, kind, content):
    assert content(await content_of(client_of(openai_server(faults=[kind]))))


async def test_broken_json_cannot_be_read(openai_server, client_of):
    for kind in ("invalid_json", "truncated"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(await content_of(client_of(openai_server(faults=[kind]))))


async def test_refusals_and_filters_say_so_in_their_fields(openai_server, client_of):
    server = openai_server(faults=["refusal"])
    client = client_of(server)
    assert (await ask(client)).choices[0].message.refusal
    server.configure(faults=["content_filter"])
    assert (await ask(client)).choices[0].finish_reason == "content_filter"
    server.configure(faults=["content_filter_400"])
    with pytest.raises(openai.BadRequestError) as refused:
        await ask(client)
    assert refused.value.code == "content_filter"
    server.configure(faults=["truncated"])
    assert (await ask(client)).choices[0].finish_reason == "length"


async def test_usage_and_model_can_lie(openai_server, client_of):
    server = openai_server(faults=["no_usage"])
    client = client_of(server)
    assert (await ask(client)).usage is None
    server.configure(faults=["absurd_usage"])
    assert (await ask(client)).usage.prompt_tokens == 10**12
    server.configure(faults=["other_model"])
    assert (await ask(client)).model == "gpt-2"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("http500", openai.InternalServerError),
        ("http503", openai.InternalServerError),
        ("http429", openai.RateLimitError),
        ("http401", openai.AuthenticationError),
        ("http408", openai.APIStatusError),
        ("insufficient_quota", openai.RateLimitError),
        ("reset_before", openai.APIConnectionError),
        ("reset_in_body", openai.APIConnectionError),
        ("cut_body", openai.APIConnectionError),
        ("hang", openai.APITimeoutError),
    ],
)
async def test_faults_of_the_wire_reach_the_sdk(openai_server, client_of, kind, error):
    server = openai_server(faults=[{"kind": kind, "times": 1}])
    client = client_of(server, timeout=0.5)
    with pytest.raises(error):
        await ask(client)
    assert len(await chunks_of(client)) == 2
    assert server.books()["by_fault"] == {kind: 1}


async def test_a_reply_that_drips_or_never_ends_outlives_a_timeout_per_read(openai_server, client_of):
    for kind in ("drip", "endless_chunked"):
        client = client_of(openai_server(faults=[{"kind": kind, "pace": 0.02}]), timeout=0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await ask(client)


async def test_a_page_instead_of_json_and_bytes_that_are_no_text_are_sent_as_named(openai_server, client_of):
    server = openai_server(faults=["html200"])
    client = client_of(server)
    page = await client.chat.completions.with_raw_response.create(
        model=CHAT, messages=[{"role": "user", "content": "x"}]
    )
    assert page.headers["content-type"] == "text/html"
    server.configure(faults=["wrong_encoding"])
    raw = await client.chat.completions.with_raw_response.create(
        model=CHAT, messages=[{"role": "user", "content": "x"}]
    )
    with pytest.raises(UnicodeDecodeError):
        raw.content.decode()


async def test_a_redirect_leads_nowhere_and_costs_nothing(openai_server, client_of):
    server = openai_server(faults=["redirect"])
    with pytest.raises(openai.APIConnectionError):
        await ask(client_of(server))
    assert server.books()["by_status"] == {"307": 1}
    assert Decimal(server.books()["dollars"]) == 0


async def test_bad_vectors_are_bad_as_named(openai_server, client_of):
    server = openai_server()
    client = client_of(server)

    async def vectors(kind):
        server.configure(faults=[{"kind": kind, "match": "two"}])
        raw = await client.embeddings.with_raw_response.create(
            model=EMBEDDING, input=["one", "two", "three"], encoding_format="base64", dimensions=8
        )
        data = json.loads(raw.content)["data"]
        return [each["index"] for each in data], [
            np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in data
        ]

    assert (await vectors("wrong_count"))[0] == [0, 2]
    assert (await vectors("wrong_order"))[0] == [2, 1, 0]
    assert [len(row) for row in (await vectors("wrong_dimension"))[1]] == [8, 7, 8]
    assert [bool(np.isnan(row).any()) for row in (await vectors("nan"))[1]] == [False, True, False]
    assert [not row.any() for row in (await vectors("zeros"))[1]] == [False, True, False]


# --- the process ---


def test_draws_depend_on_the_seed_alone_and_have_the_median_asked_for():
    drawn = sorted(Distribution.parse("lognormal:200:1").draw(seed) for seed in range(2001))
    assert drawn == sorted(Distribution.parse("lognormal:200:1").draw(seed) for seed in range(2001))
    assert drawn[1000] == pytest.approx(200, rel=0.15)
    assert drawn[-1] > 2000
    for wrong in ("soon", "lognormal:1", "uniform:-1:2", math.nan):
        with pytest.raises(ValueError):
            Distribution.parse(wrong)


def test_without_a_vocabulary_on_disk_characters_are_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert tokens.counter("auto")("12345") == 2
    with pytest.raises(ValueError, match="o200k_base"):
        tokens.counter("tiktoken")


def test_a_port_in_use_is_named(openai_server):
    port = openai_server().url.split(":")[2].removesuffix("/v1")
    with run_by_hand("--port", port, stderr=subprocess.PIPE) as process:
        assert f"cannot listen on 127.0.0.1:{port}" in process.stderr.read()
        assert process.wait(10) == 1


def run_by_hand(*options, stderr=None):
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "tests.openai_server", *options]
    return subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_run_by_hand_it_says_its_url_and_ends_on_sigterm():
    with run_by_hand("--latency", "0.5", "--fault", "empty:0.1", "--fault", "http500:0.1:embeddings") as process:
        said = json.loads(process.stdout.readline())
        assert said["url"] == f"http://127.0.0.1:{said['port']}/v1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_ends_when_its_input_does():
    with run_by_hand("--watch-stdin") as process:
        process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell of a parent's end")
def test_it_ends_when_its_parent_is_killed():
    script = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-m', 'tests.openai_server'], stdout=subprocess.PIPE, text=True)\n"
        "print(p.stdout.readline(), flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        port = json.loads(parent.stdout.readline())["port"]
        parent.kill()
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return
        assert time.monotonic() < deadline, "the server outlived its parent"
