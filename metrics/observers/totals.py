"""The observer that adds up tokens and money while a run goes on, for the live view."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from core_engine.types import LLMCall


class Totals:
    """Sums over the finished calls. `cost` in US dollars, of the priced ones."""

    def __init__(self) -> None:
        self.calls = 0
        self.failed = 0
        self.tokens = 0
        self.unpriced = 0
        self.cost = Decimal(0)

    def call_finished(self, call: LLMCall) -> None:
        self.calls += 1
        self.failed += call.status != "answered"
        self.tokens += call.usage.total
        if call.cost is not None:
            self.cost += call.cost
        elif call.status == "answered":
            self.unpriced += 1

    def event(self, name: str, fields: dict[str, Any]) -> None:
        """Nothing: only calls are added up."""
