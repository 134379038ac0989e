"""The projector's own process: its run, itself, or both are killed or asked to stop; nothing is lost, and nobody is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kg import Kg
from tests.torture import kills
from tests.torture.kills import LATENCY, MEETINGS, TURNS, WORDS
from tests.torture.world import Held, adds_up, bought_again, fresh, held, hold

APART = {"KG_PROJECTOR": "process"}
_ENDS_S = 20.0
_BY_HAND = 130


def torture(base: Path, server: Any, times: int, seed: int, *, tell: Callable[[str], Any] = print) -> str:
    """`times` runs are killed; a third as often their process for the stores, and as often both get SIGTERM."""
    killed = kills.torture(base, server, times, seed, env=APART, tell=tell)
    chance = random.Random(seed)
    few = max(times // 3, 1)
    whole, _, took = kills.undisturbed(base, server)
    codes: dict[str, Counter[int]] = {}
    for what, harm in (("the child killed", _kill_child), ("SIGTERM to both", _term_all)):
        codes[what] = Counter()
        for _ in range(few):
            after = chance.uniform(0.2 * took, 1.1 * took)
            try:
                codes[what][_one(base, server, whole, after, harm)] += 1
            except AssertionError as error:
                raise AssertionError(f"{what} after {after:.3f} s of seed {seed}: {error}") from error
        tell(f"  {what}: {dict(codes[what])}")
    exits = "; ".join(f"{few} times {what} (exits {dict(codes[what])})" for what in codes)
    return f"{killed.said()}; {exits}: graph and points equal, no stored answer bought twice, no process left"


def _one(base: Path, server: Any, whole: Held, after: float, harm: Callable[[Kg, int], None]) -> int:
    """The exit code of the run that was harmed."""
    server.reset(latency=LATENCY)
    kg = fresh(base, "harmed", MEETINGS, TURNS, OPENAI_BASE_URL=server.url, **APART)
    run = kg.started(*WORDS, "-q", "--grace", 5)
    try:
        out, err = run.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        harm(kg, run.pid)
        out, err = run.communicate(timeout=120)
    # Until Python runs our first line, SIGTERM ends it as it ends any program; then nothing is there yet.
    unheard = run.returncode == -signal.SIGTERM and not (kg.folder / ".kg").exists()
    hold(unheard or run.returncode in {0, 5, 130}, f"exit {run.returncode}: {err[-800:]}")
    hold(run.returncode != _BY_HAND or "stopped" in out + err, f"exit 130 without a word: {err[-800:]}")
    hold("Traceback" not in err, err[-800:])
    nobody_left(kg)
    server.configure(latency=0)
    report = kg.process(*WORDS[1:])
    hold(adds_up(report), f"chunks do not add up: {report['chunks']}")
    hold(report["chunks"]["pending"] == report["chunks"]["dead"] == 0, f"lost: {report['chunks']}")
    hold(bought_again(kg) == 0, "an answer that was stored was bought again")
    difference = held(kg).differs(whole)
    hold(not difference, difference)
    return int(run.returncode)


def _kill_child(kg: Kg, run: int) -> None:
    for pid in _at_work(kg):
        if pid != run and b"spawn_main" in _command(pid):
            _signal(pid, signal.SIGKILL)


def _term_all(kg: Kg, _: int) -> None:
    for pid in _at_work(kg):
        _signal(pid, signal.SIGTERM)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def nobody_left(kg: Kg) -> None:
    """Raises Wrong where a process of the folder's runs still lives, some seconds after the run has ended."""
    deadline = time.monotonic() + _ENDS_S
    while left := _at_work(kg):
        hold(time.monotonic() < deadline, f"left behind: {[_command(pid) for pid in left]}")
        time.sleep(0.05)


def _at_work(kg: Kg) -> list[int]:
    """Processes of other programs than this one whose folder is kg's; none where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(path.name) != os.getpid() and (path / "cwd").resolve(strict=True) == kg.folder.resolve():
                found.append(int(path.name))
        except OSError:  # gone, or somebody else's
            continue
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
