"""Runs beside each other, conditions for scripts, and what drifts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from core_engine.errors import SettingsError
from metrics.advice import advice
from metrics.compare import compare
from metrics.conditions import condition
from metrics.trend import trend
from tests.kg import Kg, write_meetings
from tests.openai_server.fixture import start

Change = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a run in which all went well."""
    folder = tmp_path_factory.mktemp("run")
    write_meetings(folder / "t", 2)
    with start() as server:
        return Kg(folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="x").process("t", "--batch-size", 2)


@pytest.fixture
def changed(report) -> Change:
    """The report with fields changed: `changed({"cost_usd.total": 2})`."""

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        other = copy.deepcopy(report)
        for path, value in fields.items():
            *parents, name = path.split(".")
            held = other
            for parent in parents:
                held = held[parent]
            held[name] = value
        return other

    return change


# --- two runs --------------------------------------------------------------------------------------------------------


def test_a_run_is_like_itself(report) -> None:
    same = compare(report, report)
    assert not same.worse
    assert not same.better
    assert not same.differences


def test_what_became_dearer_is_said_with_the_likely_cause(report, changed: Change) -> None:
    after = changed({"cost_usd.per_chunk": report["cost_usd"]["per_chunk"] * 1.4, "parts.extractor": "openai gpt-5"})
    said = compare(report, after)
    (line,) = said.worse
    assert line.startswith("cost per chunk +40%")
    assert line.endswith("; likely the extractor (openai gpt-5-mini → openai gpt-5)")
    assert compare(after, report).better[0].startswith("cost per chunk -29%")


def test_what_nothing_explains_is_said_so(report, changed: Change) -> None:
    slower = {"latency_s.chat": {name: value * 3 for name, value in report["latency_s"]["chat"].items()}}
    before, after = changed({"calls.chat": 30}), changed({"calls.chat": 30, **slower})
    assert [line.split("; ")[1] for line in compare(before, after).worse] == ["nothing that was set explains it"] * 2
    assert not compare(changed({"calls.chat": 19}), after).worse  # too few to judge by


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"prompt": {"version": "own.1", "hash": "another"}}, "the prompt"),
        ({"settings.batch_size": 1}, "--batch-size (2 → 1)"),
        ({"settings.reasoning_effort": "high"}, "--reasoning-effort (low → high)"),
        ({"tokens.reasked": 5000}, "tokens asked again (0 → 5,000)"),
    ],
)
def test_each_cause_is_named(report, changed: Change, fields: dict[str, Any], cause: str) -> None:
    after = changed({"cost_usd.per_chunk": report["cost_usd"]["per_chunk"] * 2, **fields})
    assert cause in compare(report, after).worse[0]


def test_a_larger_run_is_not_dearer_for_its_size(report, changed: Change) -> None:
    chunks = {name: value * 3 for name, value in report["chunks"].items()}
    after = changed(
        {"cost_usd.total": report["cost_usd"]["total"] * 3, "wall_s": report["wall_s"] * 3, "chunks": chunks}
    )
    assert not [line for line in compare(report, after).worse if line.startswith(("cost +", "wall"))]


def test_what_has_no_price_is_neither_cheaper_nor_dearer(report, changed: Change) -> None:
    free = changed({"cost_usd.total": 0, "cost_usd.per_chunk": 0, "cost_usd.wasted": 0, "cost_usd.unpriced_calls": 3})
    for both in ((report, free), (free, report)):
        found = compare(*both)
        assert not any("cost" in line for line in (*found.worse, *found.better))
    assert "not known" in condition("cost>5").against(free, report).said


# --- conditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fields", "holds"),
    [
        ("error_rate>2%", {"calls.error_rate": 0.021}, True),
        ("error_rate>2%", {"calls.error_rate": 0.02}, False),
        ("error_rate>=2%", {"calls.error_rate": 0.02}, True),
        ("cost > 5", {"cost_usd.total": 5.01}, True),
        ("cost>5", {"cost_usd.total": 5.0}, False),
        ("calls.failed>3", {"calls.failed": 4}, True),
        (
            "validity<90%",
            {"replies": {"valid": 8, "repaired": 0, "partial": 0, "invalid_by_reason": {"empty": 2}}},
            True,
        ),
        ("cost>+10%", {"cost_usd.total": 1e9}, True),
        ("cost>+10%", {}, False),
        ("cost<-10%", {"cost_usd.total": 0.0}, True),
        ("dead>+0", {"chunks.dead": 1}, True),
        ("error_rate>+1%", {"calls.error_rate": 0.5}, True),
        ("wasted>+10%", {"cost_usd.wasted": 1.0}, True),  # from nothing
        ("budget.nothing>1", {}, False),
    ],
)
def test_a_condition_holds_or_not(report, changed: Change, text: str, fields: dict[str, Any], holds: bool) -> None:
    assert condition(text).against(changed(fields), report).holds is holds


def test_a_change_without_an_earlier_run_does_not_fail(report) -> None:
    judged = condition("cost>+10%").against(report, None)
    assert not judged.holds
    assert "nothing to compare with" in judged.said


