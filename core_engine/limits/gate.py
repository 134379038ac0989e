"""One unit, requests or tokens, of one bucket: a drip to wait at, and an account of what it let through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from aiolimiter import AsyncLimiter

from core_engine.limits.door import Door
from core_engine.limits.headers import Told
from core_engine.limits.history import Minute
from core_engine.limits.pace import Pace
from core_engine.limits.recent import Recent

log = logging.getLogger(__name__)

_BURST_S = 0.5
_CREDIT_S = 0.25
_SLOWEST = 0.05
_NO_NEWS = 1.1
_LATELY_S = 10
_TRUST = 0.9
_TRUST_UNTOLD = 0.6
_CHANCE = 2


class Gate:
    """Lets amounts through at `limit` a minute; everything at once while no limit is known.

    `take` is called by one at a time, the holder of `lock` or of another around it: asyncio's lock is first come, first
    served, aiolimiter's own queue is smallest first. The drip holds half a second's worth: providers may enforce a
    minute's limit by the second, and with less than half of one, up to 6 % is lost where small requests and large ones
    alternate (bench_limiter).
    """

    def __init__(
        self, bucket: str, unit: str, limit: float | None, clock: Callable[[], float], lock: asyncio.Lock | None
    ) -> None:
        self.bucket = bucket
        self.unit = unit
        self.limit = limit
        self.learned = limit is None
        self.lock = lock
        self.door = Door()
        self.second = 1.0  # a second's worth
        self.waiting = 0
        self.paused_until = 0.0
        self.said = Told()
        self.clock = clock
        self._drip: AsyncLimiter | None = None
        self._drip_rate = 0.0
        self._balance = 0.0  # above 0: reserved but not charged; below: charged but not reserved
        self._open = False
        self._largest = 0.0
        self._proven = 0.0
        self._full_at = 0.0  # when the drip, left alone, holds all that it can hold
        self._slowed = 1.0
        self._slowed_until = 0.0
        self._pace: Pace | None = None
        self._passed = 0.0
        self._doubted = False
        self._recent = Recent()
        self.minutes: dict[int, Minute] = {}
        self._latest = Minute()
        self._minute_ends = 0.0

    def __repr__(self) -> str:
        return f"<Gate {self.bucket}: {self.rate()} {self.unit} a minute, balance {self._balance:.0f}>"

    # --- letting through --------------------------------------------------------------------------------------------

    def is_open(self, behind: Gate | None) -> bool:
        """Nothing has to wait here: no limit is known, or the one `behind` (the same unit's) is tighter."""
        self._open = self._pace is None and (
            self.limit is None
            or (behind is not None and behind.limit is not None and behind.limit <= self.limit and self._slowed == 1)
        )
        return self._open

    async def take(self, amount: float, since: float) -> float:
        """Wait until the amount may pass; the time then.

        `since`: when its turn came; it may have waited at another gate since then, and waited for this one as well.
        """
        rate = self.limit if self._pace is None else self.rate()
        drip, owed_to_us = self._drip, self._balance
        self.waiting += 1
        try:
            if (
                rate is None
                or drip is None
                or rate != self._drip_rate
                or not 0 <= owed_to_us <= amount <= drip.max_rate + owed_to_us
                or self._slowed < 1
                or amount >= rate / 60
            ):
                await self._wait(amount, rate, since)
            else:  # as nearly always: the drip alone
                self._balance = 0.0
                try:
                    await drip.acquire(amount - owed_to_us)
                except BaseException:
                    self._balance += owed_to_us
                    raise
                if self._balance < 0:
                    await self._wait(0.0, rate, since)
        finally:
            self.waiting -= 1
        now = self.clock()
        if (drip := self._drip) is not None:
            self._full_at = now + drip.time_period
        if rate is not None:
            self.second = rate / 60
        self.count(amount, now, rate)
        return now

    def count(self, amount: float, now: float, rate: float | None) -> None:
        """Enter what passes now, at that rate a minute."""
        if amount > self._largest:  # noqa: PLR1730  max() is a call
            self._largest = amount
        self._recent.add(amount, now)
        minute = self._latest if now < self._minute_ends else self._minute(now)
        minute.passed += amount
        minute.limit = rate

    async def _wait(self, amount: float, rate: float | None, since: float) -> None:
        """In slices, so that an amount larger than the drip holds passes too."""
        at_once, owed = amount, 0.0
        if rate is not None and amount > rate / 60:
            # A provider that counts by the second lets this one pass on a full bucket, and takes from those after it what
            # the bucket did not hold.
            at_once, owed = rate / 60, amount - rate / 60
        left, dripped = at_once, self._past_full(since)
        drip: AsyncLimiter | None = None
        try:
            while rate is not None:
                drip, speed = self._current_drip(rate)
                left -= self._balance
                self._balance = max(-left, 0.0)
                if left <= 0:
                    break
                part = min(left, drip.max_rate * speed)
                await drip.acquire(min(part / speed, drip.max_rate))  # the quotient may be a hair too large
                left = max(left - part - dripped, 0.0)
                dripped = 0.0
                rate = self.rate() if left > 0 or self._balance < 0 else None
        except BaseException:
            self._balance += at_once - left  # what was paid, less the debt that was to be paid with it
            raise
        finally:
            if drip is not None:
                self._full_at = self.clock() + drip.time_period
        self._balance -= owed

    def _past_full(self, since: float) -> float:
        """What has dripped since the drip was full, as far as it was owed or waited for; the rest is nobody's.

        It pays the debt first. What is returned is for this request, whose turn came at `since`, beside all that the
        drip holds: it need not wait for one limit after the other.
        """
        now = self.clock()
        idle = now - self._full_at
        if idle <= 0 or self._drip is None:
            return 0.0
        drip, speed = self._drip, self._slowed
        a_second = drip.max_rate / drip.time_period * speed
        paid = min(max(-self._balance, 0.0), idle * a_second)
        self._balance += paid
        return max(min(idle - paid / a_second, now - since), 0.0) * a_second

    def give_back(self, amount: float) -> None:
        """Undo a `take` whose request was not sent."""
        now = self.clock()
        self._recent.add(-amount, now)
        self._minute(now).passed -= amount
        self._enter(amount)

    def settle(self, reserved: float, charged: float, now: float) -> None:
        """Enter the difference to what the provider charged: credit or debt of the requests to come."""
        if charged > self._proven:  # noqa: PLR1730  max() is a call
            self._proven = charged
        minute = self._latest if now < self._minute_ends else self._minute(now)
        minute.passed += charged - reserved
        if not self._open:
            self._enter(reserved - charged)
            self.door.settle(charged - reserved)

    def _enter(self, difference: float) -> None:
        rate = self.limit if self._pace is None else self.rate()
        if self._open or rate is None:
            return
        # Credit is spent at once: no more of it than a provider that counts by the second takes. Debt is waited
        # for: no more of it than a minute, whatever usage a reply claims.
        balance = self._balance + difference
        if balance > 0:
            balance = min(balance, max(rate / 60 * _CREDIT_S, self._largest))
        self._balance = max(balance, -rate)

    def rate(self) -> float | None:
        """Units a minute let through now, the headers' slowing aside; None: no limit is known."""
        if self._pace is None:
            return self.limit
        pace = self._pace.rate(self.clock())
        if self.limit is not None and pace >= self.limit:
            self._pace = None
            return self.limit
        return pace

    def _current_drip(self, rate: float) -> tuple[AsyncLimiter, float]:
        """The drip, and by how much faster than it one may go now (slower: below 1)."""
        if self._drip is None or not 0.5 < rate / self._drip_rate < 2:
            # aiolimiter's rate is fixed when it is made, and a new one is empty: without the debt, each change of the
            # limit would be a burst. So small changes only change the speed.
            burst = max(1.0, rate / 60 * _BURST_S)
            if self._drip is not None or self._pace is not None:
                self._balance -= burst
            self._drip, self._drip_rate = AsyncLimiter(burst, burst * 60 / rate), rate
        if self._slowed < 1 and self.clock() >= self._slowed_until:
            self._slowed = 1.0
        return self._drip, rate / self._drip_rate * self._slowed

    def begin(self, limit: float | None, before: Sequence[Gate]) -> None:
        """Take over from those gates: their debts with them, and no burst, since theirs may just have passed."""
        self.limit = limit
        self._drip, self._balance = None, 0.0
        if limit is not None:
            self._balance = -max(1.0, limit / 60 * _BURST_S)
        for gate in before:
            self._balance -= gate.debt()
            self._proven = max(self._proven, gate._proven)  # noqa: SLF001

    def debt(self) -> float:
        """What was charged and has not dripped yet."""
        self._past_full(self.clock())
        return max(-self._balance, 0.0)

    # --- learning ---------------------------------------------------------------------------------------------------

    def learn(self, said: Told) -> None:
        """Take over what the provider says: its limit, and that less is left of it than we would think."""
        self.said = said
        if said.limit is not None and said.limit != self.limit and said.limit >= self._proven:
            log.info("%s: the provider's limit is %g %s a minute", self.bucket, said.limit, self.unit)
            self.limit = said.limit
        if said.remaining is not None and self.limit:
            minute, left = self._minute(self.clock()), said.remaining / self.limit
            minute.least_left = left if minute.least_left is None else min(left, minute.least_left)
        if said.remaining is None or not said.reset_s or self.limit is None:
            return
        # What is left, spread over the time until it is whole again, is the rate to run at: true for windows and for
        # leaking buckets. But a bucket of only a second's worth is near empty after any large request: no news. Nor is it
        # that no more is gone than one request of ours takes.
        refill = said.reset_s * self.limit / 60
        if said.remaining + refill >= self.limit / 4 and refill > self._largest * _NO_NEWS:
            self._slowed = min(1.0, max(said.remaining / refill, _SLOWEST))
            self._slowed_until = self.clock() + said.reset_s

    def lately(self) -> tuple[float, float]:
        """Units let through in the last seconds or since the last refusal, and in how many seconds."""
        return self._recent.lately(self.clock(), _LATELY_S)

    def refused(self, share: float, resume_at: float, *, before: float | None, told: bool, wave: int) -> None:
        """A share of the latest was refused: from `resume_at`, run a little below what did get through.

        `before`: the rate that held until now; `told`: somebody gave a limit. `wave`: which refusal of a wave it is, counted from
        1; the later ones correct what the first has told.
        """
        if wave == 1:
            passed, seconds = self.lately()
            self._passed = passed * 60 / seconds
            self._doubted = self._pace is not None
        self._recent.restart(resume_at)
        through = self._passed * (1 - share)
        if before is not None:  # a few seconds can mislead; a rate that held until now isn't all wrong
            # A told limit is not doubted for one or two, which may be a neighbour's doing or an estimate too low.
            trust = _TRUST_UNTOLD if not told else _TRUST if self._doubted or wave > _CHANCE else 1.0
            through = min(max(through, before * trust), before)
        if through > 0:
            self._pace = Pace(through, resume_at)

    def _minute(self, now: float) -> Minute:
        if now < self._minute_ends:
            return self._latest
        number = int(now // 60)
        self._minute_ends = (number + 1) * 60.0
        self._latest = self.minutes.setdefault(number, Minute())
        return self._latest

    def used(self) -> float:
        """Units let through in the last minute."""
        return self._recent.minute(self.clock())
