"""What to change next, from a run's report: each line with the figures that it stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from metrics.render import money

Report = Mapping[str, Any]

_FULL = 0.85  # of a limit: more requests at once would only wait
_ROOM = 0.6
_BUSY = 0.8  # of the places: on average so many requests were under way
_MUCH_PROMPT = 0.2  # of the bill
_WORTH_SAYING = 0.03  # of the bill
_LARGEST_BATCH = 20
_BATCH_API_FROM = 1.0  # dollars
_MANY_REFUSED = 0.02
_MANY_FAILED = 0.05
_MUCH_WASTED = 0.05
_MUCH_REASONING = 0.6
_MANY_UNSUPPORTED = 0.15
_FEW = 20  # calls: too few to judge by
_LONG_TAIL = 8.0


def advice(report: Report) -> list[str]:
    """In plain words, what matters most first; empty where nothing was asked, or all is as it should be."""
    return [text for rule in _RULES for text in rule(report)]


def _dead_letters(report: Report) -> Iterator[str]:
    if dead := report["chunks"]["dead"]:
        chunks = "1 chunk has" if dead == 1 else f"{dead:,} chunks have"
        yield f"{chunks} no usable answer: `kg dead-letters` shows why, `kg retry` asks again"


def _pace(report: Report) -> Iterator[str]:
    """Which of limit and concurrency decides the speed."""
    calls = _calls(report)
    if calls < _FEW:
        return
    places = report["settings"].get("max_concurrent") or 0
    share, bound = _fullest(report)
    waited, took = report["latency_s"]["wait_for_limit"]["p50"], report["latency_s"]["chat"]["p50"]
    if (share is not None and share >= _FULL) or waited > took > 0:
        text = "the limit decides the speed: "
        if waited > took > 0:
            text += f"half of the calls waited {waited:.1f} s or more for it, and {took:.1f} s for the reply, so "
        else:
            text += f"{share:.0%} of {bound} were used, so "
        text += "more concurrency won't help"
        if (report["settings"].get("batch_size") or 0) < _LARGEST_BATCH and _asked_by_batch(report):
            text += "; larger batches take fewer requests and send the prompt less often"
        yield text
        return
    busy = report["throughput"]["first_request_to_last_commit_s"]
    under_way = sum(report["stages"][name]["s"] for name in ("extract", "embed")) / busy if busy else 0
    if places and under_way >= _BUSY * places and not report["calls"]["rate_limited"]:
        room = "no limit was known" if share is None else f"{share:.0%} of {bound} were used"
        if share is None or share < _ROOM:
            yield (
                f"concurrency decides the speed: {under_way:.1f} of {places} requests were under way on average, and "
                f"{room}: try --max-concurrent {places * 2}"
            )


def _fullest(report: Report) -> tuple[float | None, str]:
    """The share of the limit used most over the run's full minutes, and which that was; None where there are none."""
    full = [row for row in report.get("minutes", ()) if row["limit_share"] is not None][1:-1]
    if not full:
        return None, ""
    busiest = max(full, key=lambda row: row["limit_share"])
    return sum(row["limit_share"] for row in full) / len(full), busiest["limit"]


def _refused(report: Report) -> Iterator[str]:
    calls, refused = _calls(report), report["calls"]["rate_limited"]
    if calls >= _FEW and refused > _MANY_REFUSED * calls:
        given = report["settings"].get("rpm") or report["settings"].get("tpm")
        mend = "lower --rpm and --tpm, or see who else uses the key" if given else "give your account's --rpm and --tpm"
        yield f"the provider turned {refused:,} of {calls:,} requests away for its limit (429): {mend}"


def _failed(report: Report) -> Iterator[str]:
    calls = report["calls"]
    others = calls["failed"] - calls["rate_limited"]
    if _calls(report) >= _FEW and others > _MANY_FAILED * _calls(report):
        yield f"{others:,} of {_calls(report):,} requests failed otherwise than for a limit: see errors by reason, and the server"


