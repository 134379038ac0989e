"""The bars that cleaning is held to, on QMSum and the gold sets where they are at hand."""

import pytest

from tests.benchmarks.bench_cleaning import kept, saved, sets
from tests.benchmarks.bench_rules import gold_folder

# What Earnings-21 labels here is no name: two words broken off ("Num-", "You-") and an amount with its fillers, of
# which the amount stays.
_NO_LOSS = {"Num-", "You-", "80 to 100, uh, um"}


def test_a_fourth_of_qmsums_tokens_is_taken_out():
    tokens = saved(every=10)
    if tokens is None:
        pytest.skip("QMSum is not here (set KG_SHARED_DATA)")
    _, before, after = tokens
    assert after <= 0.75 * before


@pytest.mark.parametrize("path", sets(gold_folder()), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_entity_or_relationship_is_lost_and_every_place_leads_back(path):
    found = kept(path)
    assert found.entities > 0
    assert set(found.lost_entities) <= _NO_LOSS
    assert found.lost_relations == 0
    assert found.strayed == ()
