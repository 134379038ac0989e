"""Every fault of the test server about one chunk in twenty, with the limiter on: what is good is kept, and paid once."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.core_engine.test_bad_replies import ANSWERED_OTHERWISE, DEAD, ENDS, KINDS, OPEN
from tests.kg import Kg
from tests.torture.world import Held, adds_up, bought_again, fresh, held, hold, one

MARK = "Zanzibar"
TURNS = 60
SHARE = 0.05
BATCH = 10
MOST_INPUTS = 512  # of one embedding request
LIMITS = {"rpm": 6_000, "tpm": 60_000_000}
WORDS = ("process", "t", "--batch-size", BATCH, "--max-concurrent", 20, "--retries", 0)
_LEAVES_SOME = {"invalid_json", "truncated"}  # what is whole in such a reply is kept, so that not all of them die
_SLOW = {"drip", "endless_chunked", "hang"}
_SLOW_WORDS = ("--timeout", 5, "--retries", 1)  # a good reply may take a second on a busy machine


def matrix() -> list[tuple[str, str]]:
    """(fault, stage) of all that does not end the run."""
    return [(kind, stage) for kind, stage in KINDS if kind not in ENDS]


def torture(
    base: Path, server: Any, chunks: int, seed: int, *, kinds: list[tuple[str, str]], tell: Callable[[str], Any] = print
) -> str:
    """One run of about `chunks` chunks per fault. What came of it, in words; raises Wrong at what should not be."""
    server.reset(**LIMITS)
    kg = _fresh(base, "undisturbed", chunks, seed, server)
    report = kg.process(*WORDS[1:])
    whole, total = held(kg), report["chunks"]["total"]
    poison = _poison(kg)
    asked = reasked = 0
    wrong = []
    for kind, stage in kinds:
        try:
            calls, again = _one(_fresh(base, "faulty", chunks, seed, server), server, kind, stage, whole, total, poison)
        except AssertionError as error:
            wrong.append(f"{kind} of {stage}: {error}")
            tell(f"  FAILED {wrong[-1]}")
            continue
        asked += calls
        reasked += again
        tell(f"  {kind} {stage}: {calls} calls, {again} of them asked again")
    hold(not wrong, "; ".join(wrong))
    return (
        f"{len(kinds)} faults, each about {len(poison)} of {total:,} chunks: 0 lost, 0 good answers bought twice, dead "
        f"letters and open questions are exactly those chunks; {asked:,} calls, {reasked:,} of them asked again (at most "
        f"{most_calls('chat', total)} a poison chunk, {most_calls('embeddings', total)} for embeddings); after `kg retry` the graph and the points are those of the undisturbed run"
    )


def most_calls(stage: str, chunks: int) -> int:
    """For each of k poison chunks in a request of n: k(2⌈log₂ n⌉ + 1) further calls at most."""
    together = BATCH if stage == "chat" else min(MOST_INPUTS, chunks)
    return 2 * math.ceil(math.log2(together)) + 1


def _fresh(base: Path, name: str, chunks: int, seed: int, server: Any) -> Kg:
    meetings = max(chunks // 10, 1)  # sixty turns are ten chunks
    kg = fresh(base, name, meetings, TURNS, OPENAI_BASE_URL=server.url)
    chance = random.Random(seed)
    # The first meeting is whole: a server that never answered anything is taken for a sick one, and ends the run.
    for number in range(1, meetings):
        path = kg.folder / "t" / f"m{number}.txt"
        lines = path.read_text(encoding="utf-8").splitlines()
        # A chunk is about six turns.
        lines = [
            f"{line} {MARK}." if at % 6 == 0 and chance.random() < SHARE else line for at, line in enumerate(lines)
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return kg


def _poison(kg: Kg) -> set[bytes]:
    """The ids of the chunks that hold the mark."""
    with_mark = kg.graph()["chunks"]
    return {row["id"] for row in with_mark if MARK in row["text"]}


def _one(kg: Kg, server: Any, kind: str, stage: str, whole: Held, total: int, poison: set[Any]) -> tuple[int, int]:
    server.reset(**LIMITS, faults=[{"kind": kind, "stage": stage, "match": MARK, "per": "chunk"}])
    ran = kg(*WORDS, "--json", *(_SLOW_WORDS if kind in _SLOW else ()))
    hold(ran.code in {0, 2, 5}, f"exit {ran.code}: {ran.err[-500:]}")
    report = ran.report
    chunks = report["chunks"]
    hold(adds_up(report), f"chunks do not add up: {chunks}")
    hold(chunks["total"] == total, f"{chunks['total']} chunks of {total}")
    hold(bought_again(kg) == 0, "an answer was bought twice")
    column = "extract" if stage == "chat" else "embed"
    bad = {row[0] for row in one(kg, f"SELECT hex(id) FROM chunk WHERE want_{column} IS NOT NULL")}
    marked = {identity.replace("-", "").upper() for identity in poison}
    if kind in _LEAVES_SOME:
        hold(bad <= marked, f"{len(bad - marked)} good chunks are without an answer")
    else:
        named = marked if kind in OPEN or kind in DEAD[stage] else set()
        hold(bad == named, f"{len(bad)} chunks are without an answer, {len(named)} are poisoned")
    expected = {"dead": 0, "pending": len(bad)} if kind in OPEN else {"dead": len(bad), "pending": 0}
    hold({name: chunks[name] for name in expected} == expected, f"{chunks}, expected {expected}")
    again, most = report["calls"]["reasked"], most_calls(stage, total)
    hold(again <= most * len(poison), f"{again} calls asked again for {len(poison)} poison chunks")
    calls = report["calls"]["chat"] + report["calls"]["embedding"]
    server.configure(faults=[])
    healed = kg(*(("retry", "--retries", 0) if report["dead_letters"] else WORDS), "--json")
    hold(healed.code == 0, f"afterwards exit {healed.code}: {healed.err[-500:]}")
    hold(adds_up(healed.report), "afterwards chunks do not add up")
    hold(bought_again(kg) == 0, "afterwards an answer was bought twice")
    difference = "" if kind in ANSWERED_OTHERWISE else held(kg).differs(whole)
    hold(not difference, difference)
    return calls, again
