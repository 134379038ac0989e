"""Prometheus's view of some workspaces: totals and histograms from their ledgers, the last run's figures, quotas.

A run is over before anybody could scrape it, and the next one would begin to count from 0: so the ledger's totals are
written to a file for node_exporter's textfile collector, or pushed to a Pushgateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from core_engine.errors import KGError, SettingsError
from core_engine.ledger import overview, tally
from core_engine.ledger.tally import STEPS, Sums
from core_engine.settings import without_credentials

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BUCKETS = tuple(2.0**power for power in range(-4, 11))
"""Upper edges of the histograms in seconds, 1/16 to 1,024: the tally's steps end at them, so no count is guessed."""

PUSH_S = 5.0
"""How long a run may wait for a Pushgateway at its end."""

_WHOSE = ("workspace", "persona", "stage", "model")
_TIMED = ("workspace", "stage", "model")
_SUMS = {
    "kg_retries": ("Requests that were sent again after a passing failure.", "retried"),
    "kg_reasked": ("Requests that asked again after a bad reply.", "reasked"),
    "kg_chunks_extracted": ("Chunks in answered requests for extraction.", "chunks"),
    "kg_calls_unpriced": ("Answered calls whose price is not known.", "unpriced"),
    "kg_calls_unknown": ("Calls of which nobody knows what they are billed.", "unknown"),
}
_DOLLARS = {
    "kg_cost_usd": ("US dollars of the calls whose cost is known.", "cost"),
    "kg_counted_usd": (
        "US dollars as budgets count them: with the ceilings of calls whose cost is unknown.",
        "counted_cost",
    ),
    "kg_saved_usd": ("US dollars saved by cached tokens and the Batch API.", "saved"),
}
_TOKENS = ("prompt", "cached", "completion", "reasoning")
_LAST_RUN = {
    "kg_last_run_duration_seconds": ("Seconds that the last run took.", "wall_s"),
    "kg_last_run_exit_code": ("Exit code of the last run.", "exit_code"),
    "kg_last_run_cost_usd": ("US dollars that the last run cost.", "cost_usd.total"),
    "kg_last_run_cost_per_chunk_usd": ("US dollars a chunk that the last run bought.", "cost_usd.per_chunk"),
    "kg_last_run_error_ratio": ("Share of the last run's calls that failed.", "calls.error_rate"),
    "kg_last_run_rate_limited": ("Calls of the last run that the provider turned away for its limit.", "calls.rate_limited"),
    "kg_last_run_chunks_per_second": ("Chunks a second in the last run.", "throughput.chunks_per_s"),
    "kg_last_run_limit_ratio": ("Share of the tightest limit that the last run used.", "throughput.limit_efficiency"),
    "kg_last_run_peak_in_flight": ("Requests in flight at most in the last run.", "throughput.peak_in_flight"),
    "kg_last_run_unreadable_documents": ("Files that the last run could not read.", "documents.unreadable"),
}  # fmt: skip
_QUOTA = {
    "kg_quota_limit": ("What may be used in the period, in dollars, tokens or chunks.", "limit"),
    "kg_quota_used": ("What is used in the period.", "used"),
    "kg_quota_remaining": ("What is left in the period.", "remaining"),
    "kg_quota_projected": (
        "What will be used by the end of the month if it goes on like the last seven days.",
        "projected",
    ),
}
NAMES = frozenset(
    {f"{name}_total" for name in ("kg_calls", "kg_call_errors", "kg_tokens", "kg_runs", *_SUMS, *_DOLLARS)}
    | {f"kg_{name}_seconds_{part}" for name in ("call_duration", "limiter_wait") for part in ("bucket", "sum", "count")}
    | {
        *_LAST_RUN,
        *_QUOTA,
        "kg_chunks",
        "kg_last_run_timestamp_seconds",
        "kg_last_success_timestamp_seconds",
        "kg_info",
    }
    | {"kg_dead_letters"}
)
"""All series that there are."""


