"""What a run may spend: its own caps, and those that it shares with other runs through the home's account."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from metrics.account import Account, Amount, Standing
from metrics.caps import Cap, Caps, amount_in_words

_ZERO = Decimal(0)
_TELL_S = 1.0  # how often a run without shared caps tells the account what it has spent


class RunBudget:
    """A Budget for one run in one process: spent and reserved together never exceed a cap.

    `reserve` at the ceiling before a call, `settle` after it, whatever became of it. A refusal is final only while
    nothing is `reserved`, here and by `others_hold`: calls in flight mostly settle below their ceilings, and then
    there is room again.
    """

    def __init__(
        self,
        cap: Decimal | None = None,
        *,
        caps: Caps | None = None,
        account: Account | None = None,
        persona: str = "",
        warned: Callable[[str, dict[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`warned` hears of caps of days and months of which much is used, once a period for each level: event, fields."""
        alone = (Cap("run", "dollars", cap, origin="--max-cost"),) if cap is not None else ()
        self.caps = caps or Caps(alone)
        self.unpriced = 0
        self._spent: dict[str, Amount] = {}  # by persona
        self._reserved: dict[str, Amount] = {}
        self._persona = persona
        self._warned = warned
        self.others_hold = False
        self._account = account
        self._shared = account is not None and any(cap.period != "run" for cap in self.caps.caps)
        self._untold: dict[str, Amount] = {}
        self._told_at = self._looked_at = clock()
        self._clock = clock
        self._refused: tuple[Standing, Amount] | None = None
        self._stopped_by: tuple[Standing, Amount] | None = None
        self._last: list[dict[str, Any]] | None = None
        self._lock = threading.Lock()

    @property
    def spent(self) -> Decimal:
        """US dollars, of calls whose cost nobody knows their ceilings."""
        return _total(self._spent).dollars

    @property
    def reserved(self) -> Decimal:
        """US dollars."""
        return _total(self._reserved).dollars

    @property
    def left(self) -> Decimal | None:
        """The dollars that this run's own caps leave to be reserved; None without such a cap."""
        standings = [self._own(cap).left for cap in self.caps.caps if (cap.period, cap.unit) == ("run", "dollars")]
        return min(standings, default=None)

    # --- Budget -----------------------------------------------------------------------------------------------------

    def reserve(self, ceiling: Decimal | None, tokens: int = 0, chunks: int = 0, *, persona: str | None = None) -> bool:
        """False where the ceiling could cross a cap. An unpriced call passes those in dollars, which can't hold it."""
        payer = self._persona if persona is None else persona
        need = Amount(ceiling or _ZERO, tokens, chunks)
        with self._lock:
            self._refused = None
            short = self._short_of(need, payer)
            if short is None and self._shared and self._account:
                short = self._account.reserve(need, self.caps, payer)
            if short is not None:
                self._refused = short, need
                self.others_hold = short.others_hold
                if short.others_hold and self._account:
                    self._account.settle_for_the_dead()
                return False
            _add(self._reserved, payer, need)
            return True

    def settle(
        self,
        ceiling: Decimal | None,
        cost: Decimal | None,
        tokens: int = 0,
        used: int | None = None,
        chunks: int = 0,
        done: int | None = None,
        *,
        persona: str | None = None,
    ) -> None:
        """Turn a reservation into what the call cost: 0 if it was never sent, None if nobody knows, then the ceiling.

        `used` are the tokens that it took of the `tokens` reserved, `done` the chunks that were answered, likewise.
        """
        payer = self._persona if persona is None else persona
        reserved = Amount(ceiling or _ZERO, tokens, chunks)
        spent = Amount(
            reserved.dollars if cost is None else cost,
            tokens if used is None else used,
            chunks if done is None else done,
        )
        with self._lock:
            if ceiling is None:
                self.unpriced += 1
            _add(self._reserved, payer, -reserved)
            _add(self._spent, payer, spent)
            self._tell(reserved, spent, payer)
        self.look()

    def correct(self, at: float, dollars: Decimal, tokens: int, chunks: int = 0, *, persona: str | None = None) -> None:
        """Correct what an earlier run's reservation counts for in the periods that hold `at`; not in this run's own."""
        if self._account:
            with self._lock:
                self._account.correct(at, Amount(dollars, tokens, chunks), persona)

    def look(self, *, at_once: bool = False) -> None:
        """Warn of caps of days and months of which more is spent than was told, at most once a second."""
        now = self._clock()
        if not (self._warned and self._account) or not (at_once or now - self._looked_at >= _TELL_S):
            return
        news = []
        with self._lock:
            self._looked_at = now
            for standing in self._account.standings(self.caps):
                since = self.caps.span(standing.cap.period, now)[0]
                reached = [level for level in self.caps.warn_at if standing.percent >= level]
                new = [level for level in reached if self._account.is_news(standing.cap, since, level)]
                if new:
                    news.append((max(new), self._said(standing)))
        for level, said in news:  # those below have been passed in one step: one warning will do
            self._warned("quota_warned", {**said, "percent": level})

    def refusal(self) -> str:
        """The last refusal in words: which cap, what is left of it, what the call needs, and when the cap turns."""
        if self._refused is None:
            return "the budget has no room for one more call at its ceiling"
        self._stopped_by = standing, need = self._refused
        cap = standing.cap
        text = f"stopped by {cap}: {amount_in_words(standing.left, cap.unit)} left, and the next request may take "
        text += amount_in_words(need.of(cap.unit), cap.unit)
        if cap.period == "run":
            return f"{text}; the same command goes on from here"
        turns = self.caps.span(cap.period, self._clock())[1]
        text += f"; it begins anew at {_moment(turns, self.caps.zone)}, in {_in_words(turns - self._clock())}"
        return f"{text}: the same command goes on from here then"

    # --- for the report ---------------------------------------------------------------------------------------------

    def state(self) -> list[dict[str, Any]]:
        """Each cap as it stands, in plain values; after close(), as it stood then."""
        if self._last is not None:
            return self._last
        with self._lock:
            return [self._said(standing) for standing in self._standings()]

    def news(self, cap: Cap, level: int) -> dict[str, Any] | None:
        """How a cap of a day or month stands, if nobody has told this level of it in its period yet; now somebody has."""
        if self._account is None:
            return None
        with self._lock:
            since = self.caps.span(cap.period, self._clock())[0]
            if not self._account.is_news(cap, since, level):
                return None
            return next((self._said(each) for each in self._account.standings(self.caps) if each.cap == cap), None)

    def refused(self) -> dict[str, Any] | None:
        """What stopped the run: the cap, what was left of it, what the call `needed`; None if nothing did."""
        if self._stopped_by is None:
            return None
        standing, need = self._stopped_by
        return {**self._said(standing), "needed": float(need.of(standing.cap.unit))}

    def close(self) -> None:
        """Tell the account the rest, and leave it."""
        if self._account and self._last is None:
            self._last = self.state()
            with self._lock:
                self._tell(Amount(), Amount(), self._persona, at_once=True)
            self.look(at_once=True)
            with self._lock:
                self._account.close()

    # --- within -----------------------------------------------------------------------------------------------------

    def _own(self, cap: Cap) -> Standing:
        spent, reserved = (
            sums.get(cap.name, Amount()) if cap.scope == "persona" else _total(sums)
            for sums in (self._spent, self._reserved)
        )
        return Standing(cap, spent.of(cap.unit), reserved.of(cap.unit))

    def _short_of(self, need: Amount, payer: str) -> Standing | None:
        bound = (cap for cap in self.caps.caps if cap.period == "run" and cap.hard and cap.binds(payer))
        own = (self._own(cap) for cap in bound)
        return next((each for each in own if each.left < need.of(each.cap.unit)), None)

    def _standings(self) -> list[Standing]:
        own = [self._own(cap) for cap in self.caps.caps if cap.period == "run"]
        return own + (self._account.standings(self.caps) if self._account else [])

    def _tell(self, reserved: Amount, spent: Amount, payer: str, *, at_once: bool = False) -> None:
        if self._account is None:
            return
        if self._shared:
            if reserved != spent or reserved != Amount():
                self._account.settle(reserved, spent, payer)
            return
        # No cap of ours hangs on it: the others may learn a second later what we spent.
        _add(self._untold, payer, spent)
        now = self._clock()
        if at_once or now - self._told_at >= _TELL_S:
            for persona, amount in self._untold.items():
                if amount != Amount():
                    self._account.settle(Amount(), amount, persona)
            self._untold, self._told_at = {}, now

    def _said(self, standing: Standing) -> dict[str, Any]:
        cap = standing.cap
        turns = None if cap.period == "run" else self.caps.span(cap.period, self._clock())[1]
        return {
            "period": cap.period,
            "unit": cap.unit,
            "scope": cap.scope or "home",
            "name": cap.name,
            "cap": float(cap.amount),
            "spent": float(round(standing.spent, 8)),
            "left": float(round(standing.left, 8)),
            "resets_at": None if turns is None else dt.datetime.fromtimestamp(turns, self.caps.zone).isoformat(),
            "hard": cap.hard,
            "set_by": cap.origin,
        }


def _total(sums: dict[str, Amount]) -> Amount:
    return sum(sums.values(), Amount())


def _add(sums: dict[str, Amount], persona: str, amount: Amount) -> None:
    sums[persona] = sums.get(persona, Amount()) + amount


def _moment(when: float, zone: dt.tzinfo) -> str:
    return dt.datetime.fromtimestamp(when, zone).strftime("%Y-%m-%d %H:%M %Z")


def _in_words(seconds: float) -> str:
    minutes = max(round(seconds / 60), 1)
    days, hours = minutes // 1_440, minutes // 60 % 24
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60:02} min" if hours else f"{minutes} min"
