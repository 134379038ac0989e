"""A projector in a process of its own, so that deriving and writing don't take turns with the calls in flight.

Python lets one thread of a process run at a time: on a large corpus each reply would wait for the projector, and the
projector for the replies. The ledger keeps its one writer (law 9): changes are posted to the run's process, which
commits them and says so. What the projector logs goes the same way. A store's library that takes its process down
(Qdrant Edge on a full disk) takes down the stores alone: what is answered is in the ledger.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import logging.handlers
import os
import pickle
import signal
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import fields
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from core_engine.errors import KGError, Stopped, StoreError
from core_engine.ledger.ledger import Handed, Ledger, LedgerBase
from core_engine.ledger.lock import ENDING_S, held
from core_engine.loggers import OURS
from core_engine.machine import keep_memory_together, used
from core_engine.projector import Projection, Projector, ended, settle

P = ParamSpec("P")
T = TypeVar("T")

Make = Callable[[LedgerBase], Projector]

log = logging.getLogger("kg.projector")

_ENDS_S = 10.0  # for the process to be gone after its last word, or after it was told to hurry
_FROM_A_TERMINAL = (signal.SIGINT, signal.SIGTERM)  # it sends them to both; the run's process says what to do


class ProjectorApart:
    """Stands in the run's process for a Projector in another. Use it as one.

    `make` builds the projector there: a function at a module's top level, or a `partial` of one. `lock` is a file that
    tells whether an earlier one still lives; it is waited for so many seconds.
    """

    def __init__(self, ledger: Ledger, make: Make, lock: Path, *, before_s: float = ENDING_S) -> None:
        self._ledger = ledger
        self._make = make
        self._lock = lock
        self._before_s = before_s
        self._hurried = threading.Event()
        self._let_go = False
        self._opened: Future[None] = Future()
        self._asked: Future[None] = Future()
        self._over = False
        self._process: SpawnProcess | None = None
        self._orders: Connection | None = None
        self._late: threading.Timer | None = None
        self._serving: threading.Thread | None = None
        self.result = Projection()
        self.store_names: dict[str, str] = {"graph_store": "none", "vector_store": "none"}
        self.warnings: list[str] = []

    def start(self) -> None:
        """Start the process and open the stores. Raises what Projector.start() raises."""
        context = get_context("spawn")
        desk, their_desk = context.Pipe()
        their_orders, self._orders = context.Pipe(duplex=False)
        levels = {name: logging.getLogger(name).getEffectiveLevel() for name in OURS}
        self._process = context.Process(
            target=_live,
            args=(self._make, self._ledger.path, self._lock, self._before_s, their_desk, their_orders, levels),
            name="kg-projector",
            daemon=True,
        )
        with _signals_held():
            self._process.start()
        their_desk.close()
        their_orders.close()
        # Whoever leaves without a word: at exit multiprocessing would ask it to end by a signal that it doesn't hear,
        # and wait.
        atexit.register(self._kill)
        self._serving = threading.Thread(target=self._serve, args=(desk,), name="kg-projector", daemon=True)
        self._serving.start()
        if self._hurried.is_set():  # asked for while the process was being started
            self._order("hurry")
        self._opened.result()

    def derive(self) -> Future[None]:
        """As Projector.derive()."""
        self._asked = Future()
        self._order("derive")
        if self._over:
            settle(self._asked, ended(hurried=self._hurried.is_set()))
        return self._asked

    def finish(self, *, hurry: bool = False) -> Projection:
        """Have projected what is left (nothing more, in a hurry), and say what was done."""
        if hurry:
            self.hurry()
        self._order("finish")
        if self._serving:
            self._serving.join()
        if self._late:
            self._late.cancel()
        return self.result

    def hurry(self) -> None:
        """Leave what is not written yet to the next run. From any thread, while finish() waits or before it."""
        self._hurried.set()
        self._order("hurry")
        if self._late is None:
            # A store's library may hang where nothing of Python's is heard.
            self._late = threading.Timer(_ENDS_S, self._wait_no_longer)
            self._late.daemon = True
            self._late.start()

    def _wait_no_longer(self) -> None:
        self._let_go = True
        self._kill()

    def _kill(self) -> None:
        process = self._process
        if process and process.is_alive():
            process.kill()
            process.join()

    def _order(self, order: str) -> None:
        if self._orders:
            with contextlib.suppress(OSError):  # it is gone: whoever serves it knows
                self._orders.send(order)

    def _serve(self, desk: Connection) -> None:
        """Do what the projector's process asks for, until its last word."""
        try:
            while self._answer(desk, *desk.recv()):
                pass
        except (EOFError, OSError):
            self._died()
        except Exception:
            log.exception("what the process that writes the stores said was not understood")
            self._kill()
            self._died()
        finally:
            desk.close()
            self._over = True
            settle(self._asked, ended(hurried=self._hurried.is_set()))
            if self._process:
                self._process.join(_ENDS_S)
                self._kill()  # a store's library may not let it end
                atexit.unregister(self._kill)

    def _answer(self, desk: Connection, what: str, *said: Any) -> bool:
        """False after the last word."""
        if what == "write":
            work, args, kwargs, result = said
            self._take(result)
            desk.send(self._write(work, args, kwargs))
        elif what == "log":
            [record] = said
            if (logger := logging.getLogger(record.name)).isEnabledFor(record.levelno):
                logger.handle(record)
        elif what == "derived":
            settle(self._asked, said[0])
        elif what == "opened":
            self.store_names, result, self.warnings = said
            self._take(result)
            self._opened.set_result(None)
        elif what == "refused":
            self._opened.set_exception(said[0])
            return False
        else:
            result, self.warnings = said
            self._take(result)
            return False
        return True

    def _write(self, work: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        try:
            return self._ledger.write(work, *args, **kwargs), None
        except Exception as error:  # noqa: BLE001  goes to the one who asked
            return None, _portable(error)

    def _take(self, result: Projection) -> None:
        """In place: the live view and the report hold the one they were given."""
        for item in fields(Projection):
            setattr(self.result, item.name, getattr(result, item.name))

    def _died(self) -> None:
        error = self._end()
        if not self._opened.done():
            self._opened.set_exception(error)
            return
        if not self._let_go:  # there may be hours until the report
            log.warning("%s", error)
        self.result.errors.append(str(error))

    def _end(self) -> KGError:
        """How it ended, for a user."""
        code: int | None = None
        if self._process:
            self._process.join(_ENDS_S)
            code = self._process.exitcode
        if self._let_go and not self._opened.done():
            return Stopped("stopped while the stores were being opened")
        if self._let_go:
            return StoreError(
                "a store did not answer in time and was let go: the next run writes what is missing in it"
            )
        said = f"exit {code}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                said = signal.Signals(-code).name
        return StoreError(
            f"the process that writes the stores ended ({said}); where memory or the disk is full, free some "
            "(everything is in the ledger; the next run or `kg rebuild` writes it)"
        )


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """What is started within is deaf to the terminal from its first moment, until it says otherwise."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Started now, for starting it would take the mask off again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_A_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Post:
    """The child's end: messages to the run's process, and its answers."""

    def __init__(self, desk: Connection) -> None:
        self._desk = desk
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self._open: deque[_Asked] = deque()

    def tell(self, *said: Any) -> None:
        with self._sending:
            self._desk.send(said)

    def ask(self, *said: Any) -> _Asked:
        """Questions are answered in the order in which they were asked."""
        with self._asking:
            self.tell(*said)
            self._open.append(asked := _Asked(self))
        return asked

    def hear(self, asked: _Asked) -> tuple[Any, Any]:
        """The answer to it: a value and None, or None and an error."""
        with self._asking:
            while asked.answer is None:
                self._open.popleft().answer = self._desk.recv()
        return asked.answer


class _Asked:
    """A question whose answer may not be here yet."""

    def __init__(self, post: _Post) -> None:
        self._post = post
        self.answer: tuple[Any, Any] | None = None

    def result(self) -> Any:
        value, error = self._post.hear(self)
        if error is not None:
            raise error
        return value


class _PostedLedger(LedgerBase):
    """Reads by itself, and has its changes made by the run's process."""

    def __init__(self, path: Path, post: _Post) -> None:
        super().__init__(path)
        self._post = post
        self.result = Projection()

    def submit(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Handed[T]:
        """As Ledger.submit; `work` has to be a function at a module's top level."""
        return self._post.ask("write", work, args, kwargs, self.result)


class _PostedLog(logging.handlers.QueueHandler):
    """Hands each record to the run's process, whose handlers format it and take out what is secret."""

    def __init__(self, post: _Post) -> None:
        super().__init__(post)  # type: ignore[arg-type]  # only enqueue() looks at it
        self._post = post

    def enqueue(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            self._post.tell("log", record)


def _live(
    make: Make,
    path: Path,
    lock: Path,
    before_s: float,
    desk: Connection,
    orders: Connection,
    levels: dict[str, int],
) -> None:
    """The life of the projector's process."""
    keep_memory_together()
    for number in _FROM_A_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FROM_A_TERMINAL)
    post = _Post(desk)
    handler = _PostedLog(post)
    for name, level in levels.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addHandler(handler)
        logger.propagate = False
    try:
        _project(make, path, lock, before_s, post, orders)
    except (EOFError, OSError):
        os._exit(1)  # nobody listens any more


def _project(make: Make, path: Path, lock: Path, before_s: float, post: _Post, orders: Connection) -> None:
    finishing = threading.Event()
    with contextlib.ExitStack() as holding:
        try:
            holding.enter_context(held(lock, before_s))
            ledger = _PostedLedger(path, post)
            projector = make(ledger)
            ledger.result = projector.result
            listening = threading.Thread(target=_listen, args=(orders, projector, finishing, post), daemon=True)
            listening.start()
            projector.start()
        except Exception as error:  # noqa: BLE001  told by the one who waits for the stores
            post.tell("refused", _portable(error))
            return
        post.tell("opened", projector.store_names, projector.result, projector.warnings)
        finishing.wait()
        result = projector.finish()
        result.apart = used()
        ledger.close()
        post.tell("done", result, projector.warnings)


def _listen(orders: Connection, projector: Projector, finishing: threading.Event, post: _Post) -> None:
    def derived(asked: Future[None]) -> None:
        error = asked.exception()
        with contextlib.suppress(OSError):  # nobody listens any more
            post.tell("derived", _portable(error) if isinstance(error, Exception) else error)

    while True:
        try:
            order = orders.recv()
        except (EOFError, OSError):
            os._exit(1)  # the run was killed: the next one begins where the ledger stands
        if order == "hurry":
            projector.hurry()
        elif order == "derive":
            projector.derive().add_done_callback(derived)
        else:
            finishing.set()


def _portable(error: Exception) -> Exception:
    """The error as it can travel."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    except Exception:  # noqa: BLE001  whatever its making asks for
        return KGError(str(error) or repr(error))
    return error
