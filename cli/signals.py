"""Ctrl-C and SIGTERM: before a run's event loop they end the command, during it they ask the run to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator

from core_engine.errors import Stopped
from core_engine.stopping import Stop

log = logging.getLogger("kg")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOT_BEGUN = "stopped by hand before the run began: nothing was sent"


@contextlib.contextmanager
def heard(stopped: str = _NOT_BEGUN) -> Iterator[None]:
    """Around a command that takes long: SIGTERM is taken as Ctrl-C is, and either ends it in words."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals, and only it is interrupted
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Stopped(stopped) from interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def hurrying(hurry: Callable[[], None]) -> Iterator[list[int]]:
    """Around the wait for a thread that can be told to hurry: a signal tells it, and the wait goes on. Yields what came."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def tell(number: int, _: object) -> None:
        came.append(number)
        hurry()

    before = {number: signal.signal(number, tell) for number in _SIGNALS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def asking(stop: Stop) -> Iterator[None]:
    """Within the event loop: each signal asks the run to stop. Afterwards they are ignored, for what is left is short."""
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if stop.asked:
            log.warning("stopping now: what was answered is in the ledger")
        else:
            log.warning(
                "stopping: nothing new is begun, what is in flight is finished and stored, for at most %g s; "
                "again: stop now",
                stop.grace_s,
            )
        stop.ask()

    handled = []
    for number in _SIGNALS:
        # Windows' event loop has no signal handlers; there Ctrl-C cancels the main task.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, ask)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
