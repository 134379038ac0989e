"""The one door to the providers: requests and tokens a minute, shared by everything that calls a model."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from core_engine.errors import RequestTooLarge, SettingsError
from core_engine.limits.gate import Gate
from core_engine.limits.headers import told
from core_engine.limits.history import History, Used

log = logging.getLogger(__name__)

_FIRST_ALONE_S = 2.0
_WAVE_S = 1.0
_BINDS_S = 1.0
_SPACED, _SPACE_S = 32, 0.02  # requests, and the seconds between them: a refusal is heard before all have gone


@dataclass(frozen=True, slots=True)
class Lane:
    """Whom a request goes to. `stage` decides which of the user's limits hold for it."""

    stage: Literal["chat", "embedding"]
    endpoint: str
    model: str

    def __str__(self) -> str:
        host = urlsplit(self.endpoint).hostname or "default endpoint"  # never the URL: it may hold a password
        return f"{self.stage} {self.model} at {host}"


@dataclass(frozen=True, slots=True)
class BucketState:
    """One limit as it stands: a row of the progress view and of the report.

    `limit` is a minute's, None while nobody has told it; `learned`: the provider told it, or refused, not the user.
    `used` counts the last minute. `remaining` and `reset_s` are what the provider said last.
    """

    bucket: str
    unit: str
    limit: float | None
    learned: bool
    used: float
    share: float | None
    waiting: int
    paused_s: float
    remaining: float | None
    reset_s: float | None


class Reservation:
    """Leave to send one request. Settle it in any case: with what was charged, or with None."""

    __slots__ = ("_bucket", "_gates", "_request_gates", "tokens", "waited_s")

    def __init__(self, way: _Way, tokens: int, waited_s: float) -> None:
        self.tokens = tokens
        self.waited_s = waited_s
        self._bucket = way.bucket
        self._gates = way.token_gates
        self._request_gates = way.request_gates

    async def leave(self) -> None:
        """Call it at the moment of sending, where something may have taken its time since the leave was given."""
        for gate in self._request_gates:
            await gate.leave()

    def settle(self, charged_tokens: int | None) -> None:
        """Correct the reservation to what the provider charges; None keeps it. Only the first call counts."""
        self._bucket.answered.set()
        gates, self._gates = self._gates, ()
        if charged_tokens is not None and charged_tokens >= 0:
            for gate in gates:
                gate.settle(self.tokens, charged_tokens)


