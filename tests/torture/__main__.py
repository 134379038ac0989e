"""`python -m tests.torture [PART …]` breaks runs in every way that docs/reliability.md tells of, and says what came of it."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kg import ROOT
from tests.neo4j_server.server import Server, new_server
from tests.openai_server.fixture import start
from tests.torture import apart, copies, faults, kills, memory, restarts


@dataclass(frozen=True)
class Scene:
    """Where a part works, with which server, how often, and from which seed."""

    base: Path
    server: Any
    times: int
    seed: int


def _kills(scene: Scene) -> str:
    return kills.torture(scene.base, scene.server, scene.times, scene.seed).said()


def _kills_with_neo4j(scene: Scene) -> str:
    with _neo4j() as neo4j:
        return kills.torture(scene.base, scene.server, scene.times, scene.seed, neo4j.address).said()


def _apart(scene: Scene) -> str:
    return apart.torture(scene.base, scene.server, scene.times, scene.seed)


def _faults(scene: Scene) -> str:
    return faults.torture(scene.base, scene.server, scene.times, scene.seed, kinds=faults.matrix())


def _restarts(scene: Scene) -> str:
    with _neo4j() as neo4j:
        return restarts.torture(scene.base, scene.server, neo4j, scene.times)


def _copies(scene: Scene) -> str:
    return copies.torture(scene.base, scene.server, scene.times, scene.seed)


def _memory(scene: Scene) -> str:
    return memory.torture(scene.base, scene.server, scene.times)


# name → (what it does, how often in full)
PARTS: dict[str, tuple[Callable[[Scene], str], int]] = {
    "kills": (_kills, 100),
    "kills-neo4j": (_kills_with_neo4j, 20),
    "apart": (_apart, 30),
    "faults": (_faults, 1_000),
    "restarts": (_restarts, 5),
    "copies": (_copies, 30),
    "memory": (_memory, 1_000_000),
}


@contextmanager
def _neo4j() -> Iterator[Server]:
    neo4j = new_server(killable=True)
    try:
        neo4j.start()
        yield neo4j
    finally:
        neo4j.remove()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all but memory if none is named")
    parser.add_argument("--times", type=int, metavar="N", help="kills, restarts, tricks, or chunks (faults, memory)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    parts = asked.part or [name for name in PARTS if name != "memory"]
    if unknown := [name for name in parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    print(_where(), flush=True)
    failed = 0
    for name in parts:
        work, full = PARTS[name]
        began = time.monotonic()
        print(f"{name}:", flush=True)
        with tempfile.TemporaryDirectory(prefix="kg-torture-") as folder, start() as server:
            try:
                said = work(Scene(Path(folder), server, asked.times or full, asked.seed))
            except AssertionError as error:
                failed += 1
                said = f"FAILED: {error}"
        print(f"{name}: {said} ({time.monotonic() - began:.0f} s, seed {asked.seed})", flush=True)
    sys.exit(1 if failed else 0)


def _where() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{time.strftime('%Y-%m-%d')}, commit {commit or 'unknown'}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
