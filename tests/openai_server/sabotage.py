"""Spoils a chat reply on purpose: first what it says about the chunks, then the text that says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from tests.openai_server.answers import Answer


@dataclass(slots=True)
class Numbered:
    """An answer under the chunk number that the reply gives."""

    number: int
    answer: Answer

    def as_json(self) -> dict[str, object]:
        return {"c": self.number, "e": self.answer.entities, "r": self.answer.relationships}


@dataclass(slots=True)
class Message:
    """The reply's one choice."""

    content: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


def spoil_answers(kind: str, answers: list[Numbered], targets: Sequence[int]) -> list[Numbered]:
    """The answers as the fault leaves them; `targets` are positions among them."""
    if kind == "wrong_numbers":
        return [Numbered(each.number + 100, each.answer) for each in answers]
    if kind == "left_out":
        return [each for n, each in enumerate(answers) if n not in targets]
    if kind == "answered_twice":
        return [*answers, *(answers[n] for n in targets)]
    if kind == "swapped" and len(answers) > 1:
        return _swapped(answers, targets)
    if kind in {"dictated", "contradicted", "smuggled"} and targets:
        return _obeyed(kind, answers, targets[0])
    if kind in _SPOILT:
        for n in targets:
            _SPOILT[kind](answers[n].answer)
    return answers


def _swapped(answers: list[Numbered], targets: Sequence[int]) -> list[Numbered]:
    for n in targets:
        other = (n + 1) % len(answers)
        answers[n].answer, answers[other].answer = answers[other].answer, answers[n].answer
    return answers


def _obeyed(kind: str, answers: list[Numbered], said: int) -> list[Numbered]:
    """As a model answers that does what the words of a chunk tell it to."""
    told, others = answers[said], [each for n, each in enumerate(answers) if n != said]
    if kind == "smuggled":
        for each in others:
            each.answer.entities += told.answer.entities
        return answers
    dictated = [Numbered(each.number, told.answer) for each in others]
    return [told, *dictated] if kind == "dictated" else [*answers, *dictated]


def _ensured(answer: Answer) -> list[str]:
    if not answer.entities:
        answer.entity("Acme", "Organization")
    return answer.entities[0]


def _index_out_of_range(answer: Answer) -> None:
    answer.relationships.append(["0", "works_at", str(len(answer.entities) + 90), "1"])


def _self_relation(answer: Answer) -> None:
    _ensured(answer)
    answer.relationships.append(["0", "works_at", "0", "1"])


def _foreign_type(answer: Answer) -> None:
    _ensured(answer)[1] = "Spaceship"
    if len(answer.entities) > 1:
        answer.relationships.append(["0", "teleports_to", "1", "1"])


def _many_entities(answer: Answer) -> None:
    answer.entities += [[f"Entity {n}", "Topic"] for n in range(10_000)]


def _huge_string(answer: Answer) -> None:
    answer.entities.append(["x" * 1_000_000, "Topic"])


def _nul(answer: Answer) -> None:
    first = _ensured(answer)
    first[0] = first[0][:1] + "\x00" + first[0][1:]


def _invented(answer: Answer) -> None:
    answer.entities.append(["Zorblatt Quux", "Person"])


_SPOILT: dict[str, Callable[[Answer], None]] = {
    "index_out_of_range": _index_out_of_range,
    "self_relation": _self_relation,
    "foreign_type": _foreign_type,
    "many_entities": _many_entities,
    "huge_string": _huge_string,
    "nul": _nul,
    "invented": _invented,
}


def spoil_message(kind: str, content: str) -> Message:
    """The message as the fault leaves it; unharmed if the fault is of another kind."""
    spoilt = _SPOILT_MESSAGES.get(kind)
    return spoilt(content) if spoilt else Message(content)


_SPOILT_MESSAGES: dict[str, Callable[[str], Message]] = {
    "invalid_json": lambda content: Message(content[: len(content) * 2 // 3] + '"}{'),
    "truncated": lambda content: Message(content[: len(content) * 3 // 5], "length"),
    "fenced": lambda content: Message(f"```json\n{content}\n```"),
    "prose": lambda content: Message(f"Sure! Here is what I found:\n\n{content}\n\nLet me know if you need {{more}}."),
    "wrong_schema": lambda _: Message(orjson.dumps({"result": {"entities": ["Acme"]}}).decode()),
    "empty": lambda _: Message(""),
    "null": lambda _: Message(None),
    "refusal": lambda _: Message(None, refusal="I'm sorry, but I can't help with that."),
    "content_filter": lambda _: Message("", "content_filter"),
}
