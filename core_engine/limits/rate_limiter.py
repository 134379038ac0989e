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
from core_engine.limits.headers import Told, told
from core_engine.limits.history import History, Used
from core_engine.limits.together import Level, Witness

log = logging.getLogger(__name__)

_FIRST_ALONE_S = 2.0
_WAVE_S = 1.0
_BINDS_S = 1.0
_SPACED, _SPACE_S = 32, 0.02  # requests, and the seconds between them: a refusal is heard before all have gone


_Limits = tuple[float | None, float | None]  # requests and tokens a minute
_Step = tuple[Gate, Gate | None, bool]  # a gate, the user's of the same unit behind it, and whether it counts requests


@dataclass(frozen=True, slots=True)
class Lane:
    """Whom a request goes to. `stage` decides which of the user's limits hold for it."""

    stage: Literal["chat", "embedding"]
    endpoint: str
    model: str

    def __str__(self) -> str:
        return f"{self.stage} {self.model} at {self.host}"

    @property
    def host(self) -> str:
        """Never the URL: it may hold a password."""
        return urlsplit(self.endpoint).hostname or "default endpoint"


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

    __slots__ = ("_bucket", "_gates", "_place", "_waited_at", "expected", "tokens", "waited_s")

    def __init__(
        self, place: _Place, way: _Way, tokens: int, waited_s: float, waited_at: Sequence[tuple[Gate, int]]
    ) -> None:
        self.tokens = tokens
        self.waited_s = waited_s
        self.expected: tuple[float, float] | None = None  # what should be gone of the limit then, see Witness
        self._bucket = way.bucket
        self._gates = way.token_gates
        self._waited_at = waited_at
        self._place = place

    async def leave(self) -> None:
        """Call it at the moment of sending, where something may have taken its time since the leave was given."""
        now, wait = self._bucket.now(), 0.0
        held = []
        for gate, amount in self._waited_at:
            if needs := gate.door.enter(amount, gate.second, now):
                held.append((gate, amount))
                wait = max(wait, needs)
        for gate, amount in held:
            gate.door.put_off(amount, gate.second, now + wait)
        if (witness := self._place.witness) and self._bucket is self._place.way.bucket:
            self.expected = witness.sent(self._place.telling(self.tokens), now + wait)
        if wait > 0:
            await asyncio.sleep(wait)

    def settle(self, charged_tokens: int | None) -> None:
        """Correct the reservation to what the provider charges; None keeps it. Only the first call counts."""
        gates, self._gates = self._gates, ()
        if charged_tokens is not None and charged_tokens >= 0:
            now = self._bucket.now()
            for gate in gates:
                gate.settle(self.tokens, charged_tokens, now)
        if gates and (witness := self._place.witness):
            witness.settled(self.tokens, charged_tokens)
        answered = self._bucket.answered
        if not answered.is_set():
            answered.set()


