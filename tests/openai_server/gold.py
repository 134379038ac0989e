"""Answers from a gold file: the entities whose mentions, and the relationships whose quotes, occur in the chunk.

Gold is annotated on raw text, and the chunk that we are asked about was cleaned. So both are compared as words: letters
and digits in lower case, without markers, fillers and stutters.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from tests.openai_server.answers import Answer, Answerer
from tests.openai_server.question import AskedChunk, AskedTurn
from tests.scenes import Scene, is_scene, scene_of

_MARKER = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]|\b\w+-(?=\s|$)")
_WORD = re.compile(r"[^\W_]+")
_FILLER_WORDS = "ah eh er erm hm hmm huh mhm mm mmm uh uhm um umm"
_FILLERS = frozenset(_FILLER_WORDS.split())
_PRONOUN_WORDS = "he her him i it its me my our she their them they us we you your"
_PRONOUNS = frozenset(_PRONOUN_WORDS.split())
_LONGEST_STUTTER = 4
_KEY_WORDS = 3


def words(text: str) -> tuple[str, ...]:
    """The text as it is compared. A stutter ("we should we should") counts once."""
    found: list[str] = []
    for word in _WORD.findall(_MARKER.sub(" ", text).lower()):
        if word in _FILLERS:
            continue
        found.append(word)
        for n in range(1, _LONGEST_STUTTER + 1):
            if len(found) >= 2 * n and found[-n:] == found[-2 * n : -n]:
                del found[-n:]
                break
    return tuple(found)


T = TypeVar("T")


class Phrases(Generic[T]):
    """Finds which of many phrases occur in a text, at a few look-ups a word."""

    def __init__(self) -> None:
        self._by_start: dict[tuple[str, ...], list[tuple[tuple[str, ...], T]]] = defaultdict(list)

    def add(self, phrase: tuple[str, ...], value: T) -> None:
        if phrase:
            self._by_start[phrase[:_KEY_WORDS]].append((phrase, value))

    def find(self, text: Sequence[str]) -> Iterable[T]:
        for start in range(len(text)):
            for n in range(1, min(_KEY_WORDS, len(text) - start) + 1):
                for phrase, value in self._by_start.get(tuple(text[start : start + n]), ()):
                    if len(phrase) == n or (n == _KEY_WORDS and phrase == tuple(text[start : start + len(phrase)])):
                        yield value


@dataclass(frozen=True, slots=True)
class GoldEntity:
    document: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class GoldRelationship:
    document: str
    subject: str
    kind: str
    target: str
    quote: str
    modality: str = "stated"


@dataclass(slots=True)
class _Found:
    """What occurs in a chunk of one gold document: the written forms of each entity, and relationships with turns."""

    forms: dict[GoldEntity, set[str]] = field(default_factory=lambda: defaultdict(set))
    stated: dict[tuple[GoldRelationship, int], AskedTurn] = field(default_factory=dict)

    @property
    def score(self) -> int:
        return len(self.forms) + 10 * len(self.stated)


class Gold:
    """Each chunk is answered from the one gold document that fits it best: two documents may know another "Ann".

    An entity is named as the chunk names it: in full if that occurs (in a turn or as its speaker), else by the longest
    mention that does. Where nothing of the gold occurs, `otherwise` answers.
    """

    def __init__(self, files: Sequence[str], otherwise: Answerer) -> None:
        self._otherwise = otherwise
        self._entities: dict[tuple[str, str], GoldEntity] = {}
        self._relationships: dict[GoldRelationship, bool] = {}  # was it ever answered?
        self._mentions: Phrases[tuple[GoldEntity, str]] = Phrases()
        self._quotes: Phrases[GoldRelationship] = Phrases()
        self.scenes: list[Scene] = []
        for file in files:
            for line in Path(file).read_bytes().splitlines():
                if line.strip():
                    self._add_line(orjson.loads(line))

    def _add_line(self, record: dict[str, Any]) -> None:
        if not is_scene(record):
            self._add(record)
            return
        self.scenes.append(scene := scene_of(record))
        for document in scene.turns:
            # Each form by itself: who is who is another question.
            forms = [(form.name, who.type) for who in scene.entities for form in who.forms if form.document == document]
            self._add({"document": document, "entities": [{"name": name, "type": kind} for name, kind in forms]})

    def _add(self, record: dict[str, Any]) -> None:
        document = str(record["document"])
        for each in record.get("entities", ()):
            entity = GoldEntity(document, each["name"], each["type"])
            self._entities[document, entity.name] = entity
            for mention in {entity.name, *each.get("mentions", ())}:
                if mention.lower() not in _PRONOUNS:
                    self._mentions.add(words(mention), (entity, mention))
        for each in record.get("relationships", ()):
            relationship = GoldRelationship(
                document, each["subject"], each["type"], each["object"], each["quote"], each.get("modality", "stated")
            )
            self._relationships[relationship] = False
            self._quotes.add(words(relationship.quote), relationship)

    def answer(self, chunk: AskedChunk) -> Answer:
        found = self._find(chunk)
        if not found:
            return self._otherwise.answer(chunk)
        best = min(found, key=lambda document: (-found[document].score, document))
        return self._render(best, found[best])

    def unanswered(self) -> list[str]:
        """The quotes of the relationships that no answer has held so far."""
        return [relationship.quote for relationship, seen in self._relationships.items() if not seen]

    def _find(self, chunk: AskedChunk) -> dict[str, _Found]:
        found: dict[str, _Found] = defaultdict(_Found)
        for turn in chunk.turns:
            text = words(turn.text)
            for said in (words(turn.speaker or ""), text):
                for entity, form in self._mentions.find(said):
                    found[entity.document].forms[entity].add(form)
            for relationship in self._quotes.find(text):
                found[relationship.document].stated[relationship, turn.number] = turn
        return found

    def _render(self, document: str, found: _Found) -> Answer:
        answer = Answer()
        for entity, forms in found.forms.items():
            answer.entity(_written(entity, forms), entity.kind)
        for (relationship, number), turn in found.stated.items():
            self._relationships[relationship] = True
            subject, target = (
                self._end(answer, document, name, found, turn) for name in (relationship.subject, relationship.target)
            )
            answer.relate(subject, relationship.kind, target, number, relationship.modality)
        return answer

    def _end(self, answer: Answer, document: str, name: str, found: _Found, turn: AskedTurn) -> int:
        entity = self._entities.get((document, name)) or GoldEntity(document, name, "Topic")
        return answer.entity(_written(entity, found.forms.get(entity, set())), entity.kind)


def _written(entity: GoldEntity, forms: set[str]) -> str:
    if not forms or entity.name in forms:
        return entity.name
    return min(forms, key=lambda form: (-len(form), form))
