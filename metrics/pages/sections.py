"""The sections of a run's page: pace, latency, money, what was done, the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from metrics.pages.charts import Axis, Line, Series, bar, columns, curves
from metrics.pages.parts import Card, Cell, Section, Table, card, drawn, table
from metrics.pages.words import clock, compact, dollars, moment_of, plain, seconds, short_seconds
from metrics.percentiles import percentile
from metrics.render import money
from metrics.trace import BatchRow, Bin, Trace

Report = Mapping[str, Any]

_ERRORS = 5  # kinds of errors with a colour of their own
_FEW = 5  # values: a histogram of fewer tells nothing
_MINUTES = 720  # rows


# --- in time ---------------------------------------------------------------------------------------------------------


def pace(report: Report, trace: Trace) -> Section:
    """Plots over the run's time, of the calls that were sent one by one."""
    bins = trace.bins
    if trace.calls == trace.batched:
        return Section("Pace")
    axis = Axis(len(bins), 0, trace.width, clock)
    every = f"In stretches of {clock(trace.width)}, from {moment_of(trace.began)}."
    calls = [_rate(trace, "chat", "chat"), _rate(trace, "embedding", "embedding")]
    tokens = [
        _rate(trace, name, of)
        for name, of in (("prompt", "prompt"), ("completion", "completion"), ("embedding", "embedded"))
    ]
    places = report.get("settings", {}).get("max_concurrent")
    at_once = [Line(f"--max-concurrent {places}", places)] if places else ()
    under_way = [Series("requests", [each.in_flight for each in bins])]
    waited = [Series("wait", [each.longest_wait_s for each in bins])]
    so_far = [Series("entities", _so_far(bins, "entities")), Series("chunks", _so_far(bins, "answered"))]
    plots = [
        card("Calls a minute", every, columns("calls a minute", axis, calls, compact, _limits(report, "requests"))),
        card(
            "Tokens a minute",
            "Of the calls sent in each stretch, as billed.",
            columns("tokens a minute", axis, tokens, compact, _limits(report, "tokens")),
        ),
        card(
            "Requests under way",
            "The most at one time.",
            columns("requests under way", axis, under_way, compact, at_once, whole=True),
        ),
        card(
            "Waiting for the limit",
            "The longest that a call sent in each stretch had waited for our limiter.",
            columns("longest wait", axis, waited, short_seconds),
        ),
        card(
            "Answered",
            "Chunks answered, and entities first named in these answers, so far.",
            curves("answered so far", axis, so_far, compact, whole=True),
        ),
    ]
    return Section("Pace", [*plots, *_failures(bins, axis)])


def _rate(trace: Trace, name: str, of: str) -> Series:
    return Series(name, [getattr(each, of) * 60 / trace.width for each in trace.bins])


def _limits(report: Report, unit: str) -> list[Line]:
    """The limits of this unit, each once."""
    found: dict[float, Line] = {}
    for limit in report.get("limits", ()):
        if limit["unit"] == unit and limit["per_minute"]:
            value = limit["per_minute"]
            found.setdefault(value, Line(f"{limit['bucket']}: {compact(value)}", value))
    return list(found.values())


def _failures(bins: Sequence[Bin], axis: Axis) -> list[Card]:
    kinds: Counter[str] = Counter()
    for each in bins:
        kinds.update(each.failed)
    if not kinds:
        return []
    shown = [kind for kind, _ in kinds.most_common(_ERRORS)]
    series = [Series(kind.replace("_", " "), [each.failed[kind] for each in bins]) for kind in shown]
    if len(kinds) > len(shown):
        series.append(
            Series("other", [sum(each.failed.values()) - sum(each.failed[k] for k in shown) for each in bins])
        )
    about = f"Calls without an answer, by reason; {sum(each.again for each in bins):,} calls were second tries."
    return [card("Errors and retries", about, columns("errors", axis, series, compact, whole=True))]


def _so_far(bins: Sequence[Bin], of: str) -> list[float | None]:
    total = 0
    found: list[float | None] = []
    for each in bins:
        total += getattr(each, of)
        found.append(total)
    return found


def latency(trace: Trace) -> Section:
    """How long replies took: over time, how often, and exact percentiles."""
    plots: list[Card] = []
    rows: list[list[str]] = []
    for stage in ("chat", "embedding"):
        values = trace.latencies(stage)
        if not values:
            continue
        shares = [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)]
        rows.append([stage, f"{len(values):,}", *map(short_seconds, shares)])
        if stage == "chat":
            axis = Axis(len(trace.bins), 0, trace.width, clock)
            over = [Series(name, trace.percentiles(at)) for name, at in (("p99", 0.99), ("p95", 0.95), ("p50", 0.5))]
            drawing = curves("latency over time", axis, over, short_seconds)
            plots.append(card("Latency over time", "Of the chat calls sent in each stretch.", drawing))
        if len(values) >= _FEW:
            about = f"Seconds of {len(values):,} answered calls."
            plots.append(_histogram(f"Latency of {stage} calls", about, values, short_seconds, "calls"))
    names = ("calls", "#answered", "#p50", "#p95", "#p99", "#max")
    return Section("Latency", plots, [table("Percentiles", names, rows)] if rows else ())


