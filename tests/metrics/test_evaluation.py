"""Scores count what a reader would count, and say how sure they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_engine.errors import SettingsError
from core_engine.kg.normalise import normal_form
from core_engine.types import Chunk, ChunkTurn
from metrics.evaluation.bootstrap import difference_interval, f1_interval, share_interval
from metrics.evaluation.gold import GoldDocument, read_gold, read_pairs
from metrics.evaluation.report import compared, evaluate, markdown
from metrics.evaluation.said import Said, SaidChunk, SaidEntity, SaidFact, selection
from metrics.evaluation.scores import Counts, Scored, score

GOLD = """\
{"document": "a.txt", "entities": [
 {"name": "Ann Lee", "type": "Person", "mentions": ["Ann", "Annie"]},
 {"name": "Acme", "type": "Organization", "mentions": []},
 {"name": "Bolt Works", "type": "Organization"}],
 "relationships": [
 {"subject": "Ann Lee", "type": "works_at", "object": "Acme", "quote": "Ann works at Acme"},
 {"subject": "Ann Lee", "type": "works_at", "object": "Bolt Works", "quote": "not at Bolt", "modality": "denied"},
 {"subject": "Acme", "type": "partner_of", "object": "Bolt Works", "quote": "Acme and Bolt Works"}]}
