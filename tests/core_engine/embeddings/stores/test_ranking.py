"""Reciprocal rank fusion: what several rankings know together."""

from __future__ import annotations

import pytest

from core_engine.embeddings.stores.ranking import depth, fuse


def test_one_ranking_keeps_its_scores_and_is_cut():
    assert fuse([[("a", 3.0), ("b", 2.0), ("c", 1.0)]], 2) == [("a", 3.0), ("b", 2.0)]


def test_what_both_rankings_know_stands_above_what_only_one_does():
    fused = fuse([[("a", 9.0), ("b", 8.0)], [("c", 0.9), ("b", 0.8)]], 3)
    assert fused[0] == ("b", pytest.approx(1 / 62 + 1 / 62))
    assert fused[1:] == [("a", pytest.approx(1 / 61)), ("c", pytest.approx(1 / 61))]


def test_equals_stand_by_id_in_whatever_order_they_came():
    assert fuse([[("b", 1.0), ("a", 1.0)]], 2) == fuse([[("a", 1.0), ("b", 1.0)]], 2) == [("a", 1.0), ("b", 1.0)]


def test_rankings_are_read_deeper_than_what_is_shown():
    assert depth(10) == 100
    assert depth(200) == 600
