"""Which of several facts holds is decided by when each was said, and by nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path

import orjson
import pytest

from core_engine.identity import atom_id, document_id
from core_engine.keys import Spec
from core_engine.kg.derive import derive
from core_engine.kg.derived_rows import as_rows
from core_engine.kg.ontology import Ontology
from core_engine.kg.resolver.settling import settle
from core_engine.ledger import corrections, documents, facts, graph, questions, rows
from core_engine.ledger.documents import NewDocument
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.values import RELATIONSHIP, to_blob
from core_engine.types import Chunk, ChunkTurn, RelationshipRow

ONTOLOGY = Ontology.default()
PEOPLE = ("Ann Lee", "Bob Marsh", "Eve Quill", "Raj Patel")


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite3") as opened:
        opened.write(facts.set_single, ONTOLOGY.single)
        yield opened


def tell(ledger: Ledger, name: str, date: str | None, *said: tuple[str, str] | tuple[str, str, str]) -> str:
    """A document of which each turn says that somebody works at a firm: (person, firm, modality)."""
    turns = tuple(ChunkTurn(None, f"{who} at {firm}", f"{who} at {firm}", n) for n, (who, firm, *_) in enumerate(said))
    identity = document_id("ws", name)
    chunk = Chunk(atom_id("ws", name, "chunk"), identity, 0, turns)
    document = NewDocument(identity, name, "", name, name, {"date": date} if date else {}, b"x" * 16, "")

    def store(db) -> None:
        no = documents.save_document(db, document, [chunk])
        number = db.execute("SELECT no FROM chunk WHERE document = ?", (no,)).fetchone()[0]
        spec = questions.spec_no(db, Spec("extract", {}))
        wanted = questions.Wanted(number, name.encode().ljust(16), None)
        [claimed] = questions.claim(db, "run", spec, None, [wanted])
        entities = [[who, "Person"] for who, *_ in said] + [[firm, "Organization"] for _, firm, *_ in said]
        relations = [[n, "works_at", len(said) + n, n + 1, *how] for n, (_, _, *how) in enumerate(said)]
        questions.answer_extractions(db, None, [(claimed.extract[0], orjson.dumps({"e": entities, "r": relations}))])
        for stale in graph.stale_chunks(db, 0, 100):
            known = documents.load_chunks(db, [stale.no])[stale.no]
            graph.save_derived(db, [as_rows(stale, derive("ws", known, stale.answer, ONTOLOGY))])

    ledger.write(store)
    return identity


def standing(ledger: Ledger) -> dict[tuple[str, str], RelationshipRow]:
    """The relationships by the names of their ends."""
    with ledger.reading() as db:
        found = rows.relationship_rows(db, next(rows.keys_in_pages(db, RELATIONSHIP, 1_000), []))
        names = {row[0]: row[1] for row in db.execute("SELECT entity, name FROM atom JOIN mention ON atom = no")}
    by_id = {str(rows.to_id(entity)): name for entity, name in names.items()}
    return {(by_id[row.source_id], by_id[row.target_id]): row for row in found.values()}


def test_the_fact_that_was_stated_last_is_current(ledger):
    tell(ledger, "a", "2026-01-05", ("Ann Lee", "Acme"))
    tell(ledger, "b", "2026-03-01", ("Ann Lee", "Bolt"))
    now = standing(ledger)
    before, after = now["Ann Lee", "Acme"], now["Ann Lee", "Bolt"]
    assert (before.current, before.superseded_by, before.until) == (False, after.id, "2026-03-01")
    assert (before.first, before.last, before.weight, before.stated) == ("2026-01-05", "2026-01-05", 1, 1)
    assert (after.current, after.superseded_by, after.until) == (True, None, None)


def test_each_is_superseded_by_the_next(ledger):
    for month, firm in enumerate(("Acme", "Bolt", "Cog"), 1):
        tell(ledger, firm, f"2026-0{month}-05", ("Ann Lee", firm))
    now = standing(ledger)
    assert [now["Ann Lee", firm].superseded_by for firm in ("Acme", "Bolt", "Cog")] == [
        now["Ann Lee", "Bolt"].id,
        now["Ann Lee", "Cog"].id,
        None,
    ]
    assert [now["Ann Lee", firm].until for firm in ("Acme", "Bolt", "Cog")] == ["2026-02-05", "2026-03-05", None]


def test_what_is_stated_again_is_current_again(ledger):
    for month, firm in enumerate(("Acme", "Bolt", "Acme"), 1):
        tell(ledger, f"{month}", f"2026-0{month}-05", ("Ann Lee", firm))
    now = standing(ledger)
    assert [now["Ann Lee", firm].current for firm in ("Acme", "Bolt")] == [True, False]
    assert now["Ann Lee", "Acme"].last == "2026-03-05"


def test_within_a_document_the_later_turn_counts(ledger):
    tell(ledger, "a", None, ("Ann Lee", "Acme"), ("Bob Marsh", "Acme"), ("Ann Lee", "Bolt"))
    now = standing(ledger)
    assert {ends: row.current for ends, row in now.items()} == {
        ("Ann Lee", "Acme"): False,
        ("Ann Lee", "Bolt"): True,
        ("Bob Marsh", "Acme"): True,
    }
    assert now["Ann Lee", "Acme"].until is None


@pytest.mark.parametrize(
    ("one", "other"),
    [(None, None), (None, "2026-01-05"), ("2026-01-05", None), ("2026-01-05", "2026-01-05"), ("2026-01-05", "soon"),
     ("2026-01-05T10:00:00", "2026-01-05"), ("2026-01-05T10:00:00", "2026-01-05T11:00:00+00:00")],
)  # fmt: skip
def test_of_two_facts_whose_order_is_not_known_both_stay(ledger, one, other):
    tell(ledger, "a", one, ("Ann Lee", "Acme"))
    tell(ledger, "b", other, ("Ann Lee", "Bolt"))
    assert all(row.current and not row.superseded_by for row in standing(ledger).values())


def test_of_one_day_the_hour_counts_where_both_tell_it(ledger):
    tell(ledger, "a", "2026-01-05T10:00:00", ("Ann Lee", "Acme"))
    tell(ledger, "b", "2026-01-05T09:00:00", ("Ann Lee", "Bolt"))
    assert [standing(ledger)["Ann Lee", firm].current for firm in ("Acme", "Bolt")] == [True, False]


def test_what_is_denied_later_is_contradicted_and_stays(ledger):
    tell(ledger, "a", "2026-01-05", ("Ann Lee", "Acme"), ("Bob Marsh", "Acme", "denied"))
    tell(ledger, "b", "2026-02-05", ("Ann Lee", "Acme", "denied"), ("Bob Marsh", "Acme"))
    now = standing(ledger)
    ann, bob = now["Ann Lee", "Acme"], now["Bob Marsh", "Acme"]
    assert (ann.current, ann.contradicted, ann.until, ann.stated, ann.denied) == (False, True, "2026-02-05", 1, 1)
    assert (bob.current, bob.contradicted, bob.until, bob.stated, bob.denied) == (True, False, None, 1, 1)
    assert (ann.weight, ann.last) == (1, "2026-01-05")


def test_plans_questions_and_denials_replace_nothing(ledger):
    tell(ledger, "a", "2026-01-05", ("Ann Lee", "Acme"))
    tell(ledger, "b", "2026-02-05", *(("Ann Lee", f"Firm {how}", how) for how in ("planned", "denied", "asked")))
    now = standing(ledger)
    assert now["Ann Lee", "Acme"].current
    planned = now["Ann Lee", "Firm planned"]
    assert (planned.current, planned.planned, planned.stated, planned.weight) == (False, 1, 0, 1)
    assert len(now) == 2  # nobody said that the others are so
    with ledger.reading() as db:
        said = rows.chunk_rows(db, [row[0] for row in db.execute("SELECT id FROM chunk")])
    assert sorted((s.modality, s.date) for chunk in said.values() for s in chunk.statements) == [
        ("asked", "2026-02-05"),
        ("denied", "2026-02-05"),
        ("planned", "2026-02-05"),
        ("stated", "2026-01-05"),
    ]


def test_the_order_in_which_documents_come_plays_no_part(tmp_path):
    told = [
        ("a", "2026-01-05", ("Ann Lee", "Acme"), ("Ann Lee", "Bolt")),
        ("b", None, ("Ann Lee", "Cog")),
        ("c", "2026-03-05", ("Ann Lee", "Acme", "denied")),
        ("d", "2026-02-05", ("Ann Lee", "Acme")),
    ]
    found = []
    for number, order in enumerate(itertools.permutations(told)):
        with Ledger(tmp_path / f"{number}.sqlite3") as ledger:
            ledger.write(facts.set_single, ONTOLOGY.single)
            for document in order:
                tell(ledger, *document)
            found.append(standing(ledger))
    assert all(each == found[0] for each in found)


def changed(ledger: Ledger, since: int) -> int:
    with ledger.reading() as db:
        row = db.execute("SELECT count(*) FROM unit WHERE kind = ? AND changed > ?", (RELATIONSHIP, since)).fetchone()
        return int(row[0])


def clock(ledger: Ledger) -> int:
    with ledger.reading() as db:
        return int(db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0])


def test_whatever_a_new_fact_replaces_is_written_again(ledger):
    tell(ledger, "a", "2026-01-05", ("Ann Lee", "Acme"))
    before = clock(ledger)
    tell(ledger, "b", "2026-03-01", ("Ann Lee", "Bolt"))
    assert changed(ledger, before) == 2


def test_another_date_of_a_document_changes_what_is_current(ledger):
    tell(ledger, "a", "2026-01-05", ("Ann Lee", "Acme"))
    tell(ledger, "b", "2026-03-01", ("Ann Lee", "Bolt"))
    before = clock(ledger)
    tell(ledger, "a", "2026-05-05", ("Ann Lee", "Acme"))
    assert changed(ledger, before) == 2
    assert [standing(ledger)["Ann Lee", firm].current for firm in ("Acme", "Bolt")] == [True, False]


def test_another_ontology_changes_what_can_be_replaced(ledger):
    tell(ledger, "a", "2026-01-05", ("Ann Lee", "Acme"))
    tell(ledger, "b", "2026-03-01", ("Ann Lee", "Bolt"))
    before = clock(ledger)
    ledger.write(facts.set_single, ())
    assert changed(ledger, before) == 2
    assert all(row.current for row in standing(ledger).values())
    ledger.write(facts.set_single, ())
    assert clock(ledger) == before + 1


def test_a_merge_of_two_firms_takes_back_that_one_replaced_the_other(ledger):
    tell(ledger, "a", "2026-01-05", ("Ann Lee", "Acme"))
    tell(ledger, "b", "2026-03-01", ("Ann Lee", "Bolt"))
    tell(ledger, "c", "2026-02-01", ("Ann Lee", "Cog"))
    before = clock(ledger)
    ledger.write(_merge, to_blob(atom_id("ws", "", "acme")), to_blob(atom_id("ws", "", "bolt")))
    assert changed(ledger, before) >= 3
    firms = [row for row in standing(ledger).values() if row.current]
    assert len(firms) == 1
    assert (firms[0].weight, firms[0].first, firms[0].last) == (2, "2026-01-05", "2026-03-01")


def _merge(db, one, other):
    corrections.merge(db, one, other, "hand")
    settle(db, [one, other])
