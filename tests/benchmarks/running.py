"""Runs `kg` as a process of its own, measures it from outside, and prints figures beside their bars."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_OURS = ("OPENAI_", "KG_", "NEO4J_", "QDRANT_", "LANGSMITH_", "LANGCHAIN_", "LANGFUSE_", "POSTHOG_", "OTEL_")
_SAMPLE_S = 0.1
_KG = "import kg_batch; kg_batch.main()"


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished command.

    `anonymous` are samples of the anonymous memory (seconds since start, MB). `together_mb` is the most that all of its
    processes held at one moment, what they share counted once; `peak_mb` adds up each one's own peak. The first two on
    Linux only.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    report: dict[str, Any]
    anonymous: tuple[tuple[float, float], ...]
    together: tuple[float, ...] = ()

    @property
    def together_mb(self) -> float:
        """The most that its processes held together; their peaks' sum where that can't be seen."""
        return max(self.together, default=self.peak_mb)

    @property
    def anonymous_mb(self) -> float:
        """The most anonymous memory that was seen."""
        return max((mb for _, mb in self.anonymous), default=0.0)


def kg(*words: object, folder: Path, prefix: tuple[str, ...] = (), **env: str) -> Ran:
    """`kg WORDS --json` in `folder`, with nothing of ours in the environment but `env`. Raises when it fails.

    `prefix` are arguments of Python's own, such as `-m cProfile -o FILE`.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)} | env
    command = [sys.executable, *prefix, *(() if prefix else ("-c", _KG)), *map(str, words), "--json"]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=clean, stdout=out, stderr=err)
        with _sampled(process.pid) as samples:
            try:
                # The kernel counts the parent's peak as the child's until it execs: this process has to stay small.
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise RuntimeError(f"exit {process.returncode}: {err.read().decode()[-3000:]}")
        report = json.load(out)
    # The report adds up the peaks of the processes that a run has.
    peak = max(_peak_mb(used.ru_maxrss), report.get("machine", {}).get("peak_rss_mb", 0.0))
    anonymous, together = tuple((s, mb) for s, mb, _ in samples), tuple(mb for _, _, mb in samples)
    return Ran(wall, used.ru_utime + used.ru_stime, peak, report, anonymous, together)


@contextlib.contextmanager
def _sampled(pid: int) -> Iterator[list[tuple[float, float, float]]]:
    samples: list[tuple[float, float, float]] = []
    over = threading.Event()

    def sample() -> None:
        began = time.perf_counter()
        while not over.wait(_SAMPLE_S):
            if (mb := anonymous_mb(pid)) is not None:
                samples.append((time.perf_counter() - began, mb, _together_mb(pid)))

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        yield samples
    finally:
        over.set()
        watcher.join()


def anonymous_mb(pid: int) -> float | None:
    """The anonymous memory of a process and of those it started: what they hold apart from files that are mapped.

    None where there is no /proc.
    """
    own = _anonymous_mb(pid)
    return None if own is None else own + sum(_anonymous_mb(child) or 0.0 for child in _children(pid))


def _together_mb(pid: int) -> float:
    """What a process and those it started hold, each page's share of it (PSS): files that are mapped too."""
    return sum(_field_mb(f"/proc/{each}/smaps_rollup", "Pss:") or 0.0 for each in (pid, *_children(pid)))


def _children(pid: int) -> list[int]:
    try:
        listed = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for one in listed for child in one.split()]


def _anonymous_mb(pid: int) -> float | None:
    return _field_mb(f"/proc/{pid}/status", "RssAnon:")


def _field_mb(path: str, name: str) -> float | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name)), None)


def _peak_mb(maxrss: int) -> float:
    return maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6  # Linux tells kilobytes


def import_mb() -> float:
    """Peak memory of a Python that does no more than import what a run with a model imports, and look up one price."""
    code = (
        "import cli.process, core_engine.embeddings.embedder, core_engine.embeddings.stores.edge, cli.live\n"
        "import core_engine.llm.asker, core_engine.llm.client, core_engine.kg.stores.embedded, rich.console\n"
        "from core_engine.types import Usage\n"
        "from metrics.prices import Prices\n"
        "Prices(None, endpoints={}).price('gpt-5-mini', Usage(prompt=1), 'extract')\n"
        "import openai\n"
        "openai.AsyncOpenAI(api_key='x').chat.completions, openai.AsyncOpenAI(api_key='x').embeddings\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError("what kg imports could not be imported; the reason is on stderr")
    return _peak_mb(used.ru_maxrss)


def graph_digest(folder: Path, workspace: str = "default") -> str:
    """A hash of all rows of the embedded graph, taken in a process of its own."""
    code = (
        "import asyncio, hashlib, sys, orjson\nfrom pathlib import Path\n"
        "from core_engine.kg.stores.embedded import EmbeddedGraphStore\n"
        "async def dump():\n"
        "    store = EmbeddedGraphStore(Path(sys.argv[1]), sys.argv[2])\n"
        "    await store.open()\n"
        "    try:\n        return await store.dump()\n"
        "    finally:\n        await store.close()\n"
        "rows = asyncio.run(dump())\n"
        "print(hashlib.sha256(orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)).hexdigest(),\n"
        "      sum(map(len, rows.values())))\n"
    )
    path = folder / ".kg" / workspace / "graph.sqlite3"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path), workspace], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return ran.stdout.strip()


@dataclass(slots=True)
class Table:
    """Figures, their bars, and whether they are met."""

    title: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def at_most(self, figure: str, value: float, bar: float | None = None, unit: str = "", note: str = "") -> None:
        """A figure that should not be above its bar; without one it is only told."""
        said = f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
        met = "" if bar is None else "met" if value <= bar else "NOT MET"
        limit = "" if bar is None else f"<= {bar:g} {unit}".strip()
        self.rows.append((figure + (f" ({note})" if note else ""), f"{said} {unit}".strip(), limit, met))

    def at_least(self, figure: str, value: float, bar: float, note: str = "") -> None:
        """A figure that should not be below its bar."""
        met = "met" if value >= bar else "NOT MET"
        self.rows.append((figure + (f" ({note})" if note else ""), f"{value:,.3g}", f">= {bar:g}", met))

    def fact(self, figure: str, holds: bool, note: str = "") -> None:
        """Something that should be so."""
        self.rows.append((figure + (f" ({note})" if note else ""), "yes" if holds else "no", "yes", _MET[holds]))

    def show(self) -> None:
        print(f"\n{self.title}")
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        for figure, value, bar, met in self.rows:
            line = f"  {figure:{widths[0]}}  {value:>{widths[1]}}  {bar:{widths[2]}}  {met}"
            print(line.rstrip(), flush=True)


_MET = {True: "met", False: "NOT MET"}


def surroundings() -> str:
    """The machine, in a line: seconds mean little without it."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"{os.cpu_count()} cores, load average {load}, Python {sys.version.split()[0]}"
