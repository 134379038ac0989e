"""How stores are named and points made fit to travel."""

from __future__ import annotations

import re
import struct

import pytest

from core_engine.embeddings.stores.layout import dense_vector, slug, storable
from core_engine.errors import StoreError
from core_engine.types import Point, SparseVector


def test_a_slug_is_readable_short_and_fit_for_folders_and_collections():
    assert slug(None, None) == "bm25"
    assert slug("text-embedding-3-small", 1536).startswith("text-embedding-3-small-1536-")
    for model in ("nomic-ai/nomic-embed:v1.5", "Modell Größe", "模型", "x" * 300, "../..", "CON", "a\ud800"):
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{2,60}", slug(model, 8))


def test_no_two_models_or_sizes_share_a_slug():
    names = [slug(m, d) for m in ("a/b", "a-b", "A/B", "a" * 50, "a" * 51) for d in (8, 16)]
    assert len(set(names)) == len(names)


def test_payload_values_become_what_json_and_the_engine_know():
    payload = {"l": ("a", ["b\ud800"]), "d": {"k\udc00": 1}, "n": None, "f": 1.5, "t": True, "s": "\ud83d\ude00é\x00"}
    assert storable(payload) == {
        "l": ["a", ["b\ufffd"]],
        "d": {"k\ufffd": 1},
        "n": None,
        "f": 1.5,
        "t": True,
        "s": "😀é\x00",
    }


def test_a_dense_vector_is_little_endian_float32_of_the_stores_size():
    nothing = SparseVector((), ())
    assert dense_vector(Point("x", nothing, None, {}), 2) is None
    assert dense_vector(Point("x", nothing, b"\x00\x00\x80\x3f\x00\x00\x00\xc0", {}), 2) == [1.0, -2.0]
    for dense, dimensions in ((b"\x00" * 8, 3), (b"\x00" * 7, 1), (b"\x00" * 8, None)):
        with pytest.raises(StoreError, match="chunk x"):
            dense_vector(Point("x", nothing, dense, {}), dimensions)


def test_a_vector_with_what_is_no_number_is_refused():
    for bad in (float("nan"), float("inf")):
        with pytest.raises(StoreError, match="no number"):
            dense_vector(Point("x", SparseVector((), ()), struct.pack("<2f", 1.0, bad), {}), 2)
