"""How many requests a server without limits is given at once: as many as make it faster, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import statistics
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

_SLOWER = 1.5  # times the time that the first request took, which went alone
_NOTICED_S = 1.0  # who answers within a second may queue as he likes
_AS_GOOD = 0.95  # of the best work a second seen: less is worse
_AS_GOOD_SOONER, _MUCH_SOONER = 0.88, 0.7  # the same where replies take at most this share of the time
_NEAR = 0.8  # a level known to be too low, as a share of the one that is good: near enough to stop looking
_FULL = 0.8  # of the places were taken
_CLOSE = 0.75
_SURE = 64  # answers that decide where it is close
_ENOUGH = 16  # answers, at least, that a level is judged by
_ROOM = 1.2  # above where the queue should begin
_SURELY_SLOW = 2  # windows: a machine that slept makes one of them slow
_REST, _LONGEST_REST = 4, 32  # windows until the next look upwards, twice as many each time
_STEP = 0.75  # of the level: the first step down, which costs a healthy server a quarter of one window's work
_UNEVEN = 0.7  # standard deviation over mean of the times: above, too much is luck to judge by


@dataclass(slots=True)
class _Window:
    """What was answered at one level, after the requests of the level before were through."""

    skip: int
    answers: int = 0
    work: float = 0.0
    took: list[float] = field(default_factory=list)
    under_way: int = 0  # requests, summed over the answers

    @property
    def speed(self) -> float:
        """Work a second, by Little's law: answers come in bursts, and a count of them between two moments is luck."""
        return self.under_way / self.answers * self.work / max(sum(self.took), 1e-9)

    @property
    def uneven(self) -> bool:
        """Replies take so different times that a queue can't be told from chance."""
        return statistics.pstdev(self.took) > _UNEVEN * statistics.fmean(self.took)


