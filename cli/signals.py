"""Ctrl-C and SIGTERM, which are taken alike, in each part of a command's life.

While Python and the command are loaded, they end the process at once (`kg_batch.main`). Then they interrupt the command,
or ask the run to stop. When all is done they change nothing any more: the exit code says what became of the run.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from core_engine.errors import Stopped

if TYPE_CHECKING:
    from core_engine.stopping import Stop

log = logging.getLogger("kg")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOT_BEGUN = "stopped by hand before the run began: nothing was sent"


def interrupting() -> None:
    """From now on either raises KeyboardInterrupt in the main thread."""
    _handle(signal.default_int_handler)


def ignored() -> None:
    """From now on neither does anything: what is left to do is short."""
    _handle(signal.SIG_IGN)


def _handle(handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():  # only it may, and only it is interrupted
        for number in _SIGNALS:
            signal.signal(number, handler)


@contextlib.contextmanager
def heard(stopped: str = _NOT_BEGUN) -> Iterator[None]:
    """Around a run: either ends it in words. Afterwards they are ignored."""
    interrupting()
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Stopped(stopped) from interrupt
    finally:
        ignored()


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
    import asyncio  # every command loads this module

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
