"""Finds answers that stand under another chunk's number: what a confused model does, or one that a transcript talks to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from core_engine.kg.grounding import Words
from core_engine.kg.reply import ParsedReply
from core_engine.types import Chunk

MISPLACED = "answer_of_another_chunk"


def without_misplaced(parsed: ParsedReply, chunks: Sequence[Chunk]) -> ParsedReply:
    """The reply with such answers taken for problems, to be asked again, each chunk alone.

    An answer is misplaced where its own chunk says none of its names, and another chunk of the request says one.
    Names that no chunk says are dropped later and not asked about again: some models always spell them otherwise.
    """
    if len(chunks) == 1:
        return parsed
    texts = [_all_words(chunk) for chunk in chunks]
    misplaced = {
        number for number, answer in parsed.answers.items() if _is_misplaced(answer, number - 1, chunks, texts)
    }
    if not misplaced:
        return parsed
    return replace(
        parsed,
        answers={number: answer for number, answer in parsed.answers.items() if number not in misplaced},
        problems={**parsed.problems, **dict.fromkeys(sorted(misplaced), MISPLACED)},
    )


def _is_misplaced(answer: bytes, at: int, chunks: Sequence[Chunk], texts: Sequence[str]) -> bool:
    names = [name.casefold() for name, _ in orjson.loads(answer)["e"]]
    if not names or _says_one(texts[at], names):
        return False
    if not any(_says_one(text, names) for text in texts if text is not texts[at]):
        return False
    words = Words(chunks[at])  # takes its time, and knows names that are spelled a little otherwise
    return not any(words.places(name) for name in names)


def _says_one(text: str, names: Sequence[str]) -> bool:
    return any(name in text for name in names)


def _all_words(chunk: Chunk) -> str:
    context = (f"{speaker or ''} {text}" for speaker, text in chunk.context)
    return "\n".join((chunk.text, *context)).casefold()
