"""Extraction: answers the questions of a batch, with a model or by rules, and keeps each chunk's answer apart.

A bad reply never takes good answers down: what can be used of it is kept, and only the rest is asked again, in
smaller requests, until a chunk that was asked alone has failed by itself and becomes a dead letter.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from core_engine.errors import BadReply, ModelError, OverBudget, PassingFailure, RequestTooLarge
from core_engine.kg.belonging import without_misplaced
from core_engine.kg.prompt import RESPONSE_FORMATS, ExtractionPrompt
from core_engine.kg.reply import ParsedReply, parse
from core_engine.kg.resolver.asking import parse_stored
from core_engine.kg.rules.extractor import scan
from core_engine.ledger import calls, documents, questions
from core_engine.ledger.ledger import Ledger
from core_engine.llm.isolation import halves, isolate
from core_engine.llm.question import Question
from core_engine.progress import Progress
from core_engine.types import Batch, BatchItem, Chunk

if TYPE_CHECKING:
    from core_engine.llm.asker import Asker  # brings the model's client along, which the rules have no use for

log = logging.getLogger("kg.extract")

NOTHING_SAID = b'{"e":[],"r":[]}'
_GIVE_UP_AFTER = 3  # requests in a row, if none was ever answered


class Extractor(Protocol):
    """Answers the extraction questions of a batch, in the ledger. Raises only what ends the run."""

    async def extract(self, batch: Batch) -> None: ...


class RulesExtractor:
    """Notes, per chunk, the candidates for names and how words are written. Which are names is decided later."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def extract(self, batch: Batch) -> None:
        answers = [(item.extract, scan(item.chunk.turns)) for item in batch.items if item.extract is not None]
        if answers:
            await self._ledger.commit(questions.answer_extractions, None, answers)


class TrialExtractor:
    """Has each batch extracted by the way that it is to be asked by."""

    def __init__(self, ways: Sequence[Extractor]) -> None:
        self._ways = ways

    async def extract(self, batch: Batch) -> None:
        await self._ways[batch.variant].extract(batch)


class ModelExtractor:
    """Asks a model about the chunks of a batch in one request."""

    def __init__(self, ledger: Ledger, asker: Asker, prompt: ExtractionPrompt, progress: Progress) -> None:
        self._ledger = ledger
        self._asker = asker
        self._prompt = prompt
        self._progress = progress
        self._unheard = 0

    async def extract(self, batch: Batch) -> None:
        items = [item for item in batch.items if item.extract is not None]
        silent = [item.extract for item in items if item.extract is not None and not item.chunk.text]
        if silent:
            # Cleaning took every word out: there is nothing to ask.
            await self._ledger.commit(questions.answer_extractions, None, [(no, NOTHING_SAID) for no in silent])
        spoken = [item for item in items if item.chunk.text]
        if spoken:
            await self._resolve(batch.id, spoken, "first", asked_whole_before=False)

    async def _resolve(
        self, batch: str, items: Sequence[BatchItem], purpose: str, *, asked_whole_before: bool, more_room: int = 1
    ) -> None:
        """Ask about the items until each is answered, dead, or left open for a passing failure.

        For k bad chunks among n at most k(2⌈log₂ n⌉ + 1) further requests: once more for the whole, then by halves.
        """
        failure = await self._try(batch, items, purpose, asked_whole_before=asked_whole_before, more_room=more_room)
        if failure is None:
            return
        if isinstance(failure, OverBudget):
            if len(items) == 1:
                raise failure
            for half in halves(items):
                await self._resolve(batch, half, purpose, asked_whole_before=asked_whole_before, more_room=more_room)
            return

        async def ask(part: Sequence[BatchItem]) -> ModelError | None:
            again = await self._try(
                batch,
                part,
                "reask",
                asked_whole_before=True,
                more_room=more_room,
                patient=isinstance(failure, BadReply),
            )
            if isinstance(again, OverBudget):
                raise again
            return again

        for part, error in await isolate(self._asker, items, failure, ask):
            await self._give_up(batch, part, error)

    async def _try(
        self,
        batch: str,
        items: Sequence[BatchItem],
        purpose: str,
        *,
        asked_whole_before: bool,
        more_room: int,
        patient: bool = True,
    ) -> ModelError | OverBudget | None:
        """Ask once about all the items, and again about those whose answers were no good.

        The request's own failure, for which none of them is answered; what comes of asking again is raised.
        """
        if purpose == "reask":
            self._progress.reasked += 1
        try:
            call, parsed, truncated = await self._ask(batch, items, purpose, more_room, patient=patient)
        except (PassingFailure, RequestTooLarge, BadReply, OverBudget) as failure:
            return failure
        await self._sort_out(batch, items, call, parsed, truncated, asked_whole_before, more_room)
        return None

    async def _give_up(self, batch: str, items: Sequence[BatchItem], error: ModelError) -> None:
        """Leave the items open where trying again may help, else bury them."""
        if isinstance(error, PassingFailure):
            self._progress.left_open[error.kind] += len(items)
            log.warning("%s; %d chunks stay open for the next run", error, len(items), extra={"batch_id": batch})
        if not self._asker.proven and not isinstance(error, RequestTooLarge):
            self._unheard += 1
            refusal = isinstance(error, BadReply) and error.kind != "content_filter"
            if refusal or self._unheard >= _GIVE_UP_AFTER:
                raise self._asker.give_up(error) from error
        if not isinstance(error, PassingFailure):
            for item in items:
                await self._bury(batch, item, error.kind, None)

    async def _sort_out(
        self,
        batch: str,
        items: Sequence[BatchItem],
        call: str,
        parsed: ParsedReply,
        truncated: bool,
        asked_whole_before: bool,
        more_room: int,
    ) -> None:
        """Ask again about the items to which a reply has no usable answer."""
        missing = [item for number, item in enumerate(items, 1) if number not in parsed.answers]
        if not missing:
            return
        reason = parsed.invalid or next(iter(parsed.problems.values()), "left_out")
        room = more_room * 2 if truncated else more_room
        if len(missing) < len(items) and not truncated:
            # The others' answers are fine: each chunk that was left out or spoilt is asked by itself.
            for item in missing:
                await self._resolve(batch, [item], "reask", asked_whole_before=True)
        elif truncated and len(missing) < len(items):
            await self._resolve(batch, missing, "reask", asked_whole_before=True, more_room=room)
        elif not asked_whole_before:
            await self._resolve(batch, items, "reask", asked_whole_before=True, more_room=room)
        else:
            await self._split(batch, items, parsed.problems.get(1, reason), call, room)

    async def _split(
        self, batch: str, items: Sequence[BatchItem], reason: str, call: str | None, more_room: int
    ) -> None:
        if len(items) == 1:
            await self._bury(batch, items[0], reason, call)
            return
        for half in halves(items):
            await self._resolve(batch, half, "reask", asked_whole_before=True, more_room=more_room)

    async def _ask(
        self, batch: str, items: Sequence[BatchItem], purpose: str, more_room: int, *, patient: bool
    ) -> tuple[str, ParsedReply, bool]:
        chunks = [item.chunk for item in items]
        user = self._prompt.render(chunks, [not after for after in follows(items)])
        numbers = [item.extract for item in items if item.extract is not None]
        speakers = {name for chunk in chunks for name in said_by(chunk)} if self._asker.traces_content else ()
        ids, persona = [chunk.id for chunk in chunks], items[0].persona
        question = Question(numbers, batch, purpose, patient, ids, sorted(speakers), persona)
        answered = await self._asker.chat(question, self._prompt.system, user, RESPONSE_FORMATS, more_room=more_room)
        parsed = read_reply(answered.reply.text, answered.reply.finish_reason, answered.reply.refusal, len(items))
        parsed = without_misplaced(parsed, chunks)
        await self._ledger.commit(store_parsed, answered.call, numbers, parsed)
        truncated = answered.reply.finish_reason == "length"
        return answered.call, parsed, truncated

    async def _bury(self, batch: str, item: BatchItem, reason: str, call: str | None) -> None:
        if item.extract is None:
            return
        self._progress.buried += 1
        await self._ledger.commit(questions.bury, item.extract, reason, call)
        log.error(
            "chunk %s: no usable answer: %s (`kg dead-letters` shows it, `kg retry` asks again)",
            item.chunk.id,
            reason,
            extra={"batch_id": batch, "call_id": call or "", "chunk_ids": [item.chunk.id]},
        )
        self._asker.tell("dead_letter", stage="extract", reason=reason, chunk=item.chunk.id, batch=batch)


