"""Poison chunks in one batch: found by halves within the bound, each asked alone once, and the rest paid once."""

from __future__ import annotations

import json
import math
import random

import orjson
import pytest

from tests.kg import Kg, meeting

KINDS = ("wrong_schema", "left_out", "empty", "refusal")


@pytest.mark.parametrize("seed", range(8))
def test_any_number_of_poison_chunks_in_a_batch_of_any_size_takes_no_more_calls_than_the_bound(
    tmp_path, openai_server, seed
):
    chance = random.Random(seed)
    size = chance.randint(2, 20)
    poison = set(chance.sample(range(size), chance.randint(1, min(size, 5))))
    kind = KINDS[seed % len(KINDS)]
    lines = [
        json.dumps(
            {"chunk_id": f"c{n}", "meeting_id": "m", "seq": n, "text": text + (" Zanzibar." if n in poison else "")}
        )
        for n, text in enumerate(meeting(seed, turns=size))
    ]
    (tmp_path / "ready.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    server = openai_server(faults=[{"kind": kind, "stage": "chat", "match": "Zanzibar", "per": "chunk"}])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    report = kg.process("ready.jsonl", "--batch-size", size, "--embedder", "none", code=2)
    bound = len(poison) * (2 * math.ceil(math.log2(size)) + 1)
    assert 0 < report["calls"]["reasked"] <= bound
    assert (report["chunks"]["dead"], report["chunks"]["written"]) == (len(poison), size - len(poison))
    db = kg.ledger()
    dead = [row[0] for row in db.execute("SELECT want_extract FROM chunk WHERE want_extract IS NOT NULL ORDER BY no")]
    asked = [orjson.loads(row[0]) for row in db.execute("SELECT questions FROM call WHERE status = 'answered'")]
    db.close()
    assert [asked.count([question]) for question in dead] == [1] * len(poison)
    replies = report["replies"]
    counted = replies["valid"] + replies["repaired"] + replies["partial"] + sum(replies["invalid_by_reason"].values())
    assert counted == len(asked)
    assert 0 < report["tokens"]["reasked"] < report["tokens"]["prompt"] + report["tokens"]["completion"]


@pytest.mark.parametrize("kind", ["nan", "wrong_count", "wrong_dimension", "html200"])
def test_embeddings_of_which_every_tenth_is_bad_from_the_first_request_on_are_all_found(tmp_path, openai_server, kind):
    texts = [f"Point {n} of the agenda" + (" is Zanzibar." if n % 10 == 5 else ".") for n in range(320)]
    lines = [
        json.dumps({"chunk_id": f"c{n}", "meeting_id": "m", "seq": n, "text": text}) for n, text in enumerate(texts)
    ]
    (tmp_path / "ready.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    fault = {"kind": kind, "stage": "embeddings", "match": "Zanzibar", "per": "chunk"}
    server = openai_server(faults=[fault])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    passing = kind == "html200"
    words = ("ready.jsonl", "--extractor", "rules", "--vector-store", "none", "--retries", 0)
    report = kg.process(*words, code=5 if passing else 2)
    bad = "pending" if passing else "dead"
    assert (report["chunks"][bad], report["chunks"]["written"]) == (32, 288)
    assert report["calls"]["reasked"] <= 32 * (2 * math.ceil(math.log2(320)) + 1)


def test_a_server_that_never_gives_an_embedding_ends_the_run_and_buries_nothing(tmp_path, openai_server):
    (tmp_path / "m.txt").write_text("\n".join(meeting(1, turns=60)) + "\n", encoding="utf-8")
    server = openai_server(faults=[{"kind": "nan", "stage": "embeddings"}])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    report = kg.process("m.txt", "--vector-store", "none", code=5)
    assert report["chunks"]["dead"] == 0
    assert "no number" in report["ended"]
