"""Runs a command of the user's when a quota is nearly or wholly used, with the alert as JSON on its standard input."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from core_engine.types import LLMCall
from metrics.alerts import ALERTS, payload

log = logging.getLogger("kg.alerts")

_MOST_WAITING = 100
_COMMAND_S = 10.0
_AT_EXIT_S = 4.0
_LEAVING_S, _KILLS = 1.0, 10


class AlertCommand:
    """An Observer. The command runs in a thread's keeping, without a shell, and is killed when it takes too long.

    Its environment has no KG_ variables and no keys, but KG_ALERT, the alert's name.
    """

    def __init__(
        self,
        command: str,
        about: Mapping[str, str],
        environ: Mapping[str, str],
        *,
        command_s: float = _COMMAND_S,
        at_exit_s: float = _AT_EXIT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._words = shlex.split(command)
        self._about = about
        self._environ = environ
        self._limits = command_s, at_exit_s
        self._clock = clock
        self._alerts: queue.Queue[tuple[str, bytes] | None] = queue.Queue(_MOST_WAITING)
        self._running: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._given_up = threading.Event()
        self._warned = False
        self._thread: threading.Thread | None = None

    def call_finished(self, call: LLMCall) -> None:
        """Nothing: only quotas are told."""

    def event(self, name: str, fields: dict[str, Any]) -> None:
        if name not in ALERTS or self._closing.is_set():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="kg-alerts", daemon=True)
            self._thread.start()
        try:
            self._alerts.put_nowait((name, orjson.dumps(payload(name, fields, self._clock(), self._about))))
        except queue.Full:
            self._trouble("is slower than the alerts that come; some are lost")

    def close(self) -> None:
        """Let it finish for at most five seconds, killing included."""
        if self._thread is None:
            return
        self._closing.set()
        self._wake()
        self._thread.join(self._limits[1])
        self._given_up.set()
        for _ in range(_KILLS):  # it may just have started another
            if not self._thread.is_alive():
                return
            self._wake()
            self._kill()
            self._thread.join(_LEAVING_S / _KILLS)

    def _wake(self) -> None:
        with contextlib.suppress(queue.Full):
            self._alerts.put_nowait(None)

    def _work(self) -> None:
        while (alert := self._alerts.get()) and not self._given_up.is_set():
            self._run(*alert)

    def _run(self, name: str, content: bytes) -> None:
        try:
            self._running = subprocess.Popen(  # noqa: S603  the user's own command, from the user's settings
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**self._environ, "KG_ALERT": name},
                start_new_session=True,
            )
            self._running.communicate(content, timeout=self._limits[0])
        except subprocess.TimeoutExpired:
            self._kill()
            self._trouble(f"did not end within {self._limits[0]:g} s and was killed")
        except OSError as error:
            self._trouble(f"can't be run: {error.strerror}")
        else:
            if self._running.returncode:
                self._trouble(f"ended with {self._running.returncode}")

    def _kill(self) -> None:
        """It, and whatever it has started."""
        running = self._running
        if running is None or running.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    def _trouble(self, why: str) -> None:
        """Said once: the run goes on."""
        if not self._warned:
            self._warned = True
            log.warning("the alert command %s: the run goes on without", why)