def _prompt(report: Report) -> Iterator[str]:
    """What the part of the prompt that comes with every request costs, and what larger batches would save."""
    prompt, total = report.get("prompt") or {}, report["cost_usd"]["total"]
    if not prompt.get("cost_usd") or not total or _calls(report) < _FEW:
        return
    share = prompt["cost_usd"] / total
    size, chunks = report["settings"].get("batch_size") or 1, report["stages"]["extract"]["calls"]
    saved = prompt["cost_usd"] * (1 - size / _LARGEST_BATCH) if size < _LARGEST_BATCH else 0
    if share >= _MUCH_PROMPT and saved >= _WORTH_SAYING * total and chunks:
        yield (
            f"the prompt is {share:.0%} of the bill: it was sent {chunks:,} times; --batch-size {_LARGEST_BATCH} instead of {size} "
            f"would save about {money(saved)} (quality falls slightly)"
        )


def _at_half_price(report: Report) -> bool:
    return bool(report["settings"].get("batch_api")) or report["settings"].get("service_tier") == "flex"


def _batch_api(report: Report) -> Iterator[str]:
    cost = report["cost_usd"]
    if cost["total"] >= _BATCH_API_FROM and not _at_half_price(report):
        yield f"--batch-api does the same within a day at half the price: {money(cost['total'] / 2)} less, where the provider has it"


def _wasted(report: Report) -> Iterator[str]:
    cost, replies = report["cost_usd"], report["replies"]
    if cost["total"] and cost["wasted"] > _MUCH_WASTED * cost["total"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in replies["invalid_by_reason"].items())
        size = report["settings"].get("batch_size") or 1
        mend = "smaller batches or another model" if size > 1 else "another model"
        yield f"{money(cost['wasted'])} ({cost['wasted'] / cost['total']:.0%}) bought replies of no use ({reasons}): try {mend}"


def _reasoning(report: Report) -> Iterator[str]:
    tokens = report["tokens"]
    effort = report["settings"].get("reasoning_effort")
    if tokens["completion"] and tokens["reasoning"] > _MUCH_REASONING * tokens["completion"] and effort != "minimal":
        share = tokens["reasoning"] / tokens["completion"]
        yield f"{share:.0%} of the tokens of replies are reasoning: a lower --reasoning-effort than {effort!r} may do"


def _cache(report: Report) -> Iterator[str]:
    tokens, prompt = report["tokens"], report.get("prompt") or {}
    if report["stages"]["extract"]["calls"] >= _FEW and not tokens["cached"] and prompt.get("tokens", 0) >= 1024:
        yield (
            f"nothing was read from the provider's cache, though {prompt['tokens']:,} tokens of each request were the same: "
            "providers that cache bill those at a fraction"
        )


def _unsupported(report: Report) -> Iterator[str]:
    found = report["graph"].get("grounding", {}).get("relationships", {})
    total = sum(found.values())
    if total >= 50 and found.get("unsupported", 0) > _MANY_UNSUPPORTED * total:
        share = found["unsupported"] / total
        yield f"{share:.0%} of the relationships that the model gave are not borne out by the words: compare another model or prompt"


def _tail(report: Report) -> Iterator[str]:
    latency = report["latency_s"]["chat"]
    if report["calls"]["chat"] >= 100 and latency["p50"] and latency["p99"] > _LONG_TAIL * latency["p50"]:
        yield (
            f"a few replies take very long (p99 {latency['p99']:.1f} s, half of them {latency['p50']:.1f} s): "
            "a shorter --timeout asks those again sooner, and pays for them twice"
        )


def _unpriced(report: Report) -> Iterator[str]:
    if unpriced := report["cost_usd"]["unpriced_calls"]:
        yield f"the price of {unpriced:,} calls is not known, and no cap in dollars can hold them: give it with --prices"


def _calls(report: Report) -> int:
    return int(report["calls"]["chat"] + report["calls"]["embedding"])


def _asked_by_batch(report: Report) -> bool:
    return bool(report["stages"]["extract"]["calls"])


_RULES: tuple[Callable[[Report], Iterator[str]], ...] = (
    _dead_letters,
    _failed,
    _refused,
    _pace,
    _prompt,
    _wasted,
    _batch_api,
    _reasoning,
    _cache,
    _unsupported,
    _tail,
    _unpriced,
)
