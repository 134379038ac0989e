"""`kg usage`: tokens and money of all workspaces, by what one likes; budgets and quotas; letting old calls go."""

from __future__ import annotations

import csv
import datetime as dt
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import options, show
from cli.books import roll_up
from cli.gathering import gathered, prometheus_text, shared_names, workspaces_in
from cli.inboxes import take_all
from cli.limits import all_limits, defined
from cli.sources import Loaded, pairs
from cli.workspace import settings_of
from core_engine.errors import SettingsError
from core_engine.ledger.ledger import Ledger
from core_engine.settings import Settings
from metrics.caps import Cap, Caps, amount_in_words
from metrics.render import money
from metrics.usage import BY, Group, Usage, Wanted, rows

app = typer.Typer(add_completion=False)

_TOP = 5


@app.command()
def usage(
    by: Annotated[str, typer.Option("--by", help=f"{', '.join(BY[:-1])} or {BY[-1]}.")] = "day",
    since: Annotated[
        str | None, typer.Option("--since", help="First day: 2026-11-01, or 2026-11. [this month]")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Last day, or month.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Since the beginning.")] = False,
    persona: Annotated[str | None, typer.Option("--persona", help="Only of this one.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="NAME=VALUE: only with it; repeatable.")] = None,
    roll: Annotated[bool, typer.Option("--roll-up", help="Let go of old calls now; no sum changes.")] = False,
    prom_textfile: options.PromTextfile = None,
    workspace: Annotated[str | None, typer.Option("--workspace", "-w", help="Only this one. [all]")] = None,
    home: options.Home = None,
    config: options.Config = None,
    json: options.Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The groups as CSV.")] = False,
) -> None:
    """Sum up what was asked of models and what it cost, from the ledgers: by day, month, model, workspace, persona…

    Also today's and this month's figures, what the month will probably come to, budgets, quotas, and who spends most.
    """
    if by not in BY:
        raise SettingsError(f"--by {by!r}: choose one of {', '.join(BY)}")
    if json and as_csv:
        raise SettingsError("--json and --csv are two ways to say the same: choose one")
    loaded = settings_of({"home": home, "workspace": workspace}, config)
    settings = loaded.settings
    take_all(settings)
    names = workspaces_of(loaded)
    only = settings.workspace if loaded.origins["workspace"] != "default" else None
    wanted = Wanted(persona, pairs(tags or (), "--tag"), only)
    if roll:
        _roll_up(settings, names)
    now = time.time()
    # What others have used counts where a cap is theirs too.
    of = shared_names(settings, all_limits(settings, names)) if only else names
    everyone, unreadable = gathered(settings, of, now)
    if prom_textfile:
        _write_textfile(settings, names, everyone, Path(prom_textfile))
    first, after = _span(everyone.caps, now, since, until, everything=everything)
    chosen = everyone.of(wanted, since=first, until=after)
    groups = chosen.by(by)
    if as_csv:
        _csv(groups)
        return
    said = _said(settings, everyone, chosen, groups, by, (first, after), wanted, names)
    said["unreadable"] = unreadable
    if json:
        show.json_out(said)
    else:
        _print(said, groups, by)


# --- gathering -------------------------------------------------------------------------------------------------------


def workspaces_of(loaded: Loaded) -> list[str]:
    """The workspace that was named, or all of the home."""
    settings = loaded.settings
    if loaded.origins["workspace"] != "default":
        if not settings.ledger_path.is_file():
            raise SettingsError(
                f"there is no workspace {settings.workspace!r} in {settings.home}: leave out --workspace for all"
            )
        return [settings.workspace]
    names = workspaces_in(settings.home)
    if not names:
        raise SettingsError(
            f"there is no workspace in {settings.home}: `kg process PATHS` makes one, --home names another"
        )
    return names


def _write_textfile(settings: Settings, names: list[str], everyone: Usage, file: Path) -> None:
    from metrics.observers import prometheus

    prometheus.check_name(file)
    try:
        prometheus.write(file, prometheus_text(settings, names, everyone, ""))
    except OSError as error:
        raise SettingsError(f"--prom-textfile {file} can't be written: {error.strerror}") from error


def _roll_up(settings: Settings, names: list[str]) -> None:
    for name in names:
        there = replace(settings, workspace=name)
        with Ledger(there.ledger_path) as ledger:
            gone, kept = roll_up(there, ledger)
        sys.stderr.write(f"{name}: {gone:,} calls rolled up, {kept:,} kept for their replies\n")


# --- which days ------------------------------------------------------------------------------------------------------


def _span(caps: Caps, now: float, since: str | None, until: str | None, *, everything: bool) -> tuple[float, float]:
    if everything and since:
        raise SettingsError("--all and --since are two beginnings: choose one")
    first = 0.0 if everything or (until and not since) else caps.span("month", now)[0]
    if since:
        first = _edge("--since", caps, since)[0]
    after = _edge("--until", caps, until)[1] if until else float("inf")
    if first >= after:
        raise SettingsError(f"--until {until} lies before --since {since or 'the beginning of this month'}")
    return first, after


def _edge(option: str, caps: Caps, text: str) -> tuple[float, float]:
    """The first moment of a day or month, and the one after it."""
    for pattern, period in (("%Y-%m-%d", "day"), ("%Y-%m", "month")):
        try:
            day = dt.datetime.strptime(text, pattern).replace(hour=12, tzinfo=caps.zone)
            return caps.span(period, day.timestamp())
        except ValueError:
            continue
        except OverflowError as error:
            raise SettingsError(f"{option} {text}: no calendar goes further") from error
    raise SettingsError(f"{option} {text!r} should be a day, like 2026-11-01, or a month, like 2026-11")


# --- saying it -------------------------------------------------------------------------------------------------------


def _said(
    settings: Settings,
    everyone: Usage,
    chosen: Usage,
    groups: list[Group],
    by: str,
    span: tuple[float, float],
    wanted: Wanted,
    names: list[str],
) -> dict[str, Any]:
    zone = everyone.caps.zone
    mine = everyone.of(wanted)
    month = mine.period("month")
    dollars = Cap("month", "dollars", _NO_CAP)
    seen = {each.key.persona for each in chosen.entries}
    return {
        "schema": "kg.usage/1",
        "at": show.iso(everyone.now),
        "time_zone": str(zone),
        "since": None if span[0] == 0 else dt.datetime.fromtimestamp(span[0], zone).isoformat(),
        "until": None if span[1] == float("inf") else dt.datetime.fromtimestamp(span[1], zone).isoformat(),
        "workspaces": names,
        "by": by,
        "groups": [group.in_numbers() for group in groups],
        "total": chosen.total().in_numbers(),
        "today": mine.period("day").total("today").in_numbers(),
        "this_month": {
            **month.total("this month").in_numbers(),
            "projected_usd": float(round(mine.projected(dollars), 6)),
        },
        "quotas": everyone.standings(),
        "top_spenders": {what: list(_top(month, what)) for what in ("workspace", "persona")},
        "unused_personas": [name for name in defined(settings) if name not in seen],
    }


_NO_CAP = Decimal(10**18)


def _top(month: Usage, what: str) -> Iterator[dict[str, Any]]:
    groups = month.by(what)
    total = sum(group.sums.counted_cost for group in groups)
    for group in groups[:_TOP]:
        share = round(group.sums.counted_cost / total, 4) if total else None
        yield {"name": group.name, "usd": float(round(group.counted, 8)), "tokens": group.sums.tokens, "share": share}


def _csv(groups: list[Group]) -> None:
    lines = list(rows(groups)) or [dict.fromkeys(next(rows([Group("")])))]
    writer = csv.DictWriter(sys.stdout, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(({**line, "name": _harmless(line["name"])} for line in lines) if groups else ())


def _harmless(name: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


def _print(said: dict[str, Any], groups: list[Group], by: str) -> None:
    columns = (by, "calls", "errors", "mean s", "p95 s", "max s", "in", "cached", "out", "a call", "paid", "saved")
    lines = [_cells(said_of) for said_of in (*said["groups"], *([said["total"]] if len(groups) != 1 else []))]
    show.table(columns, lines)
    for note in _notes(said["total"]):
        show.out(note)
    today, month = said["today"], said["this_month"]
    show.out(
        f"\ntoday       {_in_short(today)}\nthis month  {_in_short(month)}; "
        f"about {money(month['projected_usd'])} by its end if it goes on like the last days"
    )
    for quota in said["quotas"]:
        show.out(_quota_line(quota))
    for what, top in said["top_spenders"].items():
        if len(top) > 1:
            listed = ", ".join(
                f"{one['name']} {money(one['usd'])}" + (f" ({one['share']:.0%})" if one["share"] else "") for one in top
            )
            show.out(f"most by {what}: {listed}")
    if said["unused_personas"]:
        show.out(f"defined and not used: {', '.join(said['unused_personas'])}")
    for trouble in said["unreadable"]:
        sys.stderr.write(f"kg: {trouble}\n")


def _cells(said: dict[str, Any]) -> tuple[Any, ...]:
    latency, tokens, cost = said["latency_s"], said["tokens"], said["cost_usd"]
    return (
        said["name"],
        said["calls"],
        f"{said['error_rate']:.1%}",
        latency["mean"],
        latency["p95"],
        latency["max"],
        tokens["prompt"],
        tokens["cached"],
        tokens["completion"],
        round(tokens["per_call"]),
        money(cost["paid"]),
        money(cost["saved"]),
    )


def _notes(total: dict[str, Any]) -> Iterator[str]:
    if total["unknown_calls"]:
        at_most = money(total["cost_usd"]["unknown_at_most"])
        yield f"besides: {total['unknown_calls']:,} calls with an unknown answer, {at_most} at most"
    if total["unpriced_calls"]:
        yield f"besides: {total['unpriced_calls']:,} calls whose price is not known"


def _in_short(said: dict[str, Any]) -> str:
    cost = said["cost_usd"]
    return f"{said['calls']:,} calls, {said['tokens']['total']:,} tokens, {money(cost['paid'])}, {money(cost['saved'])} saved"


def _quota_line(quota: dict[str, Any]) -> str:
    whose = "home" if quota["scope"] == "home" else f"{quota['scope']} {quota['name']}"
    limit, used, left = (
        amount_in_words(_decimal(quota[name]), quota["unit"]) for name in ("limit", "used", "remaining")
    )
    soft = "" if quota["hard"] else ", only warns"
    line = f"{whose}: {used} of {limit} this {quota['period']} ({quota['percent']:g} %), {left} left until {quota['resets_at']}"
    projected = quota["projected"]
    if projected is not None and projected > quota["limit"]:
        line += f"; {amount_in_words(_decimal(projected), quota['unit'])} to be expected: it will not last"
    return f"{line}{soft} ({quota['set_by']})"


def _decimal(number: float) -> Decimal:
    return Decimal(str(number))
