"""Reads and checks a chat request, and refuses what OpenAI refuses, in its words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tests.openai_server.books import Entry
from tests.openai_server.envelope import parse_body
from tests.openai_server.errors import ApiError, invalid
from tests.openai_server.models import Model
from tests.openai_server.provider import Provider
from tests.openai_server.question import AskedChunk, read_question
from tests.openai_server.resolving import AskedPair, read_pairs
from tests.openai_server.schema import check_strict

_PARAMETERS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort",
    "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
# What this server does not play, though OpenAI does: a clear refusal is better than a wrong answer.
_NOT_HERE = ("stream", "tools", "functions", "audio", "web_search_options")
# Reasoning models take these only at their default, or not at all.
_NOT_REASONING = ("top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "stop")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_TIERS = ("auto", "default", "flex", "priority")
_FORMATS = ("text", "json_object", "json_schema")
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class Asked:
    """A request that was understood."""

    model: Model
    ceiling: int | None
    system: str
    user: str
    schema: Any
    schema_text: str
    format: str
    chunks: tuple[AskedChunk, ...]
    pairs: tuple[AskedPair, ...] = ()
    tier: str = "default"

    @property
    def texts(self) -> list[str]:
        """What a fault's or a canned reply's match is looked for in."""
        return [each.text for each in (*self.chunks, *self.pairs)] or [self.user]


def read_chat(provider: Provider, body: bytes, entry: Entry) -> Asked:
    """The request, checked as OpenAI checks it."""
    request = parse_body(body)
    entry.model = str(request.get("model") or "")
    provider.check_offered("chat")
    model = provider.model(request.get("model"), embeds=False)
    _check_parameters(request, model)
    provider.check_offered(*(name for name in request if request[name] is not None))
    kind, schema, schema_text = _format(provider, request.get("response_format"))
    system, user = _messages(request.get("messages"))
    if kind == "json_object" and "json" not in f"{system} {user}".lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise invalid(message, "messages")
    ceiling = request.get("max_completion_tokens") or request.get("max_tokens")
    asked = Asked(model, ceiling, system, user, schema, schema_text, kind, read_question(user), read_pairs(user),
                  _tier(provider, request.get("service_tier"), model))  # fmt: skip
    entry.tier = asked.tier
    entry.questions = len(asked.chunks) or len(asked.pairs) or 1
    return asked


def _format(provider: Provider, wanted: Any) -> tuple[str, Any, str]:
    if wanted is None:
        return "text", None, ""
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in _FORMATS:
        raise invalid(f"Invalid value: '{kind}'. Supported values are: {_quoted(_FORMATS)}.",
                      "response_format.type", "invalid_value")  # fmt: skip
    provider.check_offered(kind)
    if kind != "json_schema":
        return kind, None, ""
    described = wanted.get("json_schema")
    if not isinstance(described, dict) or "name" not in described:
        param = "response_format.json_schema" + (".name" if isinstance(described, dict) else "")
        raise invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    if not _SCHEMA_NAME.fullmatch(str(described["name"])):
        param = "response_format.json_schema.name"
        raise invalid(f"Invalid '{param}': string does not match pattern. Expected a string that matches the "
                      "pattern '^[a-zA-Z0-9_-]+$'.", param, "invalid_value")  # fmt: skip
    schema = described.get("schema")
    if described.get("strict"):
        check_strict(schema, described["name"])
    return kind, schema, orjson.dumps(schema).decode()


def _tier(provider: Provider, wanted: str | None, model: Model) -> str:
    """What processes the request. Flex is for reasoning models, as with OpenAI."""
    if wanted is not None and wanted not in _TIERS:
        raise invalid(f"Invalid value: '{wanted}'. Supported values are: {_quoted(_TIERS)}.", "service_tier",
                      "invalid_value")  # fmt: skip
    if wanted == "flex" and not model.reasoning:
        raise invalid("Invalid service_tier argument: flex is not available for this model.", "service_tier")
    return provider.settings.tier or (wanted if wanted in {"flex", "priority"} else "default")


def _check_parameters(request: Mapping[str, Any], model: Model) -> None:
    if unknown := request.keys() - _PARAMETERS:
        raise _unknown(min(unknown))
    for name in _NOT_HERE:
        if request.get(name):
            raise invalid(f"'{name}' is not played by this test server.", name, "unsupported_parameter")
    if (request.get("n") or 1) != 1:
        raise invalid("'n' other than 1 is not played by this test server.", "n", "unsupported_value")
    for name in ("max_completion_tokens", "max_tokens"):
        _check_ceiling(name, request.get(name))
    if model.reasoning:
        _check_reasoning(request)
    elif request.get("reasoning_effort") is not None:
        raise invalid("Unrecognized request argument supplied: reasoning_effort")


def _check_ceiling(name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, int):
        raise invalid(f"Invalid type for '{name}': expected an integer.", name, "invalid_type")
    if value < 1:
        raise invalid(f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead.",
                      name, "integer_below_min_value")  # fmt: skip


def _check_reasoning(request: Mapping[str, Any]) -> None:
    if request.get("max_tokens") is not None:
        raise invalid("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                      "'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter")  # fmt: skip
    temperature = request.get("temperature")
    if temperature is not None and temperature != 1:
        raise invalid(f"Unsupported value: 'temperature' does not support {temperature:g} with this model. Only the "
                      "default (1) value is supported.", "temperature", "unsupported_value")  # fmt: skip
    for name in _NOT_REASONING:
        if request.get(name) is not None and not (name == "top_p" and request[name] == 1):
            raise invalid(f"Unsupported parameter: '{name}' is not supported with this model.", name,
                          "unsupported_parameter")  # fmt: skip
    effort = request.get("reasoning_effort")
    if effort is not None and effort not in _EFFORTS:
        raise invalid(f"Invalid value: '{effort}'. Supported values are: {_quoted(_EFFORTS)}.", "reasoning_effort",
                      "invalid_value")  # fmt: skip


def _unknown(name: str) -> ApiError:
    return invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter")


def _quoted(names: Sequence[str]) -> str:
    *first, last = (f"'{name}'" for name in names)
    return f"{', '.join(first)}, and {last}"


def _messages(messages: Any) -> tuple[str, str]:
    """The static part (system and developer messages before the rest) and all that follows."""
    if not isinstance(messages, list) or not messages:
        raise invalid("Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty "
                      "array instead.", "messages", "empty_array")  # fmt: skip
    system: list[str] = []
    rest: list[str] = []
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in {"system", "developer", "user", "assistant"}:
            raise invalid(f"Invalid value: '{role}'. Supported values are: 'system', 'developer', 'user', and "
                          "'assistant'.", f"messages[{index}].role", "invalid_value")  # fmt: skip
        text = _text(message.get("content"), index)
        (system if role in {"system", "developer"} and not rest else rest).append(text)
    return "\n".join(system), "\n".join(rest)


def _text(content: Any, index: int) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    raise invalid(f"Invalid value for 'content': expected a string, got {type(content).__name__}.",
                  f"messages.[{index}].content")  # fmt: skip
