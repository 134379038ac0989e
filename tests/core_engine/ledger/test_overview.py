"""What a workspace holds is counted from indexes, and comes to the same as counting every chunk."""

from __future__ import annotations

from core_engine.ledger import overview
from tests.kg import Kg, write_meetings

# Each chunk by itself, as docs/report.md has the words: dead, else open, else answered.
PLAIN = """
SELECT CASE WHEN x.state IS 3 OR e.state IS 3 THEN 'dead'
            WHEN c.extract IS NULL OR c.want_extract IS NOT NULL OR c.want_embed IS NOT NULL THEN 'open'
            ELSE 'answered' END, count(*)
FROM chunk c LEFT JOIN question x ON x.no = c.want_extract LEFT JOIN question e ON e.no = c.want_embed GROUP BY 1
"""


def test_each_chunk_is_counted_once_whatever_state_it_is_in(openai_server, tmp_path):
    server = openai_server(faults=[{"kind": "refusal", "match": "meeting 0 point 20,"}])
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-canary")
    write_meetings(tmp_path / "t", 2, turns=60)
    kg.process("t", code=2)
    db = kg.ledger()
    # Beside the dead one: cut and not asked about, asked again by another model, its vector alone wanting, both dead.
    chunks = [no for (no,) in db.execute("SELECT no FROM chunk WHERE want_extract IS NULL ORDER BY no")]
    db.execute("UPDATE chunk SET extract = NULL WHERE no = ?", chunks[:1])
    db.execute("UPDATE chunk SET want_extract = extract WHERE no = ?", chunks[1:2])
    db.execute("UPDATE chunk SET want_embed = embed, embed = NULL WHERE no IN (?, ?)", chunks[2:4])
    db.execute("UPDATE question SET state = 3 WHERE no = (SELECT want_embed FROM chunk WHERE no = ?)", chunks[3:4])
    plain = dict(db.execute(PLAIN).fetchall())
    counted = overview.chunk_states(db)
    assert plain == {"dead": 2, "open": 3, "answered": 15}
    assert (counted.total, counted.dead, counted.open, counted.answered) == (20, 2, 3, 15)
    current = {answer.kind: answer.chunks for answer in overview.current_answers(db)}
    assert current == {"extract": 18, "embed": 18}
    db.close()


def test_counting_reads_no_chunks_words(openai_server, tmp_path):
    kg = Kg(tmp_path)
    write_meetings(tmp_path / "t", 1, turns=12)
    kg.process("t")
    db = kg.ledger()
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    overview.chunk_states(db)
    overview.current_answers(db)
    db.set_trace_callback(None)
    plans = [row[3] for query in asked for row in db.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len(asked) == 3
    scans = [step for step in plans if step.startswith("SCAN") and "INDEX" not in step]
    assert {step.split()[1] for step in scans} <= {"w", "s", "(subquery-1)"}
    db.close()


def test_forms_are_what_the_mentions_say_whatever_became_of_them(tmp_path, openai_server):
    write_meetings(tmp_path / "t", 4)
    kg = Kg(tmp_path, OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")
    stores = ("--vector-store", "none", "--embedder", "none")

    def counted() -> None:
        db = kg.ledger()
        held = db.execute("SELECT * FROM form").fetchall()
        assert held == db.execute("SELECT atom, name, type, count(*) FROM mention GROUP BY 1, 2, 3").fetchall()
        db.close()

    kg.process("t", *stores)
    counted()
    write_meetings(tmp_path / "t", 2, turns=31)  # edited
    (tmp_path / "t" / "m3.txt").unlink()
    kg.process("t", "--prune", *stores)
    counted()
    kg.process("t", "--extractor", "rules", *stores)
    counted()
    assert kg("forget", "Ann Lee", "--speaker", "--yes", *stores).code == 0
    counted()
    with kg.ledger() as db:
        db.execute("UPDATE OR IGNORE mention SET name = 'Somebody' WHERE chunk % 3 = 0")
    counted()
