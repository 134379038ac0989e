"""`kill -9` at random moments of a run, then the same command to its end: nothing lost, doubled, or paid twice unsaid."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kg import Kg
from tests.neo4j_server.server import Address
from tests.torture.world import Held, adds_up, bought_again, fresh, held, hold, one, wipe

MEETINGS, TURNS = 12, 50
CONCURRENT = 4
AHEAD = 2  # calls whose rows may be committed while they wait for a place (decision 14)
WORDS = ("process", "t", "--batch-size", 2, "--max-concurrent", CONCURRENT)
_STARTED = 0.35  # before this share of the time Python is still importing, and there is little to break
LATENCY = "lognormal:0.15:0.4"


@dataclass
class Kills:
    """What came of the kills so far. `paid_twice` and `in_flight` count questions for extraction."""

    kills: int = 0
    too_late: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    paid_twice: int = 0
    in_flight: int = 0
    most_calls: int = 0
    taken_up: int = 0

    def said(self) -> str:
        moments = ", ".join(f"{count} {name}" for name, count in sorted(self.moments.items()))
        return (
            f"{self.kills} kills ({moments}; {self.too_late} more came after the end); "
            f"0 chunks lost, 0 rows or points missing, doubled or different; {self.taken_up} stored replies that nobody "
            f"had read were taken up; {self.paid_twice} answers paid twice of {self.in_flight} that were in flight "
            f"(at most {self.most_calls} calls at once, {CONCURRENT} allowed and {AHEAD} about to be sent), each named with "
            "its ceiling"
        )


def undisturbed(base: Path, server: Any) -> tuple[Held, int, float]:
    """What a run that nobody disturbs leaves in embedded stores, its chunks, and the seconds that it takes."""
    server.reset(latency=LATENCY)
    kg = fresh(base, "undisturbed", MEETINGS, TURNS, OPENAI_BASE_URL=server.url)
    began = time.monotonic()
    run = kg.started(*WORDS, "-q")
    run.communicate()
    took = time.monotonic() - began
    hold(run.returncode == 0, "the undisturbed run failed")
    [(chunks,)] = one(kg, "SELECT count(*) FROM chunk")
    return held(kg), chunks, took


def torture(
    base: Path,
    server: Any,
    times: int,
    seed: int,
    address: Address | None = None,
    *,
    env: Mapping[str, str] | None = None,
    tell: Any = print,
) -> Kills:
    """Kill `times` runs, which have `env` beside what they need. Raises Wrong at the first promise that is broken, naming the trial."""
    chance = random.Random(seed)
    whole, chunks, took = undisturbed(base, server)
    found = Kills()
    trial = 0
    while found.kills < times:
        trial += 1
        server.reset(latency=LATENCY)
        if address:
            wipe(address)
        more = {**(address.env if address else {}), **(env or {})}
        kg = fresh(base, "killed", MEETINGS, TURNS, OPENAI_BASE_URL=server.url, **more)
        after = chance.uniform(_STARTED * took, took)
        try:
            _one(kg, server, whole, chunks, after, found, address)
        except AssertionError as error:
            raise AssertionError(f"trial {trial} of seed {seed}, killed after {after:.3f} s: {error}") from error
        if trial % 10 == 0:
            tell(f"  {found.kills} kills")
    return found


def _one(kg: Kg, server: Any, whole: Held, chunks: int, after: float, found: Kills, address: Address | None) -> None:
    run = kg.started(*WORDS, "-q")
    try:
        run.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        run.kill()
        run.communicate()
    killed = run.returncode == -9
    sent = one(kg, "SELECT stage, json_array_length(questions) FROM call WHERE status = 'sent'")
    started = one(kg, "SELECT 1 FROM run")
    unread = one(kg, "SELECT 1 FROM call WHERE NOT parsed")
    answered = one(kg, "SELECT 1 FROM question WHERE state = 2")
    if killed:
        found.kills += 1
        found.moments[_moment(bool(started), len(sent), len(answered), chunks)] += 1
    else:
        found.too_late += 1
    lost = sum(count for stage, count in sent if stage == "extract")
    found.most_calls = max(found.most_calls, len(sent))
    hold(len(sent) <= CONCURRENT + AHEAD, f"{len(sent)} calls were in flight")
    server.configure(latency=0)
    report = kg.process(*WORDS[1:])
    hold(adds_up(report), f"chunks do not add up: {report['chunks']}")
    hold(report["chunks"]["total"] == chunks, f"{report['chunks']['total']} chunks of {chunks}")
    hold(report["chunks"]["pending"] == report["chunks"]["dead"] == 0, f"lost: {report['chunks']}")
    recovered = report["recovered"]
    hold(recovered["unknown_calls"] == len(sent), f"{len(sent)} calls were in flight, and {recovered} is said")
    hold(not sent or recovered["unknown_at_most"] > 0, "calls in flight without a price at most")
    hold(len(unread) == 0 or recovered["answers"] > 0, "stored replies were not taken up")
    found.taken_up += recovered["answers"]
    bought = server.books(log=False)["by_model"]["gpt-5-mini"]["questions"]
    hold(chunks <= bought <= chunks + lost, f"{bought} answers were paid for {chunks} chunks, {lost} were in flight")
    hold(bought_again(kg) == 0, "an answer that was stored was bought again")
    found.paid_twice += bought - chunks
    found.in_flight += lost
    if difference := held(kg, address).differs(whole):
        raise AssertionError(difference)
    server.reset()
    again = kg.process(*WORDS[1:])
    hold(server.books(log=False)["calls"] == 0, "a third run asked again")
    hold(again["graph"]["units_written"] == 0, "a third run wrote again")


def _moment(started: bool, sent: int, answered: int, chunks: int) -> str:
    if not started:
        return "before the run began"
    if sent:
        return "with calls in flight"
    if answered < chunks:
        return "between calls"
    return "with everything answered"
