"""The inbox: calls of other programs (kg_batch.observe), a file each, on their way into the ledger."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from core_engine.keys import Spec
from core_engine.ledger import calls
from core_engine.ledger.calls import Sending
from core_engine.ledger.ledger import Ledger
from core_engine.ledger.questions import spec_no
from core_engine.ports import Pricer
from core_engine.providers import provider_of
from core_engine.settings import without_credentials
from core_engine.types import LLMCall, Usage

log = logging.getLogger("kg.inbox")

PREFIX = "observe."
"""Of the stages of such calls: what the other program calls them is no stage of ours."""

_AT_ONCE = 250  # files in one commit
_MOST_BYTES = 64 * 1024  # a larger file is none of ours
_MOST_TOKENS = 1_000_000_000
_LONGEST = 300  # characters of a name
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_OLD_S = 3_600.0  # files that were never finished


def waiting(folder: Path) -> int:
    """How many calls wait in it."""
    return sum(1 for _ in folder.glob("*.json")) if folder.is_dir() else 0


def take(ledger: Ledger, folder: Path, pricer: Pricer) -> Iterator[Sequence[LLMCall]]:
    """Bring what waits into the ledger, in groups that are committed; each call comes once, however often it is tried.

    What can't be read is put aside in `bad/`.
    """
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    for at in range(0, len(files), _AT_ONCE):
        group = files[at : at + _AT_ONCE]
        read = [(file, _read(file)) for file in group]
        yield ledger.write(_insert, [_priced(call, pricer) for _, call in read if call])
        for file, call in read:
            if call:
                file.unlink(missing_ok=True)
            else:
                _put_aside(file)
    for file in folder.glob(".*"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > _OLD_S:
                file.unlink()


def _read(file: Path) -> LLMCall | None:
    """None where it is no call."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            return None
        said = orjson.loads(file.read_bytes())
        call = _call(said)
    except FileNotFoundError:
        return None  # another kg has just taken it
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return call


def _call(said: dict[str, Any]) -> LLMCall:
    identity = str(said["id"])
    if len(identity) != 32 or not set(identity) <= set("0123456789abcdef"):
        raise ValueError("no id")
    started_at, duration = float(said["started_at"]), float(said["duration_s"])
    if not (0 < started_at < 1e11 and 0 <= duration < 1e9 and math.isfinite(duration)):
        raise ValueError("no time")
    usage = Usage(*(_tokens(said.get(name, 0)) for name in ("prompt", "cached", "completion", "reasoning")))
    endpoint = without_credentials(_text(said.get("endpoint", ""))).rstrip("/")
    day = time.strftime("%Y%m%d", time.gmtime(started_at))
    return LLMCall(
        id=identity,
        run_id=f"observed-{day}",
        stage=PREFIX + _text(said["name"]),
        model=_text(said["model"]),
        endpoint=endpoint,
        questions=0,
        attempt=1,
        status="answered" if said["status"] == "answered" else "failed",
        started_at=started_at,
        duration_s=duration,
        usage=usage,
        error_kind=_text(said.get("error_kind", "")),
        model_answered=_text(said.get("model_answered", "")),
        request_id=_text(said.get("request_id", "")),
        persona=_text(said.get("persona", "")),
        provider=provider_of(endpoint),
        prompt_version=_text(said.get("prompt_version", "")),
    )


def _tokens(value: Any) -> int:
    count = int(value)
    if not 0 <= count <= _MOST_TOKENS:
        raise ValueError("no number of tokens")
    return count


def _text(value: Any) -> str:
    """A short text on one line."""
    return _CONTROL.sub(" ", str(value))[:_LONGEST].strip()


def _priced(call: LLMCall, pricer: Pricer) -> LLMCall:
    return replace(call, cost=pricer.price(call.model, call.usage, call.stage)) if call.usage.prompt else call


def _insert(db: sqlite3.Connection, found: Sequence[LLMCall]) -> list[LLMCall]:
    """Those that were not in the ledger yet."""
    new = []
    for call in found:
        if db.execute("SELECT 1 FROM call WHERE id = ?", (call.id,)).fetchone():
            continue
        # All that is known of what was asked is the prompt's version.
        spec = spec_no(db, Spec("observe", {"prompt": call.prompt_version})) if call.prompt_version else 0
        calls.begin(db, Sending(call, spec, (), "first", None))
        calls.finish(db, call, reply=None)
        new.append(call)
    return new


def _put_aside(file: Path) -> None:
    bad = file.parent / "bad"
    with contextlib.suppress(OSError):
        bad.mkdir(mode=0o700, exist_ok=True)
        file.rename(bad / file.name)
        log.warning("%s is no call, and was put aside in %s", file.name, bad)
