"""Which requests go wrong, and how: at a seeded rate, or exactly those that contain a text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What each kind does is told here once; `--help` shows it.
CHAT_KINDS = {
    "invalid_json": "the reply breaks off with a stray quote",
    "truncated": "cut, finish_reason length",
    "fenced": "in Markdown fences",
    "prose": "with prose around it",
    "wrong_schema": "valid JSON of another shape",
    "empty": "content ''",
    "null": "content null",
    "refusal": "refused by the model",
    "content_filter": "finish_reason content_filter",
    "content_filter_400": "refused before the model, as Azure does",
    "wrong_numbers": "chunk numbers that were not asked about",
    "left_out": "the chunk is missing",
    "answered_twice": "the chunk comes twice",
    "index_out_of_range": "a relationship between entities that are not there",
    "self_relation": "a relationship of an entity with itself",
    "foreign_type": "types outside every ontology",
    "many_entities": "10,000 entities",
    "huge_string": "a name of 1 MB",
    "nul": "a NUL byte in a name",
    "invented": "a name that the text does not hold",
    "swapped": "two chunks' answers exchanged",
    "dictated": "the chunk's answer in place of all others'",
    "contradicted": "the chunk's answer under the others' numbers too",
    "smuggled": "the chunk's entities among the others'",
}
EMBEDDING_KINDS = {
    "wrong_count": "a vector is missing",
    "wrong_order": "the vectors come in reverse, each with its true index",
    "wrong_dimension": "a vector is one number short",
    "nan": "a vector holds NaN",
    "zeros": "a vector is all zeros",
}
BATCH_KINDS = {
    "upload_cut": "an upload is reset, and nothing kept of it",
    "upload_lost": "an upload is kept, and answered with 500",
    "create_lost": "a job is created, and answered with 500",
    "create_refused": "a job is refused with 400",
    "content_cut": "a download is closed in the middle",
    "batch_expire": "the window of the job ends when half of it is done",
    "batch_fail": "the job fails as a whole",
}
ANY_KINDS = {
    "no_usage": "usage is missing",
    "zero_usage": "usage is 0",
    "absurd_usage": "usage is a trillion tokens",
    "other_model": "another model's name in the reply",
    "wrong_encoding": "bytes that are no UTF-8",
    "html200": "200 with an HTML page",
    "cut_body": "closed in the middle of the body",
    "reset_before": "reset before any byte",
    "reset_in_body": "reset in the middle of the body",
    "drip": "a byte every `pace` seconds (0.1)",
    "endless_chunked": "the whole reply, then blanks for ever",
    "hang": "no answer at all",
    "redirect": "307 to nowhere",
    "quotes": "500 with words of the request in the message",
    "insufficient_quota": "429, and waiting would not help",
    "httpNNN": "that status with OpenAI's error body: http500, http503, http429, http401 ...",
}

_STATUS = re.compile(r"http[1-5]\d\d")
_RANGE = 2**32


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault and when it strikes.

    `match`: requests in which a chunk's turns (an embedding's input) contain this text, or without it: `rate` of
    them, drawn anew for each attempt; with `per` = chunk, that share of chunks, in every attempt. `times` bounds it.
    """

    kind: str
    rate: float = 1.0
    stage: str = "any"
    match: str = ""
    times: int | None = None
    per: str = "request"
    pace: float = 0.1

    @classmethod
    def parse(cls, value: str | Mapping[str, Any] | Fault) -> Fault:
        if isinstance(value, Fault):
            return value
        if isinstance(value, str):
            value = dict(zip(("kind", "rate", "stage"), value.split(":"), strict=False))
        fields = {"stage": _stage(str(value.get("kind", ""))), **value}
        fault = cls(**{**fields, "rate": float(fields.get("rate", 1.0))})
        if fault.stage not in {"chat", "embeddings", "batch", "any"} or fault.per not in {"request", "chunk"}:
            raise ValueError(f"{fault} is for no stage (chat, embeddings, any) or unit (request, chunk)")
        return fault


def _stage(kind: str) -> str:
    if kind in CHAT_KINDS:
        return "chat"
    if kind in EMBEDDING_KINDS:
        return "embeddings"
    if kind in BATCH_KINDS:
        return "batch"
    if kind in ANY_KINDS or _STATUS.fullmatch(kind):
        return "any"
    raise ValueError(f"no such fault: {kind!r}")


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that strikes a request, and which of its chunks or inputs (by position)."""

    fault: Fault
    targets: tuple[int, ...]


class Faults:
    """Decides for each request, reproducibly: by the seed, the request's bytes, and how often it came before."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._faults = faults
        self._seed = seed
        self._left = [fault.times for fault in faults]
        self._attempts: dict[int, int] = {}

    @property
    def any(self) -> bool:
        return bool(self._faults)

    def strike(self, stage: str, body: bytes, texts: Sequence[str]) -> Strike | None:
        """The first fault of the list that strikes; `texts` are what may contain a match."""
        key = zlib.crc32(body, self._seed)
        attempt = self._attempts[key] = self._attempts.get(key, -1) + 1
        for index, fault in enumerate(self._faults):
            if self._left[index] == 0 or fault.stage not in {stage, "any"}:
                continue
            targets = self._targets(index, fault, f"{key} {attempt}", texts)
            if targets:
                left = self._left[index]
                self._left[index] = None if left is None else left - 1
                return Strike(fault, targets)
        return None

    def strike_kind(self, kind: str) -> bool:
        """Whether a fault of this kind, of the Batch API's, strikes now."""
        for index, fault in enumerate(self._faults):
            if fault.kind != kind or self._left[index] == 0:
                continue
            attempt = self._attempts[-index - 1] = self._attempts.get(-index - 1, -1) + 1
            if self._draw(index, f"{kind} {attempt}") < fault.rate:
                left = self._left[index]
                self._left[index] = None if left is None else left - 1
                return True
        return False

    def _targets(self, index: int, fault: Fault, request: str, texts: Sequence[str]) -> tuple[int, ...]:
        if fault.match or fault.per == "chunk":
            candidates = [n for n, text in enumerate(texts) if fault.match in text]
            return tuple(n for n in candidates if self._draw(index, texts[n]) < fault.rate)
        draw = self._draw(index, request)
        if draw >= fault.rate:
            return ()
        return (zlib.crc32(request.encode()) % max(len(texts), 1),)

    def _draw(self, index: int, text: str) -> float:
        return zlib.crc32(f"{index} {text}".encode("utf-8", "surrogatepass"), self._seed) / _RANGE
