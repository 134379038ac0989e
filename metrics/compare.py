"""Two runs beside each other: what became slower, dearer or worse, and what probably made it so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.measures import MEASURES, Measure, bought
from metrics.pages.words import plain

Report = Mapping[str, Any]

_NOTED = 0.05  # a change by less is chance
_POINTS = 0.01  # of a share
_FEW = 20  # calls: too few to judge by
_OF_CALLS = {"error_rate", "validity", "latency_p50", "latency_p95"}
_SIZES = {
    "cost",
    "wall",
    "wasted",
    "rate_limited",
    "dead",
}  # larger in a larger run: judged only between runs of a size


@dataclass(frozen=True, slots=True)
class Compared:
    """`change`: 0.1 is a tenth more; of a share, so many points more. None where one of the two is not known.

    `verdict`: better | worse | ''.
    """

    measure: Measure
    before: float | None
    after: float | None
    change: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was set, or stood, otherwise in the later run; `moves`: the measures that it may move."""

    said: str
    before: str
    after: str
    moves: frozenset[str]

    def __str__(self) -> str:
        return f"{self.said} ({self.before} → {self.after})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`worse`: in words, with the likely cause; `better` likewise."""

    before: str
    after: str
    rows: Sequence[Compared]
    differences: Sequence[Difference]
    worse: Sequence[str]
    better: Sequence[str]


def compare(before: Report, after: Report) -> Comparison:
    """The later run against the earlier one, by their reports."""
    of_a_size = bool(bought(before)) and abs(bought(after) / bought(before) - 1) <= _NOTED
    many = min(report["calls"]["chat"] for report in (before, after)) >= _FEW
    rows = [_compared(measure, before, after, of_a_size=of_a_size, many=many) for measure in MEASURES]
    differences = _differences(before, after)
    worse, better = (
        [_in_words(row, differences) for row in rows if row.verdict == verdict] for verdict in ("worse", "better")
    )
    return Comparison(before["run_id"], after["run_id"], rows, differences, worse, better)


def _compared(measure: Measure, before: Report, after: Report, *, of_a_size: bool, many: bool) -> Compared:
    one, other = measure.read(before), measure.read(after)
    change = change_of(measure, one, other)
    least = _POINTS if measure.unit == "share" else _NOTED
    verdict = ""
    told = of_a_size if measure.name in _SIZES else many if measure.name in _OF_CALLS else True
    if change is not None and abs(change) >= least and told:
        verdict = {1: "better", -1: "worse"}.get(measure.better * (1 if change > 0 else -1), "")
    return Compared(measure, one, other, change, verdict)


def change_of(measure: Measure, before: float | None, after: float | None) -> float | None:
    """By which part of itself it grew; a share: by how many points. None where that can't be told."""
    if before is None or after is None:
        return None
    if measure.unit == "share":
        return after - before
    if before == 0:
        return 0.0 if after == 0 else float("inf")
    return after / before - 1


def _differences(before: Report, after: Report) -> list[Difference]:
    """What is likely to be the reason, the most telling first."""
    found = []
    for said, path, moves in _CAUSES:
        one, other = at(before, path), at(after, path)
        if one != other and one is not None and other is not None:
            found.append(_difference(said, (one, other), moves))
    refused = [report["calls"]["rate_limited"] for report in (before, after)]
    if refused[1] > refused[0]:
        found.append(_difference("429s", refused, "error_rate speed wall"))
    reasked = [at(report, "tokens.reasked") or 0 for report in (before, after)]
    if reasked[1] > reasked[0]:
        found.append(_difference("tokens asked again", reasked, _MONEY))
    share = [_cached(report) for report in (before, after)]
    if abs(share[1] - share[0]) >= _NOTED:
        found.append(_difference("the provider's cache", [f"{each:.0%}" for each in share], "cost cost_per_chunk"))
    return found


def _difference(said: str, values: Sequence[Any], moves: str) -> Difference:
    before, after = map(plain, values)
    return Difference(said, before, after, frozenset(moves.split()))


_MONEY = "cost cost_per_chunk tokens_per_chunk wasted"
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        "the extractor",
        "parts.extractor",
        f"{_MONEY} validity grounded latency_p50 latency_p95 speed wall dead error_rate",
    ),
    ("the embedder", "parts.embedder", "cost cost_per_chunk speed wall"),
    ("the prompt", "prompt.hash", f"{_MONEY} validity grounded dead"),
    ("--batch-size", "settings.batch_size", f"{_MONEY} validity grounded latency_p50 latency_p95 speed wall"),
    (
        "--reasoning-effort",
        "settings.reasoning_effort",
        f"{_MONEY} validity grounded latency_p50 latency_p95 speed wall",
    ),
    ("--service-tier", "settings.service_tier", f"{_MONEY} latency_p50 latency_p95 speed wall"),
    ("--temperature", "settings.temperature", "validity grounded dead"),
    ("--max-concurrent", "settings.max_concurrent", "speed wall latency_p50 latency_p95 rate_limited error_rate"),
    ("--rpm", "settings.rpm", "speed wall rate_limited error_rate"),
    ("--tpm", "settings.tpm", "speed wall rate_limited error_rate"),
    ("--batch-api", "settings.batch_api", "cost cost_per_chunk speed wall latency_p50 latency_p95"),
    ("the server", "settings.base_url", "latency_p50 latency_p95 speed wall error_rate validity cached"),
    ("--chunk-size", "settings.chunk_size", "cost_per_chunk tokens_per_chunk grounded latency_p50"),
    ("the version of kg", "version", "validity grounded"),
)


def at(report: Report, path: str) -> Any:
    """A field of a report by its name as docs/report.md writes it; None where it isn't there."""
    value: Any = report
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _cached(report: Report) -> float:
    tokens = report["tokens"]
    return float(tokens["cached"] / tokens["prompt"]) if tokens["prompt"] else 0.0


def said_change(measure: Measure, change: float | None) -> str:
    """+10%, or +2.0 points; '' where it is not known."""
    if change is None:
        return ""
    if change == float("inf"):
        return "from nothing"
    return f"{100 * change:+.1f} points" if measure.unit == "share" else f"{change:+.0%}"


def _in_words(row: Compared, differences: Sequence[Difference]) -> str:
    measure = row.measure
    shown = f"{measure.shown(row.before)} → {measure.shown(row.after)}"
    likely = [str(each) for each in differences if measure.name in each.moves]
    because = f"; likely {', or '.join(likely[:3])}" if likely else "; nothing that was set explains it"
    return f"{measure.said} {said_change(measure, row.change)} ({shown}){because}"
