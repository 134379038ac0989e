"""Runs `kg` as a user would, inside or outside this process, and looks at what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import app

if TYPE_CHECKING:
    from core_engine.kg.stores.embedded import EmbeddedGraphStore
    from core_engine.kg.stores.neo4j import Neo4jGraphStore
    from tests.neo4j_server.server import Address

ROOT = Path(__file__).parent.parent
_OURS = (
    "OPENAI_",
    "KG_",
    "NEO4J_",
    "QDRANT_",
    "LANGSMITH_",
    "LANGCHAIN_",
    "LANGFUSE_",
    "POSTHOG_",
    "OTEL_",
    "PHOENIX_",
)


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.out)


class Kg:
    """`kg` in a folder of its own, with only the environment that the test gives it."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.env = env

    def __call__(self, *words: object, **env: str) -> Ran:
        """Run inside this process."""
        out, err = io.StringIO(), io.StringIO()
        code = 0
        to_buffers = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
        with _surroundings(self.folder, {**self.env, **env}), to_buffers[0], to_buffers[1]:
            try:
                app.run([str(word) for word in words])
            except SystemExit as leaving:
                code = leaving.code if isinstance(leaving.code, int) else 1
        return Ran(code, out.getvalue(), err.getvalue())

    def process(self, *words: object, code: int = 0, **env: str) -> dict[str, Any]:
        """`kg process … --json`: its report, after checking the exit code."""
        ran = self("process", *words, "--json", **env)
        assert ran.code == code, f"exit {ran.code}\n{ran.err}\n{ran.out[-2000:]}"
        return ran.report

    def started(self, *words: object, **env: str) -> subprocess.Popen[str]:
        """Start in a process of its own, for signals and kills."""
        command = [sys.executable, "-c", "import kg_batch; kg_batch.main()", *map(str, words)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        clean |= {"PYTHONPATH": str(ROOT), **self.env, **env}
        return subprocess.Popen(
            command, cwd=self.folder, env=clean, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def on_terminal(self, *words: object, answer: str = "", **env: str) -> Ran:
        """Run in a process of its own that is asked things on a terminal; `answer` is typed ahead. `err` is its screen."""
        import pty  # no Windows has it

        keyboard, terminal = pty.openpty()
        command = [sys.executable, "-c", "import kg_batch; kg_batch.main()", *map(str, words)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        clean |= {"PYTHONPATH": str(ROOT), **self.env, **env}
        with subprocess.Popen(
            command, cwd=self.folder, env=clean, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal
        ) as process:
            os.close(terminal)
            os.write(keyboard, answer.encode())
            screen = b""
            with contextlib.suppress(OSError):  # Linux's way to say that nobody is there any more
                while shown := os.read(keyboard, 65_536):
                    screen += shown
            out = process.stdout.read() if process.stdout else b""
        os.close(keyboard)
        return Ran(process.returncode, out.decode(), screen.decode())

    def ledger(self, workspace: str = "default") -> sqlite3.Connection:
        """The ledger, for looking in (and for tests that put it into a state)."""
        return sqlite3.connect(self.folder / ".kg" / workspace / "ledger.sqlite3", isolation_level=None)

    def graph(self, workspace: str = "default") -> dict[str, list[Any]]:
        """All rows of the embedded graph store, sorted."""
        from core_engine.kg.stores.embedded import EmbeddedGraphStore

        return dumped(EmbeddedGraphStore(self.folder / ".kg" / workspace / "graph.sqlite3", workspace))


def neo4j_graph(address: Address, workspace: str) -> dict[str, list[Any]]:
    """All rows of a workspace in a Neo4j, sorted."""
    from core_engine.kg.stores.neo4j import Neo4jGraphStore

    return dumped(Neo4jGraphStore(address.uri, address.user, address.password, address.database, workspace))


def dumped(store: EmbeddedGraphStore | Neo4jGraphStore) -> dict[str, list[Any]]:
    """All rows of a graph store, sorted."""

    async def dump() -> dict[str, list[Any]]:
        await store.open()
        try:
            return await store.dump()
        finally:
            await store.close()

    return asyncio.run(dump())


@contextlib.contextmanager
def _surroundings(folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    before_env, before_folder = dict(os.environ), Path.cwd()
    before_signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for name in list(os.environ):
        if name.startswith(_OURS):
            del os.environ[name]
    os.environ.update(env)
    os.chdir(folder)
    try:
        yield
    finally:
        for number, handler in before_signals.items():
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)
        os.chdir(before_folder)
        os.environ.clear()
        os.environ.update(before_env)


PEOPLE = ("Ann Lee", "Bob Marsh", "Carla Diaz", "Wei Chen")
FIRMS = ("Northwind Mills", "Harbor Logistics", "Quill Systems", "Meadow Bank")


def meeting(number: int, turns: int = 40) -> list[str]:
    """The lines of an invented meeting, `Name: words`, different for each number and of every line."""
    lines = []
    for turn in range(turns):
        who, other = PEOPLE[(turn + number) % 4], PEOPLE[(turn * 3 + number + 1) % 4]
        firm = FIRMS[(turn // 3 + number) % 4]
        lines.append(
            f"{who}: In meeting {number} point {turn}, {other} said that {firm} will ship the Falcon project "
            f"to Rotterdam by week {turn + 2}, and the board of {firm} agreed on item {number * 100 + turn}."
        )
    return lines


def write_meetings(folder: Path, count: int, turns: int = 40) -> list[Path]:
    """So many meetings as text files m0.txt, m1.txt, …"""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / f"m{number}.txt"
        path.write_text("\n".join(meeting(number, turns)) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Look every few milliseconds, until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
