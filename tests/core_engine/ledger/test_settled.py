"""What a plan need not read: never a document that lacks an answer, whatever happened to it."""

from __future__ import annotations

import random

import pytest

from core_engine import keys
from core_engine.ledger import documents
from tests.kg import Kg, meeting, write_meetings


def unasked(kg: Kg) -> list[str]:
    """Documents that a plan would pass over although one of their chunks lacks its answer."""
    db = kg.ledger()
    found = []
    hashes = dict(db.execute("SELECT no, hash FROM spec"))
    for document, extract, embed, chunks in db.execute("SELECT * FROM settled").fetchall():
        if documents.settled_chunks(db, document, extract, embed) is None:
            continue
        planned = documents.planned_chunks(db, document)
        for chunk in planned:
            wrong = chunk.extract_key != keys.key(hashes[extract], chunk.content)
            if embed and chunk.words != keys.NO_WORDS:
                wrong = wrong or chunk.embed_key != keys.key(hashes[embed], chunk.words)
            if wrong or len(planned) != chunks:
                found.append(f"document {document}, chunk {chunk.no}")
    db.close()
    return found


def passed_over(kg: Kg) -> int:
    db = kg.ledger()
    rows = db.execute("SELECT document, extract, embed FROM settled").fetchall()
    count = sum(documents.settled_chunks(db, *row) is not None for row in rows)
    db.close()
    return count


@pytest.mark.parametrize("seed", range(8))
def test_no_document_that_lacks_an_answer_is_passed_over_whatever_happens(tmp_path, openai_server, seed):
    chance = random.Random(seed)
    server = openai_server()
    write_meetings(tmp_path / "t", 5, turns=20)
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    stores = ("--vector-store", "none", "--graph-store", "none")

    def edit() -> None:
        path = tmp_path / "t" / f"m{chance.randrange(5)}.txt"
        lines = meeting(chance.randrange(9), turns=20)
        lines[chance.randrange(20)] += " That was agreed."
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def poison() -> None:
        server.configure(faults=[{"kind": "refusal", "stage": "chat", "rate": 0.3, "per": "chunk"}])

    happenings = {
        "run": lambda: kg("process", "t", *stores),
        "other model": lambda: kg("process", "t", "--model", "gpt-4o-mini", *stores),
        "rules": lambda: kg("process", "t", "--extractor", "rules", *stores),
        "no embeddings": lambda: kg("process", "t", "--embedder", "none", *stores),
        "some": lambda: kg("process", "t", "--limit", chance.randint(1, 9), "--model", "gpt-4o-mini", *stores),
        "rechunk": lambda: kg("process", "t", "--rechunk", "--chunk-size", chance.choice((900, 1200)), *stores),
        "edit": edit,
        "poison": poison,
        "cured": lambda: server.configure(faults=[]),
        "retry": lambda: kg("retry", "--model", chance.choice(("gpt-5-mini", "gpt-4o-mini")), *stores),
        "forget a speaker": lambda: kg("forget", "Ann Lee", "--speaker", "--yes", *stores),
        "forget a document": lambda: kg("forget", "m4.txt", "--document", "--yes", *stores),
    }
    done = []
    kg("process", "t", *stores)
    for name in [*chance.choices(list(happenings), k=10), "cured", "run", "retry", "run"]:
        happenings[name]()
        done.append(name)
        assert not unasked(kg), " > ".join(done)
    report = kg.process("t", *stores)
    assert report["calls"]["chat"] == 0
    assert 0 < passed_over(kg) <= report["documents"]["seen"]


def test_a_run_that_finds_all_settled_reports_as_one_that_reads_every_chunk(tmp_path, openai_server):
    write_meetings(tmp_path / "t", 4)
    kg = Kg(tmp_path, OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")
    kg.process("t")
    assert passed_over(kg) == 4
    quick = kg.process("t")
    with kg.ledger() as db:
        db.execute("DELETE FROM settled")
    thorough = kg.process("t")
    assert quick["chunks"] == thorough["chunks"] == {**quick["chunks"], "reused": quick["chunks"]["total"]}
    assert quick["documents"] == thorough["documents"]
    assert passed_over(kg) == 4


def test_a_part_of_a_document_settles_nothing(tmp_path, openai_server):
    write_meetings(tmp_path / "t", 1)
    kg = Kg(tmp_path, OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")
    kg.process("t", "--limit", 2)
    assert passed_over(kg) == 0
    assert kg.process("t")["chunks"]["written"] > 2
    assert passed_over(kg) == 1
