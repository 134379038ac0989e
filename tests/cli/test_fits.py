"""Limits of tokens that hold no batch make smaller ones; those that hold no chunk are refused before anything is sent."""

from __future__ import annotations

import json
import re

import pytest

from tests.kg import Kg, write_meetings


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 3)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")


def calls(ran):
    assert ran.code == 0, ran.err
    return json.loads(ran.out)["calls"]["chat"]


@pytest.mark.parametrize("command", ["process", "estimate"])
def test_a_tpm_too_small_for_one_chunk_is_refused_and_the_one_it_names_is_not(kg, server, command):
    ran = kg(command, "t", "--tpm", 2_000)
    assert ran.code == 1
    named = re.search(r"--tpm 2,000 is too small: .* give --tpm (\d+) or more", ran.err)
    assert named, ran.err
    assert server.books()["calls"] == 0
    assert calls(kg("estimate", "t", "--tpm", named[1], "--json")) > 1


def test_a_tpm_that_holds_fewer_chunks_than_a_batch_makes_smaller_batches_and_says_so(kg, caplog):
    whole, smaller = kg("estimate", "t", "--json"), kg("estimate", "t", "--tpm", 8_000, "--json")
    assert "batches of 5 (--tpm 14,000 would hold them)" in caplog.text
    assert calls(smaller) >= 1.5 * calls(whole)
    assert calls(kg("estimate", "t", "--tpm", 14_000, "--json")) == calls(whole)


@pytest.mark.parametrize("option", ["--tpm", "--embedding-tpm"])
def test_a_limit_too_small_for_one_embedding_is_refused_by_its_name(kg, option):
    ran = kg("process", "t", "--extractor", "rules", "--embedder", "openai", option, 100)
    assert ran.code == 1
    assert f"{option} 100 is too small: the embedding of one chunk may take 300 tokens" in ran.err


def test_without_a_model_no_limit_is_too_small(tmp_path):
    write_meetings(tmp_path / "t", 1)
    assert Kg(tmp_path).process("t", "--tpm", 1)["chunks"]["dead"] == 0