class RateLimiter:
    """Grants requests in the order they came, at the user's limits or the provider's, whichever is lower.

        limiter = RateLimiter(rpm=500, tpm=200_000)
        reservation = await limiter.reserve(lane, tokens=4_200)
        await reservation.leave()
        ...  # send
        limiter.observe(lane, reply.headers)
        reservation.settle(charged_tokens=3_980)

    Each endpoint's model has a bucket of its own, whose limits the headers of its replies teach, or its refusals where
    there are no headers. While nothing is known about it, one request goes ahead of the others for two seconds at
    most, and the next 32 go one by one within a second. The user's `rpm` and `tpm` are one bucket for everything, unless embeddings have limits of their own.

    One object per run and event loop, whose clock is the only one it knows.
    """

    def __init__(
        self,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        embedding_rpm: float | None = None,
        embedding_tpm: float | None = None,
    ) -> None:
        for option, limit in (
            ("--rpm", rpm),
            ("--tpm", tpm),
            ("--embedding-rpm", embedding_rpm),
            ("--embedding-tpm", embedding_tpm),
        ):
            if limit is not None and not (0 < limit < math.inf):
                raise SettingsError(f"{option} must be a number above 0, and is {limit:g}: leave it out for no limit")
        self._clock = time.monotonic
        requests = self._users_gates("requests", rpm, embedding_rpm)
        tokens = self._users_gates("tokens", tpm, embedding_tpm)
        self._users = {stage: requests[stage] + tokens[stage] for stage in ("chat", "embedding")}
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._lanes: dict[Lane, _Way] = {}

    async def reserve(self, lane: Lane, tokens: int, *, chunks: int | None = None) -> Reservation:
        """Wait for the request's turn. Call it last, just before sending, and anew for each attempt.

        Raises RequestTooLarge where a whole minute could not hold it; it names a batch size if `chunks` is given.
        """
        way = self._way(lane)
        bucket = way.bucket
        for gate in way.token_gates:
            _check_size(gate, tokens, chunks)
        start = self._clock()
        async with bucket.lock:
            if not bucket.answered.is_set():
                await bucket.let_first_go_alone(start, known=len(way.gates) == 4)
            elif bucket.to_space:
                await bucket.go_one_by_one(known=any(gate.rate() for gate in way.gates))
            await self._pass(way.gates, tokens)
        waited = self._clock() - start
        if waited > _BINDS_S and not bucket.told_binding:
            bucket.told_binding = True
            log.info("%s: requests now wait for %s", bucket.name, " and ".join(filter(None, map(_words, way.gates))))
        return Reservation(way, tokens, waited)

    def observe(self, lane: Lane, headers: Mapping[str, str]) -> None:
        """Learn from a reply's headers (names in lower case), also from a refusal's."""
        bucket = self._way(lane).bucket
        bucket.answered.set()
        for gate in bucket.gates:
            gate.learn(told(headers, gate.unit))

    def pause(self, lane: Lane, seconds: float, reason: str) -> None:
        """The provider refused a request of this lane for its limits: hold back all that share one with it.

        `seconds` as it asked for (0 if it did not say). What was refused is also taken as a sign to go slower.
        """
        way, now = self._way(lane), self._clock()
        bucket, gates = way.bucket, way.gates
        bucket.answered.set()
        seconds = seconds if 0 < seconds < math.inf else 0.0
        if not any(gate.limit for gate in gates):
            seconds = max(seconds, _WAVE_S)  # what to slow down to isn't known: let the wave roll out first
        resume_at = now + seconds
        again = now < bucket.wave_until
        if not again:
            bucket.wave_until = max(resume_at, now + _WAVE_S)  # those already under way may be refused too
            bucket.refusals, bucket.sent = 0, max(bucket.gates[0].lately()[0], 1.0)
            bucket.before = {gate.unit: _lowest(gates, gate.unit) for gate in bucket.gates}
            log.warning("%s: %s; everything waits for %.1f s, then goes on slower", bucket.name, reason, seconds)
        bucket.refusals += 1
        share = min(bucket.refusals / bucket.sent, 1.0)
        for gate in bucket.gates:
            known = any(other.limit for other in gates if other.unit == gate.unit)
            gate.refused(share, resume_at, before=bucket.before[gate.unit], told=known, again=again)
        for gate in gates:
            gate.paused_until = max(gate.paused_until, resume_at)

    def bounds(self, lane: Lane) -> bool:
        """Some limit is known that holds for this lane."""
        return any(gate.rate() is not None for gate in self._way(lane).gates)

    def largest(self, lane: Lane) -> float:
        """Tokens of the largest request that the known limits hold."""
        return min((gate.limit for gate in self._way(lane).token_gates if gate.limit is not None), default=math.inf)

    def snapshot(self) -> list[BucketState]:
        """All limits as they stand: the user's first, then each bucket that was used."""
        now = self._clock()
        return [_state(gate, now) for gate in self._gates()]

    def history(self) -> History:
        """Each minute of the run in which something passed, by the limit that was used most."""
        minutes: dict[int, Used] = {}
        left: dict[int, float] = {}
        for gate in self._gates():
            for number, minute in gate.minutes.items():
                if minute.least_left is not None:
                    left[number] = min(minute.least_left, left.get(number, 1.0))
                if minute.limit and (number not in minutes or minute.share > minutes[number].share):
                    minutes[number] = Used(minute.share, f"{gate.unit} ({gate.bucket})")
        minutes = {number: replace(used, least_left=left.get(number)) for number, used in minutes.items()}
        return History(time.time() - self._clock(), minutes)

    def _gates(self) -> list[Gate]:
        gates = dict.fromkeys(gate for chain in self._users.values() for gate in chain)
        gates.update(dict.fromkeys(gate for bucket in self._buckets.values() for gate in bucket.gates))
        return list(gates)

    async def _pass(self, gates: Sequence[Gate], tokens: int) -> None:
        # Each lock is held (a bucket's own gates need none: they are behind its lock) until the last gate is passed. Otherwise requests would gather behind a large one that
        # waits for its tokens, having passed the requests' drip already, and then leave in one burst.
        reached = taken = 0
        held: list[asyncio.Lock] = []
        try:
            for gate in gates:
                gate.waiting += 1
                reached += 1
                if gate.lock:
                    await gate.lock.acquire()
                    held.append(gate.lock)
                await gate.take(1 if gate.unit == "requests" else tokens)
                taken += 1
            await self._wait_out_pauses(gates)
        except BaseException:
            for gate in gates[:taken]:
                gate.give_back(1 if gate.unit == "requests" else tokens)
            raise
        finally:
            for lock in held:
                lock.release()
            for gate in gates[:reached]:
                gate.waiting -= 1

    async def _wait_out_pauses(self, gates: Sequence[Gate]) -> None:
        while True:  # a pause can be lengthened while one sleeps
            now, until = self._clock(), 0.0
            for gate in gates:
                until = max(until, gate.paused_until)
            if until <= now:
                return
            await asyncio.sleep(until - now)

    def _way(self, lane: Lane) -> _Way:
        if (way := self._lanes.get(lane)) is None:
            self._clock = asyncio.get_running_loop().time
            bucket = self._buckets.setdefault((lane.endpoint, lane.model), _Bucket(str(lane), self._clock))
            gates = bucket.gates + self._users[lane.stage]
            way = _Way(
                bucket, gates, *(tuple(gate for gate in gates if gate.unit == u) for u in ("requests", "tokens"))
            )
            for gate in gates:
                gate.clock = self._clock
            self._lanes[lane] = way
        return way

    def _users_gates(self, unit: str, limit: float | None, embedding: float | None) -> dict[str, tuple[Gate, ...]]:
        both = embedding is None
        chat = () if limit is None else (Gate("all" if both else "chat", unit, limit, self._clock, asyncio.Lock()),)
        own = () if embedding is None else (Gate("embedding", unit, embedding, self._clock, asyncio.Lock()),)
        return {"chat": chat, "embedding": chat if both else own}


