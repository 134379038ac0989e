"""Carries records to tracing services: one thread for all of them, bounded in memory, in time, and at exit.

No service can slow, fail or prolong a run: what a service does not take in time is dropped and counted, the first
trouble with it is said in one line, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx2

from metrics.observers.records import Record, weight

log = logging.getLogger("kg.sinks")

HELD = 6_000  # records of a run, by all services together
HELD_OF_OTHERS = 4_000  # the same of other programs' calls, which a run may tell at the same time
_MOST_BYTES = 16 * 1024 * 1024  # of content, by one service
AT_EXIT_S = 5.0
_LEAVING_S = 0.5  # of it, for closing what is open
_REQUEST_S = 10.0
_LAST_TRY_S = 1.0  # at exit, for a service that did not answer before
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_LONGEST_PAUSE_S = 60.0
_PASSING = frozenset({408, 425, 429})
_REFUSALS = frozenset({401, 402, 403, 404, 405, 407, 410})  # whatever one sends; 400, 413, 422 are about these records


@dataclass(frozen=True, slots=True)
class Request:
    """One POST. `records`: how many it carries."""

    url: str
    headers: dict[str, str]
    content: bytes
    records: int


class Service(Protocol):
    """Says how a service wants to be told. Its methods are called in the courier's thread."""

    name: str
    where: str
    """Its address without credentials."""
    most: int
    """Records a request."""
    every_s: float
    room: int
    """Records that may wait for it."""
    hint: str
    """What to look at when it refuses."""

    def wants(self, record: Record) -> bool:
        """Whether it is told of such a thing at all. Called where the run works: must be quick."""

    def requests(self, records: Sequence[Record]) -> list[Request]: ...

    def lost(self, status: int, content: bytes) -> int | None:
        """How many records of a request an answer of 2xx says were not taken; None: that is no answer of this service."""


@dataclass(slots=True)
class State:
    """What became of a service's records: sent + dropped is all that it was to get. `trouble` in words, or ''."""

    service: str
    where: str
    sent: int = 0
    dropped: int = 0
    trouble: str = ""


@dataclass(slots=True)
class _Desk:
    """A service's records on their way."""

    service: Service
    room: int
    state: State
    waiting: deque[Record] = field(default_factory=deque)
    flying: int = 0  # records of the request that is under way
    bytes: int = 0  # of content, in both
    awake: asyncio.Event | None = None
    refused: bool = False
    silent: bool = False  # it did not answer the last time
    failures: int = 0


