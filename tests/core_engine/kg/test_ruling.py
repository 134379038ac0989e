"""What the rules make of a whole workspace: document by document, in any order, after an upgrade, in any language."""

from __future__ import annotations

import json

import pytest

from tests.kg import Kg, write_meetings

LOWER = (
    "so we talked about the plan with the people from the other office and they said it was fine with them but we "
    "should look at the numbers again because last time it was not right and then apple and anna would send it by friday "
)
GERMAN = (
    "Guten Morgen, wir haben heute drei Punkte auf der Tagesordnung, und ich möchte mit dem Vertrag beginnen. Der Vertrag "
    "mit der Müller Maschinenbau GmbH ist noch nicht fertig, weil SAP eine Frage zur Haftung hat. Herr Schneider "
    "kommt am 5.3.2026. Die Kosten sind um 12 % gestiegen. "
)
ENGLISH = (
    "Ann Lee: So we ordered it. Apple was late, and so I told Apple that Anna Berg called. We met Gugino in Oslo.\n"
)


@pytest.fixture
def kg(tmp_path) -> Kg:
    return Kg(tmp_path)


def process(kg, **files: str):
    folder = kg.folder / "in"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return kg.process("in", "--no-model")


def said(kg, document: str) -> dict[str, str]:
    rows = kg.ledger().execute(
        "SELECT m.name, m.type FROM mention m JOIN chunk c ON c.no = m.chunk JOIN document d ON d.no = c.document "
        "WHERE d.name = ?",
        (f"{document}.txt",),
    )
    return dict(rows.fetchall())


def test_a_document_that_rules_cant_read_is_named_with_the_reason_on_every_run(kg):
    report = process(
        kg, low=LOWER * 8, zh="王小明: 我们明天开会讨论合同。\n李华: 好的。\n" * 8, de=GERMAN * 3, en=ENGLISH
    )
    warnings = "\n".join(report["warnings"])
    assert "low.txt is written without capitals" in warnings
    assert "zh.txt is in a script without capitals" in warnings
    assert "de.txt is in German" in warnings
    assert "en.txt" not in warnings
    assert process(kg)["warnings"] == report["warnings"]


def test_german_nouns_are_no_names_and_what_else_tells_a_name_still_does(kg):
    process(kg, de=GERMAN * 3)
    assert said(kg, "de") == {
        "Müller Maschinenbau GmbH": "Organization",
        "SAP": "Entity",
        "Schneider": "Person",
        "5.3.2026": "Date",
        "12 %": "Percentage",
    }


def test_how_a_lower_cased_document_writes_a_word_takes_no_name_from_the_others(kg):
    process(kg, en=ENGLISH)
    alone = said(kg, "en")
    process(kg, low=LOWER * 60)
    assert alone["Apple"] == "Entity"
    assert said(kg, "en") == alone


def test_a_document_knows_a_person_by_the_part_of_a_name_that_it_says_later(kg):
    turns = "".join(
        f"Bob Ray: Point {i} is about the plan and the price of it, as we said the other day.\n" for i in range(60)
    )
    process(kg, one=f"Bob Ray: Please welcome our CFO, Matt Gugino.\n{turns}Bob Ray: so we thank Gugino for it.\n")
    rows = kg.ledger().execute(
        "SELECT DISTINCT m.type, a.scope != '' FROM mention m JOIN atom a ON a.no = m.atom WHERE m.name = 'Gugino'"
    )
    assert rows.fetchall() == [("Person", 1)]


def test_a_relative_date_is_another_in_each_document_and_an_absolute_one_the_same(kg):
    talk = "Ann Lee: We meet Bob Ray on Friday, and the launch is on March 5th, 2026, for $30 million, up 20 %.\n"
    process(kg, one=talk, two=talk.replace("Ann Lee", "Cy Moss"))
    rows = dict(kg.ledger().execute("SELECT norm, count(*) FROM atom GROUP BY norm").fetchall())
    assert {norm: rows[norm] for norm in ("friday", "march 5th 2026", "$30 million", "20 %")} == {
        "friday": 2,
        "march 5th 2026": 1,
        "$30 million": 1,
        "20 %": 2,
    }


