"""Shows again what a model was asked and what its reply was worth, from what the ledger holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from core_engine.kg.extractor import read_reply
from core_engine.kg.prompt import ExtractionPrompt
from core_engine.kg.resolver.question import read_verdicts
from core_engine.ledger.call_rows import CallRow
from core_engine.ledger.documents import chunks_asked
from core_engine.types import Chunk


@dataclass(frozen=True, slots=True)
class Replay:
    """`asked` as it is rendered from the chunks today; `notes` say where that may not be what was sent.

    `problems`: what was wrong with the reply, by the chunk's place in the request, from 1; 0: with all of it.
    """

    asked: str
    replied: str
    chunks: tuple[str, ...] = ()
    problems: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def replay(db: sqlite3.Connection, call: CallRow, prompt: ExtractionPrompt) -> Replay:
    replied = (call.reply or b"").decode("utf-8", "replace")
    if call.stage not in {"extract", "embed"}:
        kept = ("the question is about names: `kg entities` shows them, the ledger keeps no prompt",)
        return Replay("", replied, problems=_verdicts(call, replied), notes=kept)
    chunks = chunks_asked(db, call.stage, call.questions)
    ids = tuple(chunk.id for chunk in chunks)
    notes: list[str] = []
    if gone := len(call.questions) - len(chunks):
        notes.append(f"{gone} of {len(call.questions)} chunks were edited or erased since, and are not shown")
    if call.stage == "embed":
        return Replay("\n\n".join(chunk.text for chunk in chunks), replied, ids, notes=tuple(notes))
    if call.prompt_version and call.prompt_version != prompt.version:
        notes.append(f"asked with prompt {call.prompt_version}; a run today would ask with {prompt.version}")
    asked = prompt.render(chunks, [not _follows(chunks, at) for at in range(len(chunks))])
    return Replay(asked, replied, ids, _problems(call, replied), tuple(notes))


def _follows(chunks: list[Chunk], at: int) -> bool:
    """Its predecessor stands right before it, so that no context is shown."""
    if not at:
        return False
    one, before = chunks[at], chunks[at - 1]
    return (one.document_id, one.seq) == (before.document_id, before.seq + 1)


def _problems(call: CallRow, replied: str) -> dict[int, str]:
    if call.fields["status"] != "answered":
        return {}
    parsed = read_reply(replied, call.finish_reason, "", len(call.questions))
    whole = {0: parsed.invalid} if parsed.invalid else {0: f"repaired: {parsed.repaired}"} if parsed.repaired else {}
    return whole | dict(parsed.problems)


def _verdicts(call: CallRow, replied: str) -> dict[int, str]:
    if call.fields["status"] != "answered":
        return {}
    said, _ = read_verdicts(replied, len(call.questions))
    return {number: "left_out" for number in range(1, len(call.questions) + 1) if number not in said}
