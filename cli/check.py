"""One thing that `kg doctor` has looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, PROBLEM = "ok", "note", "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """`state`: ok | note (works, but know it) | problem. `advice`: what to do, '' where there is nothing to do."""

    name: str
    state: str
    detail: str
    advice: str = ""


def problem(name: str, error: Exception) -> Check:
    """Our errors say what happened and, behind the last colon, what to do: they are shown as they are."""
    return Check(name, PROBLEM, str(error))
