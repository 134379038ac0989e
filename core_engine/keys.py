"""The keys of questions: a hash of what is asked (law 1 of the ledger), in a part per chunk and a part per spec."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from core_engine.identity import digest
from core_engine.types import Chunk


@dataclass(frozen=True, slots=True)
class Spec:
    """All that is asked besides the chunk or the pair: prompt, ontology, model and its settings.

    `kind`: extract | embed | resolve, or rules, where nothing is asked.
    """

    kind: str
    description: dict[str, str | int | float | None]
    text: str = ""

    @property
    def hash(self) -> bytes:
        said = orjson.dumps(self.description, option=orjson.OPT_SORT_KEYS).decode()
        return digest("spec", self.kind, said, self.text)


def content(chunk: Chunk) -> bytes:
    """What extraction is asked about: the numbered cleaned turns with real speaker names, and the context turns."""
    parts = ["content", str(len(chunk.context))]
    for speaker, text in chunk.context:
        parts += (_who(speaker), text)
    for number, turn in enumerate(chunk.turns, start=1):
        if turn.text:
            parts += (str(number), _who(turn.speaker), turn.text)
    return digest(*parts)


def _who(speaker: str | None) -> str:
    return "" if speaker is None else f"={speaker}"


def words(chunk: Chunk) -> bytes:
    """What an embedding is asked about: the cleaned text with speakers."""
    return digest("words", chunk.text)


def pair(one: bytes, other: bytes, *documents: bytes) -> bytes:
    """What is asked about two names: whose they are, with the contents of the documents that they belong to.

    The words that are shown beside the names aren't in it: a new file must not ask old pairs again
    (docs/decisions/0016-a-pair-is-asked-once.md).
    """
    return digest("pair", one.hex(), other.hex(), *(document.hex() for document in documents))


NO_WORDS = digest("words", "")
"""The words hash of a chunk from which cleaning took everything out."""


def key(spec: bytes, about: bytes) -> bytes:
    """The key of the question that asks `spec` about a content or words hash."""
    return digest("question", spec.hex(), about.hex())
