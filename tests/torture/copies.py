"""Stores that were wiped, restored from an old copy, or exchanged between two runs: noticed by their epoch, made whole."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

from tests.kg import Kg, write_meetings
from tests.torture.world import WORKSPACE, fresh, held, hold

STORES = ("graph.sqlite3", "vectors")
_MEETINGS = (6, 9, 12)


def torture(base: Path, server: Any, times: int, seed: int) -> str:
    """Play `times` tricks on the stores of a growing workspace. What came of it, in words."""
    chance = random.Random(seed)
    server.reset()
    wholes = {}
    for count in _MEETINGS:
        kg = fresh(base, f"undisturbed{count}", count, 40, OPENAI_BASE_URL=server.url)
        kg.process("t")
        wholes[count] = held(kg)
    stranger = fresh(base, "stranger", 5, 20, OPENAI_BASE_URL=server.url)
    stranger.process("t")
    done = {"wiped": 0, "restored": 0, "exchanged": 0}
    while sum(done.values()) < times:
        kg = fresh(base, "tricked", _MEETINGS[0], 40, OPENAI_BASE_URL=server.url)
        kg.process("t")
        for count in _MEETINGS[1:]:
            copy = base / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(kg.folder / ".kg", copy)
            write_meetings(kg.folder / "t", count, turns=40)
            kg.process("t")
            bought = server.books(log=False)["calls"]
            trick = chance.choice(sorted(done))
            tricked = chance.sample(STORES, chance.randint(1, len(STORES)))
            for name in tricked:
                _play(trick, kg, name, copy if trick == "restored" else stranger.folder / ".kg")
            report = kg.process("t")
            hold(server.books(log=False)["calls"] == bought, f"{trick}: something was bought again")
            said = [note for note in report["notes"] if "all of it is written" in note]
            hold(len(said) == len(tricked), f"{trick} {tricked}: {len(said)} noticed")
            difference = held(kg).differs(wholes[count])
            hold(not difference, f"{trick} {tricked}: {difference}")
            done[trick] += 1
    tricks = ", ".join(f"{count} times {trick}" for trick, count in done.items())
    return f"graph or vectors or both {tricks}: each noticed and said, made whole for nothing, equal to the undisturbed"


def _play(trick: str, kg: Kg, name: str, source: Path) -> None:
    folder = kg.folder / ".kg" / WORKSPACE
    for path in folder.glob(name + "*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if trick != "wiped":
        for path in (source / WORKSPACE).glob(name + "*"):
            target = folder / path.name
            shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