def said_by(chunk: Chunk) -> list[str]:
    """Who speaks in the chunk, and right before it."""
    return [*chunk.speakers, *(speaker for speaker, _ in chunk.context if speaker)]


def follows(items: Sequence[BatchItem]) -> list[bool]:
    """Whether each chunk's predecessor stands right before it among these items (a part of the batch may be asked)."""
    return [
        at > 0
        and item.follows
        and items[at - 1].chunk.document_id == item.chunk.document_id
        and items[at - 1].chunk.seq == item.chunk.seq - 1
        for at, item in enumerate(items)
    ]


def read_reply(text: str, finish_reason: str, refusal: str, chunks: int) -> ParsedReply:
    """The answers in a reply, with a filter or a refusal named as such."""
    parsed = parse(text, chunks)
    if not parsed.answers:
        reason = "content_filter" if finish_reason == "content_filter" else "refusal" if refusal else parsed.invalid
        if reason in {"empty", "invalid_json"} and finish_reason == "length":
            reason = "truncated"
        if reason:
            parsed = replace(parsed, invalid=reason, problems=dict.fromkeys(range(1, chunks + 1), reason))
    return parsed


def store_parsed(db: sqlite3.Connection, call: str, numbers: Sequence[int], parsed: ParsedReply) -> None:
    """Commit what a stored reply gave: answers become current, the call's reply is marked as parsed."""
    verdict = parsed.invalid or (f"repaired: {parsed.repaired}" if parsed.repaired else "")
    if not verdict and parsed.problems:
        verdict = "partial: " + ", ".join(sorted(set(parsed.problems.values())))
    answers = [(numbers[number - 1], payload) for number, payload in sorted(parsed.answers.items())]
    questions.answer_extractions(db, call, answers, verdict)


def store_checked(db: sqlite3.Connection, call: str, numbers: Sequence[int], parsed: ParsedReply) -> int:
    """store_parsed(), for a reply that is read long after it was asked for; how many answers it gave."""
    chunks = documents.chunks_that_want(db, numbers)
    if len(chunks) == len(numbers):
        parsed = without_misplaced(parsed, chunks)
    store_parsed(db, call, numbers, parsed)
    return len(parsed.answers)


def parse_stored_replies(ledger: Ledger) -> int:
    """Parse replies that a killed run stored and never read (law 2); how many answers they gave."""
    with ledger.reading() as db:
        left = list(calls.unparsed(db))
    gained = 0
    for stored in left:
        if stored.stage == "resolve":
            gained += parse_stored(ledger, stored)
            continue
        parsed = read_reply(stored.reply, stored.finish_reason, "", len(stored.questions))
        gained += ledger.write(store_checked, stored.call, stored.questions, parsed)
    return gained
