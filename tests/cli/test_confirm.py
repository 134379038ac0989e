"""`--confirm-above`: a dear run asks first on a terminal, and nowhere else."""

from __future__ import annotations

import sys

import pytest

from tests.kg import Kg, write_meetings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals in Python")


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 2)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test", KG_CONFIRM_ABOVE="0.001")


def calls(server) -> int:
    return server.books(log=False)["calls"]


def test_no_sends_nothing_and_says_how_to_go_on(kg, server):
    ran = kg.on_terminal("process", "t", answer="n\n")
    assert ran.code == 1
    assert "This will cost about $0.0" in ran.err
    assert "nothing was sent" in ran.err
    assert calls(server) == 0


def test_yes_goes_on_and_the_plan_that_was_only_estimated_has_left_no_trace(kg, server):
    ran = kg.on_terminal("process", "t", answer="y\n")
    assert ran.code == 0
    assert "Go on?" in ran.err
    assert calls(server) > 0
    assert "documents  2: 2 new" in ran.out


@pytest.mark.parametrize("words", [("--yes",), ("--confirm-above", "5"), ("--no-model",)])
def test_nobody_is_asked_who_said_so_before(kg, words):
    ran = kg.on_terminal("process", "t", *words)
    assert ran.code == 0
    assert "Go on?" not in ran.err


def test_without_a_terminal_nobody_is_asked(kg, server):
    assert kg.process("t")["chunks"]["pending"] == 0
    assert calls(server) > 0


def test_what_is_answered_already_costs_nothing_and_needs_no_consent(kg):
    kg.process("t")
    ran = kg.on_terminal("process", "t")
    assert ran.code == 0
    assert "Go on?" not in ran.err


def test_a_model_without_a_price_is_not_asked_about(kg, server):
    server.configure(any_model=True)
    assert kg.on_terminal("process", "t", "--model", "home-grown").code == 0


@pytest.mark.parametrize("value", ["-1", "nan", "much"])
def test_a_threshold_that_cannot_be_is_refused(kg, value):
    assert kg("process", "t", "--confirm-above", value).code in {1, 2}
