"""`kg report --compare`, `--trend` and `--fail-if`: runs beside each other, and conditions for scripts."""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from cli import show
from cli.app import printable
from core_engine.errors import KGError
from core_engine.ledger import runs
from core_engine.ledger.runs import RunRow
from metrics.compare import Comparison, compare, said_change
from metrics.conditions import Condition, Judged
from metrics.measures import BY_NAME, bought
from metrics.trend import SHOWN, trend

if TYPE_CHECKING:
    from metrics.variants import Estimate

Report = Mapping[str, Any]


def compared(db: sqlite3.Connection, names: Sequence[str], conditions: Sequence[Condition], *, json: bool) -> bool:
    """Show two runs beside each other; the one that began first is what the other is compared with. Whether to fail."""
    if len(names) < 2:
        names = ("previous" if not names or names[0] == "last" else names[0], "last")
    before, after = sorted((runs.find(db, name) for name in names), key=lambda row: row.started_at)
    if before.id == after.id:
        raise KGError(f"{before.id} is one run: name another one to compare it with (`kg runs` lists them)")
    reports = [_report(row) for row in (before, after)]
    comparison = compare(*reports)
    judged_ = [each.against(reports[1], reports[0]) for each in conditions]
    if json:
        show.json_out({**_as_json(comparison), "fail_if": [_judged_json(each) for each in judged_]})
    else:
        _show(comparison)
    return _told(judged_)


def _report(row: RunRow) -> Report:
    if row.report is None:
        raise KGError(f"run {row.id} has no report to compare: it is still going on, or was killed")
    report: Report = orjson.loads(row.report)
    return report


def _show(comparison: Comparison) -> None:
    rows = [
        (row.measure.said, row.measure.shown(row.before), row.measure.shown(row.after), _change(row), row.verdict)
        for row in comparison.rows
        if row.before is not None or row.after is not None
    ]
    show.table(("", comparison.before, comparison.after, "change", ""), rows)
    for title, lines in (("worse", comparison.worse), ("better", comparison.better)):
        for line in lines:
            show.out(f"{title}: {line}")
    if not comparison.worse and not comparison.better:
        show.out("no difference worth a word")


def _change(row: Any) -> str:
    return said_change(row.measure, row.change)


def _as_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "before": comparison.before,
        "after": comparison.after,
        "measures": {
            row.measure.name: {
                "before": row.before,
                "after": row.after,
                "change": _finite(row.change),
                "verdict": row.verdict,
            }
            for row in comparison.rows
        },
        "differences": [{"what": one.said, "before": one.before, "after": one.after} for one in comparison.differences],
        "worse": list(comparison.worse),
        "better": list(comparison.better),
    }


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def in_a_row(db: sqlite3.Connection, limit: int, conditions: Sequence[Condition], *, json: bool) -> bool:
    """Show the last runs that bought something, the oldest first, and what drifts. Whether to fail."""
    reports = [one for one in _reports(db) if bought(one)][:limit][::-1]
    if not reports:
        raise KGError("no run has bought anything yet: there is nothing to see a trend in")
    found = trend(reports)
    judged_ = [each.against(reports[-1], reports[-2] if len(reports) > 1 else None) for each in conditions]
    if json:
        show.json_out(
            {
                "runs": [
                    {"run_id": run, "started_at": began, **dict(zip(SHOWN, values, strict=True))}
                    for run, began, values in found.rows
                ],
                "drift": list(found.drift),
                "fail_if": [_judged_json(each) for each in judged_],
            }
        )
    else:
        rows = [
            (run, *(BY_NAME[name].shown(value) for name, value in zip(SHOWN, values, strict=True)))
            for run, _, values in found.rows
        ]
        show.table(("run", *(BY_NAME[name].said for name in SHOWN)), rows)
        show.out("\n".join(f"drift: {line}" for line in found.drift) or "nothing drifts")
    return _told(judged_)


def _reports(db: sqlite3.Connection) -> list[Report]:
    """All reports, the newest first."""
    rows = db.execute("SELECT report FROM run WHERE report IS NOT NULL ORDER BY started_at DESC, id DESC")
    return [orjson.loads(text) for (text,) in rows]


def judged(db: sqlite3.Connection, report: Report, row: RunRow, conditions: Sequence[Condition]) -> bool:
    """Whether one of the conditions holds of this run; changes are against the run before that has a report."""
    if conditions and row.report is None:
        raise KGError(f"run {row.id} has no report to judge: it is still going on, or was killed")
    earlier = None
    if any(each.relative for each in conditions):
        before = db.execute(
            "SELECT report FROM run WHERE report IS NOT NULL AND (started_at, id) < (?, ?) "
            "ORDER BY started_at DESC, id DESC LIMIT 1",
            (row.started_at, row.id),
        ).fetchone()
        earlier = orjson.loads(before[0]) if before else None
    return _told([each.against(report, earlier) for each in conditions])


def _judged_json(each: Judged) -> dict[str, Any]:
    return {"condition": each.condition.text, "holds": each.holds, "said": each.said}


def _told(found: Sequence[Judged]) -> bool:
    """Say on stderr what became of each condition. Whether one of them holds."""
    for each in found:
        verdict = "FAILED" if each.holds else "passed"
        print(printable(f"{verdict}: {each.condition.text.strip()}: {each.said}"), file=sys.stderr)
    return any(each.holds for each in found)


def by(db: sqlite3.Connection, what: str, names: Sequence[str], *, json: bool) -> None:
    """Show what each model or prompt gave: over the workspace's current answers, or over one run."""
    from metrics.variants import trial  # with numpy

    run = runs.find(db, names[0]).id if names else None
    found = trial(db, what, run)
    if not found.variants:
        raise KGError("no model has answered anything here that could be compared: `kg process PATHS` asks one")
    if json:
        show.json_out({"by": what, "run_id": run, **asdict(found)})
        return
    rows = [
        (
            one.name,
            one.documents,
            one.chunks,
            one.calls,
            _estimated(one.cost, _dollars),
            _estimated(one.latency, lambda value: f"{value:.2f} s"),
            _estimated(one.validity, lambda value: f"{value:.1%}"),
            _estimated(one.facts, lambda value: f"{value:.2f}"),
            _estimated(one.entities, lambda value: f"{value:.2f}"),
            _estimated(one.grounded, lambda value: f"{value:.1%}"),
        )
        for one in found.variants
    ]
    columns = (
        what,
        "documents",
        "chunks",
        "calls",
        "$ a chunk",
        "latency",
        "valid",
        "facts a chunk",
        "entities a chunk",
        "grounded",
    )
    show.table(columns, rows)
    if len(found.variants) == 1:
        show.out(f"there is one {what} alone: --{what}-variants tries several")
    for line in (*found.verdicts, *([found.warning] if found.warning else ())):
        show.out(line)


def _estimated(estimate: Estimate, said: Callable[[float], str]) -> str:
    if estimate.value is None:
        return "-"
    if estimate.interval is None:
        return said(estimate.value)
    low, high = map(said, estimate.interval)
    return f"{said(estimate.value)} ({low} to {high})"


def _dollars(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