class RateLimiter:
    """Grants requests in the order they came, at the user's limits or the provider's, whichever is lower.

        limiter = RateLimiter(rpm=500, tpm=200_000)
        reservation = await limiter.reserve(lane, tokens=4_200)
        await reservation.leave()
        ...  # send
        limiter.observe(lane, reply.headers, reservation)
        reservation.settle(charged_tokens=3_980)

    Each endpoint's model has a bucket of its own, whose limits the headers of its replies teach, or its refusals where
    there are no headers. Models whose headers tell the same limits share one, unless what is gone of it shows that they
    are counted apart. While nothing is known about it, one request goes ahead of the others for two seconds at
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
        for gates in self._users.values():
            if len(gates) == 2 and (embedding_rpm is None) == (embedding_tpm is None):
                gates[1].lock = None  # behind the other's: the same requests pass both
        self._stages_apart = embedding_rpm is not None or embedding_tpm is not None
        self._places: dict[Lane, _Place] = {}
        self._shared: dict[tuple[str, str, _Limits], _Bucket] = {}

    async def reserve(self, lane: Lane, tokens: int | Callable[[], int], *, chunks: int | None = None) -> Reservation:
        """Wait for the request's turn. Call it last, just before sending, and anew for each attempt.

        `tokens` may be a function: how a provider counts can be learnt while one waits. Raises RequestTooLarge where a
        whole minute could not hold it; it names a batch size if `chunks` is given.
        """
        place = self._place(lane)
        amount = tokens if isinstance(tokens, int) else tokens()
        for gate in place.way.token_gates:
            _check_size(gate, amount, chunks)
        start = self._clock()
        while True:
            way = place.way
            bucket = way.bucket
            async with bucket.lock:
                if way is not place.way:
                    continue  # its bucket has become another one while it stood in the queue
                if not bucket.answered.is_set():
                    await bucket.let_first_go_alone(start, known=len(way.steps) == 4)
                elif bucket.to_space:
                    await bucket.go_one_by_one(known=any(gate.rate() for gate in way.gates))
                if not isinstance(tokens, int):
                    amount = tokens()
                now, waited_at = await self._pass(way.steps, amount)
                reservation = Reservation(place, way, amount, now - start, waited_at)
                break
        if reservation.waited_s > _BINDS_S and not bucket.told_binding:
            bucket.told_binding = True
            log.info("%s: requests now wait for %s", bucket.name, " and ".join(filter(None, map(_words, way.gates))))
        return reservation

    def observe(self, lane: Lane, headers: Mapping[str, str], reservation: Reservation | None = None) -> None:
        """Learn from a reply's headers (names in lower case), also from a refusal's.

        With the request's reservation, a reply also shows whether its model is counted together with others.
        """
        place = self._place(lane)
        said = told(headers, "requests"), told(headers, "tokens")
        self._compare(place, said, reservation)
        bucket = place.way.bucket
        bucket.answered.set()
        for gate, about in zip(bucket.gates, said, strict=True):
            gate.learn(about)

    def pause(self, lane: Lane, seconds: float, reason: str) -> None:
        """The provider refused a request of this lane for its limits: hold back all that share one with it.

        `seconds` as it asked for (0 if it did not say). What was refused is also taken as a sign to go slower.
        """
        place, now = self._place(lane), self._clock()
        if place.apart:
            self._share_again(place)
        if place.witness:
            place.witness.refused()
        way = place.way
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
            gate.refused(share, resume_at, before=bucket.before[gate.unit], told=known, wave=bucket.refusals)
        for gate in gates:
            gate.paused_until = max(gate.paused_until, resume_at)

    def bounds(self, lane: Lane) -> bool:
        """Some limit is known that holds for this lane."""
        return any(gate.rate() is not None for gate in self._place(lane).way.gates)

    def largest(self, lane: Lane) -> float:
        """Tokens of the largest request that the known limits hold."""
        return min(
            (gate.limit for gate in self._place(lane).way.token_gates if gate.limit is not None), default=math.inf
        )

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
        buckets = [*(place.own for place in self._places.values()), *self._shared.values()]
        gates.update(dict.fromkeys(gate for bucket in buckets for gate in bucket.gates))
        return list(gates)

    async def _pass(self, steps: Sequence[_Step], tokens: int) -> tuple[float, Sequence[tuple[Gate, int]]]:
        """Pass all gates; the time then, and the gates that were not open, each with the amount."""
        # Each lock is held (a bucket's own gates need none: they are behind its lock) until the last gate is passed. Otherwise requests would gather behind a large one that
        # waits for its tokens, having passed the requests' drip already, and then leave in one burst.
        taken = 0
        held: list[asyncio.Lock] = []
        closed: list[tuple[Gate, int]] = []
        since = now = self._clock()
        paused_until = 0.0
        try:
            for gate, behind, by_request in steps:
                amount = 1 if by_request else tokens
                if gate.lock:
                    gate.waiting += 1
                    try:
                        await gate.lock.acquire()
                    finally:
                        gate.waiting -= 1
                    held.append(gate.lock)
                if gate.is_open(behind):
                    gate.count(amount, now, gate.limit)
                else:
                    now = await gate.take(amount, since)
                    closed.append((gate, amount))
                taken += 1
                if gate.paused_until > paused_until:  # noqa: PLR1730  max() is a call
                    paused_until = gate.paused_until
            if paused_until > now:
                await self._wait_out_pauses([gate for gate, _, _ in steps])
                now = self._clock()
        except BaseException:
            for gate, _, by_request in steps[:taken]:
                gate.give_back(1 if by_request else tokens)
            raise
        finally:
            for lock in held:
                lock.release()
        return now, closed

    async def _wait_out_pauses(self, gates: Sequence[Gate]) -> None:
        while True:  # a pause can be lengthened while one sleeps
            now, until = self._clock(), 0.0
            for gate in gates:
                until = max(until, gate.paused_until)
            if until <= now:
                return
            await asyncio.sleep(until - now)

    # --- which bucket -----------------------------------------------------------------------------------------------

    def _place(self, lane: Lane) -> _Place:
        if (place := self._places.get(lane)) is None:
            self._clock = asyncio.get_running_loop().time
            own = _Bucket(str(lane), self._clock)
            for gate in self._users[lane.stage]:
                gate.clock = self._clock
            place = self._places[lane] = _Place(lane, own, self._way(lane, own))
        return place

    def _way(self, lane: Lane, bucket: _Bucket) -> _Way:
        users = self._users[lane.stage]
        behind = {gate.unit: gate for gate in users}
        steps = [(gate, behind.get(gate.unit), gate.unit == "requests") for gate in bucket.gates]
        steps += [(gate, None, gate.unit == "requests") for gate in users]
        gates = tuple(gate for gate, _, _ in steps)
        return _Way(bucket, tuple(steps), gates, tuple(gate for gate in gates if gate.unit == "tokens"))

    def _compare(self, place: _Place, said: tuple[Told, Told], reservation: Reservation | None) -> None:
        """Models of one endpoint that tell the same limits share a bucket, as long as nothing speaks against it."""
        limits = said[0].limit, said[1].limit
        if limits not in (place.told, (None, None)):
            first, place.told = place.told is None, limits
            if first:
                self._share(place, [other for other in self._alike(place) if not other.apart])
            else:  # limits that change tell nothing
                self._part(place, "its limits have changed")
        elif place.witness and reservation and reservation.expected:
            about = said[1] if limits[1] is not None else said[0]
            if place.witness.contradicts(reservation.expected, about.gone) and not place.sure:
                self._part(place, "by what its replies say is left")

    def _alike(self, place: _Place) -> list[_Place]:
        """Those who may be counted together with it, and itself."""
        return [
            other
            for other in self._places.values()
            if other.lane.endpoint == place.lane.endpoint
            and other.told == place.told
            and (other.lane.stage == place.lane.stage or not self._stages_apart)
        ]

    def _share(self, place: _Place, alike: Sequence[_Place]) -> None:
        if len(alike) < 2 or place.told is None:
            return
        lane = place.lane
        key = lane.endpoint, lane.stage if self._stages_apart else "", place.told
        bucket = self._shared.get(key)
        if bucket is None:
            bucket = self._shared[key] = _Bucket(f"all models at {lane.host}", self._clock)
        bucket.begin(place.told, [each.way.bucket for each in alike if each.way.bucket is not bucket])
        limit = place.told[1] or place.told[0] or 0.0
        together = bucket.level = bucket.level or Level(limit)
        for each in alike:
            if each.way.bucket is not bucket:
                each.way, each.witness, each.apart = self._way(each.lane, bucket), Witness(limit, together), False
        log.info(
            "%s tell the same limits: they share them until it shows that they are counted apart",
            " and ".join(str(each.lane) for each in alike),
        )

    def _part(self, place: _Place, why: str) -> None:
        place.apart = True
        if place.way.bucket is not place.own and place.told is not None:
            place.own.begin(place.told, [])
            place.way, place.witness = self._way(place.lane, place.own), None
            log.info("%s is counted apart from the others, %s", place.lane, why)

    def _share_again(self, place: _Place) -> None:
        """It was refused: so they are counted together, whatever spoke against it."""
        alike = self._alike(place)
        for each in alike:
            each.sure = len(alike) > 1
        self._share(place, alike)

    def _users_gates(self, unit: str, limit: float | None, embedding: float | None) -> dict[str, tuple[Gate, ...]]:
        both = embedding is None
        chat = () if limit is None else (Gate("all" if both else "chat", unit, limit, self._clock, asyncio.Lock()),)
        own = () if embedding is None else (Gate("embedding", unit, embedding, self._clock, asyncio.Lock()),)
        return {"chat": chat, "embedding": chat if both else own}


class _Bucket:
    """What one endpoint allows for one model."""

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self.name = name
        self.now = now
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
        self.level: Level | None = None  # of one that is shared

    def begin(self, limits: _Limits, before: Sequence[_Bucket]) -> None:
        """Hold these limits, told already, for those who passed the buckets before."""
        self.answered.set()
        self.to_space = 0
        for at, gate in enumerate(self.gates):
            gate.begin(limits[at], [bucket.gates[at] for bucket in before])

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
        if (wait := self._next_at - self.now()) > 0:
            await asyncio.sleep(wait)
        self._next_at = self.now() + _SPACE_S


@dataclass(frozen=True, slots=True)
class _Way:
    """What a lane's requests pass, in this order."""

    bucket: _Bucket
    steps: tuple[_Step, ...]
    gates: tuple[Gate, ...]
    token_gates: tuple[Gate, ...]


@dataclass(slots=True)
class _Place:
    """A lane, and the bucket that its requests take from: its own, or one shared with others."""

    lane: Lane
    own: _Bucket
    way: _Way
    told: _Limits | None = None  # by the headers of its replies
    witness: Witness | None = None  # while it shares a bucket
    apart: bool = False  # something spoke against sharing
    sure: bool = False  # a refusal has overruled that

    def telling(self, tokens: int) -> int:
        """The amount, in the unit whose limit shows who is counted together."""
        return tokens if self.told and self.told[1] is not None else 1


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
