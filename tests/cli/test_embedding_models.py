"""Another embedding model: its vectors in a store of their own, whatever was asked of it so far."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import Server


@pytest.mark.parametrize("other", ["text-embedding-3-large", "text-embedding-ada-002"])
def test_a_change_of_model_that_was_stopped_half_way_leaves_no_vector_in_the_wrong_store(
    kg: Kg, openai_server: Callable[..., Server], other: str
) -> None:
    kg.env |= {"OPENAI_BASE_URL": openai_server().url, "OPENAI_API_KEY": "x"}
    write_meetings(kg.folder / "t", 4)
    first = kg.process("t")
    some = kg.process("t", "--embedding-model", other, "--limit", 1)
    assert (some["exit_code"], some["store_errors"]) == (0, [])
    assert 0 < some["vectors"]["points"] < first["vectors"]["points"]
    assert kg("verify", "--all", "--embedding-model", other).code == 0
    whole = kg.process("t", "--embedding-model", other)
    assert whole["vectors"]["points"] == first["vectors"]["points"]
    assert kg("verify", "--all", "--embedding-model", other).code == 0
    back = kg.process("t", "--embedding-model", "text-embedding-3-small")
    assert (back["calls"]["embedding"], back["vectors"]["points"]) == (0, first["vectors"]["points"])
