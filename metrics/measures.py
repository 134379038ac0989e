"""What runs are compared by: each measure's name, how it is read from a report, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metrics.render import money

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """`better`: -1 where less of it is, 1 where more is, 0 where neither is. `unit`: dollars | share | seconds | ''."""

    name: str
    said: str
    better: int
    unit: str
    read: Callable[[Report], float | None]

    def shown(self, value: float | None) -> str:
        """The value for people."""
        if value is None:
            return "-"
        if self.unit == "dollars":
            return money(value)
        if self.unit == "share":
            return f"{value:.1%}"
        text = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.3g}"
        return f"{text} s" if self.unit == "seconds" else text


def bought(report: Report) -> int:
    """Chunks that the run has bought something for."""
    chunks = report["chunks"]
    return int(chunks.get("bought", chunks["total"] - chunks["reused"]))  # reports of earlier versions don't say


def _priced(name: str) -> Callable[[Report], float | None]:
    """Money of which nothing is missing: None where some calls have no known price."""

    def read(report: Report) -> float | None:
        cost = report["cost_usd"]
        return None if cost.get("unpriced_calls") else cost[name]

    return read


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _of_chat(name: str) -> Callable[[Report], float | None]:
    return lambda report: report["latency_s"]["chat"][name] if report["calls"]["chat"] else None


def _all_tokens(report: Report) -> int:
    return sum(report["tokens"][name] for name in ("prompt", "completion", "embedding"))


def _valid(report: Report) -> float | None:
    replies = report["replies"]
    good = replies["valid"] + replies["repaired"]
    return _over(good, good + replies["partial"] + sum(replies["invalid_by_reason"].values()))


def _grounded(report: Report) -> float | None:
    """Of all that models found in the workspace's current answers, how much the words bear out."""
    found = report["graph"].get("grounding") or {}
    counts = [found.get(name) or {} for name in ("entities", "relationships")]
    total = sum(sum(each.values()) for each in counts)
    return _over(total - sum(each.get("unsupported", 0) for each in counts), total)


def _per_chunk(report: Report) -> float | None:
    return _priced("per_chunk")(report) if bought(report) and _has_calls(report) else None


def _has_calls(report: Report) -> bool:
    return bool(report["calls"]["chat"] or report["calls"]["embedding"])


MEASURES: tuple[Measure, ...] = (
    Measure("cost", "cost", -1, "dollars", _priced("total")),
    Measure("cost_per_chunk", "cost per chunk", -1, "dollars", _per_chunk),
    Measure("wasted", "wasted", -1, "dollars", _priced("wasted")),
    Measure("tokens_per_chunk", "tokens per chunk", -1, "", lambda r: _over(_all_tokens(r), bought(r))),
    Measure(
        "cached", "prompt from the cache", 1, "share", lambda r: _over(r["tokens"]["cached"], r["tokens"]["prompt"])
    ),
    Measure("error_rate", "error rate", -1, "share", lambda r: r["calls"]["error_rate"] if _has_calls(r) else None),
    Measure("rate_limited", "turned away (429)", -1, "", lambda r: r["calls"]["rate_limited"]),
    Measure("validity", "replies of use", 1, "share", _valid),
    Measure("grounded", "findings grounded", 1, "share", _grounded),
    Measure("dead", "dead letters", -1, "", lambda r: r["chunks"]["dead"]),
    Measure("latency_p50", "latency p50", -1, "seconds", _of_chat("p50")),
    Measure("latency_p95", "latency p95", -1, "seconds", _of_chat("p95")),
    Measure("speed", "chunks a second", 1, "", lambda r: r["throughput"]["chunks_per_s"] if bought(r) else None),
    Measure("wall", "wall time", -1, "seconds", lambda r: r["wall_s"]),
    Measure("chunks", "chunks bought", 0, "", bought),
    Measure("entities", "entities", 0, "", lambda r: r["graph"]["entities"]),
    Measure("relationships", "relationships", 0, "", lambda r: r["graph"]["relationships"]),
)

BY_NAME = {measure.name: measure for measure in MEASURES}
