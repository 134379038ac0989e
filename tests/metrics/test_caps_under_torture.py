"""The torture of caps in its short form: `tests/benchmarks/bench_caps.py` has the long one."""

from __future__ import annotations

from tests.benchmarks.bench_caps import torture


def test_random_caps_hold_and_no_run_stops_with_room_for_one_more_call(openai_server):
    counts, wrong = torture(6, 7, openai_server())
    assert wrong == []
    assert counts["exit 3"] >= 2
