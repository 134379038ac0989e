"""What the words don't bear out stays out of the graph, is counted, and is let in and out again for free."""

from __future__ import annotations

import json

import pytest

from tests.kg import Kg

REPLY = {
    "e": [["Ann Lee", "Person"], ["Acme", "Organization"], ["Zorblatt Quux", "Person"]],
    "r": [["0", "works_at", "1", "1"], ["2", "works_at", "1", "1"], ["0", "reports_to", "2", "1", "planned"]],
}


def answered(openai_server, folder, *chunks: dict) -> tuple[Kg, object]:
    content = json.dumps({"chunks": [{"c": n, **chunk} for n, chunk in enumerate(chunks, 1)]})
    server = openai_server(replies=[{"match": "CHUNK", "content": content}])
    return Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x"), server


def test_the_unsupported_is_kept_only_on_request_and_switching_is_free(openai_server, tmp_path):
    kg, server = answered(openai_server, tmp_path, REPLY)
    (tmp_path / "talk.txt").write_text("Ann Lee: I work at Acme\nBob: Fine, thank you very much\n")
    left_out = kg.process("talk.txt", "--embedder", "none")
    calls = server.books()["chat_calls"]
    assert left_out["graph"]["dropped_by_reason"] == {"unsupported_end": 2, "unsupported_entity": 1}
    counted = left_out["graph"]["grounding"]
    assert counted["entities"] == {"exact": 2, "aligned": 0, "inferred": 0, "unsupported": 1}
    assert counted["relationships"] == {"exact": 0, "aligned": 0, "inferred": 1, "unsupported": 2}
    assert counted["by_type"]["works_at"] == {"exact": 0, "aligned": 0, "inferred": 1, "unsupported": 1}
    assert counted["by_position"] == [{"position": 1, "chunks": 1, "findings": 6, "unsupported": 3}]
    without = kg.graph()
    assert [(s["grade"], s["modality"]) for s in without["statements"]] == [("inferred", "stated")]
    [acme] = [m for m in without["mentions"] if m["name"] == "Acme"]
    assert (acme["grade"], acme["speakers"], acme["offsets"]) == ("exact", ["Ann Lee"], [[1, 10]])

    kept = kg.process("talk.txt", "--embedder", "none", "--keep-unsupported")
    assert kept["graph"]["grounding"] == counted
    assert kept["graph"]["dropped_by_reason"] == {}
    graph = kg.graph()
    assert sorted(s["grade"] for s in graph["statements"]) == ["inferred", "unsupported", "unsupported"]
    assert [m["grade"] for m in graph["mentions"] if m["name"] == "Zorblatt Quux"] == ["unsupported"]
    edges = {(r["type"], r["grade"]): r["current"] for r in graph["relationships"]}
    assert edges == {
        ("WORKS_AT", "inferred"): True,
        ("WORKS_AT", "unsupported"): False,
        ("REPORTS_TO", "unsupported"): False,
    }
    assert kg("verify", "--all").code == 0
    (tmp_path / "other.txt").write_text("Bob: I saw nothing\n")
    kg.process("talk.txt", "other.txt", "--embedder", "none", "--keep-unsupported")
    assert kg("entities", "alias", "Acme", "the firm").code == 0
    assert kg("forget", "other.txt", "--yes").code == 0
    grades = sorted(s["grade"] for s in kg.graph()["statements"])
    assert grades.count("unsupported") == 2, "what corrects the graph decides nothing else"
    assert kg("entities", "alias", "Acme", "the firm", "--remove").code == 0

    kg.process("talk.txt", "--embedder", "none")
    assert kg.graph() == without
    assert kg("rebuild", "--keep-unsupported").code == 0
    assert kg.graph() == graph
    assert server.books()["chat_calls"] == calls + 1, "the other file's"


def test_positions_in_the_request_are_told_apart(openai_server, tmp_path):
    good = {"e": [["Acme", "Organization"]], "r": []}
    bad = {"e": [["Zorblatt", "Organization"]], "r": []}
    kg, _ = answered(openai_server, tmp_path, good, bad)
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"Acme is in {name}, as everybody knows\n")
    report = kg.process("a.txt", "b.txt", "--embedder", "none", "--batch-size", 2)
    assert report["graph"]["grounding"]["by_position"] == [
        {"position": 1, "chunks": 1, "findings": 1, "unsupported": 0},
        {"position": 2, "chunks": 1, "findings": 1, "unsupported": 1},
    ]


@pytest.mark.parametrize(
    ("name", "transcript", "times"),
    [
        ("talk.txt", "Ann Lee works at Acme.\n", (None, None)),
        ("talk.json", [{"speaker": "Bob", "start": 50, "end": 10, "text": "Ann Lee works at Acme."}], (50, 50)),
        (
            "talk.json",
            [
                {"speaker": "Bob", "start": -3, "end": 100, "text": "Ann Lee works at Acme."},
                {"speaker": "Eve", "start": 1, "end": 2, "text": "And then?"},
            ],
            (None, 100),
        ),
    ],
    ids=["none", "wrong", "overlapping"],
)
def test_speakers_and_times_may_be_missing_wrong_or_overlap(openai_server, tmp_path, name, transcript, times):
    kg, _ = answered(openai_server, tmp_path, {"e": REPLY["e"][:2], "r": REPLY["r"][:1]})
    (tmp_path / name).write_text(transcript if isinstance(transcript, str) else json.dumps(transcript))
    kg.process(name, "--embedder", "none")
    graph = kg.graph()
    [statement] = graph["statements"]
    assert (statement["grade"], statement["turn"], statement["quote"]) == ("exact", 1, "Ann Lee works at Acme.")
    assert (statement["start"], statement["end"]) == times
    assert [r["current"] for r in graph["relationships"]] == [True]
    assert kg("verify", "--all").code == 0
