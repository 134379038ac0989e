"""Composes Batch jobs: planned batches become lines of JSONL files, each as large as the provider takes."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from io import BufferedWriter
from pathlib import Path
from typing import Any

import orjson

from core_engine.embeddings.embedder import sendable
from core_engine.kg.extractor import NOTHING_SAID, follows
from core_engine.kg.prompt import RESPONSE_FORMATS, ExtractionPrompt
from core_engine.kg.rules.extractor import scan
from core_engine.ledger import batches, questions
from core_engine.ledger.batches import Intent
from core_engine.ledger.calls import Sending
from core_engine.ledger.ledger import Ledger
from core_engine.llm.asker import most_tokens
from core_engine.llm.batch_api import MOST_BYTES, MOST_INPUTS, MOST_REQUESTS, BatchApi, request_line
from core_engine.llm.client import Client
from core_engine.llm.tokens import CompletionModel, TokenCounter, estimate_tokens
from core_engine.pipeline import Batches
from core_engine.ports import Budget, Pricer
from core_engine.providers import provider_of
from core_engine.types import Batch, BatchItem, LLMCall, Payer, Usage

_TEXTS_A_REQUEST = 100  # one bad text costs the answers of its request
_TOKENS_A_REQUEST = 100_000


@dataclass(slots=True)
class Stage:
    """One model at one endpoint: extract or embed.

    `most_tokens` of prompts in a job, and `queue_limit` of all jobs that wait, are what the provider was found to take.
    """

    name: str
    client: Client
    spec: int
    counter: TokenCounter
    completions: CompletionModel = field(default_factory=CompletionModel)
    most_tokens: int | None = None
    queue_limit: int | None = None

    @property
    def api(self) -> BatchApi:
        return BatchApi(self.client)

    @property
    def parameters(self) -> str:
        """What every line asks for beside its text, as JSON: a refusal of one of these has to be understood later."""
        if self.name == "embed":
            asked = self.client.embed_arguments(())
        else:
            asked = self.client.chat_arguments("", "", 0, RESPONSE_FORMATS)
            asked["response_format"] = (
                {"type": asked["response_format"]["type"]} if "response_format" in asked else None
            )
        kept = {name: value for name, value in asked.items() if name not in {"messages", "input"} and value is not None}
        return orjson.dumps(kept).decode()


@dataclass(frozen=True, slots=True)
class _Request:
    """A line to be: its questions, its body, what it takes at most."""

    stage: Stage
    numbers: tuple[int, ...]
    batch: str
    purpose: str
    body: Mapping[str, Any]
    tokens: int
    inputs: int
    at_most: Usage
    measured: float
    persona: str


@dataclass(slots=True)
class Draft:
    """A job's file that is being written, for one persona."""

    stage: Stage
    persona: str
    path: Path
    file: BufferedWriter
    id: str
    lines: list[Sending] = field(default_factory=list)
    tokens: int = 0
    inputs: int = 0
    bytes: int = 0
    tokens_at_most: int = 0
    ceiling: Decimal | None = Decimal(0)

    @property
    def chunks(self) -> int:
        """That are to be extracted."""
        return sum(len(line.questions) for line in self.lines) if self.stage.name == "extract" else 0

    def takes(self, request: _Request, size: int) -> bool:
        most = self.stage.most_tokens
        return not self.lines or (
            len(self.lines) < MOST_REQUESTS
            and self.bytes + size <= MOST_BYTES
            and (self.stage.name != "embed" or self.inputs + request.inputs <= MOST_INPUTS)
            and (most is None or self.tokens + request.tokens <= most)
        )

    def close(self) -> None:
        """On disk, so that a later run may upload it."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def discard(self) -> None:
        self.file.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def intent(self, run: str) -> Intent:
        end = self.stage.client.endpoint
        return Intent(
            self.id, run, self.stage.name, end.label, end.model, self.stage.parameters, self.tokens, self.bytes,
            self.ceiling, self.lines,
        )  # fmt: skip


class Composer:
    """Makes drafts from planned batches, in a thread of the caller's choice. `held` is what the budget has no room for."""

    def __init__(
        self,
        ledger: Ledger,
        run: str,
        source: Batches,
        stages: Mapping[str, Stage],
        prompt: ExtractionPrompt,
        budget: Budget,
        pricer: Pricer,
        folder: Path,
        payer: Payer | None = None,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._source = iter(source.batches())
        self._stages = stages
        self._prompt = prompt
        self._budget = budget
        self._pricer = pricer
        self._payer = payer or Payer()
        self._folder = folder
        self._open: dict[tuple[str, str], Draft] = {}
        self._texts_for: str | None = None
        self._full: deque[Draft] = deque()
        self._texts: list[tuple[int, str]] = []
        self._first: list[Batch] = []
        self.held: deque[_Request] = deque()
        self.reasked = 0

    def has_work(self) -> bool:
        """Whether there is more to ask. Reads as far as the next batch."""
        if not self._first and not self._full and not self.held:
            self._first += [batch for batch in [next(self._source, None)] if batch]
        return bool(self._first or self._full or self._open or self._texts or self.held)

    def next(self) -> Draft | None:
        """The next job's draft, closed. None when there is no more, or when the budget holds the rest back (`held`)."""
        self._retry_held()
        while not self._full and not self.held:
            batch = self._first.pop() if self._first else next(self._source, None)
            if batch is None:
                for request in self._embed_request("last"):
                    self._add(request)
                break
            for request in self._requests(batch):
                self._add(request)
        if not self._full:
            self._full.extend(self._open.values())
            self._open.clear()
        if not self._full:
            return None
        draft = self._full.popleft()
        draft.close()
        return draft

    def discard(self) -> None:
        """Throw away what was not handed out; its questions are the run's still."""
        for draft in (*self._open.values(), *self._full):
            draft.discard()
            self._budget.settle(
                draft.ceiling, Decimal(0), draft.tokens_at_most, 0, draft.chunks, 0, persona=draft.persona
            )
        self._open.clear()
        self._full.clear()

    # --- requests ---------------------------------------------------------------------------------------------------

    def _requests(self, batch: Batch) -> Iterator[_Request]:
        numbers = [no for item in batch.items for no in (item.extract, item.embed) if no is not None]
        with self._ledger.reading() as db:
            tried = batches.tried_before(db, numbers)
        if "extract" in self._stages:
            yield from self._extractions(batch, tried)
        else:
            answers = [(item.extract, scan(item.chunk.turns)) for item in batch.items if item.extract is not None]
            self._ledger.write(questions.answer_extractions, None, answers)
        if "embed" in self._stages:
            yield from self._embeddings(batch, tried)

    def _extractions(self, batch: Batch, tried: Mapping[int, str]) -> Iterator[_Request]:
        """Those asked for the first time together; each whose request went wrong before, alone."""
        items = [item for item in batch.items if item.extract is not None]
        silent = [item.extract for item in items if item.extract is not None and not item.chunk.text]
        if silent:
            self._ledger.write(questions.answer_extractions, None, [(no, NOTHING_SAID) for no in silent])
        spoken = [item for item in items if item.chunk.text]
        fresh = [item for item in spoken if item.extract not in tried]
        if fresh:
            yield self._extraction(batch.id, fresh, "first", 1)
        for item in spoken:
            if item.extract is not None and item.extract in tried:
                self.reasked += 1
                room = 2 if tried[item.extract] == "truncated" else 1
                yield self._extraction(batch.id, [item], "reask", room)

    def _extraction(self, batch: str, items: Sequence[BatchItem], purpose: str, more_room: int) -> _Request:
        stage = self._stages["extract"]
        user = self._prompt.render([item.chunk for item in items], [not after for after in follows(items)])
        ceiling = stage.completions.ceiling(len(items), more_room)
        schema = orjson.dumps(RESPONSE_FORMATS[stage.client.capabilities.response_format]).decode()
        texts = self._prompt.system, schema, user  # a provider bills the schema like text
        tokens = sum(map(stage.counter.count, texts))
        return _Request(
            stage,
            tuple(item.extract for item in items if item.extract is not None),
            batch,
            purpose,
            stage.client.chat_arguments(self._prompt.system, user, ceiling, RESPONSE_FORMATS),
            tokens,
            1,
            Usage(prompt=most_tokens(*texts), completion=ceiling),
            tokens / stage.counter.factor,
            self._payer.persona_of(stage.name, items[0].persona),
        )

    def _embeddings(self, batch: Batch, tried: Mapping[int, str]) -> Iterator[_Request]:
        for item in batch.items:
            if item.embed is None or not item.chunk.text:
                continue
            text = item.embed, sendable(item.chunk.text)
            if item.embed in tried:
                self.reasked += 1
                yield self._embedding(batch.id, [text], "reask", item.persona)
                continue
            tokens = sum(estimate_tokens(other) for _, other in self._texts)
            full = len(self._texts) == _TEXTS_A_REQUEST or tokens + estimate_tokens(text[1]) > _TOKENS_A_REQUEST
            if full or item.persona != self._texts_for:
                yield from self._embed_request(batch.id)
            self._texts.append(text)
            self._texts_for = item.persona

    def _embed_request(self, batch: str) -> Iterator[_Request]:
        if self._texts:
            texts, self._texts = self._texts, []
            yield self._embedding(batch, texts, "first", self._texts_for)

    def _embedding(self, batch: str, texts: Sequence[tuple[int, str]], purpose: str, persona: str | None) -> _Request:
        stage = self._stages["embed"]
        tokens = sum(stage.counter.count(text) for _, text in texts)
        body = stage.client.embed_arguments([text for _, text in texts])
        numbers = tuple(number for number, _ in texts)
        at_most = Usage(prompt=most_tokens(*(text for _, text in texts)))
        measured = tokens / stage.counter.factor
        payer = self._payer.persona_of(stage.name, persona)
        return _Request(stage, numbers, batch, purpose, body, tokens, len(texts), at_most, measured, payer)

    # --- drafts -----------------------------------------------------------------------------------------------------

    def _retry_held(self) -> None:
        held, self.held = self.held, deque()
        for request in held:
            self._add(request)

    def _add(self, request: _Request) -> None:
        stage = request.stage
        ceiling = self._pricer.price(stage.client.endpoint.model, request.at_most, stage.name, "batch")
        chunks = len(request.numbers) if stage.name == "extract" else 0
        if self.held or not self._budget.reserve(ceiling, request.at_most.total, chunks, persona=request.persona):
            self.held.append(request)
            return
        call = LLMCall(
            id=uuid.uuid4().hex,
            run_id=self._run,
            stage=stage.name,
            model=stage.client.endpoint.model,
            endpoint=stage.client.endpoint.label,
            questions=len(request.numbers),
            attempt=1,
            status="batched",
            started_at=time.time(),
            batch_id=request.batch,
            persona=request.persona,
            tags=self._payer.tags,
            purpose=request.purpose,
            provider=provider_of(stage.client.endpoint.label),
            temperature=stage.client.capabilities.temperature(stage.client.endpoint.temperature),
            max_output=request.at_most.completion,
        )
        line = request_line(call.id, stage.name, request.body)
        key = stage.name, request.persona
        draft = self._open.get(key)
        if draft and not draft.takes(request, len(line)):
            self._full.append(self._open.pop(key))
            draft = None
        draft = draft or self._new(stage, request.persona)
        draft.file.write(line)
        most = request.at_most.total
        draft.lines.append(Sending(call, stage.spec, request.numbers, request.purpose, ceiling, most, request.measured))
        draft.tokens_at_most += most
        draft.tokens += request.tokens
        draft.inputs += request.inputs
        draft.bytes += len(line)
        draft.ceiling = None if draft.ceiling is None or ceiling is None else draft.ceiling + ceiling

    def _new(self, stage: Stage, persona: str) -> Draft:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = uuid.uuid4().hex
        path = job_file(self._folder, identity)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        draft = self._open[stage.name, persona] = Draft(stage, persona, path, os.fdopen(descriptor, "wb"), identity)
        return draft


def job_file(folder: Path, job: str) -> Path:
    """Where a job's file lies until it is uploaded."""
    return folder / f"{job}.jsonl"
