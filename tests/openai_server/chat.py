"""Answers POST /v1/chat/completions, not streamed."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tests.openai_server import sabotage
from tests.openai_server.chat_request import Asked
from tests.openai_server.envelope import spoil_usage
from tests.openai_server.errors import ApiError, invalid
from tests.openai_server.faults import Strike
from tests.openai_server.provider import Provider
from tests.openai_server.sabotage import Message, Numbered

# https://platform.openai.com/docs/guides/prompt-caching: prefixes of 1,024 tokens and more, in steps of 128.
_CACHED_FROM, _CACHED_STEP = 1_024, 128
_A_PAIR = 0.1  # of the tokens drawn for a chunk, where a pair of names is asked about: a verdict is three words
_TOKENS_A_MESSAGE = 3


@dataclass(slots=True)
class Completion:
    """The tokens of a request and of what answers it."""

    prompt: int
    cached: int
    completion: int
    reasoning: int

    def as_json(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


class Chat:
    """Answers chat requests for the provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def answer(self, asked: Asked, strike: Strike | None) -> Message:
        """The message that answers, spoilt if a fault strikes."""
        kind = strike.fault.kind if strike else ""
        content = self._canned(asked)
        if content is None and asked.chunks:
            answers = [Numbered(chunk.number, self._provider.answerer.answer(chunk)) for chunk in asked.chunks]
            answers = sabotage.spoil_answers(kind, answers, strike.targets if strike else ())
            content = orjson.dumps({"chunks": [each.as_json() for each in answers]}).decode()
        elif content is None and asked.pairs:
            content = self._about_pairs(asked, kind, strike.targets if strike else ())
        elif content is None:
            content = _echo(asked)
        return sabotage.spoil_message(kind, content)

    def _about_pairs(self, asked: Asked, kind: str, targets: Sequence[int]) -> str:
        verdicts = [[str(pair.number), self._provider.pairs.verdict(pair)] for pair in asked.pairs]
        if kind == "left_out":
            verdicts = [verdict for n, verdict in enumerate(verdicts) if n not in targets]
        elif kind == "wrong_numbers":
            verdicts = [[str(int(number) + 100), said] for number, said in verdicts]
        return orjson.dumps({"pairs": verdicts}).decode()

    def _canned(self, asked: Asked) -> str | None:
        for index, reply in enumerate(self._provider.settings.replies):
            left = reply.get("times")
            if reply["match"] in asked.user and (left is None or self._provider.canned_uses[index] < left):
                self._provider.canned_uses[index] += 1
                return str(reply["content"])
        return None

    def count_prompt(self, asked: Asked) -> int:
        """The prompt's tokens, or the 400 of one that is too long."""
        prompt = self._static_tokens(asked) + self._provider.count(asked.user) + _TOKENS_A_MESSAGE
        context = self._provider.settings.context or asked.model.context
        if prompt + (asked.ceiling or 0) > context:
            raise _too_long(context, prompt, asked.ceiling)
        return prompt

    def charge(self, asked: Asked, prompt: int) -> int:
        """What the request takes from the limit of tokens when it comes."""
        if self._provider.settings.charge == "actual":
            return prompt
        characters = len(asked.schema_text) + len(asked.system) + len(asked.user)
        # OpenAI: the larger of the ceiling and an estimate from the characters; without a ceiling the estimate.
        return max(asked.ceiling or 0, (characters + 3) // 4)

    def measure(self, asked: Asked, prompt: int, message: Message) -> Completion:
        """The tokens of both; a message above the ceiling is cut to it."""
        visible = self._provider.count(message.content or message.refusal or "")
        completion = max(visible, self._drawn(asked))
        if asked.ceiling is not None and completion > asked.ceiling:
            _cut(message, visible - (completion - asked.ceiling), visible)
            completion = asked.ceiling
            visible = min(completion, self._provider.count(message.content or ""))
        reasoning = completion - visible if asked.model.reasoning else 0
        return Completion(prompt, self._cached(asked), completion, reasoning)

    def _static_tokens(self, asked: Asked) -> int:
        count = self._provider.count_static
        return count(asked.schema_text) + count(asked.system) + 2 * _TOKENS_A_MESSAGE

    def _drawn(self, asked: Asked) -> int:
        length, seed = self._provider.completion, self._provider.settings.seed
        if length is None:
            return 0
        drawn = sum(length.draw(zlib.crc32(text.encode("utf-8", "surrogatepass"), seed)) for text in asked.texts)
        return round(drawn * (_A_PAIR if asked.pairs else 1.0))

    def _cached(self, asked: Asked) -> int:
        """The prefix counts as cached once a request that began with it has been answered."""
        static = self._static_tokens(asked)
        if not self._provider.settings.prompt_cache or static < _CACHED_FROM:
            return 0
        warm = self._provider.warm.get((asked.model.name, asked.schema_text, asked.system))
        return static // _CACHED_STEP * _CACHED_STEP if warm is not None and warm <= time.monotonic() else 0

    def warm_up(self, asked: Asked, delay: float) -> None:
        """Remember that the request's static prefix will be cached when the reply is out."""
        key = (asked.model.name, asked.schema_text, asked.system)
        warm = time.monotonic() + delay
        self._provider.warm[key] = min(warm, self._provider.warm.get(key, warm))

    def render(self, asked: Asked, message: Message, completion: Completion, number: int, kind: str) -> bytes:
        """The body of a good reply, in the shape and with the spoils that the fault gives the envelope."""
        choice: dict[str, Any] = {
            "role": "assistant",
            "content": message.content,
            "refusal": message.refusal,
            "annotations": [],
        }
        reply: dict[str, Any] = {
            "id": f"chatcmpl-{number:08x}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": "gpt-2" if kind == "other_model" else asked.model.name,
            "choices": [
                {"index": 0, "message": choice, "logprobs": None, "finish_reason": message.finish_reason},
            ],
            "usage": completion.as_json(),
            "service_tier": asked.tier,
            "system_fingerprint": None,
        }
        spoil_usage(reply, kind)
        return orjson.dumps(reply)


def _too_long(context: int, prompt: int, ceiling: int | None) -> ApiError:
    spent = f"{prompt} in the messages, {ceiling} in the completion" if ceiling else f"{prompt} in the messages"
    return invalid(
        f"This model's maximum context length is {context} tokens. However, you requested {prompt + (ceiling or 0)} "
        f"tokens ({spent}). Please reduce the length of the messages or completion.",
        "messages",
        "context_length_exceeded",
    )


def _cut(message: Message, left: int, visible: int) -> None:
    """Keep the share of the content that `left` of its `visible` tokens are; a spent ceiling leaves nothing."""
    content = message.content or ""
    message.content = content[: len(content) * max(0, left) // max(1, visible)]
    message.finish_reason = "length"


def _echo(asked: Asked) -> str:
    """To another kind of message: the emptiest value that the schema allows, an empty object, or a sentence."""
    if asked.format == "json_schema":
        return orjson.dumps(_emptiest(asked.schema, asked.schema)).decode()
    return "{}" if asked.format == "json_object" else "Understood."


def _emptiest(schema: Any, root: Any) -> Any:
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        found = root
        for step in str(schema["$ref"]).split("/")[1:]:
            found = found[step]
        return _emptiest(found, root)
    for choice in ("enum", "anyOf"):
        if choice in schema:
            return schema["enum"][0] if choice == "enum" else _emptiest(schema["anyOf"][0], root)
    if "const" in schema:
        return schema["const"]
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "object":
        return {name: _emptiest(inner, root) for name, inner in schema.get("properties", {}).items()}
    return {"array": [], "string": "", "integer": 0, "number": 0, "boolean": False}.get(str(kind))
