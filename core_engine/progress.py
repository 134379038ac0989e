"""What a run has done so far, in plain counters: written by planner and workers, read by the live view and the report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Trouble:
    """An input that was not read, or not all of it. `where` names the file and, if known, line and column."""

    where: str
    reason: str


@dataclass(slots=True)
class Progress:
    """Counters of one run. Each is written by one thread only."""

    # the planner's
    documents: Counter[str] = field(default_factory=Counter)  # seen, new, changed, removed, renamed
    unreadable: list[Trouble] = field(default_factory=list)
    unreadable_files: set[str] = field(default_factory=set)
    skipped: list[Trouble] = field(default_factory=list)
    warnings: list[Trouble] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)  # documents whose file is gone, kept for want of --prune
    chunks: int = 0
    reused: int = 0
    dead_before: int = 0
    elsewhere: int = 0  # held by a Batch job
    to_buy: int = 0
    planned: bool = False  # all inputs were read
    read_s: float = 0.0
    plan_s: float = 0.0
    read_calls: int = 0

    # the workers'
    batches_done: int = 0
    chunks_done: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    reasked: int = 0
    left_open: Counter[str] = field(default_factory=Counter)  # questions that passing failures left open, by reason
    buried: int = 0  # new dead letters
    pairs_asked: int = 0  # of names, about which a model was asked whether they are one
    pairs_left: int = 0  # more than a run asks about
    waiting: str = ""  # for which Batch jobs, in words
    jobs_pending: int = 0
    first_request_at: float | None = None
    last_commit_at: float | None = None

    def enter(self) -> None:
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def leave(self) -> None:
        self.in_flight -= 1
