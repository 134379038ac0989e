"""A run's report as one HTML page: everything in it, nothing from elsewhere, no script, and every name as text.

Jinja2 escapes whatever is put into the template (assets/report.html); only our own drawings and style go in as they are. A
Content-Security-Policy forbids all scripts, requests and forms, and every style but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from metrics.pages import sections
from metrics.pages.parts import Link, Listing, Tile
from metrics.pages.words import compact, moment, seconds
from metrics.render import money
from metrics.trace import Trace

Report = Mapping[str, Any]

_A_MINUTE = 60.0  # below, the share of a limit by the minute says little
_MANY = 12  # lines of a kind that are shown


def page(report: Report, trace: Trace, *, log: str | None = None, links: Sequence[Link] = ()) -> str:
    """The page's whole text. `report` may be that of a run without an end (`kg report --json` of a killed run).

    `log`: the log file's name beside the page, to which batches link.
    """
    whole = report.get("finished_at") is not None
    style = _asset("report.css")
    shown = [
        sections.pace(report, trace),
        sections.latency(trace),
        sections.spending(report, trace, log),
        sections.work(report, trace),
        *([sections.graph(report, trace)] if whole else ()),
    ]
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
            worth_knowing=_worth_knowing(report) if whole else (),
            sections=[section for section in shown if section.plots or section.tables],
            details=sections.details(report) if whole else (),
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
    words = [f"workspace {report['workspace']}", f"kg {report['command']}", f"began {moment(report['started_at'])}"]
    if persona := report.get("settings", {}).get("persona"):
        words.insert(1, f"for {persona}")
    if report.get("finished_at"):
        words.append(f"took {seconds(report['wall_s'])}")
    return " · ".join(words)


def _told(report: Report, trace: Trace) -> list[str]:
    lines = [report["ended"]] if report.get("ended") else []
    if parts := report.get("parts"):
        names = (("extractor", ""), ("embedder", ""), ("graph_store", "graph "), ("vector_store", "vectors "))
        lines.append("Used: " + ", ".join(said + parts[name] for name, said in names))
    if not report["chunks"]["total"] and report["command"] != "rebuild":
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
        Tile("tokens", compact(tokens_all), cached),
        Tile("calls", f"{all_calls:,}", failed if all_calls else ""),
        Tile("speed", f"{speed['chunks_per_s']:,}/s", "chunks"),
    ]
    if speed["limit_efficiency"] is not None and speed["first_request_to_last_commit_s"] >= _A_MINUTE:
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


def _worth_knowing(report: Report) -> list[Listing]:
    found = []
    for name, title in (("unreadable", "Unreadable"), ("skipped", "Skipped: no transcripts")):
        if rows := report[name]:
            found.append(
                Listing(f"{title} ({len(rows):,})", _some([f"{row['where']}: {row['reason']}" for row in rows]))
            )
    for name, title in (("store_errors", "Stores"), ("warnings", "Warnings"), ("notes", "Notes")):
        if report[name]:
            found.append(Listing(f"{title} ({len(report[name]):,})", _some(report[name])))
    if report["stepped_down"]:
        found.append(
            Listing(
                "What servers did not take", [f"{server}: {words}" for server, words in report["stepped_down"].items()]
            )
        )
    return found


def _some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _MANY
    return [*lines[:_MANY], *([f"… and {more:,} more: report.json lists them"] if more > 0 else ())]


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(_asset("report.html"))


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text("utf-8")
