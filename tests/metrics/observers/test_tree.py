"""Calls hang in traces of run, stage, batch and call, of a size that services can show."""

from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal

from core_engine.types import LLMCall, Usage
from metrics.observers.records import About, Happening, Node, Place, Record, Score
from metrics.observers.tree import Tree

ABOUT = About("run-1", "process", "default", "", {}, "0.1.0")
CALL = LLMCall(
    id="",
    run_id="run-1",
    stage="extract",
    model="m",
    endpoint="e",
    questions=1,
    attempt=1,
    status="answered",
    started_at=100.0,
    duration_s=2.0,
    usage=Usage(10, 4, 5, 1),
    cost=Decimal("0.001"),
)


def call(batch: str, stage: str = "extract", **changes) -> LLMCall:
    return replace(CALL, id=uuid.uuid4().hex, batch_id=batch, stage=stage, **changes)


def grown(calls: list[LLMCall], most: int = 100) -> tuple[list[Record], list[Place]]:
    told: list[Record] = []
    tree = Tree(ABOUT, 99.0, told.append, most=most)
    places = [tree.place(each) for each in calls]
    tree.finish(200.0, {"chunks": 3}, {"valid_replies": (0.5, "1 of 2")}, "")
    return told, places


def ended(told: list[Record], kind: str) -> list[Node]:
    return [node for node in told if isinstance(node, Node) and node.kind == kind and node.ended_at is not None]


def test_calls_of_a_batch_hang_under_it_and_it_under_its_stage_and_that_under_the_run():
    told, places = grown([call("b1"), call("b1"), call("b2"), call("b1", "embed")])
    (run,), stages, batches = ended(told, "run"), ended(told, "stage"), ended(told, "batch")
    assert [len(place.above) for place in places] == [3, 3, 3, 3]
    assert places[0] == places[1]
    assert len({place.parent for place in places}) == 3
    assert {place.trace for place in places} == {run.id}
    assert {node.place.parent for node in batches if node.place} == {node.id for node in stages}
    assert {node.place.parent for node in stages if node.place} == {run.id}


def test_what_calls_took_is_summed_up_at_each_height():
    failed = call("b2", status="failed", usage=Usage(), cost=None)
    told, _ = grown([call("b1"), call("b1"), failed])
    for kind in ("run", "stage", "batch"):
        nodes = ended(told, kind)
        assert sum(node.calls for node in nodes) == 3
        assert sum(node.failed for node in nodes) == 1
        assert sum(node.unpriced for node in nodes) == 1
        assert sum((node.usage for node in nodes), Usage()) == Usage(20, 8, 10, 2)
        assert sum(node.cost for node in nodes) == Decimal("0.002")


def test_a_run_and_its_stages_are_told_when_they_begin():
    told, _ = grown([call("b1")])
    begun = [(node.kind, node.told) for node in told if isinstance(node, Node) and node.ended_at is None]
    assert begun == [("run", False), ("stage", False)]
    assert all(node.told for kind in ("run", "stage") for node in ended(told, kind))


def test_a_large_run_has_several_traces_of_bounded_size_and_loses_no_call():
    told, places = grown([call(f"b{number}") for number in range(25)], most=10)
    runs = ended(told, "run")
    assert [run.name for run in runs] == ["kg process", "kg process (part 2)", "kg process (part 3)"]
    assert [run.calls for run in runs] == [10, 10, 5]
    assert [place.trace for place in places] == [run.id for run in runs for _ in range(run.calls)]
    (score,) = [record for record in told if isinstance(record, Score)]
    assert score.trace == runs[-1].id


def test_no_more_batches_are_kept_open_than_two_hundred():
    told: list[Record] = []
    tree = Tree(ABOUT, 99.0, told.append)
    for number in range(1_000):
        tree.place(call(f"b{number}"))
    assert len(ended(told, "batch")) == 800
    tree.finish(200.0, {}, {}, "")
    assert sum(node.calls for node in ended(told, "batch")) == 1_000


def test_ids_are_those_of_uuids_and_no_two_are_the_same():
    told, _ = grown([call(f"b{number}", stage) for number in range(50) for stage in ("extract", "embed")])
    ids = [node.id for kind in ("run", "stage", "batch") for node in ended(told, kind)]
    assert len(ids) == len(set(ids)) == 103
    assert all(uuid.UUID(one).hex == one for one in ids)


def test_no_more_events_stand_at_a_trace_than_a_hundred():
    told: list[Record] = []
    tree = Tree(ABOUT, 99.0, told.append)
    for number in range(300):
        tree.happened(Happening(str(number), "dead_letter", 1.0, {}))
    tree.finish(200.0, {}, {}, "failed")
    (run,) = ended(told, "run")
    assert (len(run.happened), run.error) == (100, "failed")
