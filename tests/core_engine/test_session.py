"""What a run is called."""

from __future__ import annotations

import re

from core_engine.session import new_run_id


def test_runs_of_one_second_sort_by_when_they_began() -> None:
    began = [1_796_000_000 + part / 1_000 for part in range(0, 2_000, 3)]
    names = [new_run_id(now) for now in began]
    assert names == sorted(names)
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", name) for name in names)


def test_runs_that_begin_together_are_named_apart() -> None:
    assert len({new_run_id(1_796_000_000.5) for _ in range(10)}) > 1
