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
        ("[tags]\na = 1\n", "kg.toml: tags"),
    ],
)
def test_a_table_that_can_not_be_names_itself(kg, tmp_path, toml, said):
    (tmp_path / "kg.toml").write_text(toml, encoding="utf-8")
    ran = kg("process", "t")
    assert ran.code == 1
    assert said in ran.err
