"""The torture in small, so that every change meets it; `just torture` is the whole of it (docs/reliability.md)."""

from __future__ import annotations

import sys

import pytest

from tests.torture import apart, copies, faults, kills
from tests.torture.world import Held

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")


def silent(_: str) -> None:
    """Nobody listens."""


def test_killed_runs_lose_nothing_double_nothing_and_say_what_was_out(tmp_path, openai_server):
    found = kills.torture(tmp_path, openai_server(), 2, seed=11, tell=silent)
    assert found.kills == 2


@pytest.mark.neo4j
def test_killed_runs_into_neo4j_leave_the_same_graph(tmp_path, openai_server, neo4j_server):
    assert kills.torture(tmp_path, openai_server(), 1, seed=5, address=neo4j_server, tell=silent).kills == 1


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
def test_a_projectors_process_that_is_killed_or_orphaned_loses_nothing_and_is_not_left(tmp_path, openai_server):
    assert "no process left" in apart.torture(tmp_path, openai_server(), 1, seed=4, tell=silent)


def test_faults_of_many_chunks_cost_those_chunks_alone(tmp_path, openai_server):
    kinds = [("left_out", "chat"), ("http500", "chat"), ("nan", "embeddings"), ("prose", "chat")]
    said = faults.torture(tmp_path, openai_server(), 40, 3, kinds=kinds, tell=silent)
    assert "0 lost" in said


def test_stores_that_are_not_what_they_were_are_made_whole(tmp_path, openai_server):
    assert "equal to the undisturbed" in copies.torture(tmp_path, openai_server(), 2, seed=2)


def test_two_graphs_that_differ_in_one_weight_or_point_are_told_apart():
    row = {"id": "a", "weight": 1}
    held = Held({"entities": [row]}, {"p": 1})
    assert held.differs(Held({"entities": [dict(row)]}, {"p": 1})) == ""
    assert "entities missing" in held.differs(Held({"entities": [row, {"id": "b", "weight": 1}]}, {"p": 1}))
    assert "entities" in held.differs(Held({"entities": [{"id": "a", "weight": 2}]}, {"p": 1}))
    assert "entities different" in held.differs(Held({"entities": [row, row]}, {"p": 1}))
    assert "points different" in held.differs(Held({"entities": [row]}, {"p": 2}))
    assert "points too many" in held.differs(Held({"entities": [row]}, {}))
