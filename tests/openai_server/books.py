"""What the server would bill, and when and how each request came: the figures that kg's own are held against."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from tests.openai_server.models import Models

_TALLIES = ("prompt", "cached", "completion", "reasoning", "embedding")


_HALF = Decimal("0.5")
_TIERS = {"flex": _HALF, "priority": Decimal("1.8")}


@dataclass(slots=True)
class Entry:
    """One request. Billed from the moment it is accepted: an aborted call costs as much as one that arrived."""

    at: float
    stage: str
    model: str = ""
    status: int = 0
    questions: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0
    embedding: int = 0
    fault: str = ""
    code: str | None = None
    delay: float = 0.0
    outcome: str = "open"  # open | sent | aborted (the client was gone before the reply)
    batch: bool = False  # a line of a Batch job: half price
    tier: str = ""  # what it is processed by


@dataclass(slots=True)
class Books:
    """All entries since the start or the last reset. Times are seconds since `started` (Unix time)."""

    models: Models
    started: float = field(default_factory=time.time)
    zero: float = field(default_factory=time.perf_counter)
    entries: list[Entry] = field(default_factory=list)
    in_flight: int = 0
    peak_in_flight: int = 0
    dollars: Decimal = Decimal(0)

    def enter(self, stage: str) -> Entry:
        entry = Entry(round(time.perf_counter() - self.zero, 6), stage)
        self.entries.append(entry)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        return entry

    def bill(self, entry: Entry) -> None:
        self.dollars += self._cost(entry) or 0

    def leave(self, entry: Entry, sent: bool) -> None:
        self.in_flight -= 1
        entry.outcome = "sent" if sent else "aborted"

    def as_json(self, *, log: bool) -> dict[str, Any]:
        """The totals, by model and by status; with `log` each request and the arrival times too."""
        models = sorted({entry.model for entry in self.entries if entry.model})
        found: dict[str, Any] = {
            "started": self.started,
            **self._totals(self.entries),
            "dollars": str(self.dollars),
            "by_model": {name: self._of_model(name) for name in models},
            "by_status": {str(k): n for k, n in sorted(Counter(e.status for e in self.entries).items())},
            "by_fault": dict(sorted(Counter(e.fault for e in self.entries if e.fault).items())),
            "peak_in_flight": self.peak_in_flight,
            "in_flight": self.in_flight,
        }
        if log:
            found["arrivals"] = [entry.at for entry in self.entries]
            found["log"] = [asdict(entry) for entry in self.entries]
        return found

    def _of_model(self, name: str) -> dict[str, Any]:
        entries = [entry for entry in self.entries if entry.model == name]
        costs = [self._cost(entry) for entry in entries]
        dollars = None if None in costs else str(sum((cost for cost in costs if cost), Decimal(0)))
        return {**self._totals(entries), "dollars": dollars}

    def _totals(self, entries: list[Entry]) -> dict[str, Any]:
        return {
            "calls": len(entries),
            "chat_calls": sum(entry.stage == "chat" for entry in entries),
            "embedding_calls": sum(entry.stage == "embeddings" for entry in entries),
            "answered": sum(entry.status == 200 for entry in entries),
            "rate_limited": sum(entry.status == 429 for entry in entries),
            "aborted": sum(entry.outcome == "aborted" for entry in entries),
            "questions": sum(entry.questions for entry in entries),
            "tokens": {name: sum(getattr(entry, name) for entry in entries) for name in _TALLIES},
        }

    def _cost(self, entry: Entry) -> Decimal | None:
        """None where the model has no price."""
        price = self.models.price(entry.model)
        if price is None:
            return None
        full = price.of(entry.prompt + entry.embedding, entry.cached, entry.completion)
        return full * (_HALF if entry.batch else _TIERS.get(entry.tier, Decimal(1)))
