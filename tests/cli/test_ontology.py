"""`kg ontology`: a file to start from, all that is wrong in one, and one proposed from what was answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core_engine.kg.ontology import Ontology
from tests.kg import Kg


def test_what_init_writes_is_the_built_in_one_and_nothing_is_written_over(kg: Kg):
    assert kg("ontology", "init").code == 0
    written = Ontology.load(kg.folder / "ontology.toml")
    assert (written.render(), written.mark) == (Ontology.default().render(), Ontology.default().mark)
    (kg.folder / "ontology.toml").write_text("mine")
    ran = kg("ontology", "init")
    assert (ran.code, (kg.folder / "ontology.toml").read_text()) == (1, "mine")
    assert "--force" in ran.err
    assert kg("ontology", "init", "--force").code == 0
    assert kg("ontology", "check", "ontology.toml").out.endswith("no problems\n")


def test_the_built_in_one_has_no_problems(kg: Kg):
    ran = kg("ontology", "check", "--json")
    assert ran.code == 0
    assert (ran.report["ok"], ran.report["entity_types"]) == (True, len(Ontology.default().entities))


ODD = """\
[entities.Person]
aliases = ["Human"]
[entities.Human]
aliases = ["Being"]
[entities.Being]
aliases = ["Person"]
[entities.Document]
[entities."9 lives"]
[entities.Firm]
parent = "Org"
[entities.Place]
aliases = ["Spot"]
[entities.Odd]
asked = "no"
[entities.Town]
aliases = ["City", "Place"]
[entities.Drug]
examples = ["a", "b", "c", "d", "e", "f"]
[relationships.takes]
ends = ["Person -> Drugs"]
[relationships.co_occurs]
ends = ["Any -> Any"]
[relationships.has]
ends = ["Person, Drug"]
[relationships.lives]
"""


def test_all_that_is_wrong_is_named_with_its_line(kg: Kg):
    (kg.folder / "odd.toml").write_text(ODD)
    ran = kg("ontology", "check", "odd.toml")
    assert ran.code == 1
    lines = ran.out.splitlines()
    told = {int(line.split(":")[1]): line for line in lines}
    assert sorted(told) == [1, 7, 8, 9, 13, 15, 17, 19, 21, 23, 25]
    for line, words in {
        1: "go in a circle: Person -> Human -> Being -> Person",
        7: "used by the graph itself",
        8: "'9 lives' can't be the name",
        9: "parent is not known. Types have no parents",
        13: "asked must be true or false",
        15: "'Place' is used by entities.Place",
        17: "at most 5",
        19: "'Drugs' is no entity type of this file. Did you mean Drug?",
        21: "used by the graph itself",
        23: "'Person, Drug' is not of the form",
        25: "lives.ends is missing",
    }.items():
        assert words in told[line], told[line]
    as_json = kg("ontology", "check", "odd.toml", "--json")
    assert as_json.code == 1
    assert [each["line"] for each in as_json.report["problems"]] == sorted(told)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[entities.Person]\n[entities.Person]\n", 2, "not valid TOML"),
        ("entities = 3\n", 1, "must be tables"),
        ("entities.Person = 3\n", 1, "must be a table"),
        ("", 0, "no entity type"),
        ("[entities.A]\nasked = false\n", 1, "no entity type to ask about"),
        ("[entities.A]\n[things.B]\n", 2, "things is not known"),
        ('[entities.A]\naliases = ["b"]\n[entities.B]\n', 1, "is used by"),
        ("[entities.A]\n" + "x = " + "[" * 5_000, 0, "not valid TOML"),
    ],
)
def test_one_that_is_wrong_altogether_is_told_so(kg: Kg, text: str, line: int, words: str):
    (kg.folder / "odd.toml").write_text(text)
    ran = kg("ontology", "check", "odd.toml", "--json")
    assert ran.code == 1
    [problem] = ran.report["problems"]
    assert words in problem["message"]
    assert line in {0, problem["line"]}


def test_a_file_that_is_not_there_is_told_so(kg: Kg):
    ran = kg("ontology", "check", "none.toml")
    assert (ran.code, "can't be read" in ran.err) == (1, True)


ANSWER = {
    "e": [["Ann", "Person"], ["Ramipril", "medical drug"], ["Acme", "Company"], ["\n# [entities.Evil]", "9"]],
    "r": [["0", "takesDrug", "1", "1"], ["0", "works_for", "2", "1"]],
}


def test_a_proposal_holds_what_was_answered_fitting_or_not(openai_server, tmp_path: Path):
    server = openai_server(
        replies=[{"match": "CHUNK", "content": json.dumps({"chunks": [{"c": n, **ANSWER} for n in (1, 2)]})}]
    )
    kg = Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x")
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"Ann: I take Ramipril at Acme, {name}\n")
    kg.process("a.txt", "b.txt", "--embedder", "none")
    ran = kg("ontology", "infer", "--out", "next.toml")
    assert ran.code == 0, ran.err
    proposed = Ontology.load(tmp_path / "next.toml")
    assert [each.name for each in proposed.entities] == ["Person", "MedicalDrug", "Organization"]
    assert {r.name: (r.pairs, r.single) for r in proposed.relationships} == {
        "takes_drug": (frozenset({("Person", "MedicalDrug")}), False),
        "works_at": (frozenset({("Person", "Organization")}), True),
    }
    assert kg("ontology", "check", "next.toml").code == 0
    text = (tmp_path / "next.toml").read_text()
    assert "[entities.MedicalDrug]  # new, 2 times" in text
    assert "# such as Ramipril" in text
    assert kg("ontology", "infer", "--at-least", "3").code == 1
    assert kg("ontology", "infer").out == text


def test_a_proposal_from_the_rules_holds_what_they_found(made: Kg):
    ran = made("ontology", "infer")
    assert ran.code == 0
    assert "Person" in [each.name for each in Ontology.parse(ran.out).entities]