@dataclass(slots=True, eq=False)
class Snapshot:
    """What some workspaces hold, as Prometheus metrics: a collector for prometheus_client."""

    version: str
    writer: str = ""
    """Whose file it is: a workspace, or '' for all of a home. Two files must not hold one series."""
    quotas: Sequence[Mapping[str, Any]] = ()
    """As `kg usage --json` has them."""
    _calls: dict[tuple[str, ...], Sums] = field(default_factory=dict)
    _timed: dict[tuple[str, ...], Sums] = field(default_factory=dict)
    _runs: dict[tuple[str, ...], int] = field(default_factory=dict)
    _last: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _ended: dict[str, float] = field(default_factory=dict)
    _succeeded: dict[str, float] = field(default_factory=dict)
    _chunks: dict[str, overview.ChunkStates] = field(default_factory=dict)

    def take(self, db: sqlite3.Connection, workspace: str) -> None:
        """Add one ledger."""
        for key, sums in tally.read(db):
            whose = workspace, key.persona, key.stage, key.model
            self._calls.setdefault(whose, Sums()).add(sums)
            self._timed.setdefault((workspace, key.stage, key.model), Sums()).add(sums)
        for command, status, count in db.execute("SELECT command, status, count(*) FROM run GROUP BY command, status"):
            self._runs[workspace, command, status] = count
        self._chunks[workspace] = overview.chunk_states(db)
        row = db.execute(
            "SELECT ended_at, report FROM run WHERE report IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1"
        ).fetchone()
        if row:
            self._ended[workspace], self._last[workspace] = row[0], orjson.loads(row[1])
        (succeeded,) = db.execute("SELECT max(ended_at) FROM run WHERE exit_code = 0").fetchone()
        if succeeded is not None:
            self._succeeded[workspace] = succeeded

    def text(self) -> bytes:
        """In Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415  only where it is asked for

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks of a collector."""
        yield from self._counters()
        yield from self._histograms()
        yield from self._gauges()

    def _counters(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

        calls = CounterMetricFamily("kg_calls", "Calls to models that have ended.", labels=(*_WHOSE, "status"))
        errors = CounterMetricFamily("kg_call_errors", "Failed calls by kind.", labels=(*_WHOSE, "kind"))
        tokens = CounterMetricFamily(
            "kg_tokens", "Tokens; prompt includes cached, completion includes reasoning.", labels=(*_WHOSE, "type")
        )
        for whose, sums in self._calls.items():
            calls.add_metric((*whose, "answered"), sums.answered)
            calls.add_metric((*whose, "failed"), sums.failed)
            for kind, count in sums.errors.items():
                errors.add_metric((*whose, kind), count)
            for kind in _TOKENS:
                tokens.add_metric((*whose, kind), getattr(sums, kind))
        yield from (calls, errors, tokens)
        for name, (text, of) in _SUMS.items():
            family = CounterMetricFamily(name, text, labels=_WHOSE)
            for whose, sums in self._calls.items():
                family.add_metric(whose, getattr(sums, of))
            yield family
        for name, (text, of) in _DOLLARS.items():
            family = CounterMetricFamily(name, text, labels=_WHOSE)
            for whose, sums in self._calls.items():
                family.add_metric(whose, float(tally.dollars(getattr(sums, of))))
            yield family
        runs = CounterMetricFamily("kg_runs", "Runs by how they ended.", labels=("workspace", "command", "status"))
        for labels, count in self._runs.items():
            runs.add_metric(labels, count)
        yield runs

    def _histograms(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

        for name, text, counts, total in (
            ("kg_call_duration_seconds", "Seconds that answered requests took.", "durations", "busy_us"),
            ("kg_limiter_wait_seconds", "Seconds that requests waited for the rate limit.", "waits", "wait_us"),
        ):
            family = HistogramMetricFamily(name, text, labels=_TIMED)
            for labels, sums in self._timed.items():
                family.add_metric(labels, _buckets(getattr(sums, counts)), getattr(sums, total) / 1e6)
            yield family

    def _gauges(self) -> Iterator[Metric]:
        yield _gauge("kg_info", "Which kg wrote this.", ("workspace", "version"), [((self.writer, self.version), 1)])
        yield _gauge(
            "kg_last_run_timestamp_seconds",
            "When the last run ended.",
            ("workspace",),
            [((name,), at) for name, at in self._ended.items()],
        )
        yield _gauge(
            "kg_last_success_timestamp_seconds",
            "When a run last ended with exit code 0.",
            ("workspace",),
            [((name,), at) for name, at in self._succeeded.items()],
        )
        for name, (text, path) in _LAST_RUN.items():
            values = (((workspace,), _at(report, path)) for workspace, report in self._last.items())
            yield _gauge(name, text, ("workspace",), values)
        states = (
            ((workspace, state), getattr(chunks, state))
            for workspace, chunks in self._chunks.items()
            for state in ("answered", "open", "dead")
        )
        yield _gauge("kg_chunks", "Chunks that the workspace holds, by state.", ("workspace", "state"), states)
        dead = (((workspace,), chunks.dead) for workspace, chunks in self._chunks.items())
        yield _gauge("kg_dead_letters", "Chunks that failed for good.", ("workspace",), dead)
        labels = ("scope", "name", "period", "unit")
        for name, (text, of) in _QUOTA.items():
            said = (
                ((self.writer, *(str(each[label]) for label in labels), _yes(each["hard"])), each[of])
                for each in self.quotas
            )
            yield _gauge(name, text, ("workspace", *labels, "hard"), said)


# --- to where it is read ---------------------------------------------------------------------------------------------


def write(file: Path, content: bytes) -> None:
    """Replace the file in one step, readable for node_exporter, whoever that runs as. Raises OSError."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.chmod(0o644)
        beside.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def check_name(file: Path) -> None:
    """Raises SettingsError where node_exporter would never read the file."""
    if file.suffix != ".prom":
        raise SettingsError(f"--prom-textfile {file}: node_exporter reads only files whose names end in .prom")


def push(gateway: str, workspace: str, content: bytes, seconds: float | None = None) -> None:
    """Replace what the Pushgateway has of this workspace. Raises KGError when it does not take it in time."""
    asyncio.run(_push(gateway.rstrip("/"), workspace, content, PUSH_S if seconds is None else seconds))


async def _push(gateway: str, workspace: str, content: bytes, seconds: float) -> None:
    import httpx2  # noqa: PLC0415  only where it is asked for

    url = f"{gateway}/metrics/job/kg/instance/{workspace}"
    try:
        async with asyncio.timeout(seconds), httpx2.AsyncClient(timeout=seconds) as client:
            reply = await client.put(url, content=content, headers={"content-type": "text/plain; version=0.0.4"})
    except TimeoutError as error:
        raise KGError(f"the Pushgateway {without_credentials(gateway)} does not answer within {seconds:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise KGError(
            f"the Pushgateway {without_credentials(gateway)} can't be reached: {type(error).__name__}"
        ) from error
    if reply.status_code not in {200, 202}:
        raise KGError(f"the Pushgateway {without_credentials(gateway)} answers {reply.status_code}")


# --- values ----------------------------------------------------------------------------------------------------------


def _gauge(name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float | None]]) -> Metric:
    """A family; what is not known, or no number, is left out."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(name, text, labels=labels)
    for of, value in values:
        if value is not None and math.isfinite(value):
            family.add_metric(of, value)
    return family


def _at(report: Mapping[str, Any], path: str) -> float | None:
    """The number at a path of names; None where there is none."""
    value: Any = report
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None


def _buckets(counts: Mapping[int, int]) -> list[tuple[str, float]]:
    edges = [(edge, round(STEPS * math.log2(edge))) for edge in BUCKETS]
    found = [(f"{edge:g}", float(sum(n for step, n in counts.items() if step <= last))) for edge, last in edges]
    return [*found, ("+Inf", float(sum(counts.values())))]


def _yes(value: object) -> str:
    return "true" if value else "false"
