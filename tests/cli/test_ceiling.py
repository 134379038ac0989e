"""The room that a reply gets: what earlier runs have seen is not forgotten."""

from __future__ import annotations

from tests.kg import Kg, write_meetings


def asked_for(server):
    """The output ceilings of the chat requests since the start, by the chunks asked about."""
    bodies = [each["body"] for each in server.requests() if each["path"].endswith("chat/completions")]
    return [body.get("max_completion_tokens") or body.get("max_tokens") for body in bodies]


def test_after_a_thousand_replies_the_next_run_asks_for_as_much_room_as_they_needed(openai_server, tmp_path):
    server = openai_server(tokens="characters")
    write_meetings(tmp_path / "t", 2)
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test")
    kg.process("t/m0.txt", "--batch-size", 1)
    first = max(asked_for(server))
    with kg.ledger() as db:  # the same replies over and over, as of a large corpus
        columns = [row[1] for row in db.execute("PRAGMA table_info(call)") if row[1] not in {"no", "id"}]
        named = ", ".join(columns)
        count = db.execute("SELECT count(*) FROM call WHERE stage = 'extract'").fetchone()[0]
        for copy in range(-(-1_000 // count)):
            db.execute(
                f"INSERT INTO call (id, {named}) SELECT id || ?, {named} FROM call "
                "WHERE stage = 'extract' AND length(id) = 32",
                (f"-{copy}",),
            )
        longest = db.execute("SELECT max(completion) FROM call WHERE stage = 'extract'").fetchone()[0]
    before = len(asked_for(server))
    kg.process("t/m1.txt", "--batch-size", 1)
    second = asked_for(server)[before:]
    assert second
    assert all(2 * longest * 0.99 <= ceiling < first / 2 for ceiling in second)
