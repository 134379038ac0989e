"""kg search."""

from __future__ import annotations

import struct
from collections.abc import Callable

from cli.search import snippet
from core_engine.ledger.lock import RunLock
from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import Server
from tests.qdrant_face.fixture import RunningFace

# --- kg search -------------------------------------------------------------------------------------------------------


def test_a_chunk_is_found_by_its_words_with_speaker_document_and_text(made: Kg) -> None:
    found = made("search", "week", "17", "--limit", 3, "--json").report
    best = found["chunks"][0]
    assert "week 17," in best["text"]
    assert best["document"].endswith(".txt")
    assert best["speakers"]
    assert len(found["chunks"]) == 3
    said = made("search", "week", "17").out
    assert f"1. {best['document']}, chunk {best['chunk_index'] + 1}" in said
    assert "week 17" in said


def test_entities_are_found_by_all_or_some_of_the_words(made: Kg) -> None:
    whole = made("search", "quill systems", "--json").report["entities"]
    assert whole[0]["entity"]["name"] == "Quill Systems"
    assert whole[0]["neighbours"]
    some = made("search", "who told Quill about Rotterdam", "--json").report["entities"]
    assert {"Quill Systems", "Rotterdam"} <= {one["entity"]["name"] for one in some}
    assert "- Quill Systems (" in made("search", "quill").out


def test_a_neighbour_comes_with_its_relationship_and_the_words_that_say_so(made: Kg) -> None:
    (quill,) = made("search", "quill systems", "--json", "--limit", 1, "--neighbours", 3).report["entities"]
    assert len(quill["neighbours"]) == 3
    graph = made.graph()
    weights = {row["id"]: row["weight"] for row in graph["relationships"]}
    for one in quill["neighbours"]:
        assert quill["entity"]["id"] in {one["relationship"]["source_id"], one["relationship"]["target_id"]}
        assert one["relationship"]["weight"] == weights[one["relationship"]["id"]]
        assert one["said"]["where"]["document"].endswith(".txt")
        assert one["said"]["speaker"]
        assert "Quill Systems" in one["said"]["quote"] or one["entity"]["name"] in one["said"]["quote"]
    said = made("search", "quill", "systems", "--limit", 1).out
    assert " chunks; m0.txt, " in said
    assert made("search", "quill", "--json", "--neighbours", 0).report["entities"][0]["neighbours"] == []


def test_what_is_stated_comes_before_what_is_only_named_together(kg: Kg) -> None:
    said = "I'm Ann Lee, and I'm the head of support at Harbor Logistics. Rotterdam and Northwind Mills are late."
    (kg.folder / "talk.txt").write_text("\n".join(f"Ann Lee: {said} {n}" for n in range(8)), encoding="utf-8")
    kg.process("talk.txt")
    (ann,) = kg("search", "ann lee", "--json", "-n", 1).report["entities"]
    types = [one["relationship"]["type"] for one in ann["neighbours"]]
    assert "CO_OCCURS" in types
    assert types[0] != "CO_OCCURS"
    assert types == sorted(types, key=lambda kind: kind == "CO_OCCURS")


def test_nothing_found_is_no_error(made: Kg) -> None:
    for words in (["zyzzyva"], ["''"], ["…"]):
        ran = made("search", *words)
        assert (ran.code, ran.out) == (0, "nothing found\n")


def test_a_search_makes_nothing_and_changes_nothing(made: Kg) -> None:
    before = made("status", "--json").report
    made("search", "Falcon")
    assert made("status", "--json").report == before
    ran = made("search", "Falcon", "--vector-store", "none", "--graph-store", "none")
    assert ran.code == 1


def test_stores_that_are_not_there_are_said_and_not_made(made: Kg) -> None:
    (made.folder / ".kg/default/graph.sqlite3").rename(made.folder / "elsewhere")
    ran = made("search", "Falcon")
    assert ran.code == 1
    assert "kg rebuild" in ran.err
    assert not (made.folder / ".kg/default/graph.sqlite3").exists()
    assert made("search", "Falcon", "--graph-store", "none").code == 0


def test_the_embedded_store_is_not_opened_beside_a_run(made: Kg) -> None:
    with RunLock(made.folder / ".kg" / "default" / "lock"):
        ran = made("search", "Falcon")
        assert ran.code == 5
        assert "a run has the embedded vector store open" in ran.err
        assert made("search", "Falcon", "--vector-store", "none").code == 0


def test_a_workspace_that_was_written_to_a_server_says_which_address_is_missing(
    kg: Kg, qdrant_face: RunningFace
) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    kg.process("meetings", "-w", "served", QDRANT_URL=qdrant_face.url)
    ran = kg("search", "Falcon", "-w", "served")
    assert ran.code == 1
    assert f"were last written to qdrant {qdrant_face.url}: set QDRANT_URL" in ran.err
    assert kg("search", "Falcon", "-w", "served", "--json", QDRANT_URL=qdrant_face.url).report["chunks"]


def test_vectors_of_a_model_are_searched_by_words_without_a_key(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    server = openai_server()
    kg.process("meetings", "--extractor", "rules", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    before = server.books(log=False)["calls"]
    assert kg("search", "Falcon", "--json").report["chunks"]
    assert server.books(log=False)["calls"] == before


def test_a_search_by_meaning_asks_once_and_is_accounted_for(kg: Kg, openai_server: Callable[..., Server]) -> None:
    write_meetings(kg.folder / "meetings", 1, turns=8)
    server = openai_server()
    model = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    kg.process("meetings", "--extractor", "rules", **model)
    before, spent = server.books(log=False)["calls"], kg("status", "--json").report["spent_usd"]
    first = kg("search", "ships", "--dense", "--json", **model).report
    assert first["chunks"]
    assert kg("search", "ships", "--dense", "--json", **model).report == first
    assert server.books(log=False)["calls"] == before + 1
    after = kg("status", "--json").report["spent_usd"]
    assert after["calls"] == spent["calls"] + 1
    assert after["total"] > spent["total"]
    assert len(kg("runs", "--json").report) == 1
    (vector,) = kg.ledger().execute("SELECT answer FROM question ORDER BY no DESC LIMIT 1").fetchone()
    assert len(struct.unpack(f"<{len(vector) // 4}f", vector)) == 1536


def test_a_search_by_meaning_says_what_it_lacks(made: Kg, openai_server: Callable[..., Server]) -> None:
    ran = made("search", "ships", "--dense")
    assert ran.code == 1
    assert "embedded by bm25" in ran.err
    server = openai_server(require_key="right")
    made.process(
        "meetings", "--extractor", "rules", "--embedder", "openai", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="right"
    )
    assert "set OPENAI_API_KEY" in made("search", "ships", "--dense").err
    wrong = made("search", "ships", "--dense", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-canary-0123456789abcdef")
    assert wrong.code == 5
    assert "canary" not in wrong.err


def test_a_snippet_stands_around_the_first_word_found() -> None:
    text = "before " * 40 + "the Falcon ships " + "after " * 60
    assert "Falcon ships" in snippet(text, "falcon")
    assert snippet(text, "falcon").startswith("… ")
    assert snippet("short", "nothing") == "short"