@pytest.mark.parametrize(
    "text", ["", "cost", "cost>", "cost>>5", "cost>1e9", "cost>nan", "kost>5", "cost>5 %0", "a b>1"]
)
def test_what_is_no_condition_is_refused_with_examples(text: str) -> None:
    with pytest.raises(SettingsError, match="--fail-if"):
        condition(text)


def test_a_field_that_is_no_number_is_refused(report) -> None:
    with pytest.raises(SettingsError, match="is no number"):
        condition("settings.model>1").against(report, None)


# --- many runs -------------------------------------------------------------------------------------------------------


def test_drift_is_told_against_what_is_usual(report, changed: Change) -> None:
    usual = [changed({"cost_usd.per_chunk": 0.001 + at % 2 * 0.00001}) for at in range(6)]
    assert not trend(usual).drift
    (said,) = trend([*usual, changed({"cost_usd.per_chunk": 0.002})]).drift
    assert said.startswith("cost per chunk is worse than usual: $0.0020, +99%")
    assert not trend([usual[0], usual[1], changed({"cost_usd.per_chunk": 0.002})]).drift  # two runs are no custom


def test_what_varies_much_drifts_late(report, changed: Change) -> None:
    wild = [changed({"cost_usd.per_chunk": cost}) for cost in (0.001, 0.003, 0.0005, 0.0028, 0.0018)]
    assert not trend([*wild, changed({"cost_usd.per_chunk": 0.003})]).drift


# --- advice ----------------------------------------------------------------------------------------------------------


def _minutes(share: float, count: int = 6) -> list[dict[str, Any]]:
    return [
        {"limit_share": share, "limit": "requests (chat)", "rate_limited": 0, "longest_wait_s": 1.0}
        for _ in range(count)
    ]


def test_a_small_run_gets_no_advice_and_none_is_made_up(report) -> None:
    assert report["calls"]["chat"] < 60
    assert not [line for line in advice(report) if "decides the speed" in line and "limit" not in line]


def test_a_full_limit_says_that_more_concurrency_will_not_help(changed: Change) -> None:
    fields = {"calls.chat": 500, "minutes": _minutes(0.96), "latency_s.wait_for_limit.p50": 0.0}
    said = advice(changed(fields))
    assert any(line.startswith("the limit decides the speed: 96% of requests (chat)") for line in said)
    assert any("more concurrency won't help; larger batches" in line for line in said)


def test_calls_that_wait_longer_than_they_take_say_so_too(changed: Change) -> None:
    said = advice(changed({"calls.chat": 500, "latency_s.wait_for_limit.p50": 9.0, "latency_s.chat.p50": 0.5}))
    assert any("half of the calls waited 9.0 s or more for it, and 0.5 s for the reply" in line for line in said)


def test_full_places_below_the_limit_say_that_more_would_help(report, changed: Change) -> None:
    fields = {
        "calls.chat": 500,
        "minutes": _minutes(0.2),
        "stages.extract.s": 1990.0,
        "throughput.first_request_to_last_commit_s": 100.0,
        "latency_s.wait_for_limit.p50": 0.0,
    }
    assert any("try --max-concurrent 40" in line for line in advice(changed(fields)))


def test_the_prompts_part_of_the_bill_is_told_with_what_larger_batches_save(changed: Change) -> None:
    fields = {
        "calls.chat": 500,
        "stages.extract.calls": 500,
        "cost_usd.total": 10.0,
        "prompt": {"version": "extract.v2", "hash": "x", "tokens": 1500, "cost_usd": 3.8},
        "settings.batch_size": 5,
    }
    said = advice(changed(fields))
    assert any("the prompt is 38% of the bill" in line and "would save about $2.85" in line for line in said)
    assert any("--batch-api does the same within a day" in line and "$5.00 less" in line for line in said)


@pytest.mark.parametrize(
    ("fields", "begins"),
    [
        ({"chunks.dead": 3}, "3 chunks have no usable answer"),
        ({"calls.chat": 100, "calls.rate_limited": 9}, "the provider turned 9 of"),
        ({"calls.chat": 100, "calls.failed": 20}, "20 of "),
        (
            {"cost_usd.total": 1.0, "cost_usd.wasted": 0.2, "replies.invalid_by_reason": {"empty": 4}},
            "$0.2000 (20%) bought",
        ),
        ({"tokens.reasoning": 900, "tokens.completion": 1000}, "90% of the tokens of replies are reasoning"),
        ({"cost_usd.unpriced_calls": 7}, "the price of 7 calls is not known"),
        ({"graph.grounding.relationships": {"exact": 60, "unsupported": 40}}, "40% of the relationships"),
    ],
)
def test_each_trouble_is_told_with_its_figures(changed: Change, fields: dict[str, Any], begins: str) -> None:
    assert any(line.startswith(begins) for line in advice(changed(fields)))


def test_a_run_without_a_model_gets_no_advice_about_models(tmp_path) -> None:
    write_meetings(tmp_path / "t", 1)
    assert Kg(tmp_path).process("t")["advice"] == []
