"""kg forget: after it, no byte of what kg keeps holds what was erased."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from core_engine.ledger.lock import RunLock
from tests.kg import Kg, neo4j_graph, write_meetings
from tests.neo4j_server.server import Address
from tests.openai_server.fixture import Server
from tests.qdrant_face.fixture import RunningFace

NAME = "Zerelda Quixnoth"
WORDS = "the wombat ledger of Quimbrelstadt was sold for nine turnips"
CANARIES = ("Zerelda", "Quixnoth", "wombat", "Quimbrelstadt", "turnips")


def _write(kg: Kg, name: str = "secret-wombat.txt") -> Path:
    """Two ordinary meetings, and one in which somebody says what must be gone, whom others name too."""
    write_meetings(kg.folder / "meetings", 2, turns=12)
    lines = []
    for turn in range(12):
        lines.append(f"{NAME}: In point {turn} {WORDS}, and Falcon Works knew it.")
        lines.append(f"Bob Marsh: Harbor Logistics will ship item {turn} to Rotterdam, as {NAME} asked us to.")
    path = kg.folder / "meetings" / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _found(kg: Kg, *canaries: str) -> list[str]:
    """Where in the home a canary stands, in whatever case."""
    found = []
    for path in sorted((kg.folder / ".kg").rglob("*")):
        if path.is_file():
            held = path.read_bytes().lower()
            found += [f"{path.name}: {canary}" for canary in canaries if canary.lower().encode() in held]
    return found


def _answers(kg: Kg) -> int:
    return kg.ledger().execute("SELECT count(*) FROM question WHERE answer IS NOT NULL").fetchone()[0]


@pytest.fixture(params=["rules", "model"])
def world(request: pytest.FixtureRequest, kg: Kg) -> Kg:
    _write(kg)
    if request.param == "model":
        server = request.getfixturevalue("openai_server")()
        kg.env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    kg.process("meetings", "-v")
    assert _found(kg, *CANARIES)
    return kg


# --- documents -------------------------------------------------------------------------------------------------------


def test_no_byte_of_a_forgotten_document_is_left(world: Kg) -> None:
    ran = world("forget", "secret-wombat.txt", "--yes", "--json")
    assert ran.code == 0, ran.out + ran.err
    assert ran.report["erased"]["documents"] == 1
    assert ran.report["failed"] == []
    assert _found(world, *CANARIES) == []
    assert not any(canary in ran.out for canary in CANARIES if canary != "wombat")
    assert world("verify", "--all").code == 0
    assert world("status", "--json").report["documents"] == 2


def test_what_others_state_stays_and_is_not_bought_again(world: Kg) -> None:
    assert world("forget", "secret-wombat.txt", "--yes").code == 0
    report = world.process("meetings")
    assert report["chunks"]["reused"] == report["chunks"]["total"]
    assert report["cost_usd"]["total"] == 0
    alone = Kg(world.folder / "alone", **world.env)
    write_meetings(alone.folder / "meetings", 2, turns=12)
    alone.process("meetings")
    assert world.graph() == alone.graph()


def test_the_money_stays_in_the_books(kg: Kg, openai_server: Callable[..., Server]) -> None:
    _write(kg)
    kg.process("meetings", OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")
    before = kg("status", "--json").report["spent_usd"]
    assert before["total"] > 0
    assert kg("forget", "secret-wombat.txt", "--yes").code == 0
    assert kg("status", "--json").report["spent_usd"] == before
    assert kg("report", "--json").report["cost_usd"]["total"] == before["total"]


def test_a_reply_about_ten_chunks_loses_only_the_forgotten_ones(kg: Kg, openai_server: Callable[..., Server]) -> None:
    _write(kg)
    kg.process("meetings", OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="x")
    assert kg("forget", "secret-wombat.txt", "--yes").code == 0
    kept = 0
    for questions, reply in kg.ledger().execute("SELECT questions, reply FROM call WHERE reply IS NOT NULL"):
        asked = json.loads(questions)
        said = {one["c"] for one in json.loads(reply)["chunks"]}
        assert said == {at for at, question in enumerate(asked, 1) if question}
        kept += len(said) if 0 in asked else 0
    assert kept


def test_a_forgotten_document_is_left_out_and_said_so_until_it_is_recalled(world: Kg) -> None:
    path = world.folder / "meetings/secret-wombat.txt"
    assert world("forget", str(path), "--yes").code == 0
    report = world.process("meetings")
    assert report["documents"]["skipped"] == 1
    assert "kg forget" in report["skipped"][0]["reason"]
    path.write_text(path.read_text(encoding="utf-8") + "Ann Lee: One turn more.\n", encoding="utf-8")
    assert world.process("meetings")["documents"]["skipped"] == 1
    assert world("forget", str(path), "--recall").code == 0
    assert world.process("meetings")["documents"]["new"] == 1
    assert world("forget", str(path), "--recall").code == 1


def test_a_renamed_copy_of_a_forgotten_document_is_known(world: Kg) -> None:
    path = world.folder / "meetings/secret-wombat.txt"
    assert world("forget", "secret-wombat.txt", "--yes").code == 0
    path.rename(path.with_name("other.txt"))
    report = world.process("meetings")
    assert (report["documents"]["new"], report["documents"]["skipped"]) == (0, 1)


def test_what_an_older_version_said_goes_too(world: Kg) -> None:
    path = world.folder / "meetings/secret-wombat.txt"
    path.write_text("Bob Marsh: Nothing of it is left here.\n", encoding="utf-8")
    world.process("meetings")
    assert world("forget", "secret-wombat.txt", "--yes").code == 0
    assert _found(world, *CANARIES) == []


def test_what_was_pruned_before_can_still_be_forgotten(world: Kg) -> None:
    path = world.folder / "meetings/secret-wombat.txt"
    path.unlink()
    world.process("meetings", "--prune")
    assert _found(world, *CANARIES)
    assert world("forget", "secret-wombat.txt", "--yes").code == 0
    assert _found(world, *CANARIES) == []


def test_the_same_words_in_another_document_keep_their_answers(world: Kg) -> None:
    path = world.folder / "meetings/secret-wombat.txt"
    (world.folder / "meetings/copy.txt").write_bytes(path.read_bytes())
    world.process("meetings")
    answers = _answers(world)
    assert world("forget", "secret-wombat.txt", "--yes").code == 0
    assert _answers(world) == answers
    report = world.process("meetings")
    assert report["chunks"]["reused"] == report["chunks"]["total"]


def test_one_record_of_a_file_can_be_forgotten(kg: Kg) -> None:
    rows = [
        {"id": f"r{n}", "turns": [{"speaker": "Ann Lee", "text": f"Wombat number {n} met Falcon Works."}]}
        for n in range(3)
    ]
    (kg.folder / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert kg.process("all.jsonl")["documents"]["new"] == 3
    assert kg("forget", "all.jsonl#r1", "--yes").code == 0
    assert _found(kg, "number 1 ") == []
    assert _found(kg, "number 2 ")
    with (kg.folder / "all.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**rows[0], "id": "r3"}) + "\n")
    report = kg.process("all.jsonl")
    assert (report["documents"]["new"], report["documents"]["skipped"]) == (1, 1)
    assert kg("forget", "all.jsonl", "--yes").code == 0
    assert _found(kg, "Wombat number") == []
    assert kg.process("all.jsonl")["documents"]["seen"] == 0
    assert kg("forget", "all.jsonl", "--recall").code == 0
    assert kg.process("all.jsonl")["documents"]["new"] == 3  # the one that was erased by itself stays so


# --- speakers --------------------------------------------------------------------------------------------------------


def test_no_byte_of_a_forgotten_speaker_is_left(world: Kg) -> None:
    ran = world("forget", "zerelda  quixnoth", "--yes", "--json")
    assert ran.code == 0, ran.out + ran.err
    assert ran.report["erased"]["turns"] == 12
    assert _found(world, "Zerelda", "Quixnoth", "Quimbrelstadt", "turnips") == []
    assert world("verify", "--all").code == 0
    graph = world.graph()
    assert "Harbor Logistics" in {row["name"] for row in graph["entities"]}
    assert any("as ████" in row["text"] for row in graph["chunks"])
    assert not any("██" in row["name"] for row in graph["entities"])


def test_what_others_said_in_the_same_chunks_keeps_its_answers(world: Kg) -> None:
    server_calls = world("status", "--json").report["spent_usd"]["calls"]
    assert world("forget", NAME, "--yes").code == 0
    report = world.process("meetings")
    assert report["calls"]["chat"] == 0
    assert report["chunks"]["dead"] == report["chunks"]["pending"] == 0
    assert world("status", "--json").report["spent_usd"]["calls"] >= server_calls
    assert world("verify", "--all").code == 0
    assert world.process("meetings")["chunks"]["reused"] == report["chunks"]["total"]


def test_a_forgotten_speaker_stays_out_of_what_is_read_later(world: Kg) -> None:
    path = world.folder / "meetings/secret-wombat.txt"
    assert world("forget", NAME, "--yes").code == 0
    path.write_text(path.read_text(encoding="utf-8") + "Carla Diaz: One turn more.\n", encoding="utf-8")
    (world.folder / "meetings/new.txt").write_text(
        f"{NAME}: I am back with turnips.\nAnn Lee: Hello.\n", encoding="utf-8"
    )
    report = world.process("meetings")
    assert any("kg forget" in warning for warning in report["warnings"])
    assert "turnips" not in json.dumps(world.graph())
    assert world("forget", NAME, "--recall").code == 0
    (world.folder / "meetings/newer.txt").write_text(
        f"{NAME}: I am here with turnips.\nAnn Lee: Hi.\n", encoding="utf-8"
    )
    world.process("meetings")
    assert "turnips" in json.dumps(world.graph())


def test_a_label_is_somebody_else_in_each_document(kg: Kg) -> None:
    (kg.folder / "m").mkdir()
    for name in ("a", "b"):
        (kg.folder / f"m/{name}.txt").write_text(
            f"Speaker 3: Wombat {name} is ours.\nAnn Lee: Good.\n", encoding="utf-8"
        )
    kg.process("m")
    ran = kg("forget", "Speaker 3", "--yes")
    assert ran.code == 1
    assert "--in" in ran.err
    assert kg("forget", "Speaker 3", "--in", "a.txt", "--yes").code == 0
    assert _found(kg, "Wombat a") == []
    assert _found(kg, "Wombat b")


# --- asking, failing, other stores -----------------------------------------------------------------------------------


def test_nothing_is_erased_without_a_yes(made: Kg) -> None:
    before = made.graph()
    ran = made("forget", "m0.txt")
    assert ran.code == 1
    assert "--yes" in ran.err
    assert made.graph() == before


def test_what_is_not_there_is_said(made: Kg) -> None:
    ran = made("forget", "nobody.txt", "--yes")
    assert ran.code == 1
    assert "called 'nobody.txt'" in ran.err
    assert made("forget", "m0.txt", "--speaker", "--yes").code == 1
    assert made("forget", "m0.txt", "--speaker", "--document", "--yes").code == 1


def test_a_run_that_is_going_on_is_left_alone(made: Kg) -> None:
    with RunLock(made.folder / ".kg/default/lock"):
        assert made("forget", "m0.txt", "--yes").code == 4


def test_what_is_out_of_reach_is_named(kg: Kg) -> None:
    path = _write(kg)
    kg.process("meetings")
    kg("backup", "ledger.copy")
    left = kg("forget", "secret-wombat.txt", "--yes", "--json").report["left"]
    assert any("ledger.copy" in one for one in left)
    assert any(f"{path} (later runs skip it)" in one for one in left)


def test_a_store_that_is_away_is_told_and_the_same_command_ends_it(kg: Kg, qdrant_face: RunningFace) -> None:
    _write(kg)
    env = {"QDRANT_URL": qdrant_face.url}
    kg.process("meetings", "-w", "away", **env)
    ran = kg("forget", "secret-wombat.txt", "--yes", "-w", "away", QDRANT_URL="http://127.0.0.1:9")
    assert ran.code == 5
    assert "NOT DONE" in ran.out
    ran = kg("forget", "meetings/secret-wombat.txt", "--yes", "-w", "away", "--json", **env)
    assert ran.code == 0, ran.out + ran.err
    assert kg("verify", "-w", "away", "--all", **env).code == 0
    assert _found(kg, *CANARIES) == []


def test_a_reader_in_the_way_of_the_vacuum_is_told(made: Kg) -> None:
    reader = sqlite3.connect(made.folder / ".kg/default/ledger.sqlite3", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM chunk").fetchone()
    ran = made("forget", "m0.txt", "--yes")
    reader.close()
    assert ran.code == 5
    assert "freed space" in ran.out
    assert made("forget", "m0.txt", "--yes").code == 0


@pytest.mark.neo4j
def test_neo4j_and_qdrant_hold_nothing_of_it(
    kg: Kg, neo4j_server: Address, qdrant_face: RunningFace, openai_server: Callable[..., Server]
) -> None:
    _write(kg)
    kg.env = {**neo4j_server.env, "QDRANT_URL": qdrant_face.url}
    where = ("-w", "forgets")
    kg.process("meetings", *where)
    model = {"OPENAI_BASE_URL": openai_server().url, "OPENAI_API_KEY": "x"}
    kg.process("meetings", *where, **model)  # leaves a collection of bm25 behind
    assert kg("forget", "secret-wombat.txt", "--yes", *where, **model).code == 0

    held = json.dumps(neo4j_graph(neo4j_server, "forgets"))
    for collection in qdrant_face.request("GET", "/collections")["collections"]:
        if collection["name"].startswith("kg_forgets__"):
            found = qdrant_face.request(
                "POST", f"/collections/{collection['name']}/points/scroll", json={"limit": 1000, "with_payload": True}
            )
            assert found["points"]
            held += json.dumps(found)
    assert not [canary for canary in CANARIES if canary in held]
    assert _found(kg, *CANARIES) == []


# --- who is who ------------------------------------------------------------------------------------------------------


def test_no_byte_is_left_of_what_was_found_asked_and_corrected_about_a_name(
    kg: Kg, openai_server: Callable[..., Server]
) -> None:
    path = _write(kg)
    said = path.read_text(encoding="utf-8")
    path.write_text(said + "Bob Marsh: Thank you, Zerelda.\nAnn Lee: Quixnoth was here, and Zerelda Quixnott.\n")
    (kg.folder / "other.txt").write_text("Cy Dorn: Is there a Zerelda Quixnoth?\nDee Ernst: Zerelda who?\n")
    gold = kg.folder / "gold.jsonl"
    people = [NAME, "Zerelda", "Quixnoth", "Zerelda Quixnott", "Bob Marsh", "Ann Lee", "Cy Dorn"]
    gold.write_text(
        "".join(
            json.dumps({"document": file, "entities": [{"name": name, "type": "Person"} for name in people]}) + "\n"
            for file in ("secret-wombat.txt", "other.txt")
        )
    )
    server = openai_server(gold=gold)
    kg.env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    report = kg.process("meetings", "other.txt")
    assert report["graph"]["names_merged"] > 1
    assert report["resolve"]["pairs_asked"] > 0
    assert kg("entities", "alias", "Cy Dorn", "Quixnoth of old").code == 0
    assert kg("entities", "merge", NAME, "Zerelda Quixnott").code == 0
    assert kg("entities", "split", NAME, "Quixnoth").code == 0
    assert kg("entities", "alias", "Cy Dorn", "Quixnoth of old", "--remove").code == 0

    ran = kg("forget", NAME, "--speaker", "--yes", "--json")
    assert ran.code == 0, ran.out + ran.err
    gold.unlink()
    left = [one for one in _found(kg, "Zerelda", "Quixnoth", "Quixnott") if not one.startswith("gold")]
    assert left == []
    assert kg("verify", "--all").code == 0
    report = kg.process("meetings", "other.txt")
    assert report["resolve"]["pairs_asked"] == 0


# --- logs and reports ------------------------------------------------------------------------------------------------


def _keys(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for held in value.values() for key in _keys(held))]
    return [key for held in value for key in _keys(held)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", ["120.txt", "status.txt", "notes.txt"])
def test_a_document_called_as_a_number_or_a_field_takes_no_report_along(kg: Kg, name: str) -> None:
    _write(kg, name)
    report = kg.process("meetings", "--timeout", "120")
    assert kg("forget", name, "--yes").code == 0
    [path] = (kg.folder / ".kg/default/runs").glob("*/report.json")
    assert _keys(json.loads(path.read_text(encoding="utf-8"))) == _keys(report)
    for words in (["runs"], ["report"], ["report", "--json"], ["logs"], ["report", "--format", "html"]):
        assert kg(*words).code == 0
    assert _found(kg, name) == []


def test_names_are_found_as_markdown_and_pages_write_them_and_in_logs_of_earlier_days(kg: Kg) -> None:
    name = "wombat_*R&D*_sync.txt"
    path = _write(kg, name)
    words = path.read_text(encoding="utf-8")
    log = kg.folder / "all.log"
    path.write_text("", encoding="utf-8")  # what can't be read is named by its report
    kg.process("meetings", "--log-file", log, code=2)
    path.write_text(words, encoding="utf-8")
    kg.process("meetings", "--log-file", log, "-v")
    earlier = log.rename(kg.folder / "all.log.2026-11-29")
    assert kg("report", "--format", "html", "--graph").code == 0
    runs = kg.folder / ".kg/default/runs"
    assert any("wombat\\_" in each.read_text(encoding="utf-8") for each in runs.glob("*/report.md"))
    assert list(runs.glob("*/graph.html"))
    assert "wombat" in earlier.read_text(encoding="utf-8")
    assert kg("forget", name, "--yes").code == 0
    assert _found(kg, "wombat", "turnips", "R&D*", "R\\u0026D") == []
    assert "wombat" not in earlier.read_text(encoding="utf-8")


def test_who_was_stopped_half_way_goes_on_where_only_the_command_is_known(
    kg: Kg, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli import scrub

    _write(kg, "a_wombat.txt")
    kg.process("meetings", "-v")
    (identity,) = kg.ledger().execute("SELECT hex(id) FROM document WHERE name LIKE '%wombat%'").fetchone()
    identity = "-".join((identity[:8], identity[8:12], identity[12:16], identity[16:20], identity[20:])).lower()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scrub, "scrub_ledger", stopped)
        assert kg("forget", identity, "--yes").code != 0
    assert _found(kg, "wombat")
    assert kg("forget", identity, "--yes").code == 0
    assert _found(kg, "wombat", "turnips") == []
