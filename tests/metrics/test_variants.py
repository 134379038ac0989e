"""How sure a comparison is, on figures that are known."""

from __future__ import annotations

import random

import pytest

from metrics.variants import Gathered, _between, _median, _ratio, _share, _total, _verdict

_COST, _CHUNKS, _FACTS = 0, 1, 2


def gathered(name: str, documents: int, cost: float, facts: float, seed: int = 1) -> Gathered:
    """So many documents of one to nine chunks, whose costs and facts lie around these a chunk."""
    rng = random.Random(seed)
    one = Gathered(name, calls=documents)
    for document in range(documents):
        chunks = rng.randint(1, 9)
        found = sum(rng.random() < facts / 10 for _ in range(10 * chunks))
        one.sums[document] = [chunks * cost * rng.uniform(0.8, 1.2), chunks, found, 0, found, found]
    one.verdicts["good"] = documents
    return one


def test_wilsons_interval_of_nine_in_ten() -> None:
    share = _share(9, 10)
    assert share.value == 0.9
    assert share.interval == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert _share(0, 0).value is None


def test_the_median_has_the_interval_of_its_order_statistics() -> None:
    values = [float(number) for number in range(100)]
    assert _median(values).value == 49.0
    assert _median(values).interval == (40.0, 60.0)
    assert _median([1.0]).interval is None


def test_the_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    held = 0
    for seed in range(60):
        low, high = _ratio(gathered("m", 80, 0.002, 3.0, seed), _FACTS, _CHUNKS).interval or (0, 0)
        held += low <= 3.0 <= high
    assert held >= 52


def test_more_documents_than_are_drawn_are_taken_together_and_nothing_is_lost() -> None:
    many = gathered("m", 5_000, 0.002, 3.0)
    estimate = _ratio(many, _COST, _CHUNKS)
    low, high = estimate.interval or (0, 0)
    assert low < _total(many, _COST) / _total(many, _CHUNKS) < high
    assert high - low < 0.0001


def test_the_same_figures_give_the_same_interval() -> None:
    one, other = gathered("a", 50, 0.002, 3.0), gathered("b", 50, 0.001, 3.0, 2)
    assert _between(one, other, _COST, _CHUNKS) == _between(one, other, _COST, _CHUNKS)


def test_half_the_price_at_the_same_yield_is_said_plainly() -> None:
    verdict = _verdict(gathered("m1", 200, 0.002, 3.0), gathered("m2", 200, 0.001, 3.0, 2))
    assert verdict.startswith("m2 costs 51% less a chunk than m1 (50% to 52%), at 103% of the yield (99% to 107%")
    assert "no difference can be told" in verdict
    assert "Too few" not in verdict


def test_a_poorer_yield_is_no_chance_and_a_few_documents_are_too_few() -> None:
    verdict = _verdict(gathered("m1", 200, 0.002, 4.0), gathered("m2", 200, 0.002, 2.0, 2))
    assert "no difference can be told), at 49% of the yield (47% to 51%)" in verdict
    assert verdict.count("no difference") == 1
    assert "Too few documents to be sure: 4 of one of them" in _verdict(
        gathered("m1", 200, 0.002, 4.0), gathered("m2", 4, 0.002, 4.0, 2)
    )


def test_without_prices_no_cost_is_claimed() -> None:
    base, other = gathered("m1", 50, 0.002, 3.0), gathered("m2", 50, 0.001, 3.0, 2)
    other.unpriced = 1
    assert "m2 against m1: the cost of one of them is not known" in _verdict(base, other)


def test_one_document_each_has_no_interval() -> None:
    verdict = _verdict(gathered("m1", 1, 0.002, 5.0), gathered("m2", 1, 0.001, 5.0))
    assert "m2 costs 50% of what m1 does" in verdict
    assert "Too few documents" in verdict
