"""What a run may spend."""

from __future__ import annotations

import threading
from decimal import Decimal

from core_engine.errors import SettingsError

_ZERO = Decimal(0)


class RunBudget:
    """A Budget for one run in one process: spent and reserved together never exceed the cap.

    `reserve` at the ceiling before a call, `settle` after it, whatever became of it. A refusal is final only while
    nothing is `reserved`: calls in flight mostly settle below their ceilings, and then there is room again.
    """

    def __init__(self, cap: Decimal | None = None) -> None:
        if cap is not None and not (cap.is_finite() and cap > 0):
            raise SettingsError(f"--max-cost must be an amount above 0, and is {cap}: leave it out for no cap")
        self.cap = cap
        self.spent = _ZERO
        self.reserved = _ZERO
        self.unpriced = 0
        self._lock = threading.Lock()

    @property
    def left(self) -> Decimal | None:
        """What may still be reserved; None without a cap."""
        return None if self.cap is None else max(self.cap - self.spent - self.reserved, _ZERO)

    def reserve(self, ceiling: Decimal | None) -> bool:
        """False where the ceiling could cross the cap. An unpriced call passes: no cap in dollars can hold it."""
        with self._lock:
            if ceiling is None:
                return True
            if self.cap is not None and self.spent + self.reserved + ceiling > self.cap:
                return False
            self.reserved += ceiling
            return True

    def settle(self, ceiling: Decimal | None, cost: Decimal | None) -> None:
        """Turn a reservation into what the call cost: 0 if it was never sent, None if nobody knows, then the ceiling."""
        with self._lock:
            if ceiling is None:
                self.unpriced += 1
            self.reserved -= ceiling or _ZERO
            self.spent += cost if cost is not None else (ceiling or _ZERO)
