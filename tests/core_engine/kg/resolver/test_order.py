"""Who is who depends on what is in the ledger, not on the order in which it came, nor on where a run was stopped."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core_engine.kg.resolver.resolver import Resolver
from core_engine.ledger.ledger import Ledger
from tests.core_engine.kg.resolver.world import WORKSPACE, World
from tests.scenes import TUNING, scenes

DOCUMENTS = [(scene, document) for scene in scenes(TUNING) for document in scene.turns]


class Killed(Exception):
    pass


def killed_after(looks: int) -> Callable[[], None]:
    left = [looks]

    def look() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return look


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[tuple[str, int]]]:
    """Some documents, and the steps by which a ledger came to hold just them."""
    chosen = draw(st.lists(st.integers(0, len(DOCUMENTS) - 1), min_size=2, max_size=8, unique=True))
    strangers = draw(st.lists(st.integers(0, len(DOCUMENTS) - 1), max_size=2, unique=True))
    steps: list[tuple[str, int]] = [("write", at) for at in draw(st.permutations(chosen))]
    for stranger in strangers:
        if stranger not in chosen:
            put = draw(st.integers(0, len(steps)))
            out = draw(st.integers(put, len(steps)))
            steps.insert(put, ("write", stranger))
            steps.insert(out + 1, ("drop", stranger))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(steps)))
        steps.insert(at, ("resolve", draw(st.integers(0, 6))))
    return chosen, steps


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories())
@example(
    # Killed when names of a document that went were taken out of their blocks, and the blocks not yet looked at.
    (
        [0, 1],
        [
            ("write", 4),
            ("resolve", 3),
            ("drop", 4),
            ("resolve", 2),
            ("write", 2),
            ("drop", 2),
            ("write", 0),
            ("write", 1),
        ],
    )
)
def test_any_order_of_documents_and_any_interruption_give_the_same_entities(history):
    chosen, steps = history
    with tempfile.TemporaryDirectory() as folder:
        with Ledger(Path(folder) / "at-once.sqlite3") as ledger:
            at_once = World(ledger)
            for at in sorted(chosen):
                at_once.write_scene(*DOCUMENTS[at])
            at_once.resolve()
            expected = at_once.entities(), at_once.edges(), at_once.candidates()
        with Ledger(Path(folder) / "in-steps.sqlite3") as ledger:
            world = World(ledger)
            for step, number in steps:
                if step == "write":
                    world.write_scene(*DOCUMENTS[number])
                elif step == "drop":
                    world.drop(DOCUMENTS[number][1])
                else:
                    _stopped(world, number)
            world.resolve()
            assert (world.entities(), world.edges(), world.candidates()) == expected


def _stopped(world: World, looks: int) -> None:
    """Resolve, but be killed at some moment."""
    world.derive()
    with contextlib.suppress(Killed):
        Resolver(WORKSPACE, world.ontology, killed_after(looks)).resolve(world.ledger)


def test_a_second_look_at_the_same_finds_nothing_to_do(tmp_path):
    with Ledger(tmp_path / "l.sqlite3") as ledger:
        world = World(ledger)
        for at in range(6):
            world.write_scene(*DOCUMENTS[at])
        assert world.resolve() > 0
        looked = []
        assert Resolver(WORKSPACE, world.ontology, lambda: looked.append(1)).resolve(ledger) == 0
        assert looked == []


@pytest.mark.parametrize("mode", ["none", "rules"])
def test_going_back_to_another_mode_and_forth_is_as_if_nothing_had_been(tmp_path, mode):
    with Ledger(tmp_path / "l.sqlite3") as ledger:
        world = World(ledger)
        for at in range(8):
            world.write_scene(*DOCUMENTS[at])
        world.resolve("model")
        before = world.entities()
        world.resolve(mode)
        assert (world.groups() == set()) is (mode == "none")
        world.resolve("model")
        assert world.entities() == before