""".replace("\n ", " ")


@pytest.fixture
def gold(tmp_path: Path) -> GoldDocument:
    (tmp_path / "gold.jsonl").write_text(GOLD)
    [document] = read_gold(tmp_path / "gold.jsonl")
    return document


def entity(identity: str, name: str, kind: str, grade: str = "exact") -> SaidEntity:
    return SaidEntity(identity, name, normal_form(name), kind, grade)


TURNS = ("Ann works at Acme", "Acme and Bolt Works", "Annie left")
CHUNK = Chunk("c", "d", 0, tuple(ChunkTurn(None, text, text, n) for n, text in enumerate(TURNS)))


def said(*entities: SaidEntity, facts: tuple[SaidFact, ...] = (), position: int = 1) -> list[SaidChunk]:
    return [SaidChunk(CHUNK, position, entities, facts)]


def scored(gold: GoldDocument, *entities: SaidEntity, facts: tuple[SaidFact, ...] = ()) -> Scored:
    return score(gold, said(*entities, facts=facts))


def prf(counts: Counts) -> tuple[float | None, ...]:
    return tuple(value if value is None else round(value, 3) for value in (counts.precision, counts.recall, counts.f1))


def test_an_entity_is_right_under_any_of_its_names(gold):
    measures = scored(
        gold, entity("1", "Ann", "Person"), entity("2", "ACME", "Product"), entity("3", "Zoe", "Person"),
        entity("4", "Bolt", "Organization"),
    ).measures  # fmt: skip
    assert prf(measures["entities exact"]) == (0.5, 0.667, 0.571)
    assert prf(measures["entities typed"]) == (0.25, 0.333, 0.286)
    assert prf(measures["entities partial"]) == (0.75, 1.0, 0.857)


ENDS = (entity("1", "Ann", "Person"), entity("2", "Acme", "Organization"), entity("3", "Bolt Works", "Organization"))


def test_a_relationship_is_right_with_its_ends_and_type(gold):
    facts = (
        SaidFact("1", "works_at", "2", 1, "exact", "stated"),
        SaidFact("1", "works_at", "2", 3, "inferred", "stated"),
        SaidFact("2", "supplies", "3", 2, "exact", "planned"),
        SaidFact("1", "works_at", "3", 2, "exact", "denied"),
    )
    result = scored(gold, *ENDS, facts=facts)
    assert prf(result.measures["relationships exact"]) == (0.5, 0.5, 0.5)
    assert prf(result.measures["relationships ends"]) == (1.0, 1.0, 1.0)
    assert result.evidence == {"right": 1}
    assert result.grades["relationships", "exact", True] == 1
    assert result.grades["relationships", "inferred", True] == 1
    assert [(miss.kind, miss.what) for miss in result.misses] == [
        ("wrong relationship", "Acme supplies Bolt Works"),
        ("missed relationship", "Acme partner_of Bolt Works"),
    ]


@pytest.mark.parametrize(("turn", "where"), [(1, "right"), (2, "near"), (3, "elsewhere")])
def test_what_is_cited_is_held_against_the_quote(gold, turn, where):
    result = scored(gold, *ENDS, facts=(SaidFact("1", "works_at", "2", turn, "exact", "stated"),))
    assert result.evidence == {where: 1}


def test_resolution_counts_pairs_and_b_cubed(gold):
    apart = scored(gold, entity("1", "Ann Lee", "Person"), entity("2", "Ann", "Person"), entity("3", "Annie", "Person"))
    assert prf(apart.measures["resolution pairwise"]) == (None, 0.0, 0.0)
    assert prf(apart.measures["resolution b_cubed"]) == (1.0, 0.333, 0.5)
    mixed = scored(gold, entity("1", "Ann Lee", "Person"), entity("1", "Ann", "Person"), entity("1", "Acme", "Person"))
    assert prf(mixed.measures["resolution pairwise"]) == (0.333, 1.0, 0.5)
    assert prf(mixed.measures["resolution b_cubed"]) == (round(5 / 9, 3), 1.0, 0.714)


def test_a_chunk_answers_for_what_its_own_words_hold(gold):
    result = scored(gold, entity("1", "Annie", "Person"), entity("2", "Zoe", "Person"))
    assert prf(result.by_position[1, "entities"]) == (0.5, 0.333, 0.4)
    assert result.by_position[1, "relationships"].gold == 2


def test_intervals_hold_the_score_and_are_the_same_each_time():
    documents = [Counts(n % 3, 2, n % 3, 2) for n in range(30)]
    low, high = f1_interval(documents) or (1, 0)
    assert low < (sum(documents, Counts()).f1 or 0) < high
    assert f1_interval(documents) == (low, high)
    assert f1_interval(documents[:1]) is None
    assert difference_interval([(each, each) for each in documents]) == (0, 0)
    assert share_interval([True] * 9) == (1, 1)


def test_a_side_that_says_less_is_worse_where_that_is_sure(gold):
    documents = [GoldDocument(f"{n}", gold.entities, gold.facts) for n in range(12)]
    whole = Said({each.name: said(*ENDS) for each in documents}, [], 0)
    half = Said({each.name: said(ENDS[0]) for each in documents}, [], 0)
    found = compared(documents, ("whole", whole), ("half", half))
    assert found["differences"]["entities exact"] == {
        "one": 1.0, "other": 0.5, "difference": -0.5, "interval": [-0.5, -0.5], "verdict": "worse",
    }  # fmt: skip
    same = compared(documents, ("whole", whole), ("again", whole))["differences"]["entities exact"]
    assert same["verdict"].startswith("no difference")


def test_the_page_runs_nothing_and_breaks_no_table(gold):
    evil = entity("1", "<script>|`x`\n# Oops", "Person")
    report = evaluate("current", [gold], Said({"a.txt": said(evil)}, ["<b>.txt"], 2), [])
    page = markdown({"workspace": "w", "sides": [report], "comparisons": []}, 5)
    assert "<script" not in page
    assert "<b>" not in page
    assert "\n# Oops" not in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no document"),
        ("{\n", ":1: no JSON"),
        ("[]\n", ":1:"),
        ('{"document": "a"}\n', ":1: 'entities' is missing"),
        ('\n{"document": "a", "entities": [{"name": "x"}]}\n', ":2: 'type' is missing"),
        ('{"document": "a", "entities": []}\n{"document": "a", "entities": []}\n', ":2: document 'a' is there twice"),
        (
            '{"document": "a", "entities": [], "relationships": [{"subject": "x", "type": "t", "object": "y"}]}\n',
            ":1: the relationship's subject 'x' is no entity",
        ),
    ],
)
def test_bad_gold_is_told_with_its_line(tmp_path, text, words):
    (tmp_path / "gold.jsonl").write_text(text)
    with pytest.raises(SettingsError) as raised:
        read_gold(tmp_path / "gold.jsonl")
    assert words in str(raised.value)


def test_bad_pairs_and_selections_are_told(tmp_path):
    (tmp_path / "same.tsv").write_text("document_a\tname_a\n")
    with pytest.raises(SettingsError, match="document_b"):
        read_pairs(tmp_path / "same.tsv")
    with pytest.raises(SettingsError, match="no-such"):
        selection("no-such=1")
    assert selection("model=a, prompt=b") == {"model": "a", "prompt": "b"}
    assert selection("current") == {}
