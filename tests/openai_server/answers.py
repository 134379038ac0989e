"""What the server answers about a chunk: by rule, or from gold. It depends on the chunk's own turns alone.

So the graph is the same at every batch size and in every order, and a test may compare.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Protocol

from tests.openai_server.question import AskedChunk


@dataclass(slots=True)
class Answer:
    """Entities (name, type), and relationships (index, type, index, turn) as strings, as the prompt asks for them.

    A relationship that is not plainly stated has its modality as a fifth string.
    """

    entities: list[list[str]] = field(default_factory=list)
    relationships: list[list[str]] = field(default_factory=list)

    def entity(self, name: str, kind: str) -> int:
        """The entity's index; added if it is new."""
        for index, (known, _) in enumerate(self.entities):
            if known == name:
                return index
        self.entities.append([name, kind])
        return len(self.entities) - 1

    def relate(self, subject: int, kind: str, target: int, turn: int, modality: str = "stated") -> None:
        relationship = [str(subject), kind, str(target), str(turn), *([] if modality == "stated" else [modality])]
        if subject != target and relationship not in self.relationships:
            self.relationships.append(relationship)


class Answerer(Protocol):
    def answer(self, chunk: AskedChunk) -> Answer: ...


class Empty:
    def answer(self, chunk: AskedChunk) -> Answer:
        return Answer()


_NAME = re.compile(r"\b[A-Z][A-Za-z0-9&]+(?:[ -][A-Z][A-Za-z0-9&]+)*")
_COMMON_WORDS = """
A About Actually After All Also Am An And Another Any Are As At Because Before But By Can Could Did Do Does Even
Every First For From Get Go Good Great Had Has Have He Hello Her Here Hi His Hm How However If In Is It Its Just
Let Like Look Maybe Me Mm Most My Next No Nope Not Now Of Oh Ok Okay On One Only Or Our Out Right She Should Since
So Some Sorry Sure Thank Thanks That The Then There These They Think This Those Though To Uh Um Until Very Was We
Well Were What When Where Which While Who Why Will With Would Yeah Yep Yes You Your
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_TYPES = ("Organization", "Topic", "Person")
_PREDICATES = {
    ("Person", "Organization"): "works_at",
    ("Person", "Topic"): "discusses",
    ("Organization", "Topic"): "works_on",
}
_MOST_NAMES = 10
_MOST_RELATIONSHIPS = 6


class Rules:
    """Capitalised words are entities, speakers persons, neighbours within a turn related. No model, but it is steady."""

    def answer(self, chunk: AskedChunk) -> Answer:
        answer = Answer()
        persons = {turn.speaker for turn in chunk.turns if turn.speaker}
        for turn in chunk.turns:
            before = answer.entity(turn.speaker, "Person") if turn.speaker else None
            for name in _names(turn.text):
                if len(answer.entities) >= _MOST_NAMES + len(persons):
                    break
                index = answer.entity(name, "Person" if name in persons else _type(name))
                if before is not None and len(answer.relationships) < _MOST_RELATIONSHIPS:
                    _relate(answer, before, index, turn.number)
                before = index
        return answer


def _names(text: str) -> list[str]:
    found: dict[str, None] = {}
    for run in _NAME.findall(text):
        words = run.split(" ")
        while words and words[0] in _COMMON:
            words.pop(0)
        if words:
            found[" ".join(words)] = None
    return list(found)


def _type(name: str) -> str:
    return _TYPES[zlib.crc32(name.encode()) % len(_TYPES)]


def _relate(answer: Answer, first: int, second: int, turn: int) -> None:
    kinds = answer.entities[first][1], answer.entities[second][1]
    if kinds in _PREDICATES:
        answer.relate(first, _PREDICATES[kinds], second, turn)
    elif kinds[::-1] in _PREDICATES:
        answer.relate(second, _PREDICATES[kinds[::-1]], first, turn)
