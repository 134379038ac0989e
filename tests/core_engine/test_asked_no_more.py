"""Near a cap: what a reply has answered is not asked again because there is no money for what it left out."""

from __future__ import annotations

import json

import pytest

from tests.kg import Kg, meeting

CAPS = (0.02, 0.026, 0.035, 0.05, 0.053, 0.062)  # US dollars, at gpt-5-mini's price


@pytest.mark.parametrize("cap", CAPS)
def test_chunks_that_a_cut_reply_has_answered_are_never_asked_again(tmp_path, openai_server, cap):
    lines = [
        json.dumps({"chunk_id": f"c{n}", "meeting_id": "m", "seq": n, "text": text})
        for n, text in enumerate(meeting(3, turns=14))
    ]
    (tmp_path / "ready.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    server = openai_server(faults=[{"kind": "truncated", "stage": "chat"}])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    kg("process", "ready.jsonl", "--batch-size", 14, "--embedder", "none", "--max-cost", cap)
    db = kg.ledger()
    answered = db.execute("SELECT attempts FROM question WHERE answer IS NOT NULL").fetchall()
    db.close()
    assert {times for (times,) in answered} == {1}