class Knee:
    """The level of concurrency at which a server's throughput stops to grow, never above `most`.

        async with knee.place():
            ...
        knee.answered(seconds, work)

    It starts at `most`, and stays there as long as requests take about as long as the first one did. Where they take
    longer, they may wait for each other at the server: then a somewhat lower level is tried, and lower ones only where
    that got as much done. What decides is throughput, measured; that the latency grows is only the reason to look, and
    where it was none, the longer times are the usual ones from then on.
    """

    def __init__(
        self,
        name: str,
        most: int,
        waiting: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """`waiting` is put around each wait, so that a run which is asked to stop need not see it through."""
        self.limit = most
        self._name = name
        self._most = most
        self._waiting = waiting
        self._in = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._alone_s: float | None = None
        self._low = 0  # known to be too low
        self._hinted = 0  # where the times say that the queue begins
        self._good = most  # known to be good
        self._best = 0.0  # work a second, there
        self._usual_s = 0.0  # what a reply takes, there
        self._slow = 0  # windows in a row in which replies took longer
        self._searching = False
        self._upwards = False
        self._rest = _REST
        self._windows_left = 0
        self._window = _Window(skip=most)  # the first find no queue

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for one of the places, first come, first served."""
        if self._queue or self._in >= self.limit:
            async with self._waiting():
                await self._wait()
        else:
            self._in += 1
        try:
            yield
        finally:
            self._leave()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn  # who leaves a place gives it away
        except asyncio.CancelledError:
            if turn.cancelled():
                self._queue.remove(turn)
            else:
                self._leave()
            raise

    def _leave(self) -> None:
        self._in -= 1
        self._admit()

    def _admit(self) -> None:
        waiting = iter([turn for turn in self._queue if not turn.done()])
        while self._in < self.limit and (turn := next(waiting, None)):
            self._queue.remove(turn)
            turn.set_result(None)
            self._in += 1

    def answered(self, seconds: float, work: float, *, bound: bool) -> None:
        """An answer took so long and had so much in it. `bound`: its provider has rate limits, which go before all this."""
        if self._alone_s is None:
            self._alone_s = seconds
            return
        if bound:
            self._settle(self._most)
            return
        window = self._window
        if window.skip > 0:
            window.skip -= 1
            return
        window.answers += 1
        window.work += work
        window.took.append(seconds)
        window.under_way += self._in
        if window.answers >= max(_ENOUGH, round(1.5 * self.limit)):
            if (
                self._searching
                and window.answers < _SURE
                and _CLOSE * self._best <= window.speed < self._wanted(window)
            ):
                return  # luck, perhaps: look on
            self._window = _Window(skip=0)
            self._judge(window, window.speed)

    def timed_out(self, *, bound: bool) -> None:
        """A request waited in vain. Among many under way that is a queue too long: halve them, once for all of them."""
        if bound or self._window.skip > 0 or self.limit == 1 or self._in < 2:
            return
        log.warning(
            "%s: no reply in time with %d requests at once: %d from now on", self._name, self.limit, self.limit // 2
        )
        self._searching = False
        self._low, self._good, self._best = 0, self.limit // 2, 0.0
        self._settle(self.limit // 2)

    # --- looking ----------------------------------------------------------------------------------------------------

    def _judge(self, window: _Window, speed: float) -> None:
        """Decide on the next level by what this one did."""
        if window.under_way < _FULL * self.limit * window.answers:
            return  # there was less to do than could have been done: it tells nothing
        if self._upwards:
            self._upwards = False
            if speed * _AS_GOOD > self._best:
                self._low, self._good, self._best, self._rest = self._good, self.limit, speed, _REST
                self._searching = self.limit < self._most
                if not self._searching:
                    self._alone_s = max(self._alone_s or 0.0, statistics.fmean(window.took))
                self._go(min(self._most, 2 * self.limit)) if self._searching else self._settle(self.limit)
            else:
                self._settle(self._good)
        elif self._searching:
            if speed >= self._wanted(window):
                self._good, self._best = self.limit, (speed + self._best) / 2
                self._usual_s = statistics.fmean(window.took)
            else:
                self._low = self.limit
            self._look()
        elif self.limit == self._most and self._waits(window):
            self._slow += 1
            if self._slow < _SURELY_SLOW:
                return
            self._slow = 0
            self._searching, self._low, self._good, self._best = True, 0, self._most, speed
            self._usual_s = statistics.fmean(window.took)
            self._hinted = self._hint(window)
            self._look()
        elif self.limit < self._most:
            self._windows_left -= 1
            self._best = speed
            if self._windows_left <= 0:
                self._rest = min(2 * self._rest, _LONGEST_REST)
                self._upwards = True
                self._go(min(self._most, max(self.limit + 1, round(self.limit * 1.5))))
        else:
            self._slow = 0
            self._windows_left -= 1

    def _wanted(self, window: _Window) -> float:
        """The speed from which this level is as good as the best: a little less where replies come much sooner.

        At the first step down too: it is half-way between what a queue would give and what none would.
        """
        sooner = self._good == self._most or statistics.fmean(window.took) <= _MUCH_SOONER * self._usual_s
        return (_AS_GOOD_SOONER if sooner else _AS_GOOD) * self._best

    def _waits(self, window: _Window) -> bool:
        if self._windows_left > 0 or self._alone_s is None:
            return False
        usual = statistics.median(window.took)
        return usual >= _NOTICED_S and usual >= _SLOWER * self._alone_s and not window.uneven

    def _hint(self, window: _Window) -> int:
        """By Little's law: of n requests that take r each, and r0 each alone, n * r0 / r are worked on."""
        usual = statistics.median(window.took)
        worked_on = window.under_way / window.answers * (self._alone_s or usual) / usual
        return min(max(round(worked_on * _ROOM), 1), self._most - 1)

    def _look(self) -> None:
        pays = self._good == self._most and self._low > 0  # already the first step down was too much
        if pays or self._good <= 1 or self._low >= _NEAR * self._good or self._good - self._low <= 1:
            self._searching = False
            if pays:
                self._rest = min(4 * self._rest, _LONGEST_REST)  # no need to look again soon
                self._alone_s = max(self._alone_s or 0.0, self._usual_s)  # they take so long without a queue
            self._settle(self._good)
            if self._good < self._most:
                log.info("%s: %d requests at once get as much done as more would", self._name, self._good)
        else:
            below = round(self._good * _STEP) if not self._low else round((self._good * self._low) ** 0.5)
            if not self._low and self._good < self._most:  # there is a queue: a step down has cost nothing
                below = min(below, self._hinted)
            self._go(min(max(below, self._low + 1), self._good - 1))

    def _settle(self, level: int) -> None:
        self._windows_left = self._rest
        if level != self.limit:
            self._go(level)

    def _go(self, level: int) -> None:
        # Those under way began at the old level; where more are let in, the first of them still find a short queue.
        self._window = _Window(skip=self._in + (level if level > self.limit else 0))
        self.limit = level
        self._admit()