def test_a_stated_role_has_its_words_in_the_graph(kg):
    process(kg, one="Bob Ray: Please welcome our CFO, Matt Gugino of Danaher Corporation.\n")
    [(predicate, detail)] = kg.ledger().execute("SELECT predicate, detail FROM statement").fetchall()
    assert predicate == "has_role"
    assert json.loads(detail)["quote"] == "Please welcome our CFO, Matt Gugino of Danaher Corporation."


def test_with_an_ontology_of_ones_own_the_rules_keep_to_its_types(kg):
    (kg.folder / "own.toml").write_text('[entities.Human]\naliases = ["Person"]\n[entities.Sum]\naliases = ["Money"]\n')
    (kg.folder / "in").mkdir()
    (kg.folder / "in" / "a.txt").write_text("Bob Ray: our CFO, Ann Lee, is in Spain on Friday for $5 and 20 %.\n")
    kg.process("in", "--no-model", "--ontology", "own.toml")
    assert said(kg, "a") == {"Bob Ray": "Human", "Ann Lee": "Human", "Spain": "Entity", "$5": "Sum"}
    assert kg.ledger().execute("SELECT count(*) FROM statement").fetchone() == (0,)


def test_another_ontology_is_taken_up_by_the_next_run(kg):
    text = "Bob Ray: our CFO, Ann Lee, is in Spain for $5.\n"
    process(kg, a=text)
    before = said(kg, "a")
    (kg.folder / "own.toml").write_text('[entities.Human]\naliases = ["Person"]\n')
    kg.process("in", "--no-model", "--ontology", "own.toml")
    assert said(kg, "a") == {"Bob Ray": "Human", "Ann Lee": "Human", "Spain": "Entity"}
    process(kg)
    assert said(kg, "a") == before


# --- upgrades -------------------------------------------------------------------------------------------------------


def age(kg) -> None:
    """The ledger as an older version of the rules would have left it: other scans, under another spec."""
    ledger = kg.ledger()
    ledger.execute("UPDATE spec SET description = '{\"version\":1}', hash = randomblob(16) WHERE kind = 'rules'")
    ledger.execute('UPDATE question SET answer = \'[[],[],"","",0,0,0,0,0]\', key = randomblob(16)')
    ledger.execute("UPDATE mention SET name = 'Old ' || name")
    ledger.execute("UPDATE chunk SET derived = randomblob(16)")
    ledger.execute("DELETE FROM meta WHERE key LIKE 'rules_%'")


@pytest.mark.parametrize("command", ["process", "rebuild"])
def test_what_an_older_version_of_the_rules_found_is_found_anew_for_free(kg, command):
    write_meetings(kg.folder / "in", 3)
    kg.process("in", "--no-model")
    fresh = kg.graph()
    age(kg)
    ran = kg("rebuild", "--json") if command == "rebuild" else kg("process", "in", "--no-model", "--json")
    assert ran.code == 0
    assert ran.report["calls"]["chat"] + ran.report["calls"]["embedding"] == 0
    assert kg.graph() == fresh


def test_after_an_upgrade_only_some_files_are_given_and_the_others_are_found_anew_too(kg):
    first, *_ = write_meetings(kg.folder / "in", 3)
    kg.process("in", "--no-model")
    fresh = kg.graph()
    age(kg)
    kg.process(first, "--no-model")
    assert kg.graph() == fresh


def test_what_an_older_version_made_of_a_models_answers_is_made_anew_without_asking(kg, openai_server):
    env = {"OPENAI_BASE_URL": openai_server().url, "OPENAI_API_KEY": "x"}
    write_meetings(kg.folder / "in", 2)
    kg.process("in", **env)
    fresh = kg.graph()
    ledger = kg.ledger()
    ledger.execute("UPDATE mention SET name = 'Old ' || name")
    ledger.execute("UPDATE chunk SET derived = randomblob(16)")
    ledger.execute("DELETE FROM meta WHERE key = 'derive_version'")
    again = kg.process("in", **env)
    assert again["calls"]["chat"] + again["calls"]["embedding"] == 0
    assert kg.graph() == fresh
