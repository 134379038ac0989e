"""A report in words: the summary at the end of a run, and the Markdown page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metrics.minutes import in_words

Report = Mapping[str, Any]

_ADVICE = 3  # lines; the page has them all

_ENDINGS = {
    0: "done",
    1: "not started",
    2: "done, with problems",
    3: "stopped by the cap",
    4: "not started",
    5: "incomplete",
    130: "stopped by hand",
}


def summary(report: Report) -> str:
    """What a person reads at a glance: six to twenty lines."""
    lines = [
        _first_line(report),
        _row("documents", _documents(report["documents"])),
        _row("chunks", _counts(report["chunks"], ("total", "written", "reused", "dead", "pending"))),
        _row("graph", _graph(report)),
        _row("model", _model(report)),
    ]
    if report["calls"]["chat"] or report["calls"]["embedding"]:
        lines.append(_row("speed", _speed(report)))
        if said := in_words(report.get("minutes", ())):
            lines.append(_row("limit", said))
        if said := _estimate(report):
            lines.append(_row("estimate", said))
    lines += [_row("next" if not at else "", said) for at, said in enumerate(report.get("advice", ())[:_ADVICE])]
    if nothing_to_do(report):
        lines.append("nothing was new: no model call, nothing written")
    lines += _problems(report)
    return "\n".join(map(_printable, lines))


def _first_line(report: Report) -> str:
    parts = report["parts"]
    used = f"{parts['extractor']}; {parts['embedder']}; graph {parts['graph_store']}; vectors {parts['vector_store']}"
    ending = (
        "Batch jobs pending" if report["status"] == "pending" else _ENDINGS.get(report["exit_code"], report["status"])
    )
    return f"{ending} in {_seconds(report['wall_s'])}  ({used})"


def nothing_to_do(report: Report) -> bool:
    """The run found everything answered and written."""
    bought = report["calls"]["chat"] + report["calls"]["embedding"]
    wrote = report["graph"]["units_written"] + report["graph"]["units_deleted"] + _points(report)
    chunks = report["chunks"]
    return not bought and not wrote and report["exit_code"] == 0 and chunks["total"] > 0 and not chunks["pending"]


def _points(report: Report) -> int:
    vectors = report["vectors"]
    return int(vectors["new"] + vectors["changed"] + vectors["deleted"])


def _row(name: str, text: str) -> str:
    return f"  {name:<10} {text}"


def _counts(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    first, *others = names
    parts = [f"{values[name]:,} {name}" for name in others if values[name]]
    return f"{values[first]:,}" + (f": {', '.join(parts)}" if parts else "")


def _documents(values: Mapping[str, Any]) -> str:
    return _counts(values, ("seen", "new", "changed", "renamed", "removed", "unreadable", "skipped", "vanished"))


def _graph(report: Report) -> str:
    graph = report["graph"]
    relationships = graph["relationships"]
    text = f"{graph['entities']:,} entities ({graph['entities_new']:,} new)"
    if relationships is not None:
        text += f", {relationships:,} relationships ({graph['relationships_new']:,} new)"
    text += f", {graph['mentions']:,} mentions, {report['vectors']['points']:,} points"
    if merged := graph.get("names_merged"):
        text += f"; {merged:,} names merged with others"
    if dropped := sum(graph["dropped_by_reason"].values()):
        text += f"; {dropped:,} findings dropped by the checks"
    return text


def _model(report: Report) -> str:
    calls, tokens, cost = report["calls"], report["tokens"], report["cost_usd"]
    if not calls["chat"] and not calls["embedding"]:
        saved = f"; reuse saved {money(cost['saved_by_reuse'])}" if cost["saved_by_reuse"] else ""
        return f"no calls, $0{saved}"
    text = f"{calls['chat']:,} chat and {calls['embedding']:,} embedding calls, "
    text += f"{tokens['prompt'] + tokens['completion'] + tokens['embedding']:,} tokens, {money(cost['total'])}"
    if cost["unpriced_calls"]:
        text += f" + {cost['unpriced_calls']:,} calls unpriced"
    if cost["unknown_calls"]:
        text += f"; {cost['unknown_calls']:,} sent, answer unknown, at most {money(cost['unknown_at_most'])}"
    if cost.get("saved_by_batch"):
        text += f"; the Batch API saved {money(cost['saved_by_batch'])}"
    if cost.get("saved_by_flex"):
        text += f"; the flex tier saved {money(cost['saved_by_flex'])}"
    if cost["saved_by_cache"]:
        text += f"; cached tokens saved {money(cost['saved_by_cache'])}"
    if cost["wasted"]:
        text += f"; {money(cost['wasted'])} wasted on replies of no use"
    return text


def _estimate(report: Report) -> str:
    """What was expected, beside what it came to; '' where nothing was to buy."""
    estimate = report["estimate"]
    if not estimate or not estimate["chunks"] or estimate["cost_usd"]["middle"] is None:
        return ""
    text = f"{dollars_in_words(estimate['cost_usd'])} was expected"
    off = estimate["off_by"]["cost"]
    return text if off is None else f"{text}; the bill is {abs(off):.0%} {'above' if off > 0 else 'below'}"


def _speed(report: Report) -> str:
    speed, latency = report["throughput"], report["latency_s"]["chat"]
    text = f"{speed['chunks_per_s']:,} chunks/s, {speed['tokens_per_min']:,} tokens/min"
    if speed["peak_in_flight"]:  # a run by Batch jobs may have none
        text += (
            f", chat p50 {latency['p50']:.2f} s p95 {latency['p95']:.2f} s, peak {speed['peak_in_flight']} in flight"
        )
    if speed["limit_efficiency"] is not None:
        text += f", {speed['limit_efficiency']:.0%} of the limit"
    return text


def _problems(report: Report) -> list[str]:
    lines = []
    for name, sign in (("unreadable", "unreadable"), ("skipped", "skipped")):
        rows = report[name]
        lines += [f"  {sign}: {row['where']}: {row['reason']}" for row in rows[:10]]
        if len(rows) > 10:
            lines.append(f"  … and {len(rows) - 10:,} more {sign} (report.json lists them)")
    if report["vanished"]:
        lines.append(f"  {len(report['vanished']):,} documents' files are gone: --prune takes them out")
    if len(report["answers_by"]) > 1:
        said = "; ".join(f"{row['chunks']:,} by {_who(row)}" for row in report["answers_by"])
        settings = report["settings"]
        if way := "model" if settings.get("model_variants") else "prompt" if settings.get("prompt_variants") else "":
            lines.append(f"  on trial: {said}: `kg report --by {way}` compares them")
        else:
            lines.append(
                f"  mixed: the graph's answers are {said}: process all files with one of them to have one kind"
            )
    lines += [f"  warning: {text}" for text in report["warnings"][:10]]
    lines += [f"  note: {text}" for text in report["notes"]]
    lines += [f"  {server}: {words}" for server, words in report["stepped_down"].items()]
    recovered = report["recovered"]
    if recovered["killed_runs"]:
        said = f"  an earlier run was killed: {recovered['answers']:,} answers of it were taken up"
        if recovered["unknown_calls"]:
            at_most = money(recovered.get("unknown_at_most", 0))
            said += f"; {recovered['unknown_calls']:,} of its calls were sent, answer unknown, at most {at_most}"
        lines.append(said)
    if (batch := report.get("batch")) and batch["pending"]:
        jobs = f"{batch['pending']:,} Batch {'job' if batch['pending'] == 1 else 'jobs'}"
        lines.append(
            f"  {jobs} pending: {batch['pending_requests']:,} requests, at most {money(batch['pending_at_most'])}: "
            "`kg process --batch-api` collects them, `kg batches` lists them"
        )
    if left := report.get("resolve", {}).get("pairs_left"):
        lines.append(f"  {left:,} pairs of names are left for the next run to ask about")
    if report["left_open"]:
        said = ", ".join(f"{count:,} {reason}" for reason, count in report["left_open"].items())
        lines.append(f"  left open for the next run: {said}")
    lines += [f"  store: {text}" for text in report["store_errors"]]
    if report["ended"]:
        lines.append(f"  {report['ended']}")
    return lines


def _who(row: Mapping[str, Any]) -> str:
    if row["by"] == "rules":
        return "rules"
    return " ".join(str(row[name]) for name in ("model", "prompt") if row.get(name))


def markdown(report: Report) -> str:
    """The report as a Markdown page with all its fields."""
    text = summary(report)
    fence = "```"
    while fence in text:
        fence += "`"
    lines = [f"# kg run {report['run_id']}", "", fence, text, fence, ""]
    lines += [
        f"Workspace `{report['workspace']}`, kg {report['version']}, {report['started_at']} to {report['finished_at']}."
    ]
    for name, value in report.items():
        if isinstance(value, Mapping) and value:
            lines += ["", f"## {name}", "", "| | |", "|---|---|"]
            lines += [f"| {cell(key)} | {cell(_flat(item))} |" for key, item in value.items()]
        elif isinstance(value, list) and value:
            lines += ["", f"## {name}", ""]
            lines += [f"- {cell(_flat(item))}" for item in value]
    return "\n".join(lines) + "\n"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:,.6g}"
    return "-" if value is None else str(value)


def _printable(line: str) -> str:
    """The line without what a terminal would act on: names of files and words of errors come from elsewhere."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)


def cell(text: Any) -> str:
    """Text as a Markdown cell: names of files and replies must not become tables, links or HTML."""
    said = "".join(c if c.isprintable() else " " for c in str(text))
    for sign in "\\`*_[]<>|#":
        said = said.replace(sign, "\\" + sign)
    return said


def money(amount: float) -> str:
    """Dollars, with as many places as it takes to see something."""
    if amount == 0:
        return "$0"
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}" if amount >= 0.0001 else "under $0.0001"


def dollars_in_words(cost: Mapping[str, float | None]) -> str:
    """An estimate's middle, and its range."""
    low, middle, high = (cost[name] for name in ("low", "middle", "high"))
    if low is None or middle is None or high is None:
        return "unpriced: give the model's price with --prices"
    return money(middle) + (f" ({money(low)} to {money(high)})" if high != low else "")


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
