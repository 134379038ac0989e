"""A run's report as one HTML page: everything in it, nothing from elsewhere, no script, and every name as text.

Jinja2 escapes whatever is put into the template (metrics/pages/report.html); only our own drawings and style go in as they
are. A Content-Security-Policy forbids all scripts, requests and forms, and every style but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from metrics.charts import Axis, Line, Plot, Series, bar, columns, curves
from metrics.percentiles import percentile
from metrics.render import money
from metrics.trace import BatchRow, Bin, Trace

Report = Mapping[str, Any]

_MANY = 12  # lines of a kind that are shown
_ERRORS = 5  # kinds of errors with a colour of their own
_FEW = 5  # values: a histogram of fewer tells nothing


@dataclass(frozen=True, slots=True)
class Tile:
    name: str
    value: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A plot with its title and what there is to say about it."""

    title: str
    about: str
    drawing: Markup
    legend: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Column:
    """`number`: to the right; `words`: wide enough for some."""

    name: str
    number: bool = False
    words: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    text: str = ""
    link: str = ""
    drawing: Markup | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """`bare`: it stands in a fold that has its title."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    about: str = ""
    bare: bool = False

    @property
    def wide(self) -> bool:
        return len(self.columns) > 3


@dataclass(frozen=True, slots=True)
class Trouble:
    title: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    plots: Sequence[Card]
    tables: Sequence[Table]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    href: str


def page(report: Report, trace: Trace, *, log: str | None = None, links: Sequence[Link] = ()) -> str:
    """The page's whole text. `report` may be that of a run without an end (`kg report --json` of a killed run).

    `log`: the log file's name beside the page, to which batches link.
    """
    whole = report.get("finished_at") is not None
    style = _asset("report.css")
    sections = [_pace(report, trace), _latency(trace), _money(report, trace, log), _work(report, trace)]
    if whole:
        sections.append(_graph(report, trace))
    return str(
        _template().render(
            policy=_policy(style),
            style=Markup(style),  # noqa: S704  our own file
            title=f"Run {report['run_id']}",
            state=_state(report),
            mood=_mood(report),
            when=_when(report),
            told=_told(report, trace),
            tiles=_tiles(report) if whole else _few_tiles(report, trace),
            advice=report.get("advice", ()),
            troubles=_troubles(report) if whole else (),
            sections=[section for section in sections if section.plots or section.tables],
            details=_details(report) if whole else (),
            links=links,
            foot=f"kg {report['version']}" if whole else "as far as the ledger knows",
        )
    )


# --- the head --------------------------------------------------------------------------------------------------------


def _state(report: Report) -> str:
    code = report.get("exit_code")
    return str(report["status"]) + (f", exit {code}" if code is not None else "")


def _mood(report: Report) -> str:
    if report["status"] in {"running", "pending"}:
        return "soft"
    code = report.get("exit_code")
    return "good" if code == 0 else "poor" if code in {2, 3, 130} else "bad"


def _when(report: Report) -> str:
    words = [f"workspace {report['workspace']}", f"kg {report['command']}", f"began {_moment(report['started_at'])}"]
    if report.get("finished_at"):
        words.append(f"took {_seconds(report['wall_s'])}")
    return " · ".join(words)


def _told(report: Report, trace: Trace) -> list[str]:
    lines = [report["ended"]] if report.get("ended") else []
    if parts := report.get("parts"):
        names = (("extractor", ""), ("embedder", ""), ("graph_store", "graph "), ("vector_store", "vectors "))
        lines.append("Used: " + ", ".join(said + parts[name] for name, said in names))
    if not report.get("chunks", {}).get("total"):
        lines.append("There was no chunk to work on.")
    elif not trace.calls and report.get("calls", {}).get("chat"):
        lines.append("Its calls are no longer in the ledger one by one, so that there are no plots of them.")
    return lines


def _tiles(report: Report) -> list[Tile]:
    chunks, cost, calls, tokens = report["chunks"], report["cost_usd"], report["calls"], report["tokens"]
    graph, speed = report["graph"], report["throughput"]
    states = [f"{chunks[name]:,} {name}" for name in ("written", "reused", "dead", "pending") if chunks[name]]
    all_calls = calls["chat"] + calls["embedding"]
    spent = money(cost["total"]) + ("+" if cost["unpriced_calls"] or cost["unknown_calls"] else "")
    per = f"{money(cost['per_chunk'])} a chunk" if cost["total"] else ""
    if cost["unpriced_calls"]:
        per = f"{cost['unpriced_calls']:,} calls unpriced"
    tokens_all = tokens["prompt"] + tokens["completion"] + tokens["embedding"]
    cached = f"{tokens['cached'] / tokens['prompt']:.0%} of the prompt cached" if tokens["cached"] else ""
    failed = f"{calls['failed']:,} failed ({calls['error_rate']:.1%})" if calls["failed"] else "none failed"
    tiles = [
        Tile("chunks", f"{chunks['total']:,}", ", ".join(states)),
        Tile("cost", spent, per),
        Tile("tokens", _compact(tokens_all), cached),
        Tile("calls", f"{all_calls:,}", failed if all_calls else ""),
        Tile("speed", f"{speed['chunks_per_s']:,}/s", "chunks"),
    ]
    if speed["limit_efficiency"] is not None:
        tiles.append(Tile("limit", f"{speed['limit_efficiency']:.0%}", "of the tightest one used"))
    tiles.append(Tile("entities", f"{graph['entities']:,}", f"{graph['entities_new']:,} new"))
    if graph["relationships"] is not None:
        tiles.append(Tile("relationships", f"{graph['relationships']:,}", f"{graph['relationships_new']:,} new"))
    return tiles


def _few_tiles(report: Report, trace: Trace) -> list[Tile]:
    """Of a run without its report, what the ledger knows."""
    chunks, cost = report["chunks"], report["cost_usd"]
    failed = sum(trace.errors.values())
    return [
        Tile("chunks so far", f"{chunks['total']:,}", f"{chunks['answered']:,} answered"),
        Tile(
            "cost",
            money(float(cost["total"])),
            f"{cost['unpriced_calls']:,} calls unpriced" if cost["unpriced_calls"] else "",
        ),
        Tile("calls", f"{report['calls']['all']:,}", f"{failed:,} without an answer" if failed else ""),
    ]


def _troubles(report: Report) -> list[Trouble]:
    found = []
    for name, title in (("unreadable", "Unreadable"), ("skipped", "Skipped: no transcripts")):
        if rows := report[name]:
            found.append(
                Trouble(f"{title} ({len(rows):,})", _some([f"{row['where']}: {row['reason']}" for row in rows]))
            )
    for name, title in (("store_errors", "Stores"), ("warnings", "Warnings"), ("notes", "Notes")):
        if report[name]:
            found.append(Trouble(f"{title} ({len(report[name]):,})", _some(report[name])))
    if report["stepped_down"]:
        found.append(
            Trouble(
                "What servers did not take", [f"{server}: {words}" for server, words in report["stepped_down"].items()]
            )
        )
    return found


def _some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _MANY
    return [*lines[:_MANY], *([f"… and {more:,} more: report.json lists them"] if more > 0 else ())]


# --- in time ---------------------------------------------------------------------------------------------------------


def _pace(report: Report, trace: Trace) -> Section:
    bins = trace.bins
    if not bins or not trace.calls - trace.batched:
        return Section("Pace", (), ())
    axis = Axis(len(bins), 0, trace.width, _clock)
    a_minute = 60 / trace.width
    every = f"In stretches of {_clock(trace.width)}, from {_moment_of(trace.began)}."

    def by(of: str) -> list[float | None]:
        return [getattr(each, of) * a_minute for each in bins]

    places = report.get("settings", {}).get("max_concurrent")
    plots = [
        _card(
            "Calls a minute",
            every,
            columns(
                "calls a minute",
                axis,
                [Series("chat", by("chat")), Series("embedding", by("embedding"))],
                _compact,
                _limits(report, "requests"),
            ),
        ),
        _card(
            "Tokens a minute",
            "Of the calls sent in each stretch, as billed.",
            columns(
                "tokens a minute",
                axis,
                [Series("prompt", by("prompt")), Series("completion", by("completion"))],
                _compact,
                _limits(report, "tokens"),
            ),
        ),
        _card(
            "Requests under way",
            "The most at one time.",
            columns(
                "requests under way",
                axis,
                [Series("requests", [each.in_flight for each in bins])],
                _compact,
                [Line(f"--max-concurrent {places}", places)] if places else (),
            ),
        ),
        _card(
            "Waiting for the limit",
            "The longest that a call sent in each stretch had waited for our limiter.",
            columns("longest wait", axis, [Series("wait", [each.longest_wait_s for each in bins])], _short_seconds),
        ),
        _card(
            "Answered",
            "Chunks answered, and entities first named in these answers, so far.",
            curves(
                "answered so far",
                axis,
                [Series("entities", _so_far(bins, "entities")), Series("chunks", _so_far(bins, "answered"))],
                _compact,
            ),
        ),
    ]
    if trouble := _failures(bins, axis):
        plots.append(trouble)
    return Section("Pace", plots, ())


def _limits(report: Report, unit: str) -> list[Line]:
    """The limits of this unit, each once."""
    found: dict[float, Line] = {}
    for limit in report.get("limits", ()):
        if limit["unit"] == unit and limit["per_minute"]:
            value = limit["per_minute"]
            found.setdefault(value, Line(f"{limit['bucket']}: {_compact(value)}", value))
    return list(found.values())


def _failures(bins: Sequence[Bin], axis: Axis) -> Card | None:
    kinds: dict[str, int] = {}
    for each in bins:
        for kind, count in each.failed.items():
            kinds[kind] = kinds.get(kind, 0) + count
    again = sum(each.again for each in bins)
    if not kinds:
        return None
    shown = sorted(kinds, key=lambda kind: -kinds[kind])[:_ERRORS]
    series = [Series(kind.replace("_", " "), [each.failed[kind] for each in bins]) for kind in shown]
    if len(kinds) > len(shown):
        series.append(
            Series("other", [sum(n for kind, n in each.failed.items() if kind not in shown) for each in bins])
        )
    about = f"Calls without an answer, by reason; {again:,} calls were second tries."
    return _card("Errors and retries", about, columns("errors", axis, series, _compact))


def _so_far(bins: Sequence[Bin], of: str) -> list[float | None]:
    total = 0
    found: list[float | None] = []
    for each in bins:
        total += getattr(each, of)
        found.append(total)
    return found


def _latency(trace: Trace) -> Section:
    plots, rows = [], []
    for stage in ("chat", "embedding"):
        if values := trace.latencies(stage):
            shares = [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)]
            rows.append([Cell(stage), Cell(f"{len(values):,}"), *(Cell(_short_seconds(value)) for value in shares)])
            if len(values) >= _FEW:
                about = f"Seconds of {len(values):,} answered calls."
                plots.append(_histogram(f"Latency of {stage} calls", about, values, _short_seconds, "calls"))
    if trace.latencies("chat"):
        axis = Axis(len(trace.bins), 0, trace.width, _clock)
        series = [
            Series(name, trace.percentiles(share)) for name, share in (("p99", 0.99), ("p95", 0.95), ("p50", 0.5))
        ]
        plots.insert(
            0,
            _card(
                "Latency over time",
                "Of the chat calls sent in each stretch.",
                curves("latency over time", axis, series, _short_seconds),
            ),
        )
    names = ("calls", "answered", "p50", "p95", "p99", "max")
    table = Table("Percentiles", [Column(name, number=at > 0) for at, name in enumerate(names)], rows)
    return Section("Latency", plots, [table] if rows else ())


def _histogram(title: str, about: str, values: Sequence[float], said: Any, what: str) -> Card:
    """How many values fall where; the last bin holds whatever is above the 99th percentile."""
    ordered = sorted(values)
    most = percentile(ordered, 0.99) or ordered[-1] or 1.0
    places = min(30, max(5, len(ordered) // 4))
    width = most / places
    counts = [0] * (places + 1)
    for value in ordered:
        counts[min(int(value / width - 1e-9), places)] += 1
    if not counts[-1]:
        counts.pop()
    else:
        about += f" The last column is all above {said(most)}."
    axis = Axis(len(counts), 0, width, said)
    return _card(title, about, columns(title, axis, [Series(what, counts)], _compact))


# --- money -----------------------------------------------------------------------------------------------------------


def _money(report: Report, trace: Trace, log: str | None) -> Section:
    tables, plots = [], []
    if trace.spend:
        tables.append(_spend(trace))
    if saved := _saved(report):
        tables.append(saved)
    costs = [cost for cost in trace.chunk_costs if cost]
    if len(costs) >= _FEW:
        plots.append(
            _histogram(
                "Cost per chunk",
                "Extraction: what each request cost, by the chunks it asked about.",
                costs,
                _dollars,
                "requests",
            )
        )
    if len(trace.document_costs) >= _FEW:
        plots.append(
            _histogram(
                "Cost per document",
                "What the answers about its chunks cost.",
                trace.document_costs,
                _dollars,
                "documents",
            )
        )
    if trace.documents:
        columns_ = [Column("document", words=True), Column("chunks", number=True), Column("cost", number=True)]
        rows = [[Cell(one.name), Cell(f"{one.chunks:,}"), Cell(_dollars(one.cost))] for one in trace.documents]
        tables.append(Table("Dearest documents", columns_, rows))
    for title, batches in (("Slowest batches", trace.slowest), ("Dearest batches", trace.dearest)):
        if batches:
            tables.append(_batches(title, batches, log))
    return Section("Tokens and money", plots, tables)


def _spend(trace: Trace) -> Table:
    names = ("stage", "model", "calls", "prompt", "cached", "completion", "cost", "share")
    total = sum(float(one.cost) for one in trace.spend.values())
    rows = []
    for (stage, model), one in sorted(trace.spend.items(), key=lambda item: -item[1].cost):
        cost = money(float(one.cost)) + (f" + {one.unpriced:,} unpriced" if one.unpriced else "")
        numbers = [Cell(f"{value:,}") for value in (one.calls, one.prompt, one.cached, one.completion)]
        share = Cell(drawing=_drawing(bar([float(one.cost)], total)))
        rows.append([Cell(stage), Cell(model), *numbers, Cell(cost), share])
    columns_ = [Column(name, number=2 <= at <= 6, words=at == 1) for at, name in enumerate(names)]
    return Table(
        "By stage and model", columns_, rows, "Cached tokens are part of the prompt, reasoning of the completion."
    )


def _saved(report: Report) -> Table | None:
    cost, estimate = report.get("cost_usd", {}), report.get("estimate") or {}
    said = [
        (f"saved by {name.removeprefix('saved_by_')}", money(cost[name]))
        for name in ("saved_by_reuse", "saved_by_cache", "saved_by_batch")
        if cost.get(name)
    ]
    if cost.get("per_document"):
        said.append(("per document", money(cost["per_document"])))
    if cost.get("wasted"):
        said.append(("wasted on replies of no use", money(cost["wasted"])))
    if cost.get("unknown_calls"):
        said.append(
            (f"{cost['unknown_calls']:,} calls, answer unknown, at most", money(float(cost["unknown_at_most"])))
        )
    expected = (estimate.get("cost_usd") or {}).get("middle")
    if expected:
        said.append(("expected beforehand", money(expected)))
        if estimate.get("off_by", {}).get("cost") is not None:
            said.append(("the bill is off by", f"{estimate['off_by']['cost']:+.0%}"))
    if prompt := (report.get("prompt") or {}).get("cost_usd"):
        said.append(("of it, the prompt that every request repeats", money(prompt)))
    if not said:
        return None
    return Table(
        "Why", [Column("", words=True), Column("", number=True)], [[Cell(name), Cell(value)] for name, value in said]
    )


def _batches(title: str, batches: Sequence[BatchRow], log: str | None) -> Table:
    names = ("batch", "stage", "calls", "asked", "seconds", "tokens", "cost")
    rows = []
    for one in batches:
        # A text fragment: browsers that know it show the line of the call.
        link = f"{quote(log)}#:~:text={quote(one.call, safe='')}" if log else ""
        calls = f"{one.calls:,}" + (f" ({one.failed:,} failed)" if one.failed else "")
        cost = "-" if one.cost is None else _dollars(one.cost)
        name = one.id or one.call[:12]
        rows.append(
            [
                Cell(name, link),
                Cell(one.stage),
                Cell(calls),
                *map(Cell, (f"{one.questions:,}", _short_seconds(one.seconds), f"{one.tokens:,}", cost)),
            ]
        )
    about = "Each leads to its line in the run's log." if log else ""
    return Table(title, [Column(name, number=at > 1) for at, name in enumerate(names)], rows, about)


# --- what was done ---------------------------------------------------------------------------------------------------


def _work(report: Report, trace: Trace) -> Section:
    tables = []
    if documents := report.get("documents"):
        rows = [[Cell(name), Cell(f"{count:,}")] for name, count in documents.items() if count]
        tables.append(Table("Documents", [Column("", words=True), Column("", number=True)], rows))
    if stages := report.get("stages"):
        most = max((one["s"] for one in stages.values()), default=0)
        rows = [
            [
                Cell(name.replace("_", " ")),
                Cell(_seconds(one["s"])),
                Cell(f"{one['calls']:,}"),
                Cell(f"{one['failed']:,}"),
                Cell(f"{one['error_rate']:.1%}"),
                Cell(f"{one['mean_s']:.3f}"),
                Cell(drawing=_drawing(bar([one["s"]], most))),
            ]
            for name, one in stages.items()
        ]
        names = ("stage", "time", "calls", "failed", "error rate", "mean s", "")
        tables.append(
            Table(
                "Stages",
                [Column(name, number=0 < at < 6) for at, name in enumerate(names)],
                rows,
                "Stages that run side by side overlap.",
            )
        )
    if trace.errors:
        rows = [
            [Cell(stage), Cell(kind.replace("_", " ")), Cell(f"{count:,}")]
            for (stage, kind), count in trace.errors.most_common()
        ]
        tables.append(
            Table(
                "Calls without an answer",
                [Column("stage"), Column("reason", words=True), Column("calls", number=True)],
                rows,
            )
        )
    if (replies := report.get("replies")) and report["calls"]["chat"]:
        said = [(name, replies[name]) for name in ("valid", "repaired", "partial")]
        said += [(f"of no use: {reason}", count) for reason, count in replies["invalid_by_reason"].items()]
        rows = [[Cell(name), Cell(f"{count:,}")] for name, count in said if count]
        tables.append(Table("Replies", [Column("", words=True), Column("", number=True)], rows))
    if letters := report.get("dead_letters"):
        counts: dict[tuple[str, str], int] = {}
        for letter in letters:
            key = letter["stage"], letter["reason"] or ""
            counts[key] = counts.get(key, 0) + 1
        rows = [
            [Cell(stage), Cell(reason), Cell(f"{count:,}")]
            for (stage, reason), count in sorted(counts.items(), key=lambda item: -item[1])
        ]
        about = "Of the whole workspace. `kg dead-letters` shows each, `kg retry` asks again."
        tables.append(
            Table(
                "Dead letters",
                [Column("stage"), Column("reason", words=True), Column("chunks", number=True)],
                rows,
                about,
            )
        )
    return Section("What was done", (), tables)


def _graph(report: Report, trace: Trace) -> Section:
    graph = report["graph"]
    plots, tables = [], []
    if len(trace.growth) > 1:
        axis = Axis(len(trace.growth), 1, 1, lambda number: f"{number:.0f}")
        series = [
            Series("entities", [one.entities for one in trace.growth]),
            Series("relationships", [one.relationships for one in trace.growth]),
        ]
        plots.append(
            _card(
                "Growth of the graph",
                f"After each of the last {len(trace.growth)} runs.",
                curves("growth of the graph", axis, series, _compact),
            )
        )
    grades = graph.get("grounding", {})
    rows = []
    for name in ("entities", "relationships"):
        if counts := grades.get(name):
            total = sum(counts.values())
            if total:
                shares = [Cell(f"{counts[grade] / total:.0%}") for grade in counts]
                rows.append(
                    [Cell(name), Cell(f"{total:,}"), *shares, Cell(drawing=_drawing(bar(list(counts.values()), total)))]
                )
    if rows:
        names = ("found by models", "all", *grades["entities"], "")
        tables.append(
            Table(
                "How well the words bear it out",
                [Column(name, number=0 < at < len(names) - 1) for at, name in enumerate(names)],
                rows,
                "Unsupported findings stay out of the graph.",
            )
        )
    counted = [(f"dropped: {reason}", count) for reason, count in graph["dropped_by_reason"].items()]
    counted += [(f"names merged: {reason}", count) for reason, count in graph.get("merged_by_reason", {}).items()]
    if counted:
        rows = [[Cell(name.replace("_", " ")), Cell(f"{count:,}")] for name, count in counted]
        tables.append(
            Table(
                "Checks and merges",
                [Column("", words=True), Column("", number=True)],
                rows,
                "Over the whole workspace.",
            )
        )
    counts = [
        (name, graph[name])
        for name in ("entities", "relationships", "mentions", "statements")
        if graph.get(name) is not None
    ]
    rows = [[Cell(name), Cell(f"{count:,}")] for name, count in [*counts, ("points", report["vectors"]["points"])]]
    tables.insert(0, Table("What the stores hold", [Column("", words=True), Column("", number=True)], rows))
    return Section("The graph", plots, tables)


def _details(report: Report) -> list[Table]:
    plain = [Column("", words=True), Column("", words=True)]
    found = [
        Table(
            "Settings",
            plain,
            [[Cell(name), Cell(_plain(value))] for name, value in report["settings"].items()],
            bare=True,
        )
    ]
    if minutes := report.get("minutes"):
        names = list(minutes[0])
        rows = [[Cell(_plain(row.get(name))) for name in names] for row in minutes[:720]]
        found.append(
            Table(
                "Minute by minute",
                [Column(name.replace("_", " "), number=at > 0) for at, name in enumerate(names)],
                rows,
                bare=True,
            )
        )
    if limits := report.get("limits"):
        names = list(limits[0])
        rows = [[Cell(_plain(row.get(name))) for name in names] for row in limits]
        found.append(
            Table(
                "Limits",
                [Column(name.replace("_", " "), number=at > 1) for at, name in enumerate(names)],
                rows,
                bare=True,
            )
        )
    return found


# --- words, numbers, escaping ----------------------------------------------------------------------------------------


def _card(title: str, about: str, plot: Plot) -> Card:
    if plot.beside:
        about += " Far above: " + ", ".join(f"{line.name}" for line in plot.beside) + "."
    return Card(title, about, _drawing(plot.drawing), plot.legend)


def _drawing(text: str) -> Markup:
    """A drawing of ours as it is: charts.py escapes the words in it."""
    return Markup(text)  # noqa: S704


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or "-"
    return str(value)


def _compact(value: float) -> str:
    """1,234 as 1.2k."""
    for power, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= power:
            return f"{value / power:.3g}{sign}"
    return f"{value:.3g}"


def _dollars(value: float) -> str:
    """With as many places as it takes: an axis has small steps."""
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.6f}".rstrip("0")


def _short_seconds(value: float) -> str:
    return f"{value:.3g} s"


def _clock(value: float) -> str:
    """A time since the beginning: 90 is 1:30 min."""
    if value < 60:
        return f"{value:.3g} s"
    if value < 3600:
        return f"{value / 60:.0f} min" if value % 60 == 0 else f"{int(value // 60)}:{int(value % 60):02} min"
    return f"{value / 3600:.3g} h"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else _clock(round(value))


def _moment(iso: str) -> str:
    return iso.replace("T", " ").replace("Z", " UTC")


def _moment_of(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(_asset("report.html"))


def _asset(name: str) -> str:
    return (files(__package__) / "pages" / name).read_text("utf-8")
