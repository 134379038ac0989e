"""Personas and tags: from a flag, the environment or kg.toml into each call's row."""

from __future__ import annotations

import json

import pytest

from tests.kg import Kg, write_meetings


@pytest.fixture
def kg(tmp_path, openai_server):
    write_meetings(tmp_path / "t", 1)
    return Kg(tmp_path, OPENAI_BASE_URL=openai_server().url, OPENAI_API_KEY="sk-test")


def test_each_call_has_the_persona_of_its_run_or_of_its_stage_and_the_run_its_tags(kg, tmp_path):
    toml = '[tags]\nteam = "a, b=c"\nsource = "file"\n\n[stage_personas]\nembed = "search"\n'
    (tmp_path / "kg.toml").write_text(toml, encoding="utf-8")
    kg.process("t", "--persona", "ann", "--tag", "source=flag", "--tag", "x=1=2", KG_TAGS="source=env,y=z")
    ledger = kg.ledger()
    assert dict(ledger.execute("SELECT DISTINCT stage, persona FROM call")) == {"extract": "ann", "embed": "search"}
    persona, tags = ledger.execute("SELECT persona, tags FROM run").fetchone()
    assert persona == "ann"
    assert json.loads(tags) == {"team": "a, b=c", "source": "flag", "x": "1=2", "y": "z"}


def test_without_any_nobody_pays_in_particular(kg):
    kg.process("t")
    assert kg.ledger().execute("SELECT DISTINCT persona FROM call").fetchall() == [("",)]
    assert kg.ledger().execute("SELECT persona, tags FROM run").fetchone() == ("", "{}")


def test_lines_of_batch_jobs_keep_the_persona_that_they_were_made_for(kg):
    kg.process("t", "--batch-api", "--no-wait", "--persona", "ann", KG_BATCH_POLL="0.01")
    kg.process("t", "--batch-api", "--persona", "bob", KG_BATCH_POLL="0.01")
    personas = kg.ledger().execute("SELECT DISTINCT persona FROM call WHERE job IS NOT NULL").fetchall()
    assert personas == [("ann",)]


@pytest.fixture
def folders(kg, tmp_path):
    """Three meetings, each so short that they would share a request; two of the files say whom they are for."""
    for name in ("sales", "support", "else"):
        write_meetings(tmp_path / "u" / name, 1, turns=8)
    toml = '[path_personas]\n"sales/**" = "sue"\n"**/support/*" = "sam"\n[stage_personas]\nembed = "search"\n'
    (tmp_path / "kg.toml").write_text(toml, encoding="utf-8")
    for number, name in enumerate(("sales", "support", "else")):  # no text twice, or one would pay for both
        path = tmp_path / "u" / name / "m0.txt"
        path.write_text(path.read_text("utf-8").replace("Ann", f"Ann{number}") + f"Ann: This is {name}.\n", "utf-8")
    return kg


@pytest.mark.parametrize("words", [(), ("--batch-api",)])
def test_files_may_say_whom_they_are_for_and_no_request_is_for_two(folders, words):
    report = folders.process("u", "--persona", "ann", *words, KG_BATCH_POLL="0.01")
    ledger = folders.ledger()
    asked = ledger.execute(
        "SELECT DISTINCT k.stage, k.persona, d.name FROM call k, json_each(k.questions) j JOIN question q ON q.no = j.value "
        "JOIN chunk c ON c.extract = q.no OR c.embed = q.no JOIN document d ON d.no = c.document"
    ).fetchall()
    assert set(asked) == {
        ("extract", "sue", "sales/m0.txt"),
        ("extract", "sam", "support/m0.txt"),
        ("extract", "ann", "else/m0.txt"),
        ("embed", "sue", "sales/m0.txt"),
        ("embed", "sam", "support/m0.txt"),
        ("embed", "search", "else/m0.txt"),
    }
    by = {one["name"]: one for one in json.loads(folders("usage", "--by", "persona", "--json").out)["groups"]}
    assert set(by) == {"sue", "sam", "ann", "search"}
    assert sum(one["cost_usd"]["paid"] for one in by.values()) == pytest.approx(report["cost_usd"]["total"], abs=1e-7)


@pytest.mark.parametrize("words", [(), ("--batch-api",)])
def test_each_of_them_pays_from_a_quota_of_its_own(folders, tmp_path, words):
    with (tmp_path / "kg.toml").open("a", encoding="utf-8") as file:
        file.write('[budget]\nmonth_tokens = 9_000_000\n[budget.persona."*"]\nmonth_tokens = 1_000_000\n')
    report = folders.process("u", "--persona", "ann", *words, KG_BATCH_POLL="0.01")
    spent = {cap["name"]: cap["spent"] for cap in report["budget"]["caps"]}
    said = json.loads(folders("usage", "--by", "persona", "--json").out)
    assert {one["name"]: one["tokens"]["total"] for one in said["groups"]} == {
        name: tokens for name, tokens in spent.items() if name
    }
    assert spent[""] == said["total"]["tokens"]["total"]


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        (("--tag", "novalue"), {}, "NAME=VALUE"),
        (("--tag", "a="), {}, "--tag a"),
        (("--tag", "a=b\nc"), {}, "--tag a"),
        (("--tag", "1=b"), {}, "--tag '1'"),
        (("--tag", "a=" + "x" * 201), {}, "--tag a"),
        ([word for n in range(21) for word in ("--tag", f"t{n}=1")], {}, "21 tags"),
        ((), {"KG_TAGS": "a"}, "KG_TAGS"),
        (("--persona", "a b"), {}, "--persona"),
    ],
)
def test_what_can_be_no_name_is_said_before_anything_is_made(kg, tmp_path, words, env, said):
    ran = kg("process", "t", *words, **env)
    assert ran.code == 1
    assert said in ran.err
    assert not (tmp_path / ".kg").exists()


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[stage_personas]\nread = "ann"\n', "stage_personas.read"),
        ('[stage_personas]\nembed = "a/b"\n', "stage_personas.embed"),
        ('[path_personas]\n"a/*" = "b c"\n', "path_personas.'a/*'"),
        ("[tags]\na = 1\n", "kg.toml: tags"),
    ],
)
def test_a_table_that_can_not_be_names_itself(kg, tmp_path, toml, said):
    (tmp_path / "kg.toml").write_text(toml, encoding="utf-8")
    ran = kg("process", "t")
    assert ran.code == 1
    assert said in ran.err
