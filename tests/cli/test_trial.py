"""kg process --model-variants and --prompt-variants, kg report --by, kg prompts, and models by stage."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from core_engine.kg.prompt import PROMPTS
from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import Server

MINI, NANO = "gpt-5-mini", "gpt-5-nano"
DOCUMENTS = 16


@pytest.fixture
def served(kg: Kg, openai_server: Callable[..., Server]) -> tuple[Kg, Server]:
    server = openai_server()
    kg.env |= {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x"}
    write_meetings(kg.folder / "t", DOCUMENTS, turns=8)
    return kg, server


def _own_prompt(path: Path, more: str = "Be brief.\n") -> Path:
    text = (PROMPTS / "extract.v2.md").read_text("utf-8")
    path.write_text(text + more, "utf-8")
    return path


def _asked(server: Server) -> Counter[str]:
    """Extraction requests by model."""
    bodies = [json.loads(one["body"]) if isinstance(one["body"], str) else one["body"] for one in server.requests()]
    return Counter(
        body["model"] for body in bodies if body and "CHUNK 1" in str(body.get("messages", [{}])[-1].get("content", ""))
    )


def _by_document(kg: Kg) -> dict[str, set[str]]:
    rows = kg.ledger().execute(
        "SELECT d.name, json_extract(s.description, '$.model') || ' ' || json_extract(s.description, '$.prompt') "
        "FROM chunk c JOIN document d ON d.no = c.document JOIN question q ON q.no = c.extract JOIN spec s ON s.no = q.spec"
    )
    found: dict[str, set[str]] = {}
    for name, way in rows:
        found.setdefault(name, set()).add(way)
    return found


# --- variants --------------------------------------------------------------------------------------------------------


def test_each_document_is_asked_by_one_model_and_a_rerun_buys_nothing(served) -> None:
    kg, server = served
    report = kg.process("t", "--batch-size", 4, "--model-variants", f"{MINI},{NANO}")
    assert report["parts"]["extractor"] == f"openai {MINI} | {NANO}"
    assert set(_asked(server)) == {MINI, NANO}
    ways = _by_document(kg)
    assert len(ways) == DOCUMENTS
    assert all(len(way) == 1 for way in ways.values())
    books = server.books(log=False)
    assert report["cost_usd"]["total"] == pytest.approx(float(books["dollars"]), abs=1e-7)
    again = kg.process("t", "--batch-size", 4, "--model-variants", f"{MINI},{NANO}")
    assert again["calls"]["chat"] + again["calls"]["embedding"] == 0
    assert _by_document(kg) == ways
    assert "on trial" in kg("report").out


def test_a_new_document_leaves_the_others_where_they_were(served) -> None:
    kg, _ = served
    kg.process("t", "--model-variants", f"{MINI},{NANO}")
    ways = _by_document(kg)
    write_meetings(kg.folder / "t", DOCUMENTS + 4, turns=8)
    kg.process("t", "--model-variants", f"{MINI},{NANO}")
    now = _by_document(kg)
    assert {name: now[name] for name in ways} == ways


def test_the_winner_is_adopted_by_naming_it_and_only_the_others_documents_are_bought(served) -> None:
    kg, _ = served
    kg.process("t", "--model-variants", f"{MINI},{NANO}")
    held = {one["description"]["model"]: one["chunks"] for one in kg("status", "--json").report["answers"]}
    report = kg.process("t", "--model", NANO)
    assert report["chunks"]["reused"] == held[NANO]
    assert report["chunks"]["written"] == held[MINI]
    assert {way for ways in _by_document(kg).values() for way in ways} == {f"{NANO} extract.v2"}


def test_what_failed_on_trial_is_asked_again_by_the_same_model(served) -> None:
    kg, server = served
    variants = ("--model-variants", f"{MINI},{NANO}")
    server.configure(faults=[{"kind": "empty", "match": "meeting 3 point"}])
    kg.process("t", *variants, code=2)
    dead = {one["document"] for one in kg("dead-letters", "--json").report}
    assert dead
    server.configure(faults=[])
    report = json.loads(kg("retry", *variants, "--json").out)
    assert report["exit_code"] == 0
    assert report["calls"]["chat"] > 0
    assert kg("dead-letters", "--json").report == []
    assert all(len(ways) == 1 for ways in _by_document(kg).values())
    again = kg.process("t", *variants)
    assert again["calls"]["chat"] == 0


def test_the_estimate_is_of_both_models(served) -> None:
    kg, _ = served
    both = kg("estimate", "t", "--model-variants", f"{MINI},{NANO}", "--json").report
    one, other = (kg("estimate", "t", "--model", model, "--json").report for model in (MINI, NANO))
    assert both["chunks"] == one["chunks"]
    low, high = sorted((one["cost_usd"]["middle"], other["cost_usd"]["middle"]))
    assert low < both["cost_usd"]["middle"] < high


def test_models_are_compared_with_intervals_and_a_verdict(served) -> None:
    kg, _ = served
    kg.process("t", "--batch-size", 2, "--model-variants", f"{MINI},{NANO}")
    said = kg("report", "--by", "model", "--json").report
    assert {one["name"] for one in said["variants"]} == {MINI, NANO}
    assert sum(one["documents"] for one in said["variants"]) == DOCUMENTS
    for one in said["variants"]:
        low, high = one["cost"]["interval"]
        assert low <= one["cost"]["value"] <= high
        assert one["validity"]["value"] == 1.0
        assert 0 < one["validity"]["interval"][0] < 1
        assert one["facts"]["value"] > 0
    spent = sum(one["cost"]["value"] * one["chunks"] for one in said["variants"])
    extraction = kg("report", "--json").report["cost_usd"]
    assert spent == pytest.approx(extraction["chat"] - extraction["resolve"], rel=1e-6)
    (verdict,) = said["verdicts"]
    assert said["variants"][0]["name"] in verdict
    assert "% of the yield" in verdict
    shown = kg("report", "last", "--by", "model").out
    assert verdict in shown


def test_prompts_are_tried_by_what_they_say_and_not_by_their_files_names(served) -> None:
    kg, _ = served
    _own_prompt(kg.folder / "a.md")
    report = kg.process("t", "--prompt-variants", "extract.v2,a.md", "--split", "50/50")
    assert report["parts"]["extractor"] == f"openai {MINI}, prompts extract.v2 | a"
    said = kg("report", "--by", "prompt", "--json").report
    assert sorted(one["name"].split()[0] for one in said["variants"]) == ["a", "extract.v2"]
    (kg.folder / "a.md").rename(kg.folder / "b.md")
    again = kg.process("t", "--prompt-variants", "extract.v2,b.md")
    assert again["calls"]["chat"] == 0


def test_a_copy_of_our_prompt_asks_nothing_new(served) -> None:
    kg, _ = served
    kg.process("t")
    (kg.folder / "copy.md").write_bytes((PROMPTS / "extract.v2.md").read_bytes())
    assert kg.process("t", "--prompt", "copy.md")["calls"]["chat"] == 0
    assert kg.process("t", "--prompt", str(_own_prompt(kg.folder / "other.md")))["calls"]["chat"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--prompt-variants", "extract.v2,empty.md"), "empty.md: the prompt must hold <<ONTOLOGY>> once"),
        (("--prompt", "empty.md"), "empty.md: the prompt must hold <<ONTOLOGY>> once"),
        (("--prompt", "twice.md"), "twice.md: the prompt must hold <<ONTOLOGY>> once"),
        (
            ("--prompt", "extract.v99"),
            "there is no prompt 'extract.v99': name a file, or one of extract.v1, extract.v2",
        ),
        (("--prompt", "nowhere.md"), "nowhere.md: the prompt can't be read"),
        (("--prompt-variants", "extract.v2,copy.md"), "one and the same prompt"),
        (("--model-variants", "a,b", "--batch-api"), "--batch-api has no variants"),
    ],
)
def test_a_prompt_or_trial_that_cannot_be_is_refused_before_anything_is_made(
    served, words: tuple[str, ...], said: str
) -> None:
    kg, server = served
    (kg.folder / "empty.md").write_text("Find the names.\n", "utf-8")
    (kg.folder / "twice.md").write_text("<<ONTOLOGY>> <<ONTOLOGY>>\n", "utf-8")
    (kg.folder / "copy.md").write_bytes((PROMPTS / "extract.v2.md").read_bytes())
    ran = kg("process", "t", *words)
    assert ran.code == 1
    assert said in ran.err
    assert not (kg.folder / ".kg").exists()
    assert server.requests() == []


def test_variants_need_a_model(kg: Kg) -> None:
    write_meetings(kg.folder / "t", 1)
    ran = kg("process", "t", "--model-variants", "a,b", "--no-model")
    assert ran.code == 1
    assert "variants are of models" in ran.err


def test_a_cap_in_dollars_wants_the_price_of_every_model_on_trial(served) -> None:
    kg, server = served
    ran = kg("process", "t", "--model-variants", f"{MINI},unheard-of", "--max-cost", 5)
    assert ran.code == 1
    assert "the price of 'unheard-of' is not known" in ran.err
    assert _asked(server) == Counter()


def test_where_no_model_has_answered_there_is_nothing_to_compare(made: Kg) -> None:
    ran = made("report", "--by", "model")
    assert ran.code == 1
    assert "no model has answered anything here" in ran.err


# --- kg prompts ------------------------------------------------------------------------------------------------------


def test_our_prompts_are_listed_where_nothing_is_yet(kg: Kg) -> None:
    listed = kg("prompts", "list", "--json").report
    assert [(one["name"], one["origin"]) for one in listed] == [("extract.v2", "kg"), ("extract.v1", "kg")]
    assert list(kg.folder.iterdir()) == []


def test_what_was_used_is_kept_word_for_word_with_its_answers(served) -> None:
    kg, _ = served
    own = _own_prompt(kg.folder / "mine.md")
    report = kg.process("t", "--prompt", own)
    own.unlink()
    listed = {one["name"]: one for one in kg("prompts", "list", "--json").report}
    assert listed["mine"]["chunks"] == report["chunks"]["total"]
    assert listed["mine"]["models"] == [MINI]
    assert listed["mine"]["hash"] == report["prompt"]["hash"]
    assert kg("prompts", "show", "mine").out.endswith("Be brief.\n")
    assert kg("prompts", "show", listed["mine"]["hash"][:6]).out == kg("prompts", "show", "mine").out
    traced = kg.ledger().execute("SELECT lower(hex(hash)) FROM spec WHERE kind = 'extract'").fetchone()[0]
    assert kg("prompts", "show", traced[:12]).out == kg("prompts", "show", "mine").out
    diff = kg("prompts", "diff", "extract.v2", "mine").out
    assert [line for line in diff.splitlines() if line[0] == "+" and line[1] != "+"] == ["+Be brief."]
    assert kg("prompts", "diff", "mine", "mine").out == "no difference\n"


def test_a_prompt_that_nobody_knows_is_said(kg: Kg) -> None:
    ran = kg("prompts", "show", "extract.v99")
    assert ran.code == 1
    assert "`kg prompts list` names those that are known" in ran.err


# --- models by stage -------------------------------------------------------------------------------------------------


def test_stages_have_the_models_that_kg_toml_gives_them(served) -> None:
    kg, server = served
    (kg.folder / "kg.toml").write_text(
        f'model = "{MINI}"\n[models]\nextract = "{NANO}"\nembed = "text-embedding-3-large"\n', "utf-8"
    )
    report = kg.process("t")
    assert set(_asked(server)) == {NANO}
    parts = report["parts"]
    assert (parts["extractor"], parts["embedder"]) == (f"openai {NANO}", "openai text-embedding-3-large")
    shown = kg("config", "--json").report["settings"]
    assert shown["model"] == {"value": NANO, "origin": "kg.toml: models.extract"}
    assert shown["models"]["value"]["resolve"] == MINI


def test_a_flag_comes_before_the_models_of_the_file(kg: Kg) -> None:
    (kg.folder / "kg.toml").write_text(f'[models]\nextract = "{NANO}"\n', "utf-8")
    shown = kg("config", "--json", KG_MODEL="from-env").report["settings"]
    assert shown["model"] == {"value": "from-env", "origin": "KG_MODEL"}
    (kg.folder / "kg.toml").write_text('[models]\nwrite = "x"\n', "utf-8")
    ran = kg("config")
    assert ran.code == 1
    assert "models.write: choose one of embed, extract, resolve" in ran.err
