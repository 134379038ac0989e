"""Reports in words: whatever the names of files and the words of errors are, they are text and nothing else."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from metrics.render import markdown, money, nothing_to_do, summary
from tests.kg import Kg, write_meetings

NASTY = [
    "\x1b[2J\x1b]0;owned\x07",
    "a\nb\r\n# heading\n- item",
    "```\n<script>alert(1)</script>\n```",
    "````",
    "| a | b |",
    "[link](https://example.org) ![x](y)",
    "*bold* _it_ `code` <b>html</b> &amp;",
    "\u202etxt.exe",
    "half \ud83d",
]


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("render")
    write_meetings(folder / "t", 1, turns=8)
    return Kg(folder).process("t")


@pytest.fixture
def report(_made: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(_made)


def test_the_summary_says_at_a_glance_what_was_done_with_what_and_what_it_cost(report):
    lines = summary(report).splitlines()
    assert 5 <= len(lines) <= 20
    assert re.match(r"done in [\d.]+ s  \(rules; bm25; graph embedded; vectors embedded\)", lines[0])
    assert lines[1] == "  documents  1: 1 new"
    assert re.match(r"  chunks     (\d+): \1 written$", lines[2])
    assert lines[4] == "  model      no calls, $0"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exit_code": 130, "ended": "stopped by hand; go on"}, ["stopped by hand in", "  stopped by hand; go on"]),
        ({"exit_code": 5, "store_errors": ["neo4j is down"]}, ["incomplete in", "store: neo4j is down"]),
        ({"exit_code": 3}, ["stopped by the cap"]),
        ({"left_open": {"timeout": 3}}, ["left open for the next run: 3 timeout"]),
        ({"vanished": ["a", "b"]}, ["2 documents' files are gone"]),
        ({"advice": ["3 chunks have no usable answer"]}, ["  next       3 chunks have no usable answer"]),
        (
            {"unreadable": [{"where": f"f{n}", "reason": "empty"} for n in range(14)]},
            ["f9: empty", "and 4 more unreadable"],
        ),
        (
            {"recovered": {"killed_runs": 1, "answers": 7, "unknown_calls": 2, "unknown_at_most": 0.5}},
            ["7 answers of it were taken up; 2 of its calls were sent, answer unknown, at most $0.5"],
        ),
        ({"wall_s": 3_725.4}, ["1 h 02 min"]),
        ({"wall_s": 119.96}, ["2 min 00 s"]),
        ({"stepped_down": {"http://host m": "without seed"}}, ["http://host m: without seed"]),
    ],
)
def test_everything_that_a_person_should_know_has_a_line(report, changes, said):
    text = summary(report | changes)
    assert all(words in text for words in said), text


def test_unpriced_calls_are_never_shown_as_free(report):
    report["calls"] |= {"chat": 3}
    report["cost_usd"] |= {"unpriced_calls": 2, "unknown_calls": 1, "unknown_at_most": 0.25}
    text = summary(report)
    assert "$0 + 2 calls unpriced; 1 sent, answer unknown, at most $0.2500" in text


def test_a_run_that_found_nothing_new_says_so_and_one_that_failed_does_not(report):
    idle = report | {
        "graph": report["graph"] | {"units_written": 0, "units_deleted": 0},
        "vectors": report["vectors"] | {"new": 0, "changed": 0, "deleted": 0},
    }
    assert nothing_to_do(idle)
    assert "nothing was new" in summary(idle)
    assert not nothing_to_do(idle | {"exit_code": 5})
    assert not nothing_to_do(report)


@pytest.mark.parametrize("text", NASTY)
def test_any_text_stays_on_its_line_of_the_summary_and_moves_no_cursor(report, text):
    before = len(summary(report).splitlines())
    said = summary(_with(report, text))
    assert len(said.splitlines()) == before + 5
    assert all(line.isprintable() for line in said.split("\n"))


@pytest.mark.parametrize("text", NASTY)
def test_any_text_is_text_in_markdown(report, text):
    page = markdown(_with(report, text))
    page.encode()
    fence = next(line for line in page.splitlines() if line.startswith("```"))
    lines = page.splitlines()
    start, end = (n for n, line in enumerate(lines) if line == fence)
    assert "```" not in fence.replace("`" * len(fence), "")
    assert all(not line.startswith(fence) for line in lines[start + 1 : end])
    # Outside of the fence: no sign of Markdown or HTML that is not escaped, and no row with another number of cells.
    for line in lines[:start] + lines[end + 1 :]:
        bare = re.sub(r"\\.", "", line)
        assert "<" not in bare
        assert "](" not in bare
        assert "`" not in bare or bare.startswith("Workspace `")
        if line.startswith("| "):
            assert bare.count("|") == 3


def test_the_page_has_every_field_of_the_report(report):
    page = markdown(report)
    for name, value in report.items():
        if isinstance(value, dict) and value:
            assert f"\n## {name}\n" in page
            assert all(f"| {key.replace('_', chr(92) + '_')} |" in page for key in value)


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "$0"), (0.00001, "under $0.0001"), (0.0123, "$0.0123"), (1.5, "$1.50"), (12345.678, "$12,345.68")],
)
def test_money_has_as_many_places_as_it_takes_to_see_something(amount, said):
    assert money(amount) == said


def _with(report: dict[str, Any], text: str) -> dict[str, Any]:
    return report | {
        "unreadable": [{"where": text, "reason": text}],
        "warnings": [text],
        "notes": [text],
        "store_errors": [text],
        "ended": text,
        "settings": {"model": text, text: 1},
    }