class _Bucket:
    """What one endpoint allows for one model."""

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self.name = name
        self._now = now
        self.gates = (Gate(name, "requests", None, now, None), Gate(name, "tokens", None, now, None))
        self.lock = asyncio.Lock()
        self.answered = asyncio.Event()
        self.told_binding = False
        self.wave_until = 0.0
        self.refusals = 0
        self.sent = 1.0
        self.before: dict[str, float | None] = {}
        self.to_space = _SPACED
        self._next_at = 0.0
        self._first_until: float | None = None

    async def let_first_go_alone(self, now: float, *, known: bool) -> None:
        """Hold all but the first request until an answer has come, unless the user has told the limits."""
        if known:
            return
        if self._first_until is None:
            self._first_until = now + _FIRST_ALONE_S
        elif now < self._first_until:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._first_until - now):
                    await self.answered.wait()

    async def go_one_by_one(self, *, known: bool) -> None:
        """Space the first requests to a provider of which nothing is known: 20 at once take 0.4 s to leave."""
        if known:
            self.to_space = 0
            return
        self.to_space -= 1
        if (wait := self._next_at - self._now()) > 0:
            await asyncio.sleep(wait)
        self._next_at = self._now() + _SPACE_S


@dataclass(frozen=True, slots=True)
class _Way:
    """What a lane's requests pass, in this order."""

    bucket: _Bucket
    gates: tuple[Gate, ...]
    request_gates: tuple[Gate, ...]
    token_gates: tuple[Gate, ...]


def _check_size(gate: Gate, tokens: int, chunks: int | None) -> None:
    if gate.limit is None or tokens <= gate.limit:
        return
    what = f"a request of {tokens:,} tokens can't pass the limit of {gate.limit:,.0f} tokens a minute ({gate.bucket})"
    fits = int((chunks or 0) * gate.limit / tokens * 0.8)  # less in proportion: a part of the tokens is the prompt's
    advice = f"--batch-size {fits} would fit" if fits else "use a smaller --batch-size or --chunk-size"
    raise RequestTooLarge(f"{what}: {advice}", kind="request_too_large")


def _lowest(gates: Sequence[Gate], unit: str) -> float | None:
    return min((rate for gate in gates if gate.unit == unit and (rate := gate.rate()) is not None), default=None)


def _words(gate: Gate) -> str:
    rate = gate.rate()
    return f"{rate:,.0f} {gate.unit} a minute" if rate is not None else ""


def _state(gate: Gate, now: float) -> BucketState:
    limit, used = gate.rate(), gate.used()
    return BucketState(
        bucket=gate.bucket,
        unit=gate.unit,
        limit=limit,
        learned=gate.learned and limit is not None,
        used=used,
        share=used / limit if limit else None,
        waiting=gate.waiting,
        paused_s=max(gate.paused_until - now, 0.0),
        remaining=gate.said.remaining,
        reset_s=gate.said.reset_s,
    )