def _histogram(title: str, about: str, values: Sequence[float], said: Callable[[float], str], what: str) -> Card:
    """How many values fall where; the last column holds whatever is above the 99th percentile."""
    ordered = sorted(values)
    most = percentile(ordered, 0.99) or ordered[-1] or 1.0
    places = min(30, max(5, len(ordered) // 4))
    width = most / places
    counts = [0] * (places + 1)
    for value in ordered:
        counts[min(int(value / width - 1e-9), places)] += 1
    if counts[-1]:
        about += f" The last column is all above {said(most)}."
    else:
        counts.pop()
    axis = Axis(len(counts), 0, width, said)
    return card(title, about, columns(title, axis, [Series(what, counts)], compact, whole=True))


# --- money -----------------------------------------------------------------------------------------------------------


def spending(report: Report, trace: Trace, log: str | None) -> Section:
    """What was paid for what, and why. `log`: the log's file beside the page."""
    plots: list[Card] = []
    tables = [*_spend(trace), *_why(report)]
    costs = [cost for cost in trace.chunk_costs if cost]
    if len(costs) >= _FEW:
        about = "Extraction: what each request cost, by the chunks it asked about."
        plots.append(_histogram("Cost per chunk", about, costs, dollars, "requests"))
    if len(trace.document_costs) >= _FEW:
        about = "What the answers about its chunks cost."
        plots.append(_histogram("Cost per document", about, trace.document_costs, dollars, "documents"))
    if trace.documents:
        rows = [[one.name, f"{one.chunks:,}", dollars(one.cost)] for one in trace.documents]
        tables.append(table("Dearest documents", ("~document", "#chunks", "#cost"), rows))
    for title, batches in (("Slowest batches", trace.slowest), ("Dearest batches", trace.dearest)):
        if batches:
            tables.append(_batches(title, batches, log))
    return Section("Tokens and money", plots, tables)


def _spend(trace: Trace) -> list[Table]:
    if not trace.spend:
        return []
    total = sum(float(one.cost) for one in trace.spend.values())
    rows: list[list[str | Cell]] = []
    for (stage, model), one in sorted(trace.spend.items(), key=lambda item: -item[1].cost):
        numbers = [f"{value:,}" for value in (one.calls, one.prompt, one.cached, one.completion)]
        cost = money(float(one.cost)) + (f" + {one.unpriced:,} unpriced" if one.unpriced else "")
        rows.append([stage, model, *numbers, cost, Cell(drawing=drawn(bar([float(one.cost)], total)))])
    names = ("stage", "~model", "#calls", "#prompt", "#cached", "#completion", "#cost", "share")
    about = "Cached tokens are part of the prompt, reasoning of the completion."
    return [table("By stage and model", names, rows, about)]


def _why(report: Report) -> list[Table]:
    cost, estimate = report.get("cost_usd", {}), report.get("estimate") or {}
    said = [
        (words, money(cost[name]))
        for name, words in (
            ("per_document", "per document"),
            ("saved_by_reuse", "saved by reuse"),
            ("saved_by_cache", "saved by the provider's cache"),
            ("saved_by_batch", "saved by the Batch API"),
            ("saved_by_flex", "saved by the flex tier"),
            ("wasted", "wasted on replies of no use"),
        )
        if cost.get(name)
    ]
    if prompt := (report.get("prompt") or {}).get("cost_usd"):
        said.append(("the part of the prompt that every request repeats", money(prompt)))
    if cost.get("unknown_calls"):
        said.append(
            (f"{cost['unknown_calls']:,} calls, answer unknown: at most", money(float(cost["unknown_at_most"])))
        )
    if expected := (estimate.get("cost_usd") or {}).get("middle"):
        said.append(("expected beforehand", money(expected)))
        off = estimate.get("off_by", {}).get("cost")
        said += [("the bill is off by", f"{off:+.0%}")] if off is not None else []
    return [table("Why", ("~", "#"), said)] if said else []


def _batches(title: str, batches: Sequence[BatchRow], log: str | None) -> Table:
    rows: list[list[str | Cell]] = []
    for one in batches:
        # A text fragment: a browser that heeds it shows the line of the call.
        link = f"{quote(log)}#:~:text={quote(one.call, safe='')}" if log else ""
        calls = f"{one.calls:,}" + (f" ({one.failed:,} failed)" if one.failed else "")
        numbers = [calls, f"{one.questions:,}", short_seconds(one.seconds), f"{one.tokens:,}"]
        cost = "-" if one.cost is None else dollars(one.cost)
        rows.append([Cell(one.id or one.call[:12], link), one.stage, *numbers, cost, one.call])
    names = ("batch", "stage", "#calls", "#asked", "#seconds", "#tokens", "#cost", "its slowest call")
    about = "The log knows a call by its id." if log else ""
    return table(title, names, rows, about)


# --- what was done ---------------------------------------------------------------------------------------------------


def work(report: Report, trace: Trace) -> Section:
    """Counts of what was read, asked, and went wrong."""
    tables: list[Table] = []
    if documents := {name: count for name, count in report.get("documents", {}).items() if count}:
        tables.append(_counts("Documents", documents))
    if trace.errors:
        rows = [[stage, kind.replace("_", " "), f"{n:,}"] for (stage, kind), n in trace.errors.most_common()]
        tables.append(table("Calls without an answer", ("stage", "~reason", "#calls"), rows))
    if (replies := report.get("replies")) and report["calls"]["chat"]:
        said = {name: replies[name] for name in ("valid", "repaired", "partial") if replies[name]}
        said |= {f"of no use: {reason}": count for reason, count in replies["invalid_by_reason"].items()}
        tables.append(_counts("Replies", said))
    if letters := report.get("dead_letters"):
        counts = Counter((letter["stage"], letter["reason"] or "") for letter in letters)
        rows = [[stage, reason, f"{n:,}"] for (stage, reason), n in counts.most_common()]
        about = "Of the whole workspace. `kg dead-letters` shows each, `kg retry` asks again."
        tables.append(table("Dead letters", ("stage", "~reason", "#chunks"), rows, about))
    return Section("What was done", (), [*tables, *_stages(report)])


def _stages(report: Report) -> list[Table]:
    stages = report.get("stages")
    if not stages:
        return []
    most = max(one["s"] for one in stages.values())
    rows = [
        [
            name.replace("_", " "),
            seconds(one["s"]),
            f"{one['calls']:,}",
            f"{one['failed']:,}",
            f"{one['error_rate']:.1%}",
            f"{one['mean_s']:.3f}",
            Cell(drawing=drawn(bar([one["s"]], most))),
        ]
        for name, one in stages.items()
    ]
    names = ("stage", "#time", "#calls", "#failed", "#error rate", "#mean s", "")
    return [table("Stages", names, rows, "Stages that run side by side overlap.")]


def graph(report: Report, trace: Trace) -> Section:
    """What came out, how well the words bear it out, and how the graph grew from run to run."""
    held = report["graph"]
    counts = {name: held[name] for name in ("entities", "relationships", "mentions", "statements") if held.get(name)}
    tables = [_counts("What the stores hold", {**counts, "points": report["vectors"]["points"]})]
    checks = {f"dropped: {reason}": count for reason, count in held["dropped_by_reason"].items()}
    checks |= {f"names merged: {reason}": count for reason, count in held.get("merged_by_reason", {}).items()}
    if checks:
        tables.append(_counts("Checks and merges", checks, "Over the whole workspace."))
    plots = []
    if len(trace.growth) > 1:
        axis = Axis(len(trace.growth), 1, 1, lambda number: f"{number:.0f}")
        of_entities = Series("entities", [one.entities for one in trace.growth])
        of_relationships = Series("relationships", [one.relationships for one in trace.growth])
        drawing = curves("growth of the graph", axis, [of_entities, of_relationships], compact, whole=True)
        plots.append(card("Growth of the graph", f"After each of the last {len(trace.growth)} runs.", drawing))
    return Section("The graph", plots, [*tables, *_grades(held.get("grounding", {}))])


def _grades(grades: Mapping[str, Any]) -> list[Table]:
    rows: list[list[str | Cell]] = []
    for name in ("entities", "relationships"):
        counts = grades.get(name) or {}
        if total := sum(counts.values()):
            shares = [f"{count / total:.0%}" for count in counts.values()]
            rows.append([name, f"{total:,}", *shares, Cell(drawing=drawn(bar(list(counts.values()), total)))])
    if not rows:
        return []
    names = ("found by models", "#all", *(f"#{grade}" for grade in grades["entities"]), "")
    return [table("How well the words bear it out", names, rows, "Unsupported findings stay out of the graph.")]


def _counts(title: str, counts: Mapping[str, int], about: str = "") -> Table:
    return table(title, ("~", "#"), [[name.replace("_", " "), f"{count:,}"] for name, count in counts.items()], about)


# --- folded ----------------------------------------------------------------------------------------------------------


def details(report: Report) -> list[Table]:
    """What few want to see: settings, each minute, each limit."""
    settings = [[name, plain(value)] for name, value in report["settings"].items()]
    found = [table("Settings", ("~", "~"), settings, bare=True)]
    for title, name, words in (("Minute by minute", "minutes", 1), ("Limits", "limits", 2)):
        if some := report.get(name):
            keys = list(some[0])
            rows = [[plain(row.get(key)) for key in keys] for row in some[:_MINUTES]]
            said = [("" if at < words else "#") + key.replace("_", " ") for at, key in enumerate(keys)]
            found.append(table(title, said, rows, bare=True))
    return found
