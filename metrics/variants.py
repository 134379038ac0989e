"""Models or prompts beside each other, by what they gave in one workspace: cost, latency, validity, yield, and how sure.

Documents are the units: chunks of one conversation are alike. Intervals are of 95 %: of sums over documents by Efron's
percentile bootstrap, of shares of replies by Wilson's score, of the median by order statistics.
"""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from core_engine.types import GRADES, UNSUPPORTED
from metrics.percentiles import percentile

_DRAWS = 1_000
_SEED = 20261130  # the same interval each time
_UNITS = 1_000  # of more documents, some are taken together
_Z = 1.96
_TAILS = (2.5, 97.5)
_FEW = 10  # documents
_UNSUPPORTED = GRADES.index(UNSUPPORTED)
_COST, _CHUNKS, _FACTS, _ENTITIES, _GOOD, _FOUND = range(6)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and the interval that holds the true one nineteen times of twenty; None where nothing can be told."""

    value: float | None
    interval: Interval | None = None


@dataclass(slots=True)
class Gathered:
    """What one model or prompt did. `sums`: by document: dollars, chunks, facts, entities, findings borne out, findings."""

    name: str
    calls: int = 0
    failed: int = 0
    unpriced: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    seconds: array[float] = field(default_factory=lambda: array("d"))
    others: set[str] = field(default_factory=set)
    sums: dict[int, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variant:
    """Money in US dollars a chunk, times in seconds, facts and entities a chunk, shares from 0 to 1."""

    name: str
    documents: int
    chunks: int
    calls: int
    failed: int
    unpriced: int
    cost: Estimate
    latency: Estimate
    latency_p95: float | None
    validity: Estimate
    facts: Estimate
    entities: Estimate
    grounded: Estimate


@dataclass(frozen=True, slots=True)
class Trial:
    """The one with the most chunks first; `verdicts`: each of the others against it, in words."""

    variants: Sequence[Variant]
    verdicts: Sequence[str]
    warning: str = ""


def trial(db: sqlite3.Connection, by: str, run: str | None = None) -> Trial:
    """Compare by `model` or `prompt`, over the workspace's current answers, or over one run's calls alone."""
    gathered = sorted(_gathered(db, by, run).values(), key=lambda one: (-_total(one, _CHUNKS), one.name))
    gathered = [one for one in gathered if one.sums]
    variants = [_variant(one) for one in gathered]
    verdicts = [_verdict(gathered[0], one) for one in gathered[1:]]
    differ = len({frozenset(one.others) for one in gathered}) > 1
    other = "prompt" if by == "model" else "model"
    warning = f"they differ in the {other} too: what is compared is not the {by} alone" if differ else ""
    return Trial(variants, verdicts, warning)


# --- from the ledger -------------------------------------------------------------------------------------------------


def _gathered(db: sqlite3.Connection, by: str, run: str | None) -> dict[str, Gathered]:
    found: dict[str, Gathered] = {}
    of_spec: dict[int, Gathered] = {}
    for spec, name, other in _specs(db, by):
        of_spec[spec] = found.setdefault(name, Gathered(name))
        of_spec[spec].others.add(other)
    costs = _of_calls(db, of_spec, run)
    for spec, question, document, graded in _answers(db, run):
        if spec in of_spec:
            sums = of_spec[spec].sums.setdefault(document, [0.0] * 6)
            for at, amount in enumerate((costs.get(question, 0.0), 1, *_findings(graded))):
                sums[at] += amount
    return found


def _specs(db: sqlite3.Connection, by: str) -> Iterator[tuple[int, str, str]]:
    names = dict(db.execute("SELECT spec, name FROM prompt").fetchall())
    for spec, description in db.execute("SELECT no, description FROM spec WHERE kind = 'extract'"):
        said = orjson.loads(description)
        model, prompt = str(said.get("model")), str(said.get("prompt"))
        if names.get(spec, prompt) != prompt:
            prompt = f"{names[spec]} ({prompt})"
        yield (spec, model, prompt) if by == "model" else (spec, prompt, model)


def _of_calls(db: sqlite3.Connection, of_spec: Mapping[int, Gathered], run: str | None) -> dict[int, float]:
    """Add up the calls, and say what each question has cost, bad replies and repetitions included."""
    costs: dict[int, float] = defaultdict(float)
    rows = db.execute(
        "SELECT spec, status, verdict, duration_s, cost, questions, job IS NOT NULL FROM call "
        "WHERE stage = 'extract' AND status != 'batched' AND (?1 IS NULL OR run = ?1)",
        (run,),
    )
    for spec, status, verdict, took, cost, questions, batched in rows:
        if spec not in of_spec:
            continue
        one = of_spec[spec]
        one.calls += 1
        if status == "answered":
            one.verdicts["good" if not verdict or verdict.startswith("repaired") else "bad"] += 1
            if not batched:
                one.seconds.append(took)
        else:
            one.failed += 1
        numbers = orjson.loads(questions)
        if cost is None:
            one.unpriced += status == "answered"
        elif numbers:
            for number in numbers:
                costs[number] += float(cost) / len(numbers)
    return costs


def _answers(db: sqlite3.Connection, run: str | None) -> Iterator[tuple[int, int, int, str]]:
    """Spec, question, document and grades of each chunk with a current answer from a model (of a call of the run)."""
    yield from db.execute(
        "SELECT q.spec, q.no, c.document, c.graded FROM spec s CROSS JOIN question q ON q.spec = s.no "
        "CROSS JOIN chunk c ON c.extract = q.no LEFT JOIN call k ON k.no = q.call "
        "WHERE s.kind = 'extract' AND (?1 IS NULL OR k.run = ?1)",
        (run,),
    )


def _findings(graded: str) -> tuple[float, float, float, float]:
    """Facts and entities that the words bear out; both together; and all findings."""
    said = orjson.loads(graded)
    good, found = [0, 0], 0
    for at, of in enumerate(("r", "e")):
        for counts in said.get(of, {}).values():
            found += sum(counts)
            good[at] += sum(counts) - counts[_UNSUPPORTED]
    return good[0], good[1], sum(good), found


# --- figures and how sure they are -----------------------------------------------------------------------------------


def _variant(one: Gathered) -> Variant:
    judged = one.verdicts.total()
    seconds = sorted(one.seconds)
    return Variant(
        name=one.name,
        documents=len(one.sums),
        chunks=int(_total(one, _CHUNKS)),
        calls=one.calls,
        failed=one.failed,
        unpriced=one.unpriced,
        cost=Estimate(None) if one.unpriced else _ratio(one, _COST, _CHUNKS),
        latency=_median(seconds),
        latency_p95=percentile(seconds, 0.95) if seconds else None,
        validity=_share(one.verdicts["good"], judged),
        facts=_ratio(one, _FACTS, _CHUNKS),
        entities=_ratio(one, _ENTITIES, _CHUNKS),
        grounded=_ratio(one, _GOOD, _FOUND),
    )


def _total(one: Gathered, column: int) -> float:
    return sum(sums[column] for sums in one.sums.values())


def _drawn(one: Gathered) -> Any:
    """The sums over documents, drawn anew many times: a row for each draw."""
    rows = np.array([one.sums[document] for document in sorted(one.sums)])
    if len(rows) > _UNITS:
        groups = np.arange(len(rows)) % _UNITS
        rows = np.stack([rows[groups == group].sum(axis=0) for group in range(_UNITS)])
    count = len(rows)
    times = np.random.default_rng(_SEED).multinomial(count, [1 / count] * count, size=_DRAWS)
    return times @ rows


def _ratio(one: Gathered, part: int, whole: int) -> Estimate:
    total = _total(one, whole)
    if not total:
        return Estimate(None)
    value = _total(one, part) / total
    if len(one.sums) < 2:
        return Estimate(value)
    drawn = _drawn(one)
    return Estimate(value, _percentiles(drawn[:, part], drawn[:, whole]))


def _percentiles(parts: Any, wholes: Any) -> Interval | None:
    held = wholes > 0
    if not held.any():
        return None
    low, high = np.percentile(parts[held] / wholes[held], _TAILS)
    return float(low), float(high)


def _between(base: Gathered, other: Gathered, part: int, whole: int) -> Estimate:
    """How many times the base's ratio the other's is."""
    one, two = _ratio(base, part, whole).value, _ratio(other, part, whole).value
    if not one or two is None:
        return Estimate(None)
    if min(len(base.sums), len(other.sums)) < 2:
        return Estimate(two / one)
    of_base, of_other = _drawn(base), _drawn(other)
    held = (of_base[:, whole] > 0) & (of_base[:, part] > 0) & (of_other[:, whole] > 0)
    if not held.any():
        return Estimate(two / one)
    shuffled = np.random.default_rng(_SEED + 1).permutation(of_other[held])
    ratios = (shuffled[:, part] / shuffled[:, whole]) / (of_base[held, part] / of_base[held, whole])
    low, high = np.percentile(ratios, _TAILS)
    return Estimate(two / one, (float(low), float(high)))


def _share(hits: int, of: int) -> Estimate:
    """Wilson, Probable inference (1927)."""
    if not of:
        return Estimate(None)
    share = hits / of
    middle = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z / (1 + _Z**2 / of) * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    return Estimate(share, (max(0.0, middle - half), min(1.0, middle + half)))


def _median(ordered: Sequence[float]) -> Estimate:
    """By order statistics: so many of n values lie below the median as heads come of n coins."""
    count = len(ordered)
    if not count:
        return Estimate(None)
    half = _Z * math.sqrt(count) / 2
    low, high = max(0, math.floor(count / 2 - half)), min(count - 1, math.ceil(count / 2 + half))
    return Estimate(percentile(ordered, 0.5), (ordered[low], ordered[high]) if count >= _FEW else None)


# --- the verdict -----------------------------------------------------------------------------------------------------


def _verdict(base: Gathered, other: Gathered) -> str:
    cost = Estimate(None) if base.unpriced or other.unpriced else _between(base, other, _COST, _CHUNKS)
    text = f"{other.name} {_of_cost(cost, base.name)}, {_of_yield(_between(base, other, _FACTS, _CHUNKS))}"
    if said := _of_shares("grounded", _ratio(base, _GOOD, _FOUND), _ratio(other, _GOOD, _FOUND)):
        text += f"; {said}"
    shares = (_share(one.verdicts["good"], one.verdicts.total()) for one in (base, other))
    if said := _of_shares("replies of use", *shares):
        text += f"; {said}"
    if said := _of_latency(_median(sorted(base.seconds)), _median(sorted(other.seconds))):
        text += f"; {said}"
    few = min(len(base.sums), len(other.sums))
    return text + (f". Too few documents to be sure: {few} of one of them" if few < _FEW else "")


def _of_cost(ratio: Estimate, base: str) -> str:
    if ratio.value is None:
        return f"against {base}: the cost of one of them is not known"
    if ratio.interval is None:
        return f"costs {ratio.value:.0%} of what {base} does"
    low, high = ratio.interval
    if high < 1:
        return f"costs {1 - ratio.value:.0%} less a chunk than {base} ({1 - high:.0%} to {1 - low:.0%})"
    if low > 1:
        return f"costs {ratio.value - 1:.0%} more a chunk than {base} ({low - 1:.0%} to {high - 1:.0%})"
    return f"costs {ratio.value:.0%} of what {base} does ({low:.0%} to {high:.0%}: no difference can be told)"


def _of_yield(ratio: Estimate) -> str:
    if ratio.value is None:
        return "and neither gave facts to compare"
    if ratio.interval is None:
        return f"at {ratio.value:.0%} of the yield"
    low, high = ratio.interval
    unsure = ": no difference can be told" if low <= 1 <= high else ""
    return f"at {ratio.value:.0%} of the yield ({low:.0%} to {high:.0%}{unsure})"


def _of_shares(name: str, base: Estimate, other: Estimate) -> str:
    """Where the intervals lie apart."""
    if base.value is None or other.value is None or base.interval is None or other.interval is None:
        return ""
    if other.interval[0] > base.interval[1] or other.interval[1] < base.interval[0]:
        return f"{name} {other.value:.1%} against {base.value:.1%}"
    return ""


def _of_latency(base: Estimate, other: Estimate) -> str:
    if not base.value or not other.value or base.interval is None or other.interval is None:
        return ""
    if other.interval[1] < base.interval[0] or other.interval[0] > base.interval[1]:
        word = "quicker" if other.value < base.value else "slower"
        return f"{word}: {other.value:.2f} s a call against {base.value:.2f} s"
    return ""
