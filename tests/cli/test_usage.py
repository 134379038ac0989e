"""`kg usage` as a user meets it: what was asked and what it cost, quotas, letting old calls go, and whatever is odd."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from decimal import Decimal

import pytest

from tests.kg import Kg, write_meetings


@pytest.fixture
def server(openai_server):
    return openai_server()


@pytest.fixture
def kg(tmp_path, server):
    write_meetings(tmp_path / "t", 3)
    return Kg(tmp_path, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test")


def toml(kg: Kg, *lines: str) -> None:
    (kg.folder / "kg.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def usage(kg: Kg, *words: object) -> dict:
    ran = kg("usage", "--json", *words)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_what_it_says_is_what_the_server_would_bill_by_workspace_persona_stage_and_tag(kg, server):
    kg.process("t", "--persona", "ann", "--tag", "team=a")
    kg.process("t", "-w", "other", "--tag", "team=a", "--tag", "job=night")
    books = server.books(log=False)
    said = usage(kg)
    assert Decimal(str(said["total"]["cost_usd"]["paid"])) == pytest.approx(
        Decimal(books["dollars"]), abs=Decimal("1e-8")
    )
    assert said["total"]["tokens"]["total"] == sum(
        books["tokens"][name] for name in ("prompt", "completion", "embedding")
    )
    assert {one["name"] for one in usage(kg, "--by", "workspace")["groups"]} == {"default", "other"}
    assert {one["name"] for one in usage(kg, "--by", "persona")["groups"]} == {"ann", "(none)"}
    assert {one["name"] for one in usage(kg, "--by", "tag")["groups"]} == {"team=a", "job=night"}
    stages = {one["name"]: one["calls"] for one in usage(kg, "--by", "stage")["groups"]}
    assert stages["embed"] >= 2
    only = usage(kg, "--tag", "job=night")
    assert only["total"] == usage(kg, "-w", "other")["total"]
    assert 0 < only["total"]["calls"] < said["total"]["calls"]
    assert [one["name"] for one in said["top_spenders"]["persona"]] == ["ann", "(none)"] or len(
        said["top_spenders"]["persona"]
    ) == 2


def test_what_a_rerun_saves_is_told(kg):
    kg.process("t")
    report = kg.process("t")
    assert report["cost_usd"]["saved_by_reuse"] > 0
    saved = usage(kg)["total"]["cost_usd"]["saved_by_reuse"]
    assert saved == pytest.approx(report["cost_usd"]["saved_by_reuse"], abs=1e-6)


def test_quotas_say_limit_used_remaining_and_when_they_begin_anew(kg):
    toml(kg, "[quota.tier.free]", "month_tokens = 1_000_000", "[quota.persona]", 'ann = "free"', 'zoe = "free"')
    kg.process("t", "--persona", "ann")
    said = usage(kg)
    ann = next(one for one in said["quotas"] if one["name"] == "ann")
    assert ann["used"] == said["total"]["tokens"]["total"]
    assert ann["remaining"] == 1_000_000 - ann["used"]
    assert ann["resets_at"].endswith("+00:00")
    assert ann["projected"] >= ann["used"]
    assert said["unused_personas"] == ["zoe"]
    words = kg("usage").out
    assert "persona ann: " in words
    assert "defined and not used: zoe" in words


def test_of_one_workspace_a_shared_cap_still_counts_what_all_have_used(kg):
    toml(kg, "[budget]", "month_tokens = 9_000_000", "[budget.workspace.other]", "month_tokens = 9_000_000")
    kg.process("t")
    kg.process("t", "-w", "other")
    one, all_of_it = usage(kg, "-w", "other"), usage(kg)
    used = {quota["scope"]: quota["used"] for quota in one["quotas"]}
    assert used["workspace"] == one["total"]["tokens"]["total"] < all_of_it["total"]["tokens"]["total"]
    assert used["home"] == all_of_it["total"]["tokens"]["total"]
    assert one["workspaces"] == ["other"]


def test_a_hard_quota_ends_the_run_with_exit_3_and_what_is_needed_and_left(kg, server):
    toml(kg, "[quota.tier.small]", "day_chunks = 4", "[quota.persona]", '"*" = "small"')
    ran = kg("process", "t", "--batch-size", 2, "--persona", "ann")
    assert ran.code == 3
    assert "the day's cap of 4 chunks for persona 'ann' (tier 'small', kg.toml: day_chunks)" in ran.out
    assert "0 chunks left" in ran.out
    assert usage(kg)["quotas"][0]["used"] == 4
    assert kg.process("t", "--persona", "bob", "--batch-size", 2, code=3)["chunks"]["written"] > 0
    assert kg.process("t")["chunks"]["pending"] == 0  # nobody in particular has no quota


def test_a_soft_quota_lets_the_run_go_on(kg):
    toml(kg, "[quota.tier.small]", "day_chunks = 4", "hard = false", "[quota.persona]", '"*" = "small"')
    ran = kg("process", "t", "--persona", "ann")
    assert ran.code == 0
    assert "% of the day's cap of persona 'ann', 4 chunks" in ran.err
    assert "it only warns" in ran.err


def test_as_csv_it_has_a_line_a_group_and_no_name_is_a_formula(kg):
    kg.process("t")
    kg.ledger().execute("UPDATE tally SET model = '=1+1'")
    found = list(csv.DictReader(io.StringIO(kg("usage", "--by", "model", "--csv").out)))
    assert [row["name"] for row in found] == ["'=1+1"]
    assert int(found[0]["calls"]) > 0
    assert float(found[0]["cost_usd_paid"]) > 0


def test_a_span_of_days_or_months_is_all_that_counts(kg):
    kg.process("t")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    all_of_it = usage(kg, "--all")["total"]
    assert usage(kg, "--since", today)["total"] == all_of_it
    assert usage(kg, "--since", today, "--until", today[:7])["total"] == all_of_it
    assert usage(kg, "--since", "2020-01", "--until", "2020-02-28")["total"]["calls"] == 0
    assert usage(kg, "--until", "2020-02-28")["total"]["calls"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "moon"), "choose one of day, month"),
        (("--since", "yesterday"), "--since 'yesterday'"),
        (("--since", "2026-02-30"), "--since '2026-02-30'"),
        (("--since", "2026-12", "--until", "2026-11"), "before --since"),
        (("--all", "--since", "2026-11"), "choose one"),
        (("--until", "9999-12-31"), "no calendar goes further"),
        (("--json", "--csv"), "choose one"),
        (("--tag", "a"), "NAME=VALUE"),
        (("-w", "nowhere"), "nowhere"),
        (("--prom-textfile", "kg.txt"), ".prom"),
    ],
)
def test_what_can_not_be_is_said_with_exit_1(made, words, said):
    ran = made("usage", *words)
    assert ran.code == 1
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_copy_of_a_workspaces_folder_is_passed_over(made):
    shutil.copytree(made.folder / ".kg/default", made.folder / ".kg/default (copy)")
    ran = made("usage")
    assert ran.code == 0, ran.err
    assert "copy" not in ran.out + ran.err


def test_without_a_workspace_it_says_how_to_make_one(tmp_path):
    ran = Kg(tmp_path)("usage")
    assert ran.code == 1
    assert "kg process PATHS" in ran.err


def test_a_workspace_that_asked_no_model_has_used_nothing(made):
    said = usage(made)
    assert said["total"]["calls"] == 0
    assert said["groups"] == []
    assert "0 calls" in made("usage").out


def test_a_damaged_ledger_is_told_and_the_others_count(kg):
    kg.process("t")
    broken = kg.folder / ".kg" / "broken"
    broken.mkdir()
    (broken / "ledger.sqlite3").write_bytes(b"no database at all, and long enough to be looked at\n" * 100)
    said = usage(kg)
    assert said["total"]["calls"] > 0
    assert said["unreadable"][0].startswith("broken: ")


def test_a_thousand_workspaces_are_summed_up(made):
    home = made.folder / ".kg"
    for number in range(1_000):
        (home / f"w{number}").mkdir()
        os.link(home / "default" / "ledger.sqlite3", home / f"w{number}" / "ledger.sqlite3")
    said = usage(made, "--by", "workspace")
    assert len(said["workspaces"]) == 1_001
    assert said["unreadable"] == []


def test_names_with_terminal_escapes_are_harmless_on_a_screen(kg):
    kg.process("t", "--tag", "team=a")
    kg.ledger().execute("UPDATE tally SET model = ?", ("\x1b[2J\nevil",))
    out = kg("usage", "--by", "model").out
    assert "\x1b" not in out


# --- letting go ------------------------------------------------------------------------------------------------------


def twice(kg: Kg) -> None:
    """Two requests for embeddings, the first of which nobody needs any longer."""
    kg.process("t", "--limit", 1)
    kg.process("t")


def aged(kg: Kg, days: float) -> None:
    """As if all had happened so many days ago."""
    ledger = kg.ledger()
    ledger.execute("UPDATE call SET started_at = started_at - ?", (days * 86_400,))
    ledger.execute("UPDATE tally SET slot = slot - ?", (int(days * 96),))
    ledger.execute("UPDATE run SET started_at = started_at - ?1, ended_at = ended_at - ?1", (days * 86_400,))


def test_rolled_up_no_figure_changes_the_graph_can_be_rebuilt_and_nothing_is_bought_again(kg, server):
    first = kg.process("t", "--batch-size", 2)
    aged(kg, 100)
    calls = server.books(log=False)["calls"]
    before = usage(kg, "--all", "--by", "stage")
    graph = kg.graph()
    ran = kg("usage", "--roll-up", "--all")
    assert ran.code == 0
    assert "rolled up" in ran.err
    after = usage(kg, "--all", "--by", "stage")
    assert (after["groups"], after["total"]) == (before["groups"], before["total"])
    again = kg("usage", "--roll-up", "--all")
    assert "0 calls rolled up, 0 kept" in again.err
    ledger = kg.ledger()
    assert ledger.execute("SELECT count(*) FROM call WHERE stage = 'embed'").fetchone()[0] <= 1
    assert kg("rebuild").code == 0
    assert kg.graph() == graph
    assert kg.process("t", "--batch-size", 2)["chunks"]["reused"] == first["chunks"]["total"]
    assert server.books(log=False)["calls"] == calls
    assert json.loads(kg("status", "--json").out)["spent_usd"]["total"] == pytest.approx(first["cost_usd"]["total"])


def test_a_retention_of_0_lets_go_at_once_and_the_next_run_is_as_good(kg, server):
    toml(kg, "retention_days = 0", "[budget]", "month_dollars = 5")
    first = kg.process("t")
    assert kg.process("t")["chunks"]["reused"] == first["chunks"]["total"]
    total = usage(kg)["total"]
    assert total["cost_usd"]["paid"] == pytest.approx(first["cost_usd"]["total"], abs=1e-8)
    assert usage(kg)["quotas"][0]["used"] == pytest.approx(first["cost_usd"]["total"], abs=1e-8)
    (kg.folder / ".kg" / "_account.sqlite3").unlink()  # made anew from the ledgers
    spent = kg.process("t")["budget"]["caps"][0]["spent"]
    assert spent == pytest.approx(first["cost_usd"]["total"], abs=1e-8)


def test_old_runs_folders_go_and_their_reports_stay(kg):
    runs = [kg.process("t")["run_id"] for _ in range(4)]
    folder = kg.folder / ".kg" / "default" / "runs"
    (folder / "mine").mkdir()
    aged(kg, 100)
    kg("usage", "--roll-up")
    assert {path.name for path in folder.iterdir()} == {*runs[2:], "mine"}
    assert json.loads(kg("report", runs[0], "--json").out)["run_id"] == runs[0]


def test_what_is_let_go_is_archived_first_on_request(kg):
    twice(kg)
    aged(kg, 100)
    kg("usage", "--roll-up", KG_ARCHIVE="old")
    (archive,) = (kg.folder / "old").iterdir()
    assert archive.name.startswith("calls-default-")
    assert archive.name.endswith(".jsonl.gz")


def test_an_archive_that_can_not_be_written_is_told_and_the_run_is_none_the_worse(kg):
    (kg.folder / "old").write_text("a file")
    twice(kg)
    toml(kg, "retention_days = 0", 'archive = "old"')
    ran = kg("process", "t", "--json")
    assert ran.code == 0
    assert "its calls were not added up" in ran.err
    assert kg.ledger().execute("SELECT count(*) FROM call WHERE tallied = 2").fetchone() == (0,)