class Couriers:
    """The thread that carries, for all services of a run. `tell` from any thread; `close` once, and wait at most 5 s."""

    def __init__(self, services: Sequence[Service], *, held: int = HELD, at_exit_s: float = AT_EXIT_S) -> None:
        room = held // max(len(services), 1)
        self._desks = [_Desk(s, min(s.room, room), State(s.name, s.where)) for s in services]
        self._at_exit_s = at_exit_s
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._thread = threading.Thread(target=self._carry, name="kg-sinks", daemon=True)
        if self._desks:
            self._thread.start()

    @property
    def states(self) -> list[State]:
        return [desk.state for desk in self._desks]

    @property
    def held(self) -> int:
        """Records that wait or are under way, for all services together."""
        return sum(len(desk.waiting) + desk.flying for desk in self._desks)

    def tell(self, record: Record) -> None:
        """Hand a record to each service that wants it. Never waits, never raises."""
        size = weight(record)
        for desk in self._desks:
            if not desk.service.wants(record):
                continue
            with self._lock:
                if desk.refused or self._closing.is_set():
                    desk.state.dropped += 1
                    continue
                if len(desk.waiting) + desk.flying >= desk.room or desk.bytes + size > _MOST_BYTES:
                    desk.state.dropped += 1
                    full = True
                else:
                    desk.waiting.append(record)
                    desk.bytes += size
                    full = False
                wake = len(desk.waiting) == desk.service.most
            if full:
                self._trouble(desk, "takes them more slowly than they come")
            elif wake:
                self._wake(desk)

    def close(self) -> list[State]:
        """Deliver what is left, for at most five seconds; then drop and count it. No thread is left afterwards."""
        if self._closing.is_set() or not self._desks:
            return self.states
        self._give_up_at = time.monotonic() + self._at_exit_s - _LEAVING_S
        self._closing.set()
        if self._loop:
            with contextlib.suppress(RuntimeError):  # it has ended by itself: every service has refused
                self._loop.call_soon_threadsafe(self._hurry)
        self._thread.join(self._at_exit_s)
        with self._lock:
            for desk in self._desks:
                if desk.waiting or desk.flying:
                    self._drop_all(desk)
                    self._trouble(desk, desk.state.trouble or "did not take all of them in time", locked=True)
        return self.states

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _carry(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop) as runner:
                runner.run(self._deliver_all())
        except Exception as error:  # noqa: BLE001  a mistake of ours here must not reach the run
            for desk in self._desks:
                self._trouble(desk, f"could not be told: {type(error).__name__}")

    async def _deliver_all(self) -> None:
        loop = asyncio.get_running_loop()
        for desk in self._desks:
            desk.awake = asyncio.Event()
        client = httpx2.AsyncClient(timeout=_REQUEST_S, headers={"user-agent": "kg-batch"})
        self._tasks = [loop.create_task(self._deliver(desk, client)) for desk in self._desks]
        self._loop = loop
        if self._closing.is_set():
            self._hurry()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # what a broken connection says when it is closed interests nobody
            async with asyncio.timeout(_LEAVING_S / 2):
                await client.aclose()
        for desk, result in zip(self._desks, results, strict=True):
            if isinstance(result, Exception):
                self._trouble(desk, f"could not be told: {type(result).__name__}")

    def _hurry(self) -> None:
        """The run is over: wake everybody, and cut off whoever is not done in time."""
        for desk, task in zip(self._desks, self._tasks, strict=True):
            if desk.awake:
                desk.awake.set()
            left = self._give_up_at - time.monotonic()
            asyncio.get_running_loop().call_later(
                max(min(left, _LAST_TRY_S) if desk.silent else left, 0.0), task.cancel
            )

    async def _deliver(self, desk: _Desk, client: httpx2.AsyncClient) -> None:
        """Send whatever comes, until the run closes and nothing is left, or the service refuses."""
        while not desk.refused:
            if not desk.waiting and self._closing.is_set():
                return
            if len(desk.waiting) < desk.service.most:
                await self._rest(desk, desk.service.every_s)
            if not desk.waiting:
                continue
            pause = await self._send(desk, client)
            if pause is None:
                desk.failures = 0
                continue
            if self._closing.is_set():
                return
            pause = max(pause, _PAUSES_S[min(desk.failures, len(_PAUSES_S) - 1)])
            desk.failures += 1
            await self._rest(desk, pause, come_what_may=True)

    def _take(self, desk: _Desk) -> list[Record]:
        with self._lock:
            records = [desk.waiting.popleft() for _ in range(min(desk.service.most, len(desk.waiting)))]
            desk.flying = len(records)
        return records

    def _put_back(self, desk: _Desk, records: Sequence[Record]) -> None:
        with self._lock:
            desk.waiting.extendleft(reversed(records))
            desk.flying = 0

    async def _rest(self, desk: _Desk, seconds: float, *, come_what_may: bool = False) -> None:
        """Until enough has come to be sent, or the time is over; not at all when the run is closing."""
        assert desk.awake
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._closing.is_set():
                    await desk.awake.wait()
                    desk.awake.clear()
                    if not come_what_may:
                        return

    async def _send(self, desk: _Desk, client: httpx2.AsyncClient) -> float | None:
        """Send some. None when they are done with; else they wait again, for so many seconds at least."""
        records = self._take(desk)
        try:
            requests = desk.service.requests(records)
        except Exception as error:  # noqa: BLE001  a mistake of ours, or of a library
            self._refuse(desk, f"could not be told: {type(error).__name__}")
            return None
        for request in requests:
            pause = await self._post(desk, client, request)
            if pause is not None:
                self._put_back(desk, records)
                return pause
            if desk.refused:
                break
            self._settle(desk, records[: request.records])
            del records[: request.records]
        return None

    def _settle(self, desk: _Desk, records: Sequence[Record]) -> None:
        with self._lock:
            desk.flying -= len(records)
            desk.bytes -= sum(map(weight, records))

    async def _post(self, desk: _Desk, client: httpx2.AsyncClient, request: Request) -> float | None:
        limit = _REQUEST_S
        if self._closing.is_set():
            limit = min(limit, _LAST_TRY_S if desk.silent else self._at_exit_s)
        try:
            async with asyncio.timeout(limit):
                reply = await client.post(request.url, headers=request.headers, content=request.content)
        except (TimeoutError, httpx2.TimeoutException):
            desk.silent = True
            return self._failed(desk, f"does not answer within {limit:g} s")
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            self._refuse(desk, "is no address")
            return None
        except (httpx2.HTTPError, OSError) as error:
            return self._failed(desk, _kind(error))
        except Exception as error:  # noqa: BLE001  a header that can't be sent, say
            self._refuse(desk, _kind(error))
            return None
        desk.silent = False
        status = reply.status_code
        if status in _PASSING or status >= 500:
            return self._failed(desk, f"answers {status}", _retry_after(reply.headers.get("retry-after")))
        if 300 <= status < 400 or status in _REFUSALS:
            self._refuse(desk, f"answers {status}")
            return None
        lost: int | None = request.records if status != 409 else 0  # 409: it has them already
        if status < 300:
            lost = desk.service.lost(status, reply.content)
        if lost is None:
            self._refuse(desk, "answers with something else than this service would (a web page?)")
            return None
        with self._lock:
            desk.state.sent += max(request.records - lost, 0)
            desk.state.dropped += lost
        if lost:
            self._trouble(desk, f"answers {status}, and does not take {lost} of {request.records} records")
        return None

    def _failed(self, desk: _Desk, why: str, pause: float = 0.0) -> float:
        self._trouble(desk, why)
        return pause

    def _refuse(self, desk: _Desk, why: str) -> None:
        """To try again would not help: nothing more is sent."""
        with self._lock:
            desk.refused = True
            self._drop_all(desk)
        self._trouble(desk, f"{why} ({desk.service.hint})" if desk.service.hint else why)

    def _drop_all(self, desk: _Desk) -> None:
        """Also what is under way: nobody will know whether it arrived."""
        desk.state.dropped += len(desk.waiting) + desk.flying
        desk.waiting.clear()
        desk.flying = desk.bytes = 0

    def _trouble(self, desk: _Desk, why: str, *, locked: bool = False) -> None:
        """Said once; whatever comes later is of the same kind, or counted all the same."""
        with contextlib.nullcontext() if locked else self._lock:
            if desk.state.trouble:
                return
            desk.state.trouble = why
        log.warning(
            "%s (%s) %s: the run goes on without; the report counts what it misses",
            desk.state.service,
            desk.state.where,
            why,
        )

    def _wake(self, desk: _Desk) -> None:
        loop, awake = self._loop, desk.awake
        if loop and awake:
            with contextlib.suppress(RuntimeError):  # the loop has just closed
                loop.call_soon_threadsafe(awake.set)


def _kind(error: BaseException) -> str:
    """What went wrong, without the words of a server or a library, which may quote a key."""
    name = type(error).__name__
    return {"ConnectError": "can't be reached", "ReadError": "breaks the connection"}.get(name, f"fails with {name}")


def _retry_after(text: str | None) -> float:
    try:
        return min(max(float(text or 0), 0.0), _LONGEST_PAUSE_S)
    except ValueError:
        return 0.0


def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_Unattended())
    return loop


class _Unattended(ThreadPoolExecutor):
    """Looks names up in threads that the process does not wait for: a resolver may hang for half a minute."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  goes to who asked
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=work, name="kg-lookup", daemon=True).start()
        return future
