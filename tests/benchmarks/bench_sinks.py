"""What the tracing services cost: CPU a call of all of them together, content off, and seconds at exit where they are bad.

    python -m tests.benchmarks.bench_sinks [--calls 5000]

The collectors are a process of their own; what is measured is this process's time, the courier's thread included.
"""

from __future__ import annotations

import argparse
import gc
import logging
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from cli.logs import to_file
from cli.tracing import sinks_of
from core_engine.loggers import OURS
from core_engine.settings import Settings
from core_engine.types import LLMCall, Usage
from metrics.observers.json_log import JsonLog
from metrics.observers.sinks import Sinks
from tests.collectors.fixture import Running

_ROUNDS = 5


def call(number: int) -> LLMCall:
    """As an extraction of ten chunks has it."""
    return LLMCall(
        id=uuid.uuid4().hex,
        run_id="20261130-101500-abcdef",
        stage="extract",
        model="gpt-5-mini",
        endpoint="https://api.openai.com/v1",
        questions=10,
        attempt=1,
        status="answered",
        started_at=1_796_000_000.0 + number * 0.01,
        duration_s=4.2,
        wait_s=0.3,
        usage=Usage(3_672, 2_048, 1_210, 640),
        cost=Decimal("0.0027854"),
        model_answered="gpt-5-mini-2025-08-07",
        finish_reason="stop",
        request_id="req_0123456789abcdef0123456789abcdef",
        batch_id=f"{number // 2:012x}",
        persona="ann",
        workspace="default",
        provider="openai",
        prompt_version="extract.v2",
        prompt_hash="35a94c703b3d",
        temperature=1.0,
        max_output=14_000,
        requests_left=498,
        tokens_left=181_000,
        http_status=200,
        chunks=tuple(str(uuid.UUID(int=number * 100 + at)) for at in range(10)),
    )


def settings_for(env: dict[str, str], *only: str) -> Settings:
    """All services, or those whose variables begin so."""
    names = {
        variable: name
        for name, item in Settings.__dataclass_fields__.items()
        for variable in item.metadata.get("env", ())
    }
    return Settings(
        **{names[variable]: value for variable, value in env.items() if not only or variable.startswith(only)}
    )


def measured(settings: Settings, calls: Sequence[LLMCall], pace_s: float) -> tuple[float, float, int]:
    """CPU milliseconds a call, of which on the caller's thread, and how many records were dropped."""
    gc.collect()
    began, here = time.process_time(), time.thread_time()
    sinks = sinks_of(settings, "20261130-101500-abcdef", "process", calls[0].started_at)
    observers = [JsonLog(), *([sinks] if sinks else [])]
    for at, each in enumerate(calls):
        for observer in observers:
            observer.call_finished(each)
        if at % 100 == 99:
            time.sleep(pace_s)
    mine = time.thread_time() - here
    dropped = _closed(sinks)
    return (time.process_time() - began) / len(calls) * 1_000, mine / len(calls) * 1_000, dropped


def _closed(sinks: Sinks | None) -> int:
    if sinks is None:
        return 0
    sinks.run_finished(1_796_000_100.0, {}, {}, "")
    return sum(state.dropped for state in sinks.close())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000)
    given = parser.parse_args()
    calls = [call(number) for number in range(given.calls)]
    running = Running()
    folder = Path(tempfile.mkdtemp(prefix="kg-bench-sinks-"))
    to_file(folder / "run.log", calls[0].run_id, ["a-secret-of-ours", "another-secret"])
    for name in OURS:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).propagate = False
    try:
        everything = settings_for(running.env)
        _closed(sinks_of(everything, "warm-up", "process", 1.0))
        parts = {"all": (), "LangSmith": ("LANGSMITH",), "Langfuse": ("LANGFUSE",), "PostHog": ("POSTHOG",)}
        for name, only in (*parts.items(), ("OTLP", ("OTEL",)), ("none (the log alone)", ("NOTHING",))):
            settings = settings_for(running.env, *only)
            found = []
            for _ in range(_ROUNDS):
                running.reset()
                found.append(measured(settings, calls, pace_s=0.25))
            total, mine, dropped = sorted(found)[_ROUNDS // 2]
            print(f"{name:<22} {total:.3f} ms CPU a call, {mine:.3f} of it where the run works; {dropped} dropped")
        for manner in ("hang", "drip", "401", "500", "reset", "slow"):
            running.reset()
            running.be(all_of_them=manner)
            sinks = sinks_of(everything, "bad", "process", 1.0)
            assert sinks
            for each in calls[:2_000]:
                sinks.call_finished(each)
            began = time.perf_counter()
            sinks.close()
            print(f"{manner:<22} {time.perf_counter() - began:.2f} s at exit")
    finally:
        running.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
